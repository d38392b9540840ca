#include "base/address.h"

#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"

// A text, and the same address as we write it; NULL if it is none. The default port is 53.
static const struct {
    const char *text, *whole, *ip;
} texts[] = {
    {"192.0.2.1", "192.0.2.1:53", "192.0.2.1"},
    {"192.0.2.1:853", "192.0.2.1:853", "192.0.2.1"},
    {"192.0.2.1:0", "192.0.2.1:0", "192.0.2.1"},
    {"192.0.2.1:65535", "192.0.2.1:65535", "192.0.2.1"},
    {"192.0.2.1:00053", "192.0.2.1:53", "192.0.2.1"},
    {"0.0.0.0", "0.0.0.0:53", "0.0.0.0"},
    {"255.255.255.255", "255.255.255.255:53", "255.255.255.255"},
    {"2001:db8::1", "[2001:db8::1]:53", "2001:db8::1"},
    {"[2001:db8::1]", "[2001:db8::1]:53", "2001:db8::1"},
    {"[2001:db8::1]:853", "[2001:db8::1]:853", "2001:db8::1"},
    {"[2001:DB8:0::0:1]:853", "[2001:db8::1]:853", "2001:db8::1"},
    {"::", "[::]:53", "::"},
    {"[::]:65535", "[::]:65535", "::"},
    {"::1", "[::1]:53", "::1"},
    {"::ffff:192.0.2.1", "[::ffff:192.0.2.1]:53", "::ffff:192.0.2.1"},
    {"2001:db8:1111:2222:3333:4444:5555:6666", "[2001:db8:1111:2222:3333:4444:5555:6666]:53",
     "2001:db8:1111:2222:3333:4444:5555:6666"},
    {"fe80::1%1", "[fe80::1%1]:53", "fe80::1%1"},
    {"[fe80::1%4294967295]:853", "[fe80::1%4294967295]:853", "fe80::1%4294967295"},
    {"fe80::1%lo", "[fe80::1%1]:53", "fe80::1%1"}, // if_nametoindex("lo"), see below

    {"", NULL, NULL},
    {" 192.0.2.1", NULL, NULL},
    {"192.0.2.1 ", NULL, NULL},
    {"192.0.2", NULL, NULL},
    {"192.0.2.256", NULL, NULL},
    {"192.0.2.1.1", NULL, NULL},
    {"3221225985", NULL, NULL},
    {"0xc0.0.2.1", NULL, NULL},
    {"localhost", NULL, NULL},
    {"192.0.2.1:", NULL, NULL},
    {"192.0.2.1:65536", NULL, NULL},
    {"192.0.2.1:4294967349", NULL, NULL}, // 2^32 and 53
    {"192.0.2.1:99999999999999999999", NULL, NULL},
    {"192.0.2.1:-1", NULL, NULL},
    {"192.0.2.1:+53", NULL, NULL},
    {"192.0.2.1: 53", NULL, NULL},
    {"192.0.2.1:53x", NULL, NULL},
    {":53", NULL, NULL},
    {"192.0.2.1%lo", NULL, NULL},
    {"[192.0.2.1]", NULL, NULL},
    {"[192.0.2.1]:53", NULL, NULL},
    {"[]", NULL, NULL},
    {"[", NULL, NULL},
    {"]", NULL, NULL},
    {"[::1", NULL, NULL},
    {"::1]", NULL, NULL},
    {"[::1]53", NULL, NULL},
    {"[::1]:", NULL, NULL},
    {"[::1]:65536", NULL, NULL},
    {"[::1]:53:53", NULL, NULL},
    {"[[::1]]", NULL, NULL},
    {":::", NULL, NULL},
    {"1:2:3:4:5:6:7", NULL, NULL},
    {"1:2:3:4:5:6:7:8:9", NULL, NULL},
    {"2001:db8::g", NULL, NULL},
    {"fe80::1%", NULL, NULL},
    {"fe80::1%0", NULL, NULL},
    {"fe80::1%4294967296", NULL, NULL},
    {"fe80::1%no such interface", NULL, NULL},
    {"fe80::1%1x", NULL, NULL},
    {"fe80::1%-1", NULL, NULL},
};

static void test_texts(void **state)
{
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct address address, again;
        char text[ADDRESS_TEXT_MAX];
        int err = address_parse(&address, texts[i].text, 53);

        if (strstr(texts[i].text, "%lo") && texts[i].whole && if_nametoindex("lo") != 1)
            continue;
        if (err != (texts[i].whole ? E_OK : E_INVALID))
            fail_msg("'%s': %s", texts[i].text, error_text(err));
        if (err != E_OK)
            continue;
        assert_ptr_equal(address_to_text(&address, text), text);
        assert_string_equal(text, texts[i].whole);
        assert_string_equal(address_ip_to_text(&address, text), texts[i].ip);
        // What we write we can read.
        assert_int_equal(address_parse(&again, texts[i].whole, 1), E_OK);
        assert_true(address_equal(&address, &again));
    }
}

static void test_texts_of_any_length(void **state)
{
    char text[4 * ADDRESS_TEXT_MAX];
    struct address address;

    for (size_t length = 1; length < sizeof(text); length++) {
        memset(text, ':', length);
        text[length] = '\0';
        assert_int_equal(address_parse(&address, text, 53), length == 2 ? E_OK : E_INVALID);
        memset(text, '1', length);
        assert_int_equal(address_parse(&address, text, 53), E_INVALID);
    }
}

static void test_longest_text(void **state)
{
    struct address address = {.v6 = {.sin6_family = AF_INET6, .sin6_scope_id = UINT32_MAX}};
    char text[ADDRESS_TEXT_MAX];

    memset(&address.v6.sin6_addr, 0xfd, 16);
    address_set_port(&address, 65535);
    assert_string_equal(address_to_text(&address, text),
                        "[fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd%4294967295]:65535");
}

static void test_parts(void **state)
{
    struct address v4, v6;
    char text[ADDRESS_TEXT_MAX];

    assert_int_equal(address_parse(&v4, "192.0.2.1", 53), E_OK);
    assert_int_equal(address_parse(&v6, "2001:db8::1", 53), E_OK);
    assert_int_equal(v4.family, AF_INET);
    assert_int_equal(v6.family, AF_INET6);
    assert_int_equal(address_size(&v4), sizeof(struct sockaddr_in));
    assert_int_equal(address_size(&v6), sizeof(struct sockaddr_in6));
    assert_int_equal(address_port(&v4), 53);
    address_set_port(&v4, 853);
    address_set_port(&v6, 5353);
    assert_int_equal(address_port(&v4), 853);
    assert_int_equal(address_port(&v6), 5353);
    assert_string_equal(address_ip_to_text(&(struct address){.family = AF_UNSPEC}, text), "none");
}

static const struct {
    const char *a, *b;
    bool equal;
} pairs[] = {
    {"192.0.2.1", "192.0.2.1:53", true},
    {"192.0.2.1", "192.0.2.1:54", false},
    {"192.0.2.1", "192.0.2.2", false},
    {"192.0.2.1", "::ffff:192.0.2.1", false},
    {"0.0.0.0", "::", false},
    {"2001:db8::1", "[2001:db8:0::1]:53", true},
    {"2001:db8::1", "[2001:db8::1]:54", false},
    {"2001:db8::1", "2001:db8::2", false},
    {"fe80::1%1", "fe80::1%1", true},
    {"fe80::1%1", "fe80::1%2", false},
    {"fe80::1%1", "fe80::1", false},
};

static void test_equal(void **state)
{
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        struct address a, b;

        assert_int_equal(address_parse(&a, pairs[i].a, 53), E_OK);
        assert_int_equal(address_parse(&b, pairs[i].b, 53), E_OK);
        assert_int_equal(address_equal(&a, &b), pairs[i].equal);
        assert_int_equal(address_equal(&b, &a), pairs[i].equal);
    }
}

static void test_wildcard(void **state)
{
    static const struct {
        const char *text;
        bool wildcard;
    } cases[] = {{"0.0.0.0", true}, {"::", true},       {"127.0.0.1", false},
                 {"::1", false},    {"0.0.0.1", false}, {"::ffff:0.0.0.0", false}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct address address;

        assert_int_equal(address_parse(&address, cases[i].text, 53), E_OK);
        assert_int_equal(address_is_wildcard(&address), cases[i].wildcard);
    }
}

static void test_octets(void **state)
{
    static const struct {
        const char *text;
        size_t size;
        uint8_t octets[16];
    } cases[] = {
        {"192.0.2.1", 4, {192, 0, 2, 1}},
        {"2001:db8::1", 16, {0x20, 0x01, 0x0d, 0xb8, [15] = 1}},
        {"fe80::1%1", 16, {0xfe, 0x80, [15] = 1}},
        {"::ffff:192.0.2.1", 4, {192, 0, 2, 1}},
        {"::192.0.2.1", 16, {[12] = 192, 0, 2, 1}},
        {"::", 16, {0}},
    };
    const struct address none = {.family = AF_UNSPEC};
    size_t size;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct address address;
        const uint8_t *octets;

        assert_int_equal(address_parse(&address, cases[i].text, 53), E_OK);
        octets = address_octets(&address, &size);
        assert_int_equal(size, cases[i].size);
        assert_memory_equal(octets, cases[i].octets, size);
    }
    address_octets(&none, &size);
    assert_int_equal(size, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts),        cmocka_unit_test(test_texts_of_any_length),
        cmocka_unit_test(test_longest_text), cmocka_unit_test(test_parts),
        cmocka_unit_test(test_equal),        cmocka_unit_test(test_wildcard),
        cmocka_unit_test(test_octets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
