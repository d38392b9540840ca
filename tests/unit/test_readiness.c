// Whether it is ready.
#include "admin/readiness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct status_worker workers[2];
static struct status status;
static struct readiness readiness;
static char reason[READINESS_REASON_SIZE];
static usec_t now;

static int clear(void **state)
{
    memset(workers, 0, sizeof(workers));
    memset(&readiness, 0, sizeof(readiness));
    status = (struct status){.workers = workers, .worker_count = 2};
    now = 1000 * USEC_SEC;
    for (unsigned i = 0; i < 2; i++) {
        workers[i].answered = true;
        workers[i].upstream_count = 1;
        strcpy(workers[i].upstreams[0].url, "quad9");
    }
    return 0;
}

static void set_down(unsigned worker, const char *why)
{
    workers[worker].upstreams[0].state = STATUS_UPSTREAM_DOWN;
    strcpy(workers[worker].upstreams[0].reason, why);
}

static bool judge(void)
{
    return readiness_judge(&readiness, &status, now, reason);
}

static void test_an_upstream_is_usable(void **state)
{
    assert_false(judge());
    assert_string_equal(reason, "no upstream has been reached yet: quad9 is being tried");
    workers[1].upstreams[0].load.connections = 1;
    assert_true(judge());
    workers[1].upstreams[0].load.connections = 0; // idle
    workers[1].upstreams[0].load.replies = 1;
    assert_true(judge());
    set_down(0, "connect: Connection refused");
    assert_true(judge());
    set_down(1, "x");
    assert_false(judge());
}

static void test_what_a_peer_said_is_harmless(void **state)
{
    set_down(0, "");
    set_down(1, "a\r\nb: \x1b[1m\xff");
    assert_false(judge());
    assert_string_equal(reason, "no upstream is usable: quad9: a??b: ?[1m?");
}

static void test_a_worker_is_stuck(void **state)
{
    workers[0].upstreams[0].load.replies = workers[1].upstreams[0].load.replies = 1;
    assert_true(judge());
    workers[1].answered = false;
    assert_false(judge());
    assert_string_equal(reason, "a worker does not answer: it is overloaded, or stuck");
}

static void test_stopping(void **state)
{
    workers[0].upstreams[0].load.replies = 1;
    status.stopping = true;
    assert_false(judge());
    assert_string_equal(reason, "it is stopping");
}

// Without upstreams, it is the cache that serves or does not: of late, not ever.
static void test_the_cache_serves(void **state)
{
    set_down(0, "x");
    set_down(1, "x");
    status.counters[COUNTER_cache_hits] = 1000; // before they went down
    for (unsigned i = 0; i < 3; i++, now += 5 * USEC_SEC)
        (void)judge();
    assert_false(judge());
    status.counters[COUNTER_cache_stale] += 10;
    status.counters[COUNTER_queries_failed] += 9;
    now += USEC_SEC;
    assert_true(judge());
    status.counters[COUNTER_queries_failed] += 1;
    assert_false(judge());
    status.counters[COUNTER_cache_hits] += 1;
    assert_true(judge());
    for (unsigned i = 0; i < 3; i++, now += 5 * USEC_SEC)
        (void)judge();
    assert_false(judge()); // nothing since
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_an_upstream_is_usable, clear),
        cmocka_unit_test_setup(test_what_a_peer_said_is_harmless, clear),
        cmocka_unit_test_setup(test_a_worker_is_stuck, clear),
        cmocka_unit_test_setup(test_stopping, clear),
        cmocka_unit_test_setup(test_the_cache_serves, clear),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
