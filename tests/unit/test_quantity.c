#include "config/quantity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"

#define MAX_TEXT "18446744073709551615"

struct good {
    const char *text;
    uint64_t value;
    const char *canonical; // NULL: as `text`
};

struct bad {
    const char *text;
    int rc;
};

static const struct good good_durations[] = {
    {"0s", 0, NULL},
    {"0ms", 0, "0s"},
    {"0d", 0, "0s"},
    {"1us", 1, NULL},
    {"999us", 999, NULL},
    {"1000us", 1000, "1ms"},
    {"250ms", 250 * USEC_MSEC, NULL},
    {"1500ms", 1500 * USEC_MSEC, NULL},
    {"5s", 5 * USEC_SEC, NULL},
    {"05s", 5 * USEC_SEC, "5s"},
    {"60s", 60 * USEC_SEC, "1m"},
    {"90s", 90 * USEC_SEC, NULL},
    {"2m", 120 * USEC_SEC, NULL},
    {"1h", 3600 * USEC_SEC, NULL},
    {"24h", 86400 * USEC_SEC, "1d"},
    {"1d", 86400 * USEC_SEC, NULL},
    {MAX_TEXT "us", UINT64_MAX, NULL},
};

static const struct bad bad_durations[] = {
    {"", E_INVALID},
    {"s", E_INVALID},
    {"5", E_INVALID},
    {"5 s", E_INVALID},
    {" 5s", E_INVALID},
    {"5s ", E_INVALID},
    {"5S", E_INVALID},
    {"5sec", E_INVALID},
    {"5M", E_INVALID},
    {"-5s", E_INVALID},
    {"+5s", E_INVALID},
    {"1.5s", E_INVALID},
    {"1e3s", E_INVALID},
    {"1h30m", E_INVALID},
    {"18446744073709551616us", E_RANGE},
    {"18446744073709552ms", E_RANGE},
    {"99999999999999999999999999s", E_RANGE},
    {"213503983d", E_RANGE},
};

static const struct good good_sizes[] = {
    {"0", 0, NULL},
    {"0MiB", 0, "0"},
    {"1", 1, NULL},
    {"1000", 1000, NULL},
    {"1023", 1023, NULL},
    {"1024", 1024, "1KiB"},
    {"64KiB", 64 * 1024, NULL},
    {"1536KiB", 1536 * 1024, NULL},
    {"64MiB", 64 * 1024 * 1024, NULL},
    {"1024MiB", UINT64_C(1) << 30, "1GiB"},
    {"2GiB", UINT64_C(2) << 30, NULL},
    {MAX_TEXT, UINT64_MAX, NULL},
};

static const struct bad bad_sizes[] = {
    {"", E_INVALID},
    {"KiB", E_INVALID},
    {"64K", E_INVALID},
    {"64kib", E_INVALID},
    {"64KB", E_INVALID},
    {"64 KiB", E_INVALID},
    {"-1", E_INVALID},
    {"0x40", E_INVALID},
    {"1.5MiB", E_INVALID},
    {"18446744073709551616", E_RANGE},
    {"17179869184GiB", E_RANGE},
};

typedef int parse_function(uint64_t *value, const char *text);
typedef const char *print_function(uint64_t value, char *text);

static void check_good(const struct good *good, size_t count, parse_function *parse,
                       print_function *print)
{
    for (size_t i = 0; i < count; i++) {
        const char *canonical = good[i].canonical ? good[i].canonical : good[i].text;
        char text[QUANTITY_TEXT_SIZE];
        uint64_t value;

        if (parse(&value, good[i].text) != E_OK || value != good[i].value)
            fail_msg("\"%s\" is not read rightly", good[i].text);
        assert_string_equal(print(value, text), canonical);
        assert_int_equal(parse(&value, text), E_OK);
        assert_true(value == good[i].value);
    }
}

static void check_bad(const struct bad *bad, size_t count, parse_function *parse)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t value;

        if (parse(&value, bad[i].text) != bad[i].rc)
            fail_msg("\"%s\" is not refused rightly", bad[i].text);
    }
}

static void test_durations(void **state)
{
    check_good(good_durations, ARRAY_LEN(good_durations), duration_parse, duration_to_text);
    check_bad(bad_durations, ARRAY_LEN(bad_durations), duration_parse);
}

static void test_sizes(void **state)
{
    check_good(good_sizes, ARRAY_LEN(good_sizes), size_parse, size_to_text);
    check_bad(bad_sizes, ARRAY_LEN(bad_sizes), size_parse);
}

// Whatever the value, its text is short enough and reads back.
static void test_any_value_reads_back(void **state)
{
    uint64_t value = 1;

    for (int i = 0; i < 20000; i++) {
        char text[QUANTITY_TEXT_SIZE];
        uint64_t back;
        uint64_t number = value >> (i % 64);

        assert_int_equal(duration_parse(&back, duration_to_text(number, text)), E_OK);
        assert_true(back == number);
        assert_int_equal(size_parse(&back, size_to_text(number, text)), E_OK);
        assert_true(back == number);
        value = value * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_any_value_reads_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
