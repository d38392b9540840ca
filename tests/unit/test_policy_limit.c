// The rate of queries from sources that may be forged; test_negative_limit.c has more about rates.
#include "policy/limit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define START (UINT64_C(123456789) * USEC_MSEC + 7)
#define BURST_SECONDS (POLICY_LIMIT_BURST / USEC_SEC)

static const struct siphash_key secret = {0x0123456789abcdef, 0xfedcba9876543210};

static struct policy_limit limit;
static struct policy_rate_limit options;
static usec_t now;

static int begin(void **state)
{
    now = START;
    options =
        (struct policy_rate_limit){.rate = 10, .ipv4_prefix = 32, .ipv6_prefix = 64, .slip = 2};
    policy_limit_init(&limit, &secret);
    return 0;
}

static enum policy_limit_verdict check(const char *client)
{
    struct address address;

    assert_int_equal(address_parse(&address, client, 53), 0);
    return policy_limit_check(&limit, &options, &address, now);
}

// How many pass at this moment before one does not.
static unsigned pass_all(const char *client, unsigned most)
{
    unsigned count = 0;

    while (count < most && check(client) == POLICY_LIMIT_PASS)
        count++;
    return count;
}

static void test_burst_and_rate(void **state)
{
    assert_int_equal(pass_all("192.0.2.1", 1000), 10 * BURST_SECONDS);
    now += USEC_SEC / 10 - 1;
    assert_int_equal(pass_all("192.0.2.1", 1000), 0);
    now += 1;
    assert_int_equal(pass_all("192.0.2.1", 1000), 1);
    now += 2 * USEC_SEC;
    assert_int_equal(pass_all("192.0.2.1", 1000), 20);
    now += 3600 * USEC_SEC;
    assert_int_equal(pass_all("192.0.2.1", 1000), 10 * BURST_SECONDS);
}

// Being over the limit costs nothing: who keeps on asking is served at the rate.
static void test_served_at_the_rate_whatever_is_asked(void **state)
{
    unsigned passed = 0;

    pass_all("192.0.2.1", 1000);
    for (unsigned i = 0; i < 10000; i++) {
        now += USEC_MSEC;
        passed += check("192.0.2.1") == POLICY_LIMIT_PASS;
    }
    assert_in_range(passed, 99, 101);
}

static void test_slip(void **state)
{
    static const char *const patterns[] = {"DDDDDDDDDDDD", "SSSSSSSSSSSS", "DSDSDSDSDSDS",
                                           "DDSDDSDDSDDS", "DDDSDDDSDDDS"};

    for (uint32_t slip = 0; slip < ARRAY_LEN(patterns); slip++) {
        begin(NULL);
        options.slip = slip;
        for (unsigned i = 0; i < 10 * BURST_SECONDS; i++)
            assert_int_equal(check("192.0.2.1"), POLICY_LIMIT_PASS);
        for (const char *expected = patterns[slip]; *expected; expected++)
            assert_int_equal(check("192.0.2.1"),
                             *expected == 'D' ? POLICY_LIMIT_DROP : POLICY_LIMIT_SLIP);
    }
}

// A client's slips are its own: nobody can take them by asking in between.
static void test_slips_are_each_clients_own(void **state)
{
    pass_all("192.0.2.1", 1000); // and one that is dropped
    pass_all("192.0.2.2", 1000);
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(check("192.0.2.1"), i % 2 ? POLICY_LIMIT_DROP : POLICY_LIMIT_SLIP);
        assert_int_equal(check("192.0.2.2"), i % 2 ? POLICY_LIMIT_DROP : POLICY_LIMIT_SLIP);
    }
}

static void test_a_smaller_slip_after_a_reload(void **state)
{
    options.slip = 10;
    pass_all("192.0.2.1", 1000);
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(check("192.0.2.1"), POLICY_LIMIT_DROP);
    options.slip = 2;
    assert_int_equal(check("192.0.2.1"), POLICY_LIMIT_SLIP);
    assert_int_equal(check("192.0.2.1"), POLICY_LIMIT_DROP);
}

static const struct {
    uint32_t ipv4, ipv6;
    const char *spent, *other;
    bool same;
} prefixes[] = {
    {32, 64, "192.0.2.1", "192.0.2.1:99", true},
    {32, 64, "192.0.2.1", "::ffff:192.0.2.1", true},
    {32, 64, "192.0.2.1", "192.0.2.0", false},
    {24, 64, "192.0.2.1", "192.0.2.255", true},
    {24, 64, "192.0.2.1", "192.0.3.1", false},
    {31, 64, "192.0.2.2", "192.0.2.3", true},
    {31, 64, "192.0.2.2", "192.0.2.1", false},
    {25, 64, "192.0.2.1", "192.0.2.127", true},
    {25, 64, "192.0.2.1", "192.0.2.128", false},
    {1, 64, "1.2.3.4", "127.255.255.255", true},
    {1, 64, "1.2.3.4", "128.0.0.0", false},
    {32, 64, "2001:db8:1:2::1", "2001:db8:1:2:ffff::", true},
    {32, 64, "2001:db8:1:2::1", "2001:db8:1:3::1", false},
    {32, 56, "2001:db8:1:2::1", "2001:db8:1:ff::1", true},
    {32, 56, "2001:db8:1:2::1", "2001:db8:1:102::1", false},
    {32, 60, "2001:db8:1:2::1", "2001:db8:1:f::1", true},
    {32, 60, "2001:db8:1:2::1", "2001:db8:1:10::1", false},
    {32, 128, "2001:db8::1", "2001:db8::1", true},
    {32, 128, "2001:db8::1", "2001:db8::2", false},
    {32, 65, "2001:db8::1", "2001:db8::7fff:0:0:0", true},
    {32, 65, "2001:db8::1", "2001:db8::8000:0:0:0", false},
    // The same octets of the two families.
    {32, 32, "32.1.13.184", "2001:db8::1", false},
};

static void test_prefixes(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
        begin(NULL);
        options.ipv4_prefix = prefixes[i].ipv4;
        options.ipv6_prefix = prefixes[i].ipv6;
        assert_int_equal(pass_all(prefixes[i].spent, 1000), 10 * BURST_SECONDS);
        if ((check(prefixes[i].other) != POLICY_LIMIT_PASS) != prefixes[i].same)
            fail_msg("/%u /%u: %s and %s", prefixes[i].ipv4, prefixes[i].ipv6, prefixes[i].spent,
                     prefixes[i].other);
    }
}

// However many sources are forged, the table is what it is, and few are in each other's way.
static void test_many_sources(void **state)
{
    unsigned others = 0;

    for (unsigned i = 0; i < 300; i++) {
        char text[20];

        snprintf(text, sizeof(text), "10.9.%u.%u", i / 256, i % 256);
        pass_all(text, 1000);
    }
    for (unsigned i = 0; i < 1000; i++) {
        char text[20];

        snprintf(text, sizeof(text), "192.168.%u.%u", i / 256, i % 256);
        others += check(text) != POLICY_LIMIT_PASS;
    }
    assert_in_range(others, 0, 80); // 36 are to be expected
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_burst_and_rate, begin),
        cmocka_unit_test_setup(test_served_at_the_rate_whatever_is_asked, begin),
        cmocka_unit_test_setup(test_slip, begin),
        cmocka_unit_test_setup(test_slips_are_each_clients_own, begin),
        cmocka_unit_test_setup(test_a_smaller_slip_after_a_reload, begin),
        cmocka_unit_test_setup(test_prefixes, begin),
        cmocka_unit_test_setup(test_many_sources, begin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
