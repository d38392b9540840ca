// Metrics as text, in both formats; and the whole of them.
#include "admin/exposition.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "admin/prometheus.h"

static char *text;
static size_t size;

static struct exposition begin(bool openmetrics)
{
    return (struct exposition){.out = open_memstream(&text, &size), .openmetrics = openmetrics};
}

static void assert_is(struct exposition *exposition, const char *expected)
{
    exposition_end(exposition);
    fclose(exposition->out);
    assert_string_equal(text, expected);
    free(text);
}

static void test_prometheus_text(void **state)
{
    struct exposition to = begin(false);

    exposition_counter(&to, "sotto_a", "What \\ and\nwhat, \"quoted\"");
    exposition_uint(&to, NO_LABELS, UINT64_MAX);
    exposition_uint(&to, LABELS({"b", "x"}, {"c", "\"\\\n"}), 2);
    exposition_gauge(&to, "sotto_d", "D");
    exposition_seconds(&to, NO_LABELS, 1.5);
    assert_is(&to, "# HELP sotto_a_total What \\\\ and\\nwhat, \"quoted\"\n"
                   "# TYPE sotto_a_total counter\n"
                   "sotto_a_total 18446744073709551615\n"
                   "sotto_a_total{b=\"x\",c=\"\\\"\\\\\\n\"} 2\n"
                   "# HELP sotto_d D\n"
                   "# TYPE sotto_d gauge\n"
                   "sotto_d 1.500000\n");
}

static void test_openmetrics(void **state)
{
    struct exposition to = begin(true);

    exposition_counter(&to, "sotto_a", "Of \"a\"");
    exposition_uint(&to, LABELS({"b", "x"}), 2);
    assert_is(&to, "# HELP sotto_a Of \\\"a\\\"\n"
                   "# TYPE sotto_a counter\n"
                   "sotto_a_total{b=\"x\"} 2\n"
                   "# EOF\n");
}

static void test_histogram(void **state)
{
    struct exposition to = begin(false);
    struct histogram_values values = {.buckets = {1, 0, 2, [HISTOGRAM_BOUNDS] = 3}, .sum = 3000042};
    char *line;

    exposition_histogram(&to, "sotto_h", "H");
    exposition_values(&to, LABELS({"a", "b"}), &values);
    fclose(to.out);
    assert_non_null(strstr(text, "\nsotto_h_bucket{a=\"b\",le=\"0.000025\"} 1\n"
                                 "sotto_h_bucket{a=\"b\",le=\"0.00005\"} 1\n"
                                 "sotto_h_bucket{a=\"b\",le=\"0.0001\"} 3\n"));
    line = strstr(text, "\nsotto_h_bucket{a=\"b\",le=\"5.0\"} 3\n");
    assert_non_null(line);
    assert_string_equal(line + 1, "sotto_h_bucket{a=\"b\",le=\"5.0\"} 3\n"
                                  "sotto_h_bucket{a=\"b\",le=\"+Inf\"} 6\n"
                                  "sotto_h_sum{a=\"b\"} 3.000042\n"
                                  "sotto_h_count{a=\"b\"} 6\n");
    free(text);
}

static void test_which_is_wanted(void **state)
{
    static const struct {
        const char *accept;
        bool openmetrics;
    } cases[] = {
        {NULL, false},
        {"", false},
        {"*/*", false},
        {"text/plain", false},
        {"application/openmetrics-text", true},
        {"application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5", true},
        {"text/plain;version=0.0.4;q=0.9, Application/OpenMetrics-Text; version=1.0.0; q=0.2",
         false},
        {"application/openmetrics-text;q=0", false},
        {"application/openmetrics-text;q=0.5,*/*;q=0.1", true},
        {",,;q=,application/openmetrics-text", true},
        {";", false},
        {"application/openmetrics-text;", true},
        {"application/openmetrics-text;q", true},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(exposition_wants_openmetrics(cases[i].accept), cases[i].openmetrics);
}

static struct status_worker workers[2];

// Every line is one of the format, every family is there once, and every sample has its family.
static void assert_well_formed(bool openmetrics)
{
    char *families[200];
    unsigned count = 0;
    char *rest = text;

    assert_int_equal(text[size - 1], '\n');
    for (char *line; (line = strsep(&rest, "\n")) && *line;) {
        if (strncmp(line, "# TYPE ", 7) == 0) {
            char *name = line + 7;

            name[strcspn(name, " ")] = '\0';
            for (unsigned i = 0; i < count; i++)
                assert_string_not_equal(families[i], name);
            assert_true(count < ARRAY_LEN(families));
            families[count++] = name;
        } else if (strncmp(line, "# HELP ", 7) == 0) {
            assert_true(strlen(line) > strcspn(line + 7, " ") + 8);
        } else if (openmetrics && !rest[0]) {
            assert_string_equal(line, "# EOF");
        } else {
            const char *name = families[count - 1];

            assert_true(strncmp(line, name, strlen(name)) == 0);
            assert_true(isdigit((unsigned char)line[strlen(line) - 1]));
        }
    }
    assert_true(count > 50);
}

static void print(const struct status *status, bool openmetrics)
{
    FILE *out = open_memstream(&text, &size);

    prometheus_print(status, true, 1000000, openmetrics, out);
    fclose(out);
}

static void test_all(void **state)
{
    static struct status status;

    status.workers = workers;
    status.worker_count = 2;
    status.certificate_count = 1;
    strcpy(status.certificates[0].listener, "tls://192.0.2.1:853");
    status.certificates[0].seconds_left = -10;
    status.querylog.sink_count = 1;
    strcpy(status.querylog.sinks[0].url, "json:-");
    workers[0].answered = true;
    workers[0].in_flight = 3;
    workers[0].upstream_count = 2;
    strcpy(workers[0].upstreams[0].url, "quad9");
    strcpy(workers[0].upstreams[1].url, "quad9");
    workers[0].upstreams[1].state = STATUS_UPSTREAM_DOWN;
    status.queries.responses[QUERYLOG_MISS][17] = 4;
    status.queries.responses[QUERYLOG_MISS][QUERY_RCODES - 1] = 5;
    for (unsigned c = 0; c < COUNTER_COUNT; c++)
        status.counters[c] = 1000 + c;
    for (int openmetrics = 0; openmetrics < 2; openmetrics++) {
        print(&status, openmetrics);
        assert_non_null(strstr(text, "\nsotto_upstream_up{upstream=\"quad9\"} 1\n"
                                     "sotto_upstream_up{upstream=\"quad9 (2)\"} 0\n"));
        assert_non_null(strstr(text, "\nsotto_certificate_not_after_timestamp_seconds{listener="
                                     "\"tls://192.0.2.1:853\"} 999990.000000\n"));
        assert_non_null(strstr(text, "\nsotto_queries_in_flight 3\n"));
        assert_non_null(strstr(text, "{outcome=\"miss\",rcode=\"RCODE17\"} 4\n"));
        assert_non_null(strstr(text, "{outcome=\"miss\",rcode=\"other\"} 5\n"));
        assert_non_null(strstr(text, "\nsotto_querylog_dropped_total{sink=\"json:-\"} 0\n"));
        assert_non_null(strstr(text, "\nsotto_workers_responding 1\n"));
        assert_well_formed(openmetrics);
        free(text);
    }
}

// Whatever is counted is shown: by its own name, or in more detail.
static void test_no_counter_is_forgotten(void **state)
{
    static struct status status;
    unsigned shown = 0;

    for (unsigned c = 0; c < COUNTER_COUNT; c++)
        status.counters[c] = 7000000 + c;
    print(&status, false);
    for (unsigned c = 0; c < COUNTER_COUNT; c++) {
        char value[16];

        snprintf(value, sizeof(value), " %u\n", 7000000 + c);
        shown += strstr(text, value) != NULL;
    }
    // Queries by transport and what is shown of each upstream come from elsewhere.
    assert_int_equal(shown, COUNTER_COUNT - 14);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prometheus_text),
        cmocka_unit_test(test_openmetrics),
        cmocka_unit_test(test_histogram),
        cmocka_unit_test(test_which_is_wanted),
        cmocka_unit_test(test_all),
        cmocka_unit_test(test_no_counter_is_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
