// DNS cookies by the vectors of RFC 9018, and what becomes of those that are not right.
#include "policy/cookie.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "wire.h"

#define SECRET "e5e973e5a6b2a43f48e7dc849e37bfcf"
#define CLIENT "2464c4abcf10c957"
#define ADDRESS "198.51.100.100"
#define MADE 1559731985u
#define COOKIE CLIENT "010000005cf79f111f8130c3eee29480"

static struct policy_cookie_secrets secrets;
static struct policy_cookie cookie;

static uint64_t key_half(const char *hex)
{
    struct wire wire = wire_of(hex);
    uint64_t half = 0;

    for (size_t i = 0; i < 8; i++)
        half |= (uint64_t)wire.bytes[i] << 8 * i;
    wire_free(&wire);
    return half;
}

static void add_secret(const char *hex)
{
    char half[17] = "";

    memcpy(half, hex, 16);
    secrets.keys[secrets.count++] = (struct siphash_key){key_half(half), key_half(hex + 16)};
}

static int begin(void **state)
{
    memset(&secrets, 0, sizeof(secrets));
    add_secret(SECRET);
    return 0;
}

static void read_octets(const char *address, const uint8_t *content, size_t size, uint32_t now)
{
    struct address client;

    assert_int_equal(address_parse(&client, address, 53), E_OK);
    memset(&cookie, 0xee, sizeof(cookie));
    policy_cookie_read(&cookie, &secrets, &client, content, size, now);
}

static void read_cookie(const char *address, const char *content, uint32_t now)
{
    struct wire wire = wire_of(content);

    read_octets(address, wire.bytes, wire.size, now);
    wire_free(&wire);
}

static void assert_gives(const char *reply)
{
    struct wire wire = wire_of(reply);

    assert_int_equal(wire.size, sizeof(cookie.reply));
    assert_memory_equal(cookie.reply, wire.bytes, wire.size);
    wire_free(&wire);
}

// RFC 9018 appendix A.
static void test_vectors(void **state)
{
    read_cookie(ADDRESS, CLIENT, MADE);
    assert_int_equal(cookie.state, POLICY_COOKIE_NEW);
    assert_gives(COOKIE);

    read_cookie(ADDRESS, COOKIE, 1559734385);
    assert_int_equal(cookie.state, POLICY_COOKIE_VALID);
    assert_gives(CLIENT "010000005cf7a871d4a564a1442aca77");

    // What is reserved another server may have set. The reply is from a time when it was too old.
    read_cookie("203.0.113.203", "fc93fc62807ddb86 01abcdef5cf78f71a314227b6679ebf5", 1559727985);
    assert_int_equal(cookie.state, POLICY_COOKIE_VALID);
    assert_gives("fc93fc62807ddb86 01abcdef5cf78f71a314227b6679ebf5");
    read_cookie("203.0.113.203", "fc93fc62807ddb86 01abcdef5cf78f71a314227b6679ebf5", 1559734700);
    assert_int_equal(cookie.state, POLICY_COOKIE_BAD);
    assert_gives("fc93fc62807ddb86 010000005cf7a9acf73a7810aca2381e");

    memset(&secrets, 0, sizeof(secrets));
    add_secret("445536bcd2513298075a5d379663c962");
    add_secret("dd3bdf9344b678b185a6f5cb60fca715");
    read_cookie("2001:db8:220:1:59de:d0f4:8769:82b8",
                "22681ab97d52c298 010000005cf7c57926556bd0934c72f8", 1559741961);
    assert_int_equal(cookie.state, POLICY_COOKIE_VALID);
    assert_gives("22681ab97d52c298 010000005cf7c609a6bb79d16625507a");
}

static void test_valid_for_an_hour(void **state)
{
    static const struct {
        int age;
        enum policy_cookie_state state;
        bool renewed;
    } cases[] = {
        {0, POLICY_COOKIE_VALID, false},      {1800, POLICY_COOKIE_VALID, false},
        {1801, POLICY_COOKIE_VALID, true},    {3600, POLICY_COOKIE_VALID, true},
        {3601, POLICY_COOKIE_BAD, true},      {100000000, POLICY_COOKIE_BAD, true},
        {INT32_MAX, POLICY_COOKIE_BAD, true}, {INT32_MIN, POLICY_COOKIE_BAD, true},
        {-1, POLICY_COOKIE_VALID, false},     {-300, POLICY_COOKIE_VALID, false},
        {-301, POLICY_COOKIE_BAD, true},      {-100000000, POLICY_COOKIE_BAD, true},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint32_t now = MADE + (uint32_t)cases[i].age;
        struct policy_cookie given;

        read_cookie(ADDRESS, COOKIE, now);
        if (cookie.state != cases[i].state)
            fail_msg("age %d: %d", cases[i].age, (int)cookie.state);
        assert_int_equal(get_u32(cookie.reply + 12), cases[i].renewed ? now : MADE);
        // What the client is given is valid, and the client's part its own.
        given = cookie;
        read_octets(ADDRESS, given.reply, sizeof(given.reply), now);
        assert_int_equal(cookie.state, POLICY_COOKIE_VALID);
    }
}

// Where 32 bits of seconds end.
static void test_time_wraps(void **state)
{
    struct policy_cookie last;

    read_cookie(ADDRESS, CLIENT, UINT32_MAX);
    last = cookie;
    read_octets(ADDRESS, last.reply, sizeof(last.reply), 3599);
    assert_int_equal(cookie.state, POLICY_COOKIE_VALID);
    read_octets(ADDRESS, last.reply, sizeof(last.reply), 3600);
    assert_int_equal(cookie.state, POLICY_COOKIE_BAD);
}

static void test_only_for_its_address(void **state)
{
    static const char *const others[] = {"198.51.100.101", "::1", "::198.51.100.100", "2001:db8::1",
                                         "c633:6464::"};

    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        read_cookie(others[i], COOKIE, MADE);
        assert_int_equal(cookie.state, POLICY_COOKIE_BAD);
    }
    // The same address, seen by a socket of the other family.
    read_cookie("::ffff:" ADDRESS, COOKIE, MADE);
    assert_int_equal(cookie.state, POLICY_COOKIE_VALID);
    assert_gives(COOKIE);
    read_cookie("[::ffff:" ADDRESS "]:1024", COOKIE, MADE);
    assert_int_equal(cookie.state, POLICY_COOKIE_VALID);
}

static void test_every_bit_matters(void **state)
{
    struct wire wire = wire_of(COOKIE);

    for (size_t bit = 0; bit < 8 * wire.size; bit++) {
        wire.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        read_octets(ADDRESS, wire.bytes, wire.size, MADE);
        if (cookie.state != POLICY_COOKIE_BAD)
            fail_msg("bit %zu", bit);
        assert_memory_equal(cookie.reply, wire.bytes, 8);
        wire.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    wire_free(&wire);
}

// RFC 7873 section 5.2.2.
static void test_lengths(void **state)
{
    static const uint8_t octets[100] = {1, 2, 3, 4, 5, 6, 7, 8, 1};

    read_octets(ADDRESS, octets, 0, MADE);
    assert_int_equal(cookie.state, POLICY_COOKIE_MALFORMED);
    for (size_t size = 1; size < sizeof(octets); size++) {
        struct wire wire = wire_copy(octets, size); // of exactly its size
        enum policy_cookie_state expected = POLICY_COOKIE_MALFORMED;

        read_octets(ADDRESS, wire.bytes, wire.size, MADE);
        if (size == 8)
            expected = POLICY_COOKIE_NEW;
        else if (size >= 16 && size <= 40)
            expected = POLICY_COOKIE_BAD;
        if (cookie.state != expected)
            fail_msg("%zu octets: %d", size, (int)cookie.state);
        wire_free(&wire);
    }
}

static void test_another_secret(void **state)
{
    // The one before: believed, and replaced.
    secrets.count = 0;
    add_secret("00000000000000000000000000000000");
    add_secret(SECRET);
    read_cookie(ADDRESS, COOKIE, MADE);
    assert_int_equal(cookie.state, POLICY_COOKIE_VALID);
    assert_memory_not_equal(cookie.reply + 16, "\x1f\x81\x30\xc3\xee\xe2\x94\x80", 8);
    // No longer.
    secrets.count = 1;
    read_cookie(ADDRESS, COOKIE, MADE);
    assert_int_equal(cookie.state, POLICY_COOKIE_BAD);
}

static void test_client_without_an_address(void **state)
{
    const struct address nobody = {.family = AF_UNSPEC};
    struct policy_cookie first;

    policy_cookie_read(&first, &secrets, &nobody, (const uint8_t *)"12345678", 8, MADE);
    policy_cookie_read(&cookie, &secrets, &nobody, first.reply, sizeof(first.reply), MADE);
    assert_int_equal(cookie.state, POLICY_COOKIE_VALID);
    read_octets(ADDRESS, first.reply, sizeof(first.reply), MADE);
    assert_int_equal(cookie.state, POLICY_COOKIE_BAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_vectors, begin),
        cmocka_unit_test_setup(test_valid_for_an_hour, begin),
        cmocka_unit_test_setup(test_time_wraps, begin),
        cmocka_unit_test_setup(test_only_for_its_address, begin),
        cmocka_unit_test_setup(test_every_bit_matters, begin),
        cmocka_unit_test_setup(test_lengths, begin),
        cmocka_unit_test_setup(test_another_secret, begin),
        cmocka_unit_test_setup(test_client_without_an_address, begin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
