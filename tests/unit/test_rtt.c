#include "upstream/rtt.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define UNKNOWN (400 * USEC_MSEC)

static void test_nothing_known(void **state)
{
    struct rtt rtt = {0};

    assert_int_equal(rtt_patience(&rtt, UNKNOWN), UNKNOWN);
}

// RFC 6298 section 2.2.
static void test_first_sample(void **state)
{
    struct rtt rtt = {0};

    rtt_add(&rtt, 20 * USEC_MSEC);
    assert_int_equal(rtt.smoothed, 20 * USEC_MSEC);
    assert_int_equal(rtt.variation, 10 * USEC_MSEC);
    assert_int_equal(rtt_patience(&rtt, UNKNOWN), 60 * USEC_MSEC);
}

// RFC 6298 section 2.3: by 1/8 and 1/4, whether slower or faster.
static void test_next_sample(void **state)
{
    struct rtt slower = {.smoothed = 8000, .variation = 4000}, faster = slower;

    rtt_add(&slower, 16000);
    assert_int_equal(slower.smoothed, 9000);
    assert_int_equal(slower.variation, 5000);
    rtt_add(&faster, 0);
    assert_int_equal(faster.smoothed, 7000);
    assert_int_equal(faster.variation, 5000);
}

static void test_settles_on_a_steady_time(void **state)
{
    struct rtt rtt = {0};

    rtt_add(&rtt, 500 * USEC_MSEC);
    for (unsigned i = 0; i < 200; i++)
        rtt_add(&rtt, 10 * USEC_MSEC);
    assert_in_range(rtt.smoothed, 10 * USEC_MSEC, 10 * USEC_MSEC + 10);
    assert_in_range(rtt_patience(&rtt, UNKNOWN), 10 * USEC_MSEC, 10 * USEC_MSEC + 100);
}

// A sample, however small, is a sample: 0 would be none.
static void test_known_once_sampled(void **state)
{
    struct rtt rtt = {0};

    for (unsigned i = 0; i < 100; i++) {
        rtt_add(&rtt, 0);
        assert_int_not_equal(rtt.smoothed, 0);
        assert_in_range(rtt_patience(&rtt, UNKNOWN), 1, 10);
    }
}

static void test_one_outlier_is_borne(void **state)
{
    struct rtt rtt = {0};

    for (unsigned i = 0; i < 100; i++)
        rtt_add(&rtt, 10 * USEC_MSEC);
    rtt_add(&rtt, 2 * USEC_SEC);
    assert_in_range(rtt.smoothed, 200 * USEC_MSEC, 300 * USEC_MSEC);
    for (unsigned i = 0; i < 40; i++)
        rtt_add(&rtt, 10 * USEC_MSEC);
    assert_in_range(rtt.smoothed, 10 * USEC_MSEC, 12 * USEC_MSEC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_known),      cmocka_unit_test(test_first_sample),
        cmocka_unit_test(test_next_sample),        cmocka_unit_test(test_settles_on_a_steady_time),
        cmocka_unit_test(test_known_once_sampled), cmocka_unit_test(test_one_outlier_is_borne),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
