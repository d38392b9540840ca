// Who may see what over HTTP.
#include "admin/guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct admin_options options = {
    .host_count = 2,
    .hosts = {"dns.example", "Sotto"},
};

static void test_hosts(void **state)
{
    static const struct {
        const char *host;
        bool allowed;
    } cases[] = {
        {NULL, false},
        {"", false},
        {"127.0.0.1", true},
        {"127.0.0.1:8053", true},
        {"192.0.2.7:80", true},
        {"[::1]", true},
        {"[2001:db8::1]:8053", true},
        {"[::1", false},
        {"[::1]x", false},
        {"::1", false}, // whose port?
        {"localhost", true},
        {"LocalHost.:8053", true},
        {"localhost:80a", false},
        {"localhost.evil.test", false},
        {"dns.example", true},
        {"DNS.EXAMPLE:443", true},
        {"sotto:8053", true},
        {"a.dns.example", false},
        {"evil.test", false},
        {"127.0.0.1.evil.test", false},
        {"127.0.0.1@evil.test", false},
        {":8053", false},
        {".", false},
        {"127.1", false},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (guard_allows_host(cases[i].host, &options) != cases[i].allowed)
            fail_msg("%s", cases[i].host ? cases[i].host : "(none)");
}

static void test_a_long_host(void **state)
{
    char host[1000];

    memset(host, 'a', sizeof(host) - 1);
    host[sizeof(host) - 1] = '\0';
    assert_false(guard_allows_host(host, &options));
}

static void test_tokens(void **state)
{
    static const char token[] = "abcdefghijklmnop";

    assert_true(guard_allows_token("Bearer abcdefghijklmnop", token));
    assert_true(guard_allows_token("bearer  abcdefghijklmnop", token));
    assert_false(guard_allows_token(NULL, token));
    assert_false(guard_allows_token("", token));
    assert_false(guard_allows_token("abcdefghijklmnop", token));
    assert_false(guard_allows_token("Bearer", token));
    assert_false(guard_allows_token("Bearer ", token));
    assert_false(guard_allows_token("Bearer abcdefghijklmno", token));
    assert_false(guard_allows_token("Bearer abcdefghijklmnoP", token));
    assert_false(guard_allows_token("Bearer abcdefghijklmnopabcdefghijklmnop", token));
    assert_false(guard_allows_token("Bearer abcdefghijklmnop ", token));
    assert_false(guard_allows_token("Basic abcdefghijklmnop", token));
    assert_false(guard_allows_token("Bearer ", "")); // no token is no way in
}

static void test_origins(void **state)
{
    assert_true(guard_allows_origin(NULL, "localhost:8053"));
    assert_true(guard_allows_origin("http://localhost:8053", "localhost:8053"));
    assert_true(guard_allows_origin("https://dns.example", "DNS.example"));
    assert_false(guard_allows_origin("http://localhost:80", "localhost:8053"));
    assert_false(guard_allows_origin("http://evil.test", "localhost:8053"));
    assert_false(guard_allows_origin("null", "localhost:8053"));
    assert_false(guard_allows_origin("http://localhost", NULL));
}

static void test_local(void **state)
{
    static const struct {
        const char *address;
        bool local;
    } cases[] = {
        {"127.0.0.1", true}, {"127.9.9.9", true},    {"::1", true},  {"0.0.0.0", false},
        {"::", false},       {"192.168.0.1", false}, {"::2", false}, {"::ffff:127.0.0.1", true},
        {"fe80::1", false},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct admin_options at = {.host_count = 0};

        assert_int_equal(address_parse(&at.listen, cases[i].address, 8053), 0);
        assert_int_equal(admin_is_local(&at), cases[i].local);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hosts),  cmocka_unit_test(test_a_long_host),
        cmocka_unit_test(test_tokens), cmocka_unit_test(test_origins),
        cmocka_unit_test(test_local),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
