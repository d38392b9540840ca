// The requests of the control socket: what is understood, and what is said of the rest.
#include "admin/control_request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"

static struct control_request request;
static const char *why;

static int parse(const char *line)
{
    memset(&request, 0xa5, sizeof(request));
    why = NULL;
    return control_request_parse(&request, line, strlen(line), &why);
}

static void test_commands(void **state)
{
    static const struct {
        const char *line;
        enum control_command command;
        const char *name; // as dns_name_to_text() has it, or NULL
    } cases[] = {
        {"sotto/1 status table", CONTROL_STATUS_TABLE, NULL},
        {"sotto/1 status json", CONTROL_STATUS_JSON, NULL},
        {"sotto/1 flush", CONTROL_FLUSH_ALL, NULL},
        {"sotto/1 flush name example.com", CONTROL_FLUSH_NAME, "example.com"},
        {"sotto/1 flush name example.com.", CONTROL_FLUSH_NAME, "example.com"},
        {"sotto/1 flush name .", CONTROL_FLUSH_NAME, "."},
        {"sotto/1 flush name a\\.b\\032c.\\000", CONTROL_FLUSH_NAME, "a\\.b\\032c.\\000"},
        {"sotto/1 flush name a b", CONTROL_FLUSH_NAME, "a\\032b"},
        {"sotto/1 flush subtree example.com", CONTROL_FLUSH_SUBTREE, "example.com"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[DNS_NAME_TEXT_MAX];

        if (parse(cases[i].line) != E_OK)
            fail_msg("%s: %s", cases[i].line, why);
        assert_int_equal(request.command, cases[i].command);
        if (cases[i].name)
            assert_string_equal(dns_name_to_text(request.name, text), cases[i].name);
    }
}

static void test_what_is_refused(void **state)
{
    static const char *const cases[][2] = {
        {"", "protocol or version"},
        {"sotto/1", "protocol or version"},
        {"sotto/2 flush", "protocol or version"},
        {"sotto/11 flush", "protocol or version"},
        {"SOTTO/1 flush", "protocol or version"},
        {" sotto/1 flush", "protocol or version"},
        {"GET / HTTP/1.1", "protocol or version"},
        {"sotto/1 ", "unknown command"},
        {"sotto/1  flush", "unknown command"},
        {"sotto/1 flush ", "unknown command"},
        {"sotto/1 flush example.com", "unknown command"},
        {"sotto/1 flush name", "unknown command"},
        {"sotto/1 flushname a", "unknown command"},
        {"sotto/1 status", "unknown command"},
        {"sotto/1 status xml", "unknown command"},
        {"sotto/1 status json ", "unknown command"},
        {"sotto/1 stop", "unknown command"},
        {"sotto/1 flush name ", "no domain name"},
        {"sotto/1 flush name a..b", "no domain name"},
        {"sotto/1 flush name .a", "no domain name"},
        {"sotto/1 flush name \\", "no domain name"},
        {"sotto/1 flush name \\256", "no domain name"},
        {"sotto/1 flush subtree ..", "no domain name"},
        {"sotto/1 flush\r", "control character"},
        {"sotto/1 flush name a\tb", "control character"},
        {"sotto/1 flush\x7f", "control character"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (parse(cases[i][0]) != E_INVALID)
            fail_msg("accepted: %s", cases[i][0]);
        if (!strstr(why, cases[i][1]))
            fail_msg("%s: %s", cases[i][0], why);
    }
}

static void test_octets_that_no_text_has(void **state)
{
    static const char nul[] = "sotto/1 flush\0 name a";
    static char lengthy[2 * CONTROL_REQUEST_MAX];

    assert_int_equal(control_request_parse(&request, nul, sizeof(nul) - 1, &why), E_INVALID);
    assert_non_null(strstr(why, "control character"));

    memset(lengthy, 'a', sizeof(lengthy));
    memcpy(lengthy, "sotto/1 flush name ", 19);
    assert_int_equal(control_request_parse(&request, lengthy, sizeof(lengthy), &why), E_INVALID);
    assert_non_null(strstr(why, "too long"));
    assert_int_equal(control_request_parse(&request, lengthy, CONTROL_REQUEST_MAX, &why),
                     E_INVALID);
    assert_non_null(strstr(why, "no domain name"));
}

// What the client writes is what the server reads, also for the longest name in its longest form.
static void test_print_and_parse(void **state)
{
    static const char *const names[] = {".", "example.com", "a\\.b.c", "\\000\\255.x"};
    char line[CONTROL_REQUEST_MAX + 1];
    uint8_t name[DNS_NAME_MAX];

    for (size_t i = 0; i <= ARRAY_LEN(names); i++) {
        size_t length;

        if (i < ARRAY_LEN(names)) {
            assert_int_equal(dns_name_from_text(names[i], name), E_OK);
        } else {
            for (size_t at = 0; at < 254; at++)
                name[at] = at % 64 == 0 ? (uint8_t)MIN((size_t)63, 254 - at - 1) : 0;
            name[254] = 0;
            assert_int_equal(dns_name_length(name), DNS_NAME_MAX);
        }
        length = control_request_print(CONTROL_FLUSH_SUBTREE, name, line);
        assert_true(length <= CONTROL_REQUEST_MAX && length == strlen(line));
        assert_int_equal(line[length - 1], '\n');
        assert_int_equal(control_request_parse(&request, line, length - 1, &why), E_OK);
        assert_int_equal(request.command, CONTROL_FLUSH_SUBTREE);
        assert_memory_equal(request.name, name, dns_name_length(name));
    }
    control_request_print(CONTROL_STATUS_JSON, NULL, line);
    assert_string_equal(line, "sotto/1 status json\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commands),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_octets_that_no_text_has),
        cmocka_unit_test(test_print_and_parse),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
