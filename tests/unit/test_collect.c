// Asking the workers: those who answer, and one that comes to it too late.
#include "daemon/collect.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "cache/reader.h"

#define WORKERS 3

static struct config config;
static struct log *log_lines;
static struct upstream_plan *plan;
static struct cache *cache;
static struct worker *workers[WORKERS];

static int begin(void **state)
{
    char reason[256];

    config_defaults(&config);
    config.log.level = LOG_ERROR;
    log_lines = log_new(&config.log);
    plan = upstream_plan_new(&config.upstream, reason, sizeof(reason));
    cache = cache_new(1 << 20);
    cache_reader_start();
    if (!log_lines || !plan || !cache)
        return -1;
    for (unsigned i = 0; i < WORKERS; i++) {
        workers[i] = worker_new(&config, plan, cache, log_lines, NULL);
        if (!workers[i])
            return -1;
    }
    return 0;
}

static void run_to_end(struct worker *worker)
{
    worker_stop(worker);
    worker_join(worker);
    worker_free(worker);
}

static int end(void **state)
{
    for (unsigned i = 0; i < WORKERS; i++)
        run_to_end(workers[i]);
    upstream_plan_unref(plan);
    cache_free(cache);
    cache_reader_stop();
    log_free(log_lines);
    return 0;
}

static void test_all_answer(void **state)
{
    struct status status;

    for (unsigned i = 0; i < WORKERS; i++) {
        assert_int_equal(worker_start(workers[i]), E_OK);
        counter_add(worker_counters(workers[i]), COUNTER_queries_udp, i + 1);
    }
    assert_int_equal(collect_status(&status, workers, WORKERS, cache), E_OK);
    assert_int_equal(status.worker_count, WORKERS);
    assert_int_equal(status.counters[COUNTER_queries_udp], 6);
    assert_int_equal(status.cache.size, 1 << 20);
    for (unsigned i = 0; i < WORKERS; i++) {
        assert_true(status.workers[i].answered);
        assert_int_equal(status.workers[i].queries_udp, i + 1);
        assert_int_equal(status.workers[i].upstream_count, config.upstream.server_count);
        assert_string_equal(status.workers[i].upstreams[0].url, "cloudflare");
    }
    status_deinit(&status);
}

// The question of the last worker, and its memory, outlive the asker's patience: it is answered,
// and freed, when the worker runs.
static void test_one_is_late(void **state)
{
    struct status status;

    for (unsigned i = 0; i + 1 < WORKERS; i++)
        assert_int_equal(worker_start(workers[i]), E_OK);
    assert_int_equal(collect_status(&status, workers, WORKERS, cache), E_OK);
    for (unsigned i = 0; i < WORKERS; i++)
        assert_int_equal(status.workers[i].answered, i + 1 < WORKERS);
    status_deinit(&status);
    assert_int_equal(worker_start(workers[WORKERS - 1]), E_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_all_answer, begin, end),
        cmocka_unit_test_setup_teardown(test_one_is_late, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
