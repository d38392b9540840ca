#include "cache/negative_limit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

// A monotonic clock of a machine that has been up for a while.
#define START (UINT64_C(123456789) * USEC_MSEC + 7)

static const struct siphash_key secret = {0x0123456789abcdef, 0xfedcba9876543210};

static struct cache_negative_limit limit;
static usec_t now;

static int set_up(void **state)
{
    now = START;
    cache_negative_limit_init(&limit, &secret);
    return 0;
}

static struct address address_of(const char *text)
{
    struct address address;

    assert_int_equal(address_parse(&address, text, 53), 0);
    return address;
}

static bool pass(const char *client, uint32_t rate)
{
    struct address address = address_of(client);

    return cache_negative_limit_pass(&limit, &address, rate, now);
}

// How many pass at this moment, of at most `most`.
static unsigned pass_all(const char *client, uint32_t rate, unsigned most)
{
    unsigned count = 0;

    while (count < most && pass(client, rate))
        count++;
    return count;
}

static void test_burst(void **state)
{
    static const uint32_t rates[] = {1, 2, 3, 5, 7, 10, 100, 999, 1000};

    for (size_t i = 0; i < ARRAY_LEN(rates); i++) {
        unsigned burst = rates[i] * CACHE_NEGATIVE_BURST;

        set_up(NULL);
        assert_int_equal(pass_all("192.0.2.1", rates[i], burst + 100), burst);
        assert_false(pass("192.0.2.1", rates[i]));
    }
}

static void test_recovers_with_time(void **state)
{
    assert_int_equal(pass_all("192.0.2.1", 5, 1000), 50);
    now += USEC_SEC / 5 - 1;
    assert_false(pass("192.0.2.1", 5));
    now += 1;
    assert_true(pass("192.0.2.1", 5));
    assert_false(pass("192.0.2.1", 5));
    now += USEC_SEC;
    assert_int_equal(pass_all("192.0.2.1", 5, 1000), 5);
    now += 4 * USEC_SEC;
    assert_int_equal(pass_all("192.0.2.1", 5, 1000), 20);
}

// Refusals cost nothing: who keeps on asking recovers as fast.
static void test_refusals_do_not_count(void **state)
{
    assert_int_equal(pass_all("192.0.2.1", 5, 1000), 50);
    for (unsigned i = 0; i < 1000; i++)
        assert_false(pass("192.0.2.1", 5));
    now += USEC_SEC;
    assert_int_equal(pass_all("192.0.2.1", 5, 1000), 5);
}

// However long a client has been quiet.
static void test_no_more_than_the_burst(void **state)
{
    static const usec_t pauses[] = {10 * USEC_SEC, 11 * USEC_SEC, 3600 * USEC_SEC,
                                    UINT64_C(1000000) * 3600 * USEC_SEC};

    for (size_t i = 0; i < ARRAY_LEN(pauses); i++) {
        assert_int_equal(pass_all("192.0.2.1", 5, 1000), 50);
        now += pauses[i];
    }
}

// Who stays within the rate is never refused.
static void test_steady_rate(void **state)
{
    for (unsigned i = 0; i < 1000; i++) {
        assert_true(pass("192.0.2.1", 20));
        now += USEC_SEC / 20;
    }
}

// In the long run it is the rate, whatever the pace of asking.
static void test_long_run(void **state)
{
    unsigned count = 0;

    for (unsigned i = 0; i < 100000; i++) {
        count += pass("192.0.2.1", 20);
        now += USEC_MSEC; // 100 s in all
    }
    assert_in_range(count, 20 * (100 + CACHE_NEGATIVE_BURST) - 2,
                    20 * (100 + CACHE_NEGATIVE_BURST) + 2);
}

static void test_rate_0_is_no_limit(void **state)
{
    assert_int_equal(pass_all("192.0.2.1", 0, 100000), 100000);
    // And it leaves no debt behind.
    assert_int_equal(pass_all("192.0.2.1", 5, 1000), 50);
    assert_int_equal(pass_all("192.0.2.1", 0, 1000), 1000);
}

static void test_rates_beyond_the_clock(void **state)
{
    assert_int_equal(pass_all("192.0.2.1", 1000000, 5000), 5000);
    assert_int_equal(pass_all("192.0.2.2", UINT32_MAX, 5000), 5000);
}

// The rate of a reload holds from then on.
static void test_another_rate(void **state)
{
    assert_int_equal(pass_all("192.0.2.1", 5, 1000), 50);
    assert_int_equal(pass_all("192.0.2.1", 100, 1000), 0);
    now += USEC_SEC;
    assert_int_equal(pass_all("192.0.2.1", 100, 1000), 100);
    now += USEC_SEC;
    assert_int_equal(pass_all("192.0.2.1", 1, 1000), 1);
}

// Clients of one prefix share, whatever else differs.
static void test_one_prefix(void **state)
{
    static const struct {
        const char *spent, *other;
    } same[] = {
        {"192.0.2.1:1024", "192.0.2.1:65535"},
        {"2001:db8:1:2::1", "2001:db8:1:2::1"},
        {"2001:db8:1:2::1", "2001:db8:1:2::2"},
        {"2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"},
        {"[2001:db8:1:2::1]:1024", "[2001:db8:1:2:8000::]:1025"},
        {"fe80::1%lo", "fe80::2"},
        {"192.0.2.1", "::ffff:192.0.2.1"},
        {"::ffff:192.0.2.1", "192.0.2.1"},
    };

    for (size_t i = 0; i < ARRAY_LEN(same); i++) {
        set_up(NULL);
        assert_int_equal(pass_all(same[i].spent, 5, 1000), 50);
        if (pass(same[i].other, 5))
            fail_msg("%s and %s", same[i].spent, same[i].other);
    }
}

// Clients of other prefixes do not, even next to it. Which slots collide the secret decides: that
// of this test keeps these apart.
static void test_other_prefixes(void **state)
{
    static const struct {
        const char *spent, *other;
    } apart[] = {
        {"192.0.2.1", "192.0.2.2"},
        {"192.0.2.1", "192.0.2.0"},
        {"192.0.2.1", "192.0.3.1"},
        {"192.0.2.1", "193.0.2.1"},
        {"2001:db8:1:2::1", "2001:db8:1:3::1"},
        {"2001:db8:1:2::1", "2001:db8:1::1"},
        {"2001:db8:1:2::1", "3001:db8:1:2::1"},
        {"::ffff:192.0.2.1", "::ffff:192.0.2.2"},
        {"::ffff:192.0.2.1", "::1"},
        {"192.0.2.1", "c000:201::"},
    };

    for (size_t i = 0; i < ARRAY_LEN(apart); i++) {
        set_up(NULL);
        assert_int_equal(pass_all(apart[i].spent, 5, 1000), 50);
        if (pass_all(apart[i].other, 5, 1000) != 50)
            fail_msg("%s and %s", apart[i].spent, apart[i].other);
    }
}

// One that has spent all is at most in the way of those few who share its slot.
static void test_one_of_many(void **state)
{
    unsigned refused = 0;

    assert_int_equal(pass_all("10.255.255.255", 5, 1000), 50);
    for (unsigned i = 0; i < 10000; i++) {
        char text[20];

        // Spread in time, so that those sharing other slots do not get in each other's way.
        now += USEC_SEC / 10000;
        snprintf(text, sizeof(text), "10.0.%u.%u", i / 256, i % 256);
        refused += !pass(text, 5);
    }
    assert_in_range(refused, 0, 30); // 10 are to be expected
}

// Nobody can tell who shares whose slot, without the secret.
static void test_slots_depend_on_the_secret(void **state)
{
    unsigned shared[2] = {0, 0};
    bool differ = false;

    for (unsigned i = 0; i < 5000; i++) {
        char text[20];
        bool refused[2];

        snprintf(text, sizeof(text), "10.0.%u.%u", i / 256, i % 256);
        for (unsigned j = 0; j < 2; j++) {
            const struct siphash_key key = {secret.k0 + j, secret.k1};

            cache_negative_limit_init(&limit, &key);
            assert_int_equal(pass_all("10.255.255.255", 1, 100), CACHE_NEGATIVE_BURST);
            refused[j] = !pass(text, 1);
            shared[j] += refused[j];
        }
        differ |= refused[0] != refused[1];
    }
    assert_true(differ);
    assert_true(shared[0] < 30 && shared[1] < 30);
}

// A clock that stands still or is a little behind does no harm.
static void test_time_that_does_not_advance(void **state)
{
    now = 0;
    assert_int_equal(pass_all("192.0.2.1", 5, 1000), 50);
    now = START;
    assert_int_equal(pass_all("192.0.2.1", 5, 1000), 50);
    now -= USEC_MSEC;
    assert_false(pass("192.0.2.1", 5));
    now += USEC_SEC + USEC_MSEC;
    assert_int_equal(pass_all("192.0.2.1", 5, 1000), 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_burst, set_up),
        cmocka_unit_test_setup(test_recovers_with_time, set_up),
        cmocka_unit_test_setup(test_refusals_do_not_count, set_up),
        cmocka_unit_test_setup(test_no_more_than_the_burst, set_up),
        cmocka_unit_test_setup(test_steady_rate, set_up),
        cmocka_unit_test_setup(test_long_run, set_up),
        cmocka_unit_test_setup(test_rate_0_is_no_limit, set_up),
        cmocka_unit_test_setup(test_rates_beyond_the_clock, set_up),
        cmocka_unit_test_setup(test_another_rate, set_up),
        cmocka_unit_test_setup(test_one_prefix, set_up),
        cmocka_unit_test_setup(test_other_prefixes, set_up),
        cmocka_unit_test_setup(test_one_of_many, set_up),
        cmocka_unit_test_setup(test_slots_depend_on_the_secret, set_up),
        cmocka_unit_test_setup(test_time_that_does_not_advance, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
