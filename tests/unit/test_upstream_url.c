#include "upstream/url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"

// What an upstream is read as: a host, or one address; and the name that must verify ("": the
// address itself).
static const struct {
    const char *url, *host, *address, *auth_name;
    uint16_t port;
} good[] = {
    {"tls://1.1.1.1:853#cloudflare-dns.com", "", "1.1.1.1:853", "cloudflare-dns.com", 853},
    {"tls://1.1.1.1#cloudflare-dns.com", "", "1.1.1.1:853", "cloudflare-dns.com", 853},
    {"tls://1.1.1.1", "", "1.1.1.1:853", "", 853},
    {"tls://1.1.1.1:8853", "", "1.1.1.1:8853", "", 8853},
    {"TLS://1.1.1.1", "", "1.1.1.1:853", "", 853},
    {"1.1.1.1@853#cloudflare-dns.com", "", "1.1.1.1:853", "cloudflare-dns.com", 853},
    {"1.1.1.1@8853", "", "1.1.1.1:8853", "", 8853},
    {"tls://1.1.1.1@8853#a.b", "", "1.1.1.1:8853", "a.b", 8853},
    {"1.1.1.1:853#cloudflare-dns.com", "", "1.1.1.1:853", "cloudflare-dns.com", 853},
    {"1.1.1.1", "", "1.1.1.1:853", "", 853},
    {"127.0.0.1:1#dot.test", "", "127.0.0.1:1", "dot.test", 1},
    {"127.0.0.1:65535", "", "127.0.0.1:65535", "", 65535},

    {"[2606:4700:4700::1111]", "", "[2606:4700:4700::1111]:853", "", 853},
    {"2606:4700:4700::1111", "", "[2606:4700:4700::1111]:853", "", 853},
    {"2606:4700:4700::1111#a.b", "", "[2606:4700:4700::1111]:853", "a.b", 853},
    {"2606:4700:4700::1111@8853#a.b", "", "[2606:4700:4700::1111]:8853", "a.b", 8853},
    {"[2606:4700:4700::1111]:8853#a.b", "", "[2606:4700:4700::1111]:8853", "a.b", 8853},
    {"[2606:4700:4700::1111]@8853#a.b", "", "[2606:4700:4700::1111]:8853", "a.b", 8853},
    {"tls://[2606:4700:4700::1111]#a.b", "", "[2606:4700:4700::1111]:853", "a.b", 853},
    {"tls://[::1]:853", "", "[::1]:853", "", 853},
    {"tls://::1", "", "[::1]:853", "", 853},
    {"tls://[fe80::1%1]:853", "", "[fe80::1%1]:853", "", 853},
    {"tls://[::ffff:192.0.2.1]", "", "[::ffff:192.0.2.1]:853", "", 853},

    {"tls://dns.quad9.net", "dns.quad9.net", NULL, "dns.quad9.net", 853},
    {"tls://dns.quad9.net:8853", "dns.quad9.net", NULL, "dns.quad9.net", 8853},
    {"tls://dns.quad9.net@8853", "dns.quad9.net", NULL, "dns.quad9.net", 8853},
    {"tls://dns.quad9.net#other.name", "dns.quad9.net", NULL, "other.name", 853},
    {"tls://dns.quad9.net:853#other.name", "dns.quad9.net", NULL, "other.name", 853},
    {"dns.quad9.net", "dns.quad9.net", NULL, "dns.quad9.net", 853},
    {"dns.quad9.net:853#other.name", "dns.quad9.net", NULL, "other.name", 853},
    {"tls://DNS.Quad9.NET.", "dns.quad9.net", NULL, "dns.quad9.net", 853},
    {"tls://1.1.1.1#Name.Test.", "", "1.1.1.1:853", "name.test", 853},
    {"tls://localhost", "localhost", NULL, "localhost", 853},
    {"tls://quad9", "quad9", NULL, "quad9", 853}, // no preset behind a scheme
    {"tls://a_b.example", "a_b.example", NULL, "a_b.example", 853},
    {"tls://1e100.net", "1e100.net", NULL, "1e100.net", 853},
    {"tls://xn--bcher-kva.example", "xn--bcher-kva.example", NULL, "xn--bcher-kva.example", 853},
};

#define LABEL_63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define NO_PRESET "no preset of this name"
#define PLAIN "plain DNS is never sent upstream; write tls://"
#define HTTPS "DNS over HTTPS is not supported upstream; write tls://"
#define QUIC "DNS over QUIC is not supported; write tls://"
#define NEITHER "neither an IP address nor a host name"
#define PORT "the port is no number from 1 to 65535"
#define NO_NAME "what follows # is no host name"
#define IPV6 "no IPv6 address"
#define BRACKETS "brackets are wrong"

// What is refused, and how the reason begins.
static const struct {
    const char *url, *why;
} bad[] = {
    {"", "empty"},
    {"quad8", NO_PRESET},
    {"Quad9", NO_PRESET},
    {" quad9", NO_PRESET},
    {"dns0", NO_PRESET},
    {"udp://1.1.1.1", PLAIN},
    {"tcp://1.1.1.1:53", PLAIN},
    {"DNS://1.1.1.1", PLAIN},
    {"https://dns.google/dns-query", HTTPS},
    {"h3://dns.google/dns-query", HTTPS},
    {"quic://dns.adguard-dns.com", QUIC},
    {"doq://dns.adguard-dns.com", QUIC},
    {"sdns://AQIAAAAAAAAAETk0LjE0MC4xNC4xNDo1NDQz", "DNS stamps are not supported"},
    {"ftp://1.1.1.1", "unknown scheme"},
    {"tlss://1.1.1.1", "unknown scheme"},
    {"://1.1.1.1", "unknown scheme"},
    {"tls:1.1.1.1", PORT},
    {"tls:/1.1.1.1", "DNS over TLS has no path"},
    {"tls://", "no address"},
    {"tls://#name", "no address"},
    {"tls://:853", "no address"},
    {"@853", "no address"},
    {"tls://1.1.1.1/", "DNS over TLS has no path"},
    {"tls://dns.google/dns-query", "DNS over TLS has no path"},
    {"tls://1.1.1.1:", PORT},
    {"tls://1.1.1.1:0", PORT},
    {"tls://1.1.1.1:65536", PORT},
    {"tls://1.1.1.1:853x", PORT},
    {"tls://1.1.1.1:-1", PORT},
    {"tls://1.1.1.1:+853", PORT},
    {"tls://1.1.1.1:99999999999999999999", PORT},
    {"1.1.1.1@", PORT},
    {"1.1.1.1@853@853", PORT},
    {"1.1.1.1:853@853", NEITHER},
    {"[::1]:", PORT},
    {"[::1]:x", PORT},
    {"tls://1.1.1.1#", "no name after #"},
    {"tls://1.1.1.1#1.1.1.1", "an address after #"},
    {"tls://1.1.1.1#::1", "an address after #"},
    {"tls://1.1.1.1#a#b", NO_NAME},
    {"tls://1.1.1.1#a..b", NO_NAME},
    {"tls://1.1.1.1#.", NO_NAME},
    {"tls://1.1.1.1#a b", NO_NAME},
    {"tls://1.1.1.1#b\xc3\xbc"
     "cher.example",
     NO_NAME},
    {"tls://1.1.1.1#name:853", NO_NAME},
    {"tls://1.1.1.1#" LABEL_63 "a", NO_NAME},
    {"tls://1.1.1", NEITHER},
    {"tls://1.1.1.256", NEITHER},
    {"tls://1.1.1.1.1", NEITHER},
    {"1.1.1.1.", NEITHER},
    {"tls://a..b", NEITHER},
    {"tls://.a", NEITHER},
    {"tls://a b", NEITHER},
    {"tls://a%b", NEITHER},
    {"tls://user:pass@host", PORT},
    {"tls://b\xc3\xbc"
     "cher.example",
     NEITHER},
    {"tls://a\n.example", NEITHER},
    {"tls://" LABEL_63 "a.example", NEITHER},
    {"tls://" LABEL_63 "." LABEL_63 "." LABEL_63 "." LABEL_63, NEITHER}, // 255 characters
    {"tls://0.0.0.0", "not an address that can be connected to"},
    {"tls://[::]", "not an address that can be connected to"},
    {"[1.1.1.1]", IPV6},
    {"[1.1.1.1:853]", IPV6},
    {"[]", "no address"},
    {"[::g]", IPV6},
    {"[name]", IPV6},
    {"1:2:3", IPV6},
    {"::1::", IPV6},
    {"[fe80::1%no-such-interface]", IPV6},
    {"[::1", BRACKETS},
    {"[::1]x", BRACKETS},
    {"[[::1]]", BRACKETS},
    {"::1]", IPV6},
};

static void test_forms(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct upstream_endpoint endpoint;
        char text[ADDRESS_TEXT_MAX];
        const char *why;

        if (upstream_url_parse(&endpoint, good[i].url, &why) != E_OK)
            fail_msg("%s: %s", good[i].url, why);
        assert_string_equal(endpoint.host, good[i].host);
        assert_string_equal(endpoint.auth_name, good[i].auth_name);
        assert_int_equal(endpoint.port, good[i].port);
        assert_int_equal(endpoint.address_count, good[i].address ? 1 : 0);
        if (good[i].address)
            assert_string_equal(address_to_text(&endpoint.addresses[0], text), good[i].address);
    }
}

static void test_what_is_refused(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct upstream_endpoint endpoint;
        const char *why = NULL;

        if (upstream_url_parse(&endpoint, bad[i].url, &why) != E_INVALID)
            fail_msg("%s is accepted", bad[i].url);
        if (!why || strncmp(why, bad[i].why, strlen(bad[i].why)) != 0)
            fail_msg("%s: %s", bad[i].url, why);
    }
}

static void test_too_long(void **state)
{
    struct upstream_endpoint endpoint;
    char url[UPSTREAM_URL_SIZE + 1];
    const char *why;

    memset(url, 'a', sizeof(url));
    memcpy(url, "tls://", 6);
    url[UPSTREAM_URL_SIZE] = '\0';
    assert_int_equal(upstream_url_parse(&endpoint, url, &why), E_INVALID);
    assert_string_equal(why, "longer than 511 characters");
    url[UPSTREAM_URL_SIZE - 1] = '\0';
    assert_int_equal(upstream_url_parse(&endpoint, url, &why), E_INVALID);
    assert_int_equal(strncmp(why, NEITHER, strlen(NEITHER)), 0);
}

static void test_longest_host_name(void **state)
{
    struct upstream_endpoint endpoint;
    const char *name = LABEL_63 "." LABEL_63 "." LABEL_63 "."
                                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const char *why;

    assert_int_equal(strlen(name), 253);
    assert_int_equal(upstream_url_parse(&endpoint, name, &why), E_OK);
    assert_string_equal(endpoint.host, name);
}

static void test_presets(void **state)
{
    for (const struct upstream_preset *preset = upstream_presets; preset->name; preset++) {
        struct upstream_endpoint endpoint, unknown;
        const char *why;
        unsigned count = 0;

        assert_int_equal(upstream_url_parse(&endpoint, preset->name, &why), E_OK);
        assert_string_equal(endpoint.host, "");
        assert_string_equal(endpoint.auth_name, preset->auth_name);
        assert_int_equal(endpoint.port, UPSTREAM_PORT);
        for (; count < UPSTREAM_ADDRESSES_MAX && preset->addresses[count]; count++) {
            struct address address;

            assert_int_equal(address_parse(&address, preset->addresses[count], UPSTREAM_PORT),
                             E_OK);
            assert_true(address_equal(&address, &endpoint.addresses[count]));
        }
        assert_int_equal(endpoint.address_count, count);
        assert_true(count > 0);

        // Who mistypes one is told of all.
        assert_int_equal(upstream_url_parse(&unknown, "nine9", &why), E_INVALID);
        assert_non_null(strstr(why, preset->name));
    }
}

static void test_cloudflare_has_four_addresses(void **state)
{
    static const char *const expected[] = {
        "1.1.1.1:853", "1.0.0.1:853", "[2606:4700:4700::1111]:853", "[2606:4700:4700::1001]:853"};
    struct upstream_endpoint endpoint;
    char text[ADDRESS_TEXT_MAX];
    const char *why;

    assert_int_equal(upstream_url_parse(&endpoint, "cloudflare", &why), E_OK);
    assert_int_equal(endpoint.address_count, ARRAY_LEN(expected));
    for (size_t i = 0; i < ARRAY_LEN(expected); i++)
        assert_string_equal(address_to_text(&endpoint.addresses[i], text), expected[i]);
}

// Configurations are compared with memcmp(): nothing of what was there before may shine through.
static void test_unused_octets_are_zero(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct upstream_endpoint a, b;
        const char *why;

        memset(&a, 0xff, sizeof(a));
        memset(&b, 0x55, sizeof(b));
        assert_int_equal(upstream_url_parse(&a, good[i].url, &why), E_OK);
        assert_int_equal(upstream_url_parse(&b, good[i].url, &why), E_OK);
        assert_memory_equal(&a, &b, sizeof(a));
    }
}

// What a parsed endpoint says, written as a URL, reads back to the same.
static void test_canonical_form_reads_back(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct upstream_endpoint first, second;
        char url[UPSTREAM_URL_SIZE * 2], text[ADDRESS_TEXT_MAX];
        const char *why;

        assert_int_equal(upstream_url_parse(&first, good[i].url, &why), E_OK);
        if (first.address_count > 0)
            snprintf(url, sizeof(url), "tls://%s%s%s", address_to_text(&first.addresses[0], text),
                     *first.auth_name ? "#" : "", first.auth_name);
        else
            snprintf(url, sizeof(url), "tls://%s:%u#%s", first.host, first.port, first.auth_name);
        if (upstream_url_parse(&second, url, &why) != E_OK)
            fail_msg("%s: %s", url, why);
        assert_memory_equal(&first, &second, sizeof(first));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_longest_host_name),
        cmocka_unit_test(test_presets),
        cmocka_unit_test(test_cloudflare_has_four_addresses),
        cmocka_unit_test(test_unused_octets_are_zero),
        cmocka_unit_test(test_canonical_form_reads_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
