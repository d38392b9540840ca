#include "metrics/counters.h"

#include <ctype.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct counters counters;

static int clear(void **state)
{
    memset(&counters, 0, sizeof(counters));
    return 0;
}

static void test_each_counts_for_itself(void **state)
{
    for (unsigned i = 0; i < COUNTER_COUNT; i++)
        counter_add(&counters, (enum counter)i, i);
    for (unsigned i = 0; i < COUNTER_COUNT; i++) {
        counter_inc(&counters, (enum counter)i);
        assert_int_equal(counter_get(&counters, (enum counter)i), i + 1);
    }
}

static void test_counts_beyond_32_bits(void **state)
{
    counter_add(&counters, COUNTER_queries_udp, UINT32_MAX);
    counter_inc(&counters, COUNTER_queries_udp);
    assert_true(counter_get(&counters, COUNTER_queries_udp) == UINT64_C(1) << 32);
}

// Names become names of metrics: lower case, no two alike.
static void test_names(void **state)
{
    for (unsigned i = 0; i < COUNTER_COUNT; i++) {
        const char *name = counter_name((enum counter)i);

        assert_true(islower((unsigned char)name[0]));
        for (const char *c = name; *c; c++)
            assert_true(islower((unsigned char)*c) || isdigit((unsigned char)*c) || *c == '_');
        for (unsigned j = 0; j < i; j++)
            assert_string_not_equal(name, counter_name((enum counter)j));
    }
}

static void *count_up(void *arg)
{
    for (unsigned i = 0; i < 200000; i++)
        counter_inc(&counters, COUNTER_queries_udp);
    return NULL;
}

// One thread writes while another reads: what is read never goes back.
static void test_read_by_another_thread(void **state)
{
    pthread_t writer;
    uint64_t last = 0;

    assert_int_equal(pthread_create(&writer, NULL, count_up, NULL), 0);
    while (last < 200000) {
        uint64_t now = counter_get(&counters, COUNTER_queries_udp);

        assert_true(now >= last);
        last = now;
    }
    pthread_join(writer, NULL);
    assert_int_equal(counter_get(&counters, COUNTER_queries_udp), 200000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_each_counts_for_itself, clear),
        cmocka_unit_test_setup(test_counts_beyond_32_bits, clear),
        cmocka_unit_test_setup(test_names, clear),
        cmocka_unit_test_setup(test_read_by_another_thread, clear),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
