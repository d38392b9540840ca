#include "cli/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"
#include "config_text.h"

#define ARGUMENTS_MAX 16

static struct options options;
static char said[4096];

// Parses "-l a -u b"; what it says is in `said`.
static int parse(const char *line)
{
    static char copy[4096];
    char *argv[ARGUMENTS_MAX + 2] = {"sotto"}, *rest = NULL;
    int argc = 1;
    FILE *errors = fmemopen(said, sizeof(said), "w");
    int rc;

    snprintf(copy, sizeof(copy), "%s", line);
    for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        assert_true(argc <= ARGUMENTS_MAX);
        argv[argc++] = word;
    }
    memset(said, 0, sizeof(said));
    rc = options_parse(&options, argc, argv, errors);
    fclose(errors);
    return rc;
}

static void test_actions(void **state)
{
    static const struct {
        const char *line;
        enum options_action action;
    } cases[] = {
        {"", OPTIONS_RUN},
        {"-v", OPTIONS_RUN},
        {"-t", OPTIONS_CHECK_CONFIG},
        {"--check-config", OPTIONS_CHECK_CONFIG},
        {"-vt", OPTIONS_CHECK_CONFIG},
        {"--schema", OPTIONS_SCHEMA},
        {"-V", OPTIONS_VERSION},
        {"--version", OPTIONS_VERSION},
        {"-h", OPTIONS_HELP},
        {"--help", OPTIONS_HELP},
        {"-l 127.0.0.1 --help", OPTIONS_HELP},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(parse(cases[i].line), E_OK);
        assert_int_equal(options.action, cases[i].action);
        assert_string_equal(said, "");
    }
}

static void test_values(void **state)
{
    unsetenv("SOTTO_CONFIG");
    assert_int_equal(parse(""), E_OK);
    assert_null(options.config_file);
    assert_null(options.ca_file);
    assert_null(options.workers);
    assert_int_equal(options.verbose, 0);

    assert_int_equal(parse("-c a.yaml -l ::1 --listen=* -u quad9 --upstream google --ca-file b.pem "
                           "--workers 3 -vv --verbose"),
                     E_OK);
    assert_string_equal(options.config_file, "a.yaml");
    assert_int_equal(options.listen_count, 2);
    assert_string_equal(options.listen[0], "::1");
    assert_string_equal(options.listen[1], "*");
    assert_int_equal(options.upstream_count, 2);
    assert_string_equal(options.upstreams[0], "quad9");
    assert_string_equal(options.upstreams[1], "google");
    assert_string_equal(options.ca_file, "b.pem");
    assert_string_equal(options.workers, "3");
    assert_int_equal(options.verbose, 3);
}

static void test_file_from_the_environment(void **state)
{
    setenv("SOTTO_CONFIG", "env.yaml", 1);
    assert_int_equal(parse(""), E_OK);
    assert_string_equal(options.config_file, "env.yaml");
    assert_int_equal(parse("-c a.yaml"), E_OK);
    assert_string_equal(options.config_file, "a.yaml");
    setenv("SOTTO_CONFIG", "", 1);
    assert_int_equal(parse(""), E_OK);
    assert_null(options.config_file);
    unsetenv("SOTTO_CONFIG");
}

static void test_bad_usage(void **state)
{
    static const char *const cases[][2] = {
        {"-x", "unknown option -x"},
        {"-vx", "unknown option -x"},
        {"-xv", "unknown option -x"},
        {"--foo", "unknown option --foo"},
        {"--foo=bar", "unknown option --foo=bar"},
        {"--ver", "unknown option --ver"}, // --version or --verbose
        {"--version=3", "no argument is taken by --version=3"},
        {"--schema=3", "no argument is taken by --schema=3"},
        {"-c", "an argument is missing after -c"},
        {"-vc", "an argument is missing after -c"},
        {"--config", "an argument is missing after --config"},
        {"--workers", "an argument is missing after --workers"},
        {"-t a.yaml", "unexpected argument: a.yaml"},
        {"127.0.0.1 -v", "unexpected argument: 127.0.0.1"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char expected[256];

        if (parse(cases[i][0]) != E_INVALID)
            fail_msg("accepted: %s", cases[i][0]);
        snprintf(expected, sizeof(expected), "sotto: %s\nTry 'sotto --help'.\n", cases[i][1]);
        assert_string_equal(said, expected);
    }
}

static void test_too_many(void **state)
{
    char *argv[2 * LISTENER_ADDRESSES_MAX + 4] = {"sotto"};
    int argc = 1;

    for (int i = 0; i < LISTENER_ADDRESSES_MAX + 1; i++) {
        argv[argc++] = "-l";
        argv[argc++] = "::1";
    }
    FILE *errors = fmemopen(said, sizeof(said), "w");

    assert_int_equal(options_parse(&options, argc - 2, argv, errors), E_OK);
    assert_int_equal(options_parse(&options, argc, argv, errors), E_INVALID);
    fclose(errors);
    assert_string_equal(said, "sotto: too many times --listen\nTry 'sotto --help'.\n");
}

static void test_help_names_every_option(void **state)
{
    static const char *const names[] = {
        "-c, --config FILE",  "-l, --listen ADDRESS", "-u, --upstream UPSTREAM",
        "    --allow PREFIX", "    --ca-file FILE",   "    --control-socket PATH\n",
        "    --workers N",    "-v, --verbose",        "-t, --check-config",
        "    --schema",       "-V, --version",        "-h, --help"};
    char *text = NULL;
    size_t size, width = 0;
    FILE *out = open_memstream(&text, &size);

    options_print_help(out);
    fclose(out);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        assert_non_null(strstr(text, names[i]));
    assert_non_null(strstr(text, "SOTTO_CONFIG"));
    for (const char *at = text; *at; at++) {
        width = *at == '\n' ? 0 : width + 1;
        assert_in_range(width, 0, 80);
    }
    free(text);
}

// A file, options, and a part of what is then in force (or the error).
static const char file[] = "listen: ['127.0.0.1:5300', '127.0.0.2:5300']\n"
                           "clients: {allow: [192.0.2.0/24, '2001:db8::/32']}\n"
                           "workers: 2\n"
                           "upstream:\n"
                           "  servers:\n"
                           "    - quad9\n"
                           "    - {url: google, ca-file: /dev/zero, idle-timeout: 9s}\n"
                           "log: {level: warning}\n";

static const struct {
    const char *line, *in_force;
} overrides[] = {
    {"", "listen:\n  - dns://127.0.0.1:5300\n  - dns://127.0.0.2:5300\nclients:\n"},
    {"", "\nworkers: 2\n"},
    {"", "    - url: quad9\n      ca-file: \"\"\n"},
    {"", "    - url: google\n      ca-file: /dev/zero\n"},
    {"-l ::1", "listen:\n  - \"dns://[::1]:53\"\nclients:\n"},
    {"-l ::1 -l udp://*:54", "listen:\n  - \"dns://[::1]:53\"\n  - \"udp://[::]:54\"\nclients:\n"},
    {"-u mullvad",
     "  servers:\n    - url: mullvad\n      ca-file: \"\"\n      pin-sha256: []\n      profile: "
     "strict\n      max-connections: 8\n      idle-timeout: 1m\n  bootstrap:\n"},
    {"-u mullvad --ca-file /dev/null", "    - url: mullvad\n      ca-file: /dev/null\n"},
    {"--ca-file /dev/null", "    - url: quad9\n      ca-file: /dev/null\n"},
    {"--ca-file /dev/null", "    - url: google\n      ca-file: /dev/zero\n"},
    {"--ca-file /dev/null", "  bootstrap:\n    - url: cloudflare\n      ca-file: \"\"\n"},
    {"",
     "clients:\n  allow:\n    - \"192.0.2.0/24\"\n    - \"2001:db8::/32\"\n  refuse: refused\n"},
    {"--allow any", "clients:\n  allow:\n    - any\n  refuse: refused\n"},
    {"--allow private --allow=203.0.113.0/24",
     "clients:\n  allow:\n    - private\n    - \"203.0.113.0/24\"\n  refuse: refused\n"},
    {"--allow lan", "--allow \"lan\": expected private, any, or a prefix such as"},
    {"--allow 10.1.0.0/8", "--allow \"10.1.0.0/8\": bits are set behind the prefix"},
    {"--workers 5", "\nworkers: 5\n"},
    {"--workers auto", "\nworkers: auto\n"},
    {"--control-socket /run/a.sock", "control:\n  socket: /run/a.sock\n"},
    {"--control-socket none", "  socket: none\n"},
    {"--control-socket auto", "  socket: auto\n"},
    {"--control-socket a.sock", "--control-socket \"a.sock\": expected auto, none, or an absolute"},
    {"-v", "  level: info\n"},
    {"-vv", "  level: debug\n"},
    {"-vvvvvvvvv", "  level: debug\n"},
    {"-l here", "--listen \"here\": no IP address with or without a port; write dns://"},
    {"-u https://a.b", "--upstream \"https://a.b\": DNS over HTTPS is not supported upstream"},
    {"--workers 0", "--workers \"0\": expected a number from 1 to 256, or auto"},
    {"--ca-file /no/such.pem",
     "upstream \"quad9\": cannot read the CA file \"/no/such.pem\": No such file"},
    {"-l ::1 -l [::1]:53", "listen: dns://[::1]:53 is there twice"},
};

static void test_options_over_file(void **state)
{
    static struct config config;
    char path[] = "/tmp/sotto-test-options-XXXXXX";
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, file, sizeof(file) - 1), sizeof(file) - 1);
    close(fd);
    setenv("SOTTO_CONFIG", path, 1);
    for (size_t i = 0; i < ARRAY_LEN(overrides); i++) {
        struct config_error error;
        char *text;

        assert_int_equal(parse(overrides[i].line), E_OK);
        if (options_load_config(&options, &config, &error) == E_OK)
            text = config_text(&config);
        else
            text = strdup(error.text);
        if (!strstr(text, overrides[i].in_force))
            fail_msg("%s: %s", overrides[i].line, text);
        free(text);
    }
    unsetenv("SOTTO_CONFIG");
    unlink(path);
}

static void test_without_a_file(void **state)
{
    static struct config config, defaults;
    struct config_error error;

    config_defaults(&defaults);
    assert_int_equal(parse(""), E_OK);
    assert_int_equal(options_load_config(&options, &config, &error), E_OK);
    assert_config_equal(&config, &defaults);

    assert_int_equal(parse("-c /no/such.yaml"), E_OK);
    assert_int_equal(options_load_config(&options, &config, &error), E_INVALID);
    assert_string_equal(error.text,
                        "/no/such.yaml: cannot read the configuration: No such file or directory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_actions),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_file_from_the_environment),
        cmocka_unit_test(test_bad_usage),
        cmocka_unit_test(test_too_many),
        cmocka_unit_test(test_help_names_every_option),
        cmocka_unit_test(test_options_over_file),
        cmocka_unit_test(test_without_a_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
