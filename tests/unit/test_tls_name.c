#include "net/tls_name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"

#define A10 "aaaaaaaaaa"
#define A60 A10 A10 A10 A10 A10 A10
#define A63 A60 "aaa"
#define DOT63 "." A63

static void test_good_names(void **state)
{
    static const struct {
        const char *text, *name;
        size_t address_size;
        bool wildcard;
    } cases[] = {
        {"dns.home.arpa", "dns.home.arpa", 0, false},
        {"DNS.Home.Arpa", "dns.home.arpa", 0, false},
        {"dns.home.arpa.", "dns.home.arpa", 0, false},
        {"router", "router", 0, false},
        {"a", "a", 0, false},
        {"_dns.example", "_dns.example", 0, false},
        {"xn--mller-kva.example", "xn--mller-kva.example", 0, false},
        {"4you.example", "4you.example", 0, false},
        {"1.2.3.4.example", "1.2.3.4.example", 0, false},
        {"a--b.c-d", "a--b.c-d", 0, false},
        {"*.home.arpa", "*.home.arpa", 0, true},
        {"*.a.b.c", "*.a.b.c", 0, true},
        {A63, A63, 0, false},
        {A63 DOT63 DOT63 ".a" A60, A63 DOT63 DOT63 ".a" A60, 0, false}, // 253
        {A63 DOT63 DOT63 ".a" A60 ".", A63 DOT63 DOT63 ".a" A60, 0, false},
        {"192.168.1.2", "192.168.1.2", 4, false},
        {"127.0.0.1", "127.0.0.1", 4, false},
        {"223.255.255.255", "223.255.255.255", 4, false},
        {"fd00::2", "fd00::2", 16, false},
        {"FD00:0:0::2", "fd00::2", 16, false},
        {"::1", "::1", 16, false},
        {"fe80::1", "fe80::1", 16, false},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char reason[TLS_REASON_SIZE];
        struct tls_name name;

        if (tls_name_parse(&name, cases[i].text, reason) != E_OK)
            fail_msg("\"%s\" %s", cases[i].text, reason);
        assert_string_equal(name.text, cases[i].name);
        assert_int_equal(name.address_size, cases[i].address_size);
        assert_int_equal(name.wildcard, cases[i].wildcard);
    }
}

static void test_the_address_is_in_network_order(void **state)
{
    static const uint8_t v4[] = {192, 168, 1, 2};
    static const uint8_t v6[16] = {0xfd, [15] = 2};
    char reason[TLS_REASON_SIZE];
    struct tls_name name;

    assert_int_equal(tls_name_parse(&name, "192.168.1.2", reason), E_OK);
    assert_memory_equal(name.address, v4, sizeof(v4));
    assert_int_equal(tls_name_parse(&name, "fd00::2", reason), E_OK);
    assert_memory_equal(name.address, v6, sizeof(v6));
}

static void test_bad_names(void **state)
{
    static const char *const cases[][2] = {
        {"", "is empty"},
        {".", "is empty"},
        {"..", "empty part"},
        {".home.arpa", "empty part"},
        {"dns..arpa", "empty part"},
        {"dns.home.arpa..", "empty part"},
        {"-dns.arpa", "hyphen"},
        {"dns-.arpa", "hyphen"},
        {"dns.-", "hyphen"},
        {A63 "a.arpa", "part of 64 characters"},
        {A63 DOT63 DOT63 ".aa" A60, "254 characters"},
        {"d\xc3\xbc"
         "rer.arpa",
         "xn--"},
        {"a b", "space or control"},
        {"a\n", "space or control"},
        {"a\x7f", "space or control"},
        {"a,b", "has \",\" in it"},
        {"a\\b", "has \"\\\" in it"},
        {"user@host", "has \"@\" in it"},
        {"tls://dns.home.arpa", "without tls://"},
        {"192.168.1.0/24", "has a \"/\""},
        {"dns.home.arpa:853", "without port"},
        {"192.168.1.2:853", "without port"},
        {"[fd00::2]", "brackets"},
        {"fd00:::2", "neither a name nor an address"},
        {"fe80::1%eth0", "no scopes"},
        {"192.168.1", "looks like an IPv4 address"},
        {"192.168.1.256", "looks like an IPv4 address"},
        {"192.168.1.2.", "looks like an IPv4 address"},
        {"192.168.1.2.3", "looks like an IPv4 address"},
        {"42", "looks like an IPv4 address"},
        {"*", "too wide"},
        {"*.arpa", "too wide"},
        {"*.arpa.", "too wide"},
        {"a.*.home.arpa", "not the whole of its first part"},
        {"a*.home.arpa", "not the whole of its first part"},
        {"**.home.arpa", "not the whole of its first part"},
        {"*.*.home.arpa", "not the whole of its first part"},
        {"0.0.0.0", "stands for every address"},
        {"::", "stands for every address"},
        {"224.0.0.1", "no address of a single machine"},
        {"255.255.255.255", "no address of a single machine"},
        {"ff02::1", "no address of a single machine"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char reason[TLS_REASON_SIZE];
        struct tls_name name;

        if (tls_name_parse(&name, cases[i][0], reason) != E_INVALID)
            fail_msg("accepted: %s", cases[i][0]);
        if (!strstr(reason, cases[i][1]))
            fail_msg("\"%s\" %s", cases[i][0], reason);
    }
}

static void test_equal(void **state)
{
    static const struct {
        const char *a, *b;
        bool equal;
    } cases[] = {
        {"dns.home.arpa", "DNS.home.arpa.", true},
        {"dns.home.arpa", "dns.home.arp", false},
        {"fd00::2", "fd00:0::2", true},
        {"192.168.1.2", "192.168.1.3", false},
        {"fd00::2", "fd00::3", false},
        {"*.home.arpa", "a.home.arpa", false},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char reason[TLS_REASON_SIZE];
        struct tls_name a, b;

        assert_int_equal(tls_name_parse(&a, cases[i].a, reason), E_OK);
        assert_int_equal(tls_name_parse(&b, cases[i].b, reason), E_OK);
        assert_int_equal(tls_name_equal(&a, &b), cases[i].equal);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_names),
        cmocka_unit_test(test_the_address_is_in_network_order),
        cmocka_unit_test(test_bad_names),
        cmocka_unit_test(test_equal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
