// What records hold, in words.
#include "querylog/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "dns/tables.h"

static void test_addresses(void **state)
{
    static const struct {
        struct querylog_address address;
        const char *text;
    } cases[] = {
        {{.family = AF_UNSPEC, .octets = {1, 2, 3, 4}}, ""},
        {{.family = AF_INET, .port = 53, .octets = {192, 0, 2, 1}}, "192.0.2.1"},
        {{.family = AF_INET, .length = 24, .octets = {192, 0, 2}}, "192.0.2.0/24"},
        {{.family = AF_INET6, .octets = {0x20, 1, 0xd, 0xb8, [15] = 1}}, "2001:db8::1"},
        {{.family = AF_INET6, .length = 48, .octets = {0x20, 1, 0xd, 0xb8}}, "2001:db8::/48"},
        {{.family = AF_INET6,
          .length = 128,
          .octets = {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
                     255}},
         "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[QUERYLOG_ADDRESS_TEXT_MAX];

        assert_string_equal(querylog_address_text(&cases[i].address, text), cases[i].text);
    }
}

static void test_times(void **state)
{
    static const struct {
        uint64_t time;
        const char *text;
    } cases[] = {
        {0, "1970-01-01T00:00:00.000000Z"},
        {UINT64_C(951827696000007), "2000-02-29T12:34:56.000007Z"},
        {UINT64_C(4102444799999999), "2099-12-31T23:59:59.999999Z"},
        {UINT64_MAX, "9999-12-31T23:59:59.551615Z"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[QUERYLOG_TIME_TEXT_MAX];

        assert_string_equal(querylog_time_text(cases[i].time, text), cases[i].text);
    }
}

static void test_numbers_that_have_no_name(void **state)
{
    char text[DNS_NUMBER_TEXT_MAX];

    assert_string_equal(dns_type_text(DNS_TYPE_AAAA, text), "AAAA");
    assert_string_equal(dns_type_text(65280, text), "TYPE65280");
    assert_string_equal(dns_class_text(DNS_CLASS_CH, text), "CH");
    assert_string_equal(dns_class_text(65535, text), "CLASS65535");
    assert_string_equal(dns_rcode_text(DNS_RCODE_BADCOOKIE, text), "BADCOOKIE");
    assert_string_equal(dns_rcode_text(4095, text), "RCODE4095");
    assert_string_equal(dns_ede_name(DNS_EDE_STALE_NXDOMAIN_ANSWER), "Stale NXDOMAIN Answer");
    assert_null(dns_ede_name(49152));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_numbers_that_have_no_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
