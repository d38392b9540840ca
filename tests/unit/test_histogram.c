// Histograms, and queries counted by kind.
#include "metrics/histogram.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "metrics/query_counts.h"

static struct histogram histogram;

static int clear(void **state)
{
    memset(&histogram, 0, sizeof(histogram));
    return 0;
}

static struct histogram_values read_all(void)
{
    struct histogram_values values = {.sum = 0};

    histogram_read(&histogram, &values);
    return values;
}

// A bound belongs to the bucket below it.
static void test_bounds(void **state)
{
    static const struct {
        usec_t took;
        unsigned bucket;
    } cases[] = {
        {0, 0},
        {25, 0},
        {26, 1},
        {50, 1},
        {51, 2},
        {1000, 5},
        {1001, 6},
        {4999999, HISTOGRAM_BOUNDS - 1},
        {5000000, HISTOGRAM_BOUNDS - 1},
        {5000001, HISTOGRAM_BOUNDS},
        {USEC_SEC * 3600, HISTOGRAM_BOUNDS},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct histogram_values values;

        clear(NULL);
        histogram_add(&histogram, cases[i].took, 1);
        values = read_all();
        for (unsigned b = 0; b < HISTOGRAM_BUCKETS; b++)
            assert_int_equal(values.buckets[b], b == cases[i].bucket);
        assert_int_equal(values.sum, cases[i].took);
        assert_int_equal(histogram_events(&values), 1);
    }
}

static void test_several_at_once(void **state)
{
    struct histogram_values values;

    histogram_add(&histogram, 30, 5);
    histogram_add(&histogram, 10, 2);
    values = read_all();
    assert_int_equal(values.buckets[0], 2);
    assert_int_equal(values.buckets[1], 5);
    assert_int_equal(values.sum, 170);
    assert_int_equal(histogram_events(&values), 7);
    histogram_read(&histogram, &values); // adds
    assert_int_equal(histogram_events(&values), 14);
}

// The text says the number, and they go up.
static void test_texts(void **state)
{
    double last = 0;

    for (unsigned b = 0; b < HISTOGRAM_BOUNDS; b++) {
        double bound = strtod(histogram_bound_text(b), NULL);

        assert_true(bound > last);
        clear(NULL);
        histogram_add(&histogram, (usec_t)(bound * USEC_SEC + 0.5), 1);
        assert_int_equal(read_all().buckets[b], 1);
        last = bound;
    }
    assert_string_equal(histogram_bound_text(HISTOGRAM_BOUNDS), "+Inf");
}

static void *count_up(void *arg)
{
    for (unsigned i = 0; i < 100000; i++)
        histogram_add(&histogram, i % 100, 1);
    return NULL;
}

// One thread writes while another reads: what is read never goes back.
static void test_read_by_another_thread(void **state)
{
    pthread_t writer;
    uint64_t last = 0;

    assert_int_equal(pthread_create(&writer, NULL, count_up, NULL), 0);
    while (last < 100000) {
        struct histogram_values values = read_all();

        assert_true(histogram_events(&values) >= last);
        last = histogram_events(&values);
    }
    pthread_join(writer, NULL);
    assert_int_equal(read_all().sum, 1000 * 99 * 50);
}

static void test_queries_by_kind(void **state)
{
    static struct query_counts counts;
    static struct query_sums sums;

    query_counts_received(&counts, 2, true, DNS_TYPE_AAAA);
    query_counts_received(&counts, 0, false, DNS_TYPE_CAA);
    query_counts_received(&counts, 0, false, DNS_TYPE_URI); // between those that have names
    query_counts_received(&counts, 0, false, 0);
    query_counts_received(&counts, 0, false, 65535);
    query_counts_answered(&counts, 7, DNS_RCODE_SERVFAIL);
    query_counts_answered(&counts, 0, DNS_RCODE_BADCOOKIE);
    query_counts_answered(&counts, 0, QUERY_RCODES - 1);
    query_counts_read(&counts, &sums);
    assert_int_equal(sums.queries[2][1][QUERY_TYPE_AAAA], 1);
    assert_int_equal(sums.queries[0][0][QUERY_TYPE_CAA], 1);
    assert_int_equal(sums.queries[0][0][QUERY_TYPE_OTHER], 3);
    assert_int_equal(sums.responses[7][DNS_RCODE_SERVFAIL], 1);
    assert_int_equal(sums.responses[0][DNS_RCODE_BADCOOKIE], 1);
    assert_int_equal(sums.responses[0][QUERY_RCODES - 1], 1);
    assert_string_equal(query_type_name(QUERY_TYPE_HTTPS), "HTTPS");
    assert_string_equal(query_type_name(QUERY_TYPE_OTHER), "other");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_bounds, clear),
        cmocka_unit_test_setup(test_several_at_once, clear),
        cmocka_unit_test_setup(test_texts, clear),
        cmocka_unit_test_setup(test_read_by_another_thread, clear),
        cmocka_unit_test(test_queries_by_kind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
