#include "listener/url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"

static const struct {
    const char *url, *canonical;
} good[] = {
    {"dns://127.0.0.1:53", "dns://127.0.0.1:53"},
    {"dns://127.0.0.1", "dns://127.0.0.1:53"},
    {"udp://127.0.0.1:5300", "udp://127.0.0.1:5300"},
    {"tcp://127.0.0.1:5300", "tcp://127.0.0.1:5300"},
    {"tls://127.0.0.1", "tls://127.0.0.1:853"},
    {"TLS://[::1]:8530", "tls://[::1]:8530"},
    {"tls://*", "tls://[::]:853"},
    {"DNS://127.0.0.1", "dns://127.0.0.1:53"},
    {"https://127.0.0.1/dns-query", "https://127.0.0.1:443/dns-query"},
    {"https://127.0.0.1", "https://127.0.0.1:443/dns-query"},
    {"https://127.0.0.1:4430/dns-query{?dns}", "https://127.0.0.1:4430/dns-query"},
    {"https://127.0.0.1{?dns}", "https://127.0.0.1:443/dns-query"},
    {"https://*/", "https://[::]:443/"},
    {"http://[::1]:8080/a/b;c=d~%20", "http://[::1]:8080/a/b;c=d~%20"},
    {"HTTP://::1/x", "http://[::1]:80/x"},
    {"127.0.0.1", "dns://127.0.0.1:53"},
    {"127.0.0.1:5300", "dns://127.0.0.1:5300"},
    {"127.0.0.1:0", "dns://127.0.0.1:0"},
    {"0.0.0.0", "dns://0.0.0.0:53"},
    {"[::1]", "dns://[::1]:53"},
    {"::1", "dns://[::1]:53"},
    {"[::1]:5300", "dns://[::1]:5300"},
    {"udp://[::1]:5300", "udp://[::1]:5300"},
    {"tcp://[fe80::1%1]", "tcp://[fe80::1%1]:53"},
    {"dns://[2001:db8:ffff:ffff:ffff:ffff:192.0.2.255%4294967295]:65535",
     "dns://[2001:db8:ffff:ffff:ffff:ffff:c000:2ff%4294967295]:65535"},
    {"*", "dns://[::]:53"},
    {"*:5300", "dns://[::]:5300"},
    {"udp://*", "udp://[::]:53"},
    {"[::]", "dns://[::]:53"},
};

#define SCHEME "unknown scheme"
#define EMPTY "no address"
#define PATH "such a listen address has no path"
#define NO_PATH "no path of a URL"
#define ADDRESS "no IP address with or without a port"

static const struct {
    const char *url, *why;
} bad[] = {
    {"", EMPTY},
    {"dns://", EMPTY},
    {"dot://127.0.0.1", SCHEME},
    {"tls://127.0.0.1:853/", PATH},
    {"httpss://127.0.0.1/dns-query", SCHEME},
    {"https://127.0.0.1/dns-query?dns=", NO_PATH},
    {"https://127.0.0.1/dns-query{?dns}#", NO_PATH},
    {"https://127.0.0.1/dns query", NO_PATH},
    {"https://127.0.0.1/{dns}", NO_PATH},
    {"https:///dns-query", ADDRESS},
    {"https://", EMPTY},
    {"https://localhost/dns-query", ADDRESS},
    {"https://127.0.0.1/"
     "0123456789012345678901234567890123456789012345678901234567890123456789"
     "012345678901234567890123456789012345678901234567890123456",
     "the path is too long"},
    {"dn://127.0.0.1", SCHEME},
    {"dnss://127.0.0.1", SCHEME},
    {"://127.0.0.1", SCHEME},
    {"dns://127.0.0.1/", PATH},
    {"dns:/127.0.0.1", PATH},
    {"dns:127.0.0.1", ADDRESS},
    {"localhost", ADDRESS},
    {"dns://localhost:53", ADDRESS},
    {"53", ADDRESS},
    {":53", ADDRESS},
    {"127.0.0.1:", ADDRESS},
    {"127.0.0.1:65536", ADDRESS},
    {"127.0.0.1:dns", ADDRESS},
    {"127.0.0.1@53", ADDRESS},
    {"127.0.0", ADDRESS},
    {"127.0.0.256", ADDRESS},
    {" 127.0.0.1", ADDRESS},
    {"127.0.0.1 ", ADDRESS},
    {"[::1", ADDRESS},
    {"[::1]53", ADDRESS},
    {"[127.0.0.1]", ADDRESS},
    {"[::1%no-such-interface]", ADDRESS},
    {"**", ADDRESS},
    {"*:", ADDRESS},
    {"*:65536", ADDRESS},
    {"*::53", ADDRESS},
    {"*53", ADDRESS},
    {"dns://[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff%an-interface-name-that-is-far-too-long]:65535",
     ADDRESS},
};

static void test_forms(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct listener_address address, again;
        char text[LISTENER_URL_SIZE];
        const char *why;

        memset(&address, 0xff, sizeof(address));
        memset(&again, 0x55, sizeof(again));
        if (listener_url_parse(&address, good[i].url, &why) != E_OK)
            fail_msg("%s: %s", good[i].url, why);
        assert_string_equal(listener_url_to_text(&address, text), good[i].canonical);
        assert_int_equal(listener_url_parse(&again, text, &why), E_OK);
        assert_memory_equal(&address, &again, sizeof(address));
    }
}

static void test_transports(void **state)
{
    struct listener_address address;
    const char *why;

    assert_int_equal(listener_url_parse(&address, "dns://::1", &why), E_OK);
    assert_int_equal(address.transports, LISTENER_UDP | LISTENER_TCP);
    assert_int_equal(listener_url_parse(&address, "udp://::1", &why), E_OK);
    assert_int_equal(address.transports, LISTENER_UDP);
    assert_int_equal(listener_url_parse(&address, "tcp://::1", &why), E_OK);
    assert_int_equal(address.transports, LISTENER_TCP);
    assert_int_equal(listener_url_parse(&address, "tls://::1", &why), E_OK);
    assert_int_equal(address.transports, LISTENER_TLS);
    assert_int_equal(listener_url_parse(&address, "http://::1", &why), E_OK);
    assert_int_equal(address.transports, LISTENER_HTTP);
    assert_int_equal(listener_url_parse(&address, "https://::1", &why), E_OK);
    assert_int_equal(address.transports, LISTENER_HTTPS);
}

static void test_what_is_refused(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct listener_address address;
        const char *why = NULL;

        if (listener_url_parse(&address, bad[i].url, &why) != E_INVALID)
            fail_msg("%s is accepted", bad[i].url);
        if (!why || strncmp(why, bad[i].why, strlen(bad[i].why)) != 0)
            fail_msg("%s: %s", bad[i].url, why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_transports),
        cmocka_unit_test(test_what_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
