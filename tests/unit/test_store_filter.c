#include "querylog/store_filter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/error.h"
#include "querylog/record.h"

#define NOW (UINT64_C(1800000000) * USEC_SEC)

static struct store_filter filter;
static char reason[STORE_REASON_SIZE];

static int take(enum store_filter_key key, const char *value)
{
    *reason = '\0';
    store_filter_init(&filter);
    return store_filter_take(&filter, key, value, NOW, reason);
}

static void test_durations(void **state)
{
    static const struct {
        const char *text;
        usec_t duration;
    } cases[] = {
        {"5us", 5},
        {"100ms", 100 * USEC_MSEC},
        {"1s", USEC_SEC},
        {"1.5s", 1500 * USEC_MSEC},
        {"15m", 900 * USEC_SEC},
        {"1h", 3600 * USEC_SEC},
        {"2d", 172800 * USEC_SEC},
        {"1w", 604800 * USEC_SEC},
    };
    static const char *const wrong[] = {"", "s", "1", "1 s", "-1s", "1x", "1.2.3s", "1e3s", "0x1s"};
    usec_t duration;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(store_duration_parse(&duration, cases[i].text), E_OK);
        assert_int_equal(duration, cases[i].duration);
    }
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        assert_int_equal(store_duration_parse(&duration, wrong[i]), E_INVALID);
    assert_int_equal(store_duration_parse(&duration, "99999999999999d"), E_RANGE);
}

static void test_times(void **state)
{
    static const struct {
        const char *text;
        uint64_t time; // in milliseconds
    } cases[] = {
        {"1h", 1799996400000},
        {"@1700000000", 1700000000000},
        {"@1700000000.5", 1700000000500},
        {"2027-01-15T08:00:00Z", 1800000000000},
        {"2027-01-15 08:00:00.25Z", 1800000000250},
        {"2027-01-15T09:00+01:00", 1800000000000},
        {"2027-01-15T05:30:00-02:30", 1800000000000},
        {"2027-01-15Z", 1799971200000},
        {"2027-01-15T03:00:00", 1800000000000}, // TZ is 5 hours behind UTC
        {"2027-01-15", 1799989200000},
    };
    static const char *const wrong[] = {
        "",
        "yesterday",
        "2027",
        "2027-13-01",
        "2027-01-15T",
        "@",
        "@-5",
        "@1x",
        "2027-01-15T25:00",
        "2027-01-15T08:00:00Zx",
        "1h ago",
        "2027-01-15T08:00+1",
        "1900-01-01Z",
        "2027-01-15T08:00:00.Z",
    };
    uint64_t time;

    setenv("TZ", "XXX5", 1);
    tzset();
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(store_time_parse(&time, cases[i].text, NOW), E_OK);
        assert_int_equal(time, cases[i].time * USEC_MSEC);
    }
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        if (store_time_parse(&time, wrong[i], NOW) != E_INVALID)
            fail_msg("taken for a time: %s", wrong[i]);
}

static void test_names(void **state)
{
    assert_int_equal(take(STORE_FILTER_NAME, "WWW.Example.com."), E_OK);
    assert_string_equal(filter.name, "www.example.com");
    assert_string_equal(filter.name_key, "com.example.www");
    assert_false(filter.name_below);
    assert_int_equal(take(STORE_FILTER_NAME, "*.Example.com"), E_OK);
    assert_string_equal(filter.name, "example.com");
    assert_true(filter.name_below);
    assert_int_equal(take(STORE_FILTER_NAME, "a\\.b.example"), E_OK);
    assert_string_equal(filter.name_key, "example.a\\.b");
    assert_int_equal(take(STORE_FILTER_NAME, "*"), E_OK);
    assert_string_equal(filter.name, "");
    assert_false(filter.name_below);
    assert_int_equal(take(STORE_FILTER_NAME, "hash 0123456789abcdef"), E_OK);
    assert_string_equal(filter.name, "hash 0123456789abcdef");
    assert_int_equal(take(STORE_FILTER_NAME, "a..b"), E_INVALID);
    assert_non_null(strstr(reason, "*.example.com"));
    assert_int_equal(take(STORE_FILTER_NAME, ""), E_INVALID);
}

static void test_clients(void **state)
{
    assert_int_equal(take(STORE_FILTER_CLIENT, "192.0.2.0/24"), E_OK);
    assert_true(filter.has_client);
    assert_int_equal(filter.client.kind, POLICY_PREFIX_IPV4);
    assert_int_equal(filter.client.length, 24);
    assert_int_equal(take(STORE_FILTER_CLIENT, "2001:db8::1"), E_OK);
    assert_int_equal(filter.client.length, 128);
    assert_int_equal(take(STORE_FILTER_CLIENT, "key 0123456789abcdef"), E_OK);
    assert_string_equal(filter.client_text, "key 0123456789abcdef");
    assert_int_equal(take(STORE_FILTER_CLIENT, "192.0.2.1/24"), E_INVALID);
    assert_non_null(strstr(reason, "192.168.1.0/24"));
    assert_int_equal(take(STORE_FILTER_CLIENT, "private"), E_INVALID);
    assert_int_equal(take(STORE_FILTER_CLIENT, "me"), E_INVALID);
}

static void test_words(void **state)
{
    assert_int_equal(take(STORE_FILTER_TYPE, "aaaa"), E_OK);
    assert_int_equal(filter.type, 28);
    assert_int_equal(take(STORE_FILTER_TYPE, "TYPE65280"), E_OK);
    assert_int_equal(filter.type, 65280);
    assert_int_equal(take(STORE_FILTER_TYPE, "1"), E_OK);
    assert_int_equal(filter.type, 1);
    assert_int_equal(take(STORE_FILTER_TYPE, "TYPE65536"), E_INVALID);
    assert_int_equal(take(STORE_FILTER_TYPE, "FOO"), E_INVALID);
    assert_int_equal(take(STORE_FILTER_RCODE, "nxdomain"), E_OK);
    assert_int_equal(filter.rcode, 3);
    assert_int_equal(take(STORE_FILTER_RCODE, "9999"), E_INVALID);
    assert_int_equal(take(STORE_FILTER_OUTCOME, "error,STALE"), E_OK);
    assert_int_equal(filter.outcomes, 1 << QUERYLOG_ERROR | 1 << QUERYLOG_STALE);
    assert_int_equal(take(STORE_FILTER_OUTCOME, "error,"), E_INVALID);
    assert_non_null(strstr(reason, "joined"));
    assert_int_equal(take(STORE_FILTER_TRANSPORT, "https"), E_OK);
    assert_int_equal(filter.transports, 1 << QUERYLOG_HTTPS);
    assert_int_equal(take(STORE_FILTER_TRANSPORT, "quic"), E_INVALID);
    assert_int_equal(take(STORE_FILTER_SLOW, "100ms"), E_OK);
    assert_int_equal(filter.slow, 100000);
    assert_int_equal(take(STORE_FILTER_SLOW, "2h"), E_INVALID);
    assert_int_equal(take(STORE_FILTER_TEXT, "<Script>"), E_OK);
    assert_string_equal(filter.text, "<script>");
    assert_int_equal(take(STORE_FILTER_TEXT, "\33[2J"), E_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_durations), cmocka_unit_test(test_times),
        cmocka_unit_test(test_names),     cmocka_unit_test(test_clients),
        cmocka_unit_test(test_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
