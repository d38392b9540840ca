#include "policy/share.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct siphash_key secret = {0x0123456789abcdef, 0xfedcba9876543210};

static struct policy_share share;
static size_t taken;

static int begin(void **state)
{
    memset(&share, 0, sizeof(share));
    taken = 0;
    return 0;
}

static size_t slot_of(const char *text)
{
    struct address address;

    assert_int_equal(address_parse(&address, text, 53), 0);
    return policy_share_slot(&secret, &address);
}

// How many the client gets if it takes all that it may.
static unsigned take_all(const char *client, size_t places)
{
    size_t slot = slot_of(client);
    unsigned count = 0;

    while (policy_share_allows(&share, slot, taken, places)) {
        share.held[slot]++;
        taken++;
        count++;
        assert_true(taken <= places);
    }
    return count;
}

static void test_shares(void **state)
{
    static const struct {
        size_t places;
        unsigned first, second, third;
    } cases[] = {
        {1, 1, 0, 0},   {2, 2, 0, 0},   {7, 7, 0, 0},    {8, 7, 1, 0},
        {16, 14, 1, 1}, {80, 70, 5, 3}, {100, 88, 6, 3}, {10000, 8750, 625, 313},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        begin(NULL);
        assert_int_equal(take_all("192.0.2.1", cases[i].places), cases[i].first);
        assert_int_equal(take_all("192.0.2.2", cases[i].places), cases[i].second);
        assert_int_equal(take_all("2001:db8::1", cases[i].places), cases[i].third);
        assert_int_equal(take_all("192.0.2.1", cases[i].places), 0);
    }
}

static void test_what_is_given_back_can_be_had_again(void **state)
{
    size_t slot = slot_of("192.0.2.1");

    assert_int_equal(take_all("192.0.2.1", 100), 88);
    share.held[slot] -= 10;
    taken -= 10;
    assert_int_equal(take_all("192.0.2.1", 100), 10);
}

// After a reload there may be more in flight than places.
static void test_fewer_places_than_taken(void **state)
{
    assert_int_equal(take_all("192.0.2.1", 100), 88);
    assert_int_equal(take_all("192.0.2.1", 50), 0);
    assert_int_equal(take_all("192.0.2.2", 50), 0);
    assert_false(policy_share_is_ample(88, 50));
}

static void test_clients(void **state)
{
    const struct address nobody = {.family = AF_UNSPEC};

    assert_int_equal(slot_of("192.0.2.1:1"), slot_of("::ffff:192.0.2.1"));
    assert_int_equal(slot_of("2001:db8::1"), slot_of("2001:db8::ffff:0:0:1"));
    assert_int_not_equal(slot_of("192.0.2.1"), slot_of("192.0.2.2"));
    assert_int_not_equal(slot_of("2001:db8::1"), slot_of("2001:db8:0:1::1"));
    assert_int_equal(policy_share_slot(&secret, &nobody), POLICY_SHARE_NOBODY);
    share.held[POLICY_SHARE_NOBODY] = 99;
    assert_true(policy_share_allows(&share, POLICY_SHARE_NOBODY, 99, 100));
}

// Neighbours have slots of their own, mostly, and which share one the secret decides.
static void test_slots_are_spread(void **state)
{
    unsigned used = 0, same = 0;
    char text[40];

    for (unsigned i = 0; i < 1000; i++) {
        const struct siphash_key other = {secret.k0 * 3, secret.k1};
        struct address address;

        snprintf(text, sizeof(text), "192.168.%u.%u", i / 256, i % 256);
        used += share.held[slot_of(text)]++ == 0;
        assert_int_equal(address_parse(&address, text, 53), 0);
        same += slot_of(text) == policy_share_slot(&other, &address);
        snprintf(text, sizeof(text), "2001:db8:0:%x::1", i);
        assert_true(slot_of(text) < POLICY_SHARE_SLOTS);
    }
    assert_true(used > 500);
    assert_true(same < 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_shares, begin),
        cmocka_unit_test_setup(test_what_is_given_back_can_be_had_again, begin),
        cmocka_unit_test_setup(test_fewer_places_than_taken, begin),
        cmocka_unit_test_setup(test_clients, begin),
        cmocka_unit_test_setup(test_slots_are_spread, begin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
