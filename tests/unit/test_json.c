// The JSON writer: commas, nesting, and texts of any kind.
#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *written;
static size_t written_size;

static struct json begin(void)
{
    return (struct json){.out = open_memstream(&written, &written_size)};
}

static void end_with(struct json *json, const char *expected)
{
    fclose(json->out);
    assert_string_equal(written, expected);
    free(written);
}

static void test_structure(void **state)
{
    struct json json = begin();

    json_open(&json, NULL, '{');
    json_open(&json, "empty", '{');
    json_close(&json, '}');
    json_open(&json, "list", '[');
    json_uint(&json, NULL, UINT64_MAX);
    json_text(&json, NULL, "a");
    json_open(&json, NULL, '[');
    json_close(&json, ']');
    json_close(&json, ']');
    json_bool(&json, "yes", true);
    json_bool(&json, "no", false);
    json_null(&json, "nothing");
    json_word(&json, "ratio", "0.5");
    json_seconds(&json, "zero", 0);
    json_seconds(&json, "short", 1);
    json_seconds(&json, "long", 90 * USEC_SEC + 250 * USEC_MSEC);
    json_close(&json, '}');
    end_with(&json, "{\n"
                    "  \"empty\": {},\n"
                    "  \"list\": [\n"
                    "    18446744073709551615,\n"
                    "    \"a\",\n"
                    "    []\n"
                    "  ],\n"
                    "  \"yes\": true,\n"
                    "  \"no\": false,\n"
                    "  \"nothing\": null,\n"
                    "  \"ratio\": 0.5,\n"
                    "  \"zero\": 0.000000,\n"
                    "  \"short\": 0.000001,\n"
                    "  \"long\": 90.250000\n"
                    "}");
}

static void test_one_line(void **state)
{
    struct json json = begin();

    json.one_line = true;
    json_open(&json, NULL, '{');
    json_text(&json, "a", "x\ny");
    json_open(&json, "empty", '{');
    json_close(&json, '}');
    json_open(&json, "list", '[');
    json_uint(&json, NULL, 1);
    json_null(&json, NULL);
    json_close(&json, ']');
    json_close(&json, '}');
    end_with(&json, "{\"a\":\"x\\u000ay\",\"empty\":{},\"list\":[1,null]}");
}

static void test_texts(void **state)
{
    static const char *const cases[][2] = {
        {"", "\"\""},
        {"plain /text/", "\"plain /text/\""},
        {"<b>&amp;</b>", "\"\\u003cb\\u003e\\u0026amp;\\u003c/b\\u003e\""},
        {"a \"b\" \\c", "\"a \\\"b\\\" \\\\c\""},
        {"\x01\b\t\n\r\x1b\x7f", "\"\\u0001\\u0008\\u0009\\u000a\\u000d\\u001b\\u007f\""},
        {"b\xc3\xbc"
         "cher \xf0\x9f\x98\x80",
         "\"b\xc3\xbc"
         "cher \xf0\x9f\x98\x80\""},
        // Broken UTF-8: a lone tail, an overlong form, a surrogate, beyond Unicode, cut short.
        {"a\x80z", "\"a\xef\xbf\xbdz\""},
        {"\xc0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\""},
        {"\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
        {"\xf4\x90\x80\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
        {"\xe2\x82", "\"\xef\xbf\xbd\xef\xbf\xbd\""},
        {"\xff\"", "\"\xef\xbf\xbd\\\"\""},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct json json = begin();

        json_text(&json, NULL, cases[i][0]);
        end_with(&json, cases[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_structure),
        cmocka_unit_test(test_one_line),
        cmocka_unit_test(test_texts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
