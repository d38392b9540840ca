// The configuration against what is too much or hostile, against files that are none, and as a
// whole.
#include "config/config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/utf8.h"
#include "config/report.h"
#include "config_text.h"

// Processor time that no input may take more of, with sanitizers on a slow machine.
#define SECONDS_MAX 5

static struct config config;

// Loads CONFIG_FILE_MAX octets of `head` and then the pieces over and over; must fail, and soon.
static void assert_refused(const char *head, const char *piece, const char *error_text)
{
    struct config_error error;
    char *text = malloc(CONFIG_FILE_MAX);
    size_t used = strlen(head), length = strlen(piece);
    clock_t start = clock();

    assert_non_null(text);
    memcpy(text, head, used);
    for (; used + length <= CONFIG_FILE_MAX; used += length)
        memcpy(text + used, piece, length);
    config_defaults(&config);
    assert_int_equal(config_load_text(&config, text, used, "a.yaml", &error), E_INVALID);
    free(text);
    if (strncmp(error.text, error_text, strlen(error_text)) != 0)
        fail_msg("%s%s...: %s", head, piece, error.text);
    if (clock() - start > SECONDS_MAX * CLOCKS_PER_SEC)
        fail_msg("%s%s... takes too long", head, piece);
}

static void test_a_mebibyte_of_mischief(void **state)
{
    assert_refused("", "[", "a.yaml:1:13: nested too deeply");
    assert_refused("", "{", "a.yaml:1:13: nested too deeply");
    assert_refused("", "- ", "a.yaml:1:25: nested too deeply");
    assert_refused("", "? ", "a.yaml:1:25: nested too deeply");
    assert_refused("listen: ", "[\n", "a.yaml:12:1: nested too deeply");
    assert_refused("a: ", "{a: ", "a.yaml:1:48: nested too deeply");
    assert_refused("[", "a, ", "a.yaml:2:1: did not find expected node content");
    assert_refused("", "a", "a.yaml:1:1: the file: found \"aaaa");
    assert_refused("user: ", "a", "a.yaml:1:7: user: found \"aaaa");
    assert_refused("user: ", "\xf0\x9f\x94\x92", "a.yaml:1:7: user: found \"");
    assert_refused("user: '", "'", "a.yaml:1:");
    assert_refused("user: \"", "\\x00", "a.yaml:");
    assert_refused("user: |\n", "  a\n", "a.yaml:1:7: user: \"a\\x0aa");
    assert_refused("user: a\n", "---\n", "a.yaml:2:1: a second document");
    assert_refused("user: a\n", "user: a\n", "a.yaml:2:1: duplicate key");
    assert_refused("listen:\n", "- &a ::1\n", "a.yaml:2:3: anchors");
    assert_refused("listen:\n", "- *a\n", "a.yaml:2:3: aliases");
    assert_refused("listen:\n", "- !a b\n", "a.yaml:2:3: tags");
    assert_refused("listen:\n", "- ::1\n", "a.yaml:514:3: listen: too many entries");
    assert_refused("upstream:\n  servers:\n", "  - quad9\n", "a.yaml:35:5: upstream.servers: too");
    assert_refused("upstream:\n  bootstrap:\n", "  - quad9\n", "a.yaml:11:5: upstream.bootstrap: ");
    assert_refused("? ", "a\n", "a.yaml:3:1: could not find expected ':'");
    assert_refused("? ", "  a\n", "a.yaml:1:5: unknown key \"a a a");
    assert_refused("", "\"", "a.yaml:");
    assert_refused("", "&", "a.yaml:1:2: did not find expected alphabetic");
    assert_refused("", "!", "a.yaml:1:1: ");
    assert_refused("", "%", "a.yaml:1:2: could not find expected directive name");
    assert_refused("", ": ", "a.yaml:1:");
    assert_refused("", "a: ", "a.yaml:1:");
    assert_refused("", ",", "a.yaml:1:1: ");
    assert_refused("", "\xff", "a.yaml:1:1: invalid leading UTF-8 octet");
    assert_refused("\xff\xfe", "u\n", "a.yaml:1:1: invalid leading UTF-8 octet"); // UTF-16
    assert_refused("user: ", "a\t", "a.yaml:1:7: ");
    assert_refused("x:\n", "\t", "a.yaml:");
    assert_refused("x: [", "{}, ", "a.yaml:");
    assert_refused("x", "\r", "a.yaml:1:1: the file: found \"x\"");
}

static void test_comments_may_be_long(void **state)
{
    struct config_error error;
    char *text = malloc(CONFIG_FILE_MAX + 1);

    memset(text, '#', CONFIG_FILE_MAX + 1);
    config_defaults(&config);
    assert_int_equal(config_load_text(&config, text, CONFIG_FILE_MAX, "a.yaml", &error), E_OK);
    assert_int_equal(config_load_text(&config, text, CONFIG_FILE_MAX + 1, "a.yaml", &error),
                     E_INVALID);
    assert_string_equal(error.text, "a.yaml: larger than 1 MiB; is this the right file?");
    free(text);
}

static void test_nul_in_a_file(void **state)
{
    static const char yaml[] = "user: a\0b\n";
    struct config_error error;

    config_defaults(&config);
    assert_int_equal(config_load_text(&config, yaml, sizeof(yaml) - 1, "a.yaml", &error),
                     E_INVALID);
    assert_string_equal(error.text, "a.yaml:1:8: control characters are not allowed");
}

// As many as fit, and not one more.
static void test_lists_can_be_filled(void **state)
{
    struct config_error error;
    char *text = calloc(1, 64 * 1024);

    strcpy(text, "listen:\n");
    for (int i = 0; i < LISTENER_ADDRESSES_MAX; i++)
        sprintf(text + strlen(text), "  - 127.0.0.1:%d\n", i + 1);
    strcat(text, "upstream:\n  servers:\n");
    for (int i = 0; i < UPSTREAM_SERVERS_MAX - 1; i++)
        sprintf(text + strlen(text), "    - tls://192.0.2.%d\n", i + 1);
    strcat(text, "    - url: quad9\n      pin-sha256:\n");
    for (int i = 0; i < UPSTREAM_PINS_MAX; i++)
        strcat(text, "        - AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n");
    if (config_load(&config, text, &error) != E_OK)
        fail_msg("%s", error.text);
    assert_int_equal(config.listener.place_count, LISTENER_ADDRESSES_MAX);
    assert_int_equal(config.upstream.server_count, UPSTREAM_SERVERS_MAX);
    assert_int_equal(config.upstream.servers[UPSTREAM_SERVERS_MAX - 1].pin_count,
                     UPSTREAM_PINS_MAX);
    assert_int_equal(config_check(&config, &error), E_OK);
    assert_fixed_point(&config);

    strcat(text, "        - AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n");
    assert_int_equal(config_load(&config, text, &error), E_INVALID);
    assert_string_equal(error.text, "a.yaml:557:11: upstream.servers.pin-sha256: too many entries, "
                                    "expected at most 8");
    assert_int_equal(config_add_listener(&config, "::1", &error), E_INVALID);
    assert_string_equal(error.text, "more than 512 listen addresses");
    free(text);
}

static void test_single_settings(void **state)
{
    struct config_error error;

    config_defaults(&config);
    for (int i = 1; i < UPSTREAM_SERVERS_MAX; i++)
        assert_int_equal(config_add_upstream(&config, "quad9", &error), E_OK);
    assert_int_equal(config.upstream.servers[31].max_connections, 8);
    assert_int_equal(config_add_upstream(&config, "quad9", &error), E_INVALID);
    assert_string_equal(error.text, "more than 32 upstreams");

    config_defaults(&config);
    assert_int_equal(config_add_upstream(&config, "h3://a.b", &error), E_INVALID);
    assert_string_equal(error.text, "\"h3://a.b\": DNS over HTTPS is not supported upstream; write "
                                    "tls://");
    assert_int_equal(config_add_listener(&config, "a\nb", &error), E_INVALID);
    assert_string_equal(error.text, "\"a\\x0ab\": control characters and broken UTF-8 are not "
                                    "allowed");
    assert_int_equal(config_set_workers(&config, "7", &error), E_OK);
    assert_int_equal(config.workers, 7);
    assert_int_equal(config_set_workers(&config, "auto", &error), E_OK);
    assert_int_equal(config.workers, 0);
    assert_int_equal(config_set_workers(&config, "many", &error), E_INVALID);
    assert_string_equal(error.text, "\"many\": expected a number from 1 to 256, or auto");

    config_defaults(&config);
    assert_int_equal(config_add_upstream(&config, "google", &error), E_OK);
    strcpy(config.upstream.servers[1].ca_file, "own.pem");
    assert_int_equal(config_set_ca_file(&config, "ca.pem", &error), E_OK);
    assert_string_equal(config.upstream.servers[0].ca_file, "ca.pem");
    assert_string_equal(config.upstream.servers[1].ca_file, "own.pem");
    assert_string_equal(config.upstream.bootstrap[0].ca_file, "");
    config_defaults(&config);
    assert_int_equal(config_set_ca_file(&config, "ca\xff.pem", &error), E_INVALID);
    assert_string_equal(error.text, "\"ca\\xff.pem\": control characters and broken UTF-8 are not "
                                    "allowed");
}

// What only shows when all is there.
static const struct {
    const char *yaml, *error;
} checks[] = {
    {"listen: [127.0.0.1, 'dns://127.0.0.1:53']", "listen: dns://127.0.0.1:53 is there twice"},
    {"listen: ['127.0.0.1:0', {url: 'udp://127.0.0.1:0', proxy-from: [127.0.0.2]}]",
     "listen: udp://127.0.0.1:0 is there twice, with another proxy-from"},
    {"listen: ['tcp://[::1]:853', 'tls://::1']", "listen: tls://[::1]:853 is there twice"},
    {"listen: ['http://[::1]/a', 'http://::1/b']", "listen: http://[::1]:80/b is there twice"},
    {"listen: ['http://[::1]:0/a', 'http://[::1]:0/b']",
     "listen: http://[::1]:0/b is there twice, with another path or forwarded-from"},
    {"listen: [{url: tls://::1, forwarded-from: [any]}]",
     "listen: tls://[::1]:853 has forwarded-from, which is for http:// and https://; other proxies "
     "speak the PROXY protocol, for which there is proxy-from"},
    {"listen: ['dns://[::1]:0', {url: 'tcp://[::1]:0', allow: [any]}]",
     "listen: tcp://[::1]:0 is there twice, with other clients or limits"},
    {"listen: [{url: 'tcp://[::1]:0', max-in-flight: 2}, {url: 'tcp://[::1]:0', max-in-flight: 3}]",
     "listen: tcp://[::1]:0 is there twice, with other clients or limits"},
    {"listen: [{url: 'tcp://[::1]:0', max-in-flight: 2}, {url: 'tcp://[::1]:0', max-in-flight: 2}]",
     NULL},
    {"listen: [{url: 'tcp://[::1]:0', max-in-flight: 2}, {url: 'udp://[::1]:0', allow: [any]}]",
     NULL},
    {"listen: [{url: tcp://::1, rate-limit: 20}]",
     "listen: tcp://[::1]:53 has rate-limit, which is for UDP only"},
    {"listen: [{url: tcp://::1, rate-limit: 0}]",
     "listen: tcp://[::1]:53 has rate-limit, which is for UDP only"},
    {"listen: [{url: udp://::1, idle-timeout: 1s}]",
     "listen: udp://[::1]:53 has idle-timeout, which is for TCP only"},
    {"listen: [{url: udp://::1, message-timeout: 1s}]",
     "listen: udp://[::1]:53 has message-timeout, which is for TCP only"},
    {"listen: [{url: udp://::1, max-connections: 1}]",
     "listen: udp://[::1]:53 has max-connections, which is for TCP only"},
    {"listen: [{url: udp://::1, max-in-flight: 1}]",
     "listen: udp://[::1]:53 has max-in-flight, which is for TCP only"},
    {"listen: [{url: http://::1, handshake-timeout: 1s}]",
     "listen: http://[::1]:80/dns-query has handshake-timeout, which is for tls:// and https:// "
     "only"},
    {"listen: [{url: dns://::1, allow: [any], refuse: drop, rate-limit: 20, idle-timeout: 1h, "
     "message-timeout: 1h, max-connections: 1024, max-in-flight: 10000}]",
     NULL},
    {"listen: [{url: tcp://::1, max-connections: 1025}]",
     "listen: tcp://[::1]:53 has max-connections 1025, but all listeners together have 1024: raise "
     "tcp.max-connections"},
    {"listen: [{url: tcp://::1, max-connections: 1025}]\ntcp: {max-connections: 1025}", NULL},
    {"listen: [{url: dns://::1, certificates: [a]}]",
     "listen: dns://[::1]:53 has certificates, but only tls:// and https:// are encrypted"},
    {"listen: [{url: dns://::1, client-ca-file: a}]",
     "listen: dns://[::1]:53 has certificates, but only tls:// and https:// are encrypted"},
    {"listen: [tls://::1]",
     "listen: tls://[::1]:853 needs a certificate: give cert and key, or --cert and --key; 'sotto "
     "cert' makes them for a network that has none"},
    {"listen: [tls://::1]\ntls: {certificates: [/nonexistent/a]}",
     "listen: tls://[::1]:853: cannot read the certificate /nonexistent/a: No such file or "
     "directory"},
    {"listen: [127.0.0.1, 'udp://127.0.0.1:53']", "listen: udp://127.0.0.1:53 is there twice"},
    {"listen: ['*', '[::]']", "listen: dns://[::]:53 is there twice"},
    {"listen: ['udp://127.0.0.1', 'tcp://127.0.0.1']", NULL},
    {"listen: ['127.0.0.1', '127.0.0.2', '127.0.0.1:54', '::1']", NULL},
    {"listen: ['127.0.0.1:0', '127.0.0.1:0']", NULL}, // two ports, whichever they be
    {"upstream: {bootstrap: [tls://dns.quad9.net]}",
     "upstream.bootstrap: \"tls://dns.quad9.net\" is given by name, but who looks up names must be "
     "given by address, as in tls://9.9.9.9#dns.quad9.net"},
    {"upstream: {servers: [tls://dns.quad9.net]}", NULL},
    {"upstream: {servers: [quad9, tls://dns.quad9.net], bootstrap: []}",
     "upstream.servers: \"tls://dns.quad9.net\" is given by name, but upstream.bootstrap has no "
     "server to look it up"},
    {"upstream: {servers: [quad9], bootstrap: []}", NULL},
    {"upstream: {servers: [{url: quad9, ca-file: /no/such.pem}]}",
     "upstream \"quad9\": cannot read the CA file \"/no/such.pem\": No such file or directory"},
    {"upstream: {bootstrap: [{url: quad9, ca-file: /no/such.pem}]}",
     "upstream \"quad9\": cannot read the CA file \"/no/such.pem\": No such file or directory"},
    {"upstream: {servers: [{url: quad9, ca-file: /}]}",
     "upstream \"quad9\": cannot read the CA file \"/\": Is a directory"},
    {"upstream: {servers: [{url: quad9, ca-file: /dev/null}]}", NULL},
};

static void test_check(void **state)
{
    struct config_error error;

    for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
        if (config_load(&config, checks[i].yaml, &error) != E_OK)
            fail_msg("%s", error.text);
        if (config_check(&config, &error) != (checks[i].error ? E_INVALID : E_OK))
            fail_msg("%s: %s", checks[i].yaml, error.text);
        if (checks[i].error)
            assert_string_equal(error.text, checks[i].error);
    }

    config_defaults(&config);
    assert_int_equal(config_check(&config, &error), E_OK);
    config.upstream.server_count = 0;
    assert_int_equal(config_check(&config, &error), E_INVALID);
    assert_string_equal(error.text, "upstream: no servers");
    config_defaults(&config);
    config.listener.place_count = 0;
    assert_int_equal(config_check(&config, &error), E_INVALID);
    assert_string_equal(error.text, "listen: no address to listen on");
}

static void test_files(void **state)
{
    char path[] = "/tmp/sotto-test-config-XXXXXX", expected[256];
    struct config_error error;
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    config_defaults(&config);
    assert_int_equal(config_load_file(&config, path, &error), E_OK); // empty
    assert_int_equal(write(fd, "user: dns\nworkers: x\n", 10), 10);
    assert_int_equal(config_load_file(&config, path, &error), E_OK);
    assert_string_equal(config.user, "dns");
    assert_int_equal(write(fd, "workers: x\n", 11), 11);
    assert_int_equal(config_load_file(&config, path, &error), E_INVALID);
    snprintf(expected, sizeof(expected),
             "%s:2:10: workers: found \"x\", expected a number from 1 to 256, or auto", path);
    assert_string_equal(error.text, expected);
    assert_int_equal(ftruncate(fd, CONFIG_FILE_MAX + 1), 0);
    assert_int_equal(config_load_file(&config, path, &error), E_INVALID);
    snprintf(expected, sizeof(expected), "%s: larger than 1 MiB; is this the right file?", path);
    assert_string_equal(error.text, expected);
    close(fd);
    unlink(path);

    assert_int_equal(config_load_file(&config, path, &error), E_INVALID);
    snprintf(expected, sizeof(expected),
             "%s: cannot read the configuration: No such file or directory", path);
    assert_string_equal(error.text, expected);
    assert_int_equal(config_load_file(&config, "/", &error), E_INVALID);
    assert_string_equal(error.text, "/: cannot read the configuration: Is a directory");
    assert_int_equal(config_load_file(&config, "/dev/zero", &error), E_INVALID);
    assert_string_equal(error.text, "/dev/zero: larger than 1 MiB; is this the right file?");
    assert_int_equal(config_load_file(&config, "/dev/null", &error), E_OK);
}

static void test_quoting(void **state)
{
    static const char *const cases[][2] = {
        {"", "\"\""},
        {"a b", "\"a b\""},
        {"\x1b[31m\r\n\x7f", "\"\\x1b[31m\\x0d\\x0a\\x7f\""},
        {"b\xc3\xbc"
         "cher",
         "\"b\xc3\xbc"
         "cher\""},
        {"\xc2\x9b"
         "31m",
         "\"\\xc2\\x9b31m\""}, // a control sequence in one character
        {"\xff\xc3", "\"\\xff\\xc3\""},
        {"\xed\xa0\x80\xf4\x90\x80\x80", "\"\\xed\\xa0\\x80\\xf4\\x90\\x80\\x80\""},
    };
    char quoted[CONFIG_QUOTE_SIZE], text[2 * CONFIG_QUOTE_SIZE];

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_string_equal(config_quote(cases[i][0], quoted), cases[i][1]);

    // Any length, cut between characters.
    for (size_t offset = 0; offset < 4; offset++) {
        for (size_t length = 0; length < sizeof(text) - 4; length++) {
            memset(text, 'a', offset);
            for (size_t i = offset; i < sizeof(text) - 4; i += 4)
                memcpy(text + i, "\xf0\x9f\x94\x92", 4);
            text[length] = '\0';
            assert_true(strlen(config_quote(text, quoted)) < CONFIG_QUOTE_SIZE);
            for (const char *at = quoted; *at; at += utf8_length(at))
                assert_true(utf8_length(at) > 0);
        }
    }
}

// A character may come in by an escape that YAML would not let in as it is: then it must not be
// printed as it is.
static void test_any_character_is_kept_or_refused(void **state)
{
    static const uint32_t ranges[][2] = {{0, 0x180},         {0x2000, 0x2070},    {0xd7f0, 0xe010},
                                         {0xfdc0, 0xfdf0},   {0xfef0, 0xff10},    {0xfff0, 0x10010},
                                         {0x1fff0, 0x20000}, {0x10fff0, 0x110010}};

    for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
        for (uint32_t character = ranges[i][0]; character < ranges[i][1]; character++) {
            struct config_error error;
            char yaml[64];

            snprintf(yaml, sizeof(yaml), "user: \"a\\U%08x b\"", character);
            if (config_load(&config, yaml, &error) == E_OK)
                assert_fixed_point(&config);
            else
                assert_int_equal(strncmp(error.text, "a.yaml:1:", 9), 0);
        }
    }
}

static void test_nearest_word(void **state)
{
    static const char *const words[] = {"listen", "workers", "user", "udp", "max-in-flight", NULL};
    static const char *const cases[][2] = {
        {"lsiten", "listen"},
        {"listn", "listen"},
        {"listens", "listen"},
        {"worker", "workers"},
        {"wrokres", "workers"},
        {"users", "user"},
        {"maxinflight", "max-in-flight"},
        {"u", NULL},
        {"tcp", NULL},
        {"", NULL},
        {"xxxxxx", NULL},
        {"user-of-the-day", NULL},
    };
    char long_word[1000];

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *near = config_nearest(cases[i][0], words);

        if (!cases[i][1] ? near != NULL : (!near || strcmp(near, cases[i][1]) != 0))
            fail_msg("%s is taken for %s", cases[i][0], near ? near : "nothing");
    }
    memset(long_word, 'a', sizeof(long_word));
    long_word[sizeof(long_word) - 1] = '\0';
    assert_null(config_nearest(long_word, words));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_mebibyte_of_mischief),
        cmocka_unit_test(test_comments_may_be_long),
        cmocka_unit_test(test_nul_in_a_file),
        cmocka_unit_test(test_lists_can_be_filled),
        cmocka_unit_test(test_single_settings),
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_quoting),
        cmocka_unit_test(test_any_character_is_kept_or_refused),
        cmocka_unit_test(test_nearest_word),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
