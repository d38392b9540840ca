// The status: workers taken together, and its two forms.
#include "admin/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "admin/units.h"

static struct status_worker workers[3];
static struct status status;

static int clear(void **state)
{
    memset(workers, 0, sizeof(workers));
    memset(&status, 0, sizeof(status));
    status.pid = 4711;
    status.uptime = 3725 * USEC_SEC;
    status.workers = workers;
    return 0;
}

static struct status_upstream *add_upstream(unsigned worker, const char *url)
{
    struct status_upstream *upstream = &workers[worker].upstreams[workers[worker].upstream_count++];

    status.worker_count = MAX(status.worker_count, worker + 1);
    workers[worker].answered = true;
    strcpy(upstream->url, url);
    return upstream;
}

static void set_down(struct status_upstream *upstream, const char *reason, usec_t down_for)
{
    upstream->state = STATUS_UPSTREAM_DOWN;
    strcpy(upstream->reason, reason);
    upstream->down_for = down_for;
}

static char *print(void (*print_status)(const struct status *, FILE *))
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    print_status(&status, out);
    fclose(out);
    return text;
}

static void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("no \"%s\" in\n%s", part, text);
}

static void test_sums(void **state)
{
    struct status_upstream_sum sums[STATUS_UPSTREAMS_MAX];
    struct status_upstream *first = add_upstream(0, "quad9");
    struct status_upstream *second = add_upstream(1, "quad9");

    add_upstream(0, "google");
    *first = (struct status_upstream){"quad9", STATUS_UPSTREAM_UP, "", 0, {1, 2, 3, 4, 1000, 5, 6}};
    *second = (struct status_upstream){
        "quad9", STATUS_UPSTREAM_UP, "", 0, {10, 20, 30, 40, 3000, 50, 60}};
    assert_int_equal(status_sum_upstreams(&status, sums), 2);
    assert_string_equal(sums[0].url, "quad9");
    assert_int_equal(sums[0].workers, 2);
    assert_int_equal(sums[0].load.connections, 11);
    assert_int_equal(sums[0].load.dialling, 22);
    assert_int_equal(sums[0].load.in_flight, 33);
    assert_int_equal(sums[0].load.waiting, 44);
    assert_int_equal(sums[0].load.queries, 55);
    assert_int_equal(sums[0].load.replies, 66);
    assert_int_equal(sums[0].load.rtt, 2000);
    assert_string_equal(sums[1].url, "google");
    assert_int_equal(sums[1].workers, 1);
    assert_int_equal(sums[1].load.rtt, 0);
}

// Not known is not zero.
static void test_mean_of_the_rtts_that_are_known(void **state)
{
    struct status_upstream_sum sums[STATUS_UPSTREAMS_MAX];

    add_upstream(0, "quad9");
    add_upstream(1, "quad9")->load.rtt = 4000;
    assert_int_equal(status_sum_upstreams(&status, sums), 1);
    assert_int_equal(sums[0].load.rtt, 4000);
}

static void test_states_taken_together(void **state)
{
    static const struct {
        enum status_upstream_state a, b, both;
        unsigned down;
    } cases[] = {
        {STATUS_UPSTREAM_UP, STATUS_UPSTREAM_UP, STATUS_UPSTREAM_UP, 0},
        {STATUS_UPSTREAM_UP, STATUS_UPSTREAM_SLOW, STATUS_UPSTREAM_SLOW, 0},
        {STATUS_UPSTREAM_SLOW, STATUS_UPSTREAM_UP, STATUS_UPSTREAM_SLOW, 0},
        {STATUS_UPSTREAM_UP, STATUS_UPSTREAM_DOWN, STATUS_UPSTREAM_UP, 1},
        {STATUS_UPSTREAM_DOWN, STATUS_UPSTREAM_UP, STATUS_UPSTREAM_UP, 1},
        {STATUS_UPSTREAM_DOWN, STATUS_UPSTREAM_SLOW, STATUS_UPSTREAM_SLOW, 1},
        {STATUS_UPSTREAM_SLOW, STATUS_UPSTREAM_DOWN, STATUS_UPSTREAM_SLOW, 1},
        {STATUS_UPSTREAM_DOWN, STATUS_UPSTREAM_DOWN, STATUS_UPSTREAM_DOWN, 2},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct status_upstream_sum sums[STATUS_UPSTREAMS_MAX];

        clear(state);
        add_upstream(0, "quad9")->state = cases[i].a;
        add_upstream(1, "quad9")->state = cases[i].b;
        assert_int_equal(status_sum_upstreams(&status, sums), 1);
        assert_int_equal(sums[0].state, cases[i].both);
        assert_int_equal(sums[0].workers_down, cases[i].down);
    }
}

static void test_the_same_url_twice_is_two_upstreams(void **state)
{
    struct status_upstream_sum sums[STATUS_UPSTREAMS_MAX];

    for (unsigned worker = 0; worker < 2; worker++) {
        add_upstream(worker, "quad9")->load.queries = 1;
        add_upstream(worker, "quad9")->load.queries = 10;
    }
    assert_int_equal(status_sum_upstreams(&status, sums), 2);
    assert_int_equal(sums[0].load.queries, 2);
    assert_int_equal(sums[1].load.queries, 20);
}

// After a reload one worker may still have other upstreams than the next; and one may be silent.
static void test_workers_that_differ(void **state)
{
    struct status_upstream_sum sums[STATUS_UPSTREAMS_MAX];

    for (unsigned i = 0; i < STATUS_UPSTREAMS_MAX; i++) {
        char url[16];

        snprintf(url, sizeof(url), "old-%u", i);
        add_upstream(0, url);
        snprintf(url, sizeof(url), "new-%u", i);
        add_upstream(1, url);
    }
    add_upstream(2, "old-0");
    workers[2].answered = false;
    assert_int_equal(status_sum_upstreams(&status, sums), STATUS_UPSTREAMS_MAX);
    assert_int_equal(sums[0].workers, 1);
}

static void test_hit_ratio(void **state)
{
    assert_true(status_hit_ratio(&status) < 0);
    status.counters[COUNTER_cache_misses] = 1;
    assert_true(status_hit_ratio(&status) == 0);
    status.counters[COUNTER_cache_hits] = 3;
    assert_true(status_hit_ratio(&status) == 0.75);
}

static void test_table(void **state)
{
    char *text;

    add_upstream(0, "quad9")->load.rtt = 12345;
    set_down(add_upstream(0, "tls://192.0.2.1#dns.example"), "connect: Connection refused",
             65 * USEC_SEC);
    workers[0].upstreams[0].load.waiting = 1;
    workers[0].upstreams[0].load.in_flight = 2;
    workers[0].queries_udp = 120;
    status.worker_count = 2; // the second did not answer
    status.cache = (struct cache_usage){.size = 1 << 26, .bytes = 3 << 19, .entries = 7};
    status.counters[COUNTER_cache_hits] = 1;
    status.counters[COUNTER_cache_misses] = 2;
    text = print(status_print_table);
    assert_has(text, "sotto " SOTTO_VERSION ", process 4711, up for 1 h 2 min\n");
    assert_has(text, "\nUPSTREAM                     STATE                   RTT  CONNECTIONS  ");
    assert_has(text, "\nquad9                        up                  12.3 ms            0     "
                     "     3        0        0\n");
    assert_has(text, "\ntls://192.0.2.1#dns.example  down for 1 min 5 s        -  ");
    assert_has(text, "\n    connect: Connection refused\n");
    assert_has(
        text,
        "\n0               120            0            0              0          0            0\n");
    assert_has(text, "\n1\n    did not answer in time");
    assert_has(text, "64.0 MiB  1.5 MiB        7     1       2     33.3 %\n");
    free(text);

    status.cache.size = 0;
    text = print(status_print_table);
    assert_has(text, "\n  off\n");
    free(text);
}

// What a peer sent steers no terminal, and breaks no JSON.
static void test_hostile_reason(void **state)
{
    char *text;

    set_down(add_upstream(0, "quad9"), "verify: \x1b[2J\"a\\b\"\n\xff", 1);
    text = print(status_print_table);
    assert_has(text, "\n    verify: \\x1b[2J\"a\\b\"\\x0a\\xff\n");
    free(text);
    text = print(status_print_json);
    assert_has(text, "\"reason\": \"verify: \\u001b[2J\\\"a\\\\b\\\"\\u000a\xef\xbf\xbd\"");
    free(text);
}

static void test_json(void **state)
{
    char *text;

    add_upstream(0, "quad9")->load.rtt = 12345;
    set_down(add_upstream(0, "google"), "connect: Connection refused", 1500 * USEC_MSEC);
    status.worker_count = 2;
    status.counters[COUNTER_cache_hits] = 1;
    text = print(status_print_json);
    assert_has(text, "{\n  \"version\": \"" SOTTO_VERSION "\",\n  \"pid\": 4711,\n"
                     "  \"uptime_seconds\": 3725.000000,\n  \"upstreams\": [\n");
    assert_has(text,
               "      \"url\": \"google\",\n      \"state\": \"down\",\n      \"workers\": 1,\n"
               "      \"workers_down\": 1,\n"
               "      \"reason\": \"connect: Connection refused\",\n"
               "      \"down_seconds\": 1.500000,\n");
    assert_has(text, "\"rtt_seconds\": 0.012345,\n");
    assert_has(text, "    {\n      \"answered\": false\n    }\n  ],\n  \"certificates\": [");
    assert_has(text, "\"hit_ratio\": 1.000000\n");
    assert_has(text, "  \"counters\": {\n    \"queries_udp\": 0,\n");
    assert_has(text, "\n  }\n}\n");
    free(text);
}

static void add_certificate(const char *listener, const char *name, int64_t seconds_left)
{
    struct status_certificate *shown = &status.certificates[status.certificate_count++];

    strcpy(shown->listener, listener);
    strcpy(shown->name, name);
    shown->seconds_left = seconds_left;
}

static void test_certificates(void **state)
{
    char *text = print(status_print_table);

    assert_null(strstr(text, "CERTIFICATE")); // there are none
    free(text);
    add_certificate("tls://192.0.2.1:853", "dns.home.arpa", 86400 * 12 + 5);
    add_certificate("tls://[::]:853", "", 86400);
    add_certificate("tls://[::1]:853", "a\033b", -1); // as its issuer wrote it
    text = print(status_print_table);
    assert_has(text, "\ntls://192.0.2.1:853  dns.home.arpa  12 days\n");
    assert_has(text, "\ntls://[::]:853       -              1 day\n");
    assert_has(text, "  it has ended\n");
    assert_null(strchr(text, '\033'));
    free(text);
    text = print(status_print_json);
    assert_has(text, "      \"listener\": \"tls://192.0.2.1:853\",\n"
                     "      \"name\": \"dns.home.arpa\",\n"
                     "      \"seconds_left\": 1036805\n");
    assert_has(text, "\"seconds_left\": -1\n");
    free(text);
}

static void test_units(void **state)
{
    static const struct {
        const char *(*to_text)(uint64_t, char[UNITS_TEXT_SIZE]);
        uint64_t value;
        const char *text;
    } cases[] = {
        {units_duration, 0, "0 s"},
        {units_duration, 59999999, "59 s"},
        {units_duration, 60 * USEC_SEC, "1 min 0 s"},
        {units_duration, 3599 * USEC_SEC, "59 min 59 s"},
        {units_duration, 3600 * USEC_SEC, "1 h 0 min"},
        {units_duration, 90061 * USEC_SEC, "1 d 1 h"},
        {units_duration, UINT64_MAX, "213503982 d 8 h"},
        {units_latency, 1, "0.00 ms"},
        {units_latency, 250, "0.25 ms"},
        {units_latency, 12345, "12.3 ms"},
        {units_latency, 1234567, "1.23 s"},
        {units_size, 0, "0 B"},
        {units_size, 1023, "1023 B"},
        {units_size, 1536, "1.5 KiB"},
        {units_size, UINT64_C(64) << 20, "64.0 MiB"},
        {units_size, UINT64_C(1) << 40, "1.0 TiB"},
        {units_size, UINT64_MAX, "16777216.0 TiB"},
    };
    char text[UNITS_TEXT_SIZE];

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_string_equal(cases[i].to_text(cases[i].value, text), cases[i].text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_sums, clear),
        cmocka_unit_test_setup(test_mean_of_the_rtts_that_are_known, clear),
        cmocka_unit_test_setup(test_states_taken_together, clear),
        cmocka_unit_test_setup(test_the_same_url_twice_is_two_upstreams, clear),
        cmocka_unit_test_setup(test_workers_that_differ, clear),
        cmocka_unit_test_setup(test_hit_ratio, clear),
        cmocka_unit_test_setup(test_table, clear),
        cmocka_unit_test_setup(test_hostile_reason, clear),
        cmocka_unit_test_setup(test_json, clear),
        cmocka_unit_test_setup(test_certificates, clear),
        cmocka_unit_test(test_units),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
