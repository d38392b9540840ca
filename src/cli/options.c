#include "cli/options.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "cli/subcommands.h"

// Options without a short form have a code beyond all characters.
enum {
    CODE_ALLOW = 256,
    CODE_CA_FILE,
    CODE_CACHE_SIZE,
    CODE_CERT,
    CODE_CONTROL_SOCKET,
    CODE_QUERY_LOG,
    CODE_KEY,
    CODE_WORKERS,
    CODE_SCHEMA,
};

// The one table of options: what getopt wants and what --help says. A line of --help is 79 wide.
static const struct {
    int code; // the short form, or one of the above
    const char *name;
    const char *argument; // NULL: takes none
    const char *help;
} table[] = {
    {'c', "config", "FILE",
     "read the configuration from FILE, in YAML; else from\n"
     "what the environment variable SOTTO_CONFIG names;\n"
     "with neither, no file is read"},
    {'l', "listen", "ADDRESS",
     "listen on ADDRESS, such as 127.0.0.1:5300,\n"
     "udp://[::1]:53, tls://192.0.2.1 or\n"
     "https://192.0.2.1/dns-query; may be repeated;\n"
     "replaces the file's"},
    {'u', "upstream", "UPSTREAM",
     "forward to UPSTREAM, such as quad9,\n"
     "tls://1.1.1.1#cloudflare-dns.com or tls://NAME; may\n"
     "be repeated; replaces the file's servers"},
    {CODE_ALLOW, "allow", "PREFIX",
     "answer clients in PREFIX, such as 192.168.0.0/16;\n"
     "any: all; may be repeated; replaces the file's"},
    {CODE_CA_FILE, "ca-file", "FILE",
     "trust the certificate authorities in FILE, in PEM,\n"
     "for the upstreams that the file gives none for"},
    {CODE_CERT, "cert", "FILE",
     "show clients over tls:// and https:// the\n"
     "certificate in FILE, in PEM; may be repeated;\n"
     "replaces those under tls"},
    {CODE_KEY, "key", "FILE",
     "the private key of the certificate, unless it is in\n"
     "the same file; one for each --cert, in their order"},
    {CODE_CACHE_SIZE, "cache-size", "SIZE",
     "keep answers in so much memory, such as 64MiB;\n"
     "0: keep none"},
    {CODE_CONTROL_SOCKET, "control-socket", "PATH",
     "answer `sotto status` and `sotto flush` there; none;\n"
     "auto: at a place where they look"},
    {CODE_QUERY_LOG, "query-log", "URL",
     "write down each query at URL, such as\n"
     "sqlite:///var/lib/sotto/queries.db, dnstap:///PATH,\n"
     "postgresql://USER@HOST/DB or json:-; may be\n"
     "repeated; replaces the file's"},
    {CODE_WORKERS, "workers", "N", "use N worker threads; auto: one for each CPU"},
    {'v', "verbose", NULL, "log more; may be repeated"},
    {'t', "check-config", NULL,
     "check the configuration, print it with every default\n"
     "as YAML, and end"},
    {CODE_SCHEMA, "schema", NULL, "print the JSON Schema of the file, and end"},
    {'V', "version", NULL, "print the version, and end"},
    {'h', "help", NULL, "print this help, and end"},
};

#define COUNT ARRAY_LEN(table)

// The columns of --help for the options themselves.
#define HELP_LEFT 24

static void make_getopt(char short_options[2 * COUNT + 2], struct option long_options[COUNT + 1])
{
    char *at = short_options;

    *at++ = ':'; // tell a missing argument from an unknown option
    for (size_t i = 0; i < COUNT; i++) {
        long_options[i] = (struct option){
            .name = table[i].name,
            .has_arg = table[i].argument ? required_argument : no_argument,
            .val = table[i].code,
        };
        if (table[i].code < CODE_ALLOW) {
            *at++ = (char)table[i].code;
            if (table[i].argument)
                *at++ = ':';
        }
    }
    *at = '\0';
    long_options[COUNT] = (struct option){NULL, 0, NULL, 0};
}

static int fail(FILE *errors, const char *what, const char *which)
{
    fprintf(errors, "sotto: %s%s\nTry 'sotto --help'.\n", what, which);
    return E_INVALID;
}

// Whether what getopt looked at last is a long option.
static bool is_long(char **argv)
{
    return strncmp(argv[optind - 1], "--", 2) == 0;
}

// The option that getopt stumbled over, as the user wrote it, but for a short one among several.
static int fail_option(FILE *errors, const char *what, char **argv)
{
    char short_form[3] = {'-', (char)optopt, '\0'};

    return fail(errors, what, is_long(argv) ? argv[optind - 1] : short_form);
}

static int add(FILE *errors, const char **list, uint32_t *count, uint32_t max, const char *option)
{
    if (*count == max)
        return fail(errors, "too many times ", option);
    list[(*count)++] = optarg;
    return E_OK;
}

static int take(struct options *options, int code, char **argv, FILE *errors)
{
    switch (code) {
    case 'c':
        options->config_file = optarg;
        return E_OK;
    case 'l':
        return add(errors, options->listen, &options->listen_count, LISTENER_ADDRESSES_MAX,
                   "--listen");
    case 'u':
        return add(errors, options->upstreams, &options->upstream_count, UPSTREAM_SERVERS_MAX,
                   "--upstream");
    case CODE_CERT:
        return add(errors, options->certs, &options->cert_count, TLS_CERTIFICATES_MAX, "--cert");
    case CODE_KEY:
        return add(errors, options->keys, &options->key_count, TLS_CERTIFICATES_MAX, "--key");
    case CODE_ALLOW:
        return add(errors, options->allow, &options->allow_count, POLICY_PREFIXES_MAX, "--allow");
    case CODE_CA_FILE:
        options->ca_file = optarg;
        return E_OK;
    case CODE_CACHE_SIZE:
        options->cache_size = optarg;
        return E_OK;
    case CODE_CONTROL_SOCKET:
        options->control_socket = optarg;
        return E_OK;
    case CODE_QUERY_LOG:
        return add(errors, options->query_logs, &options->query_log_count, QUERYLOG_SINKS_MAX,
                   "--query-log");
    case CODE_WORKERS:
        options->workers = optarg;
        return E_OK;
    case 'v':
        options->verbose++;
        return E_OK;
    case 't':
        options->action = OPTIONS_CHECK_CONFIG;
        return E_OK;
    case CODE_SCHEMA:
        options->action = OPTIONS_SCHEMA;
        return E_OK;
    case 'V':
        options->action = OPTIONS_VERSION;
        return E_OK;
    case 'h':
        options->action = OPTIONS_HELP;
        return E_OK;
    case ':':
        return fail_option(errors, "an argument is missing after ", argv);
    default: // getopt tells the code of a long option that it knows: the argument is too much
        return fail_option(
            errors, is_long(argv) && optopt ? "no argument is taken by " : "unknown option ", argv);
    }
}

int options_parse(struct options *options, int argc, char **argv, FILE *errors)
{
    char short_options[2 * COUNT + 2];
    struct option long_options[COUNT + 1];
    const char *file = getenv("SOTTO_CONFIG");
    int code;

    memset(options, 0, sizeof(*options));
    if (file && *file)
        options->config_file = file;
    make_getopt(short_options, long_options);
    optind = 0; // glibc: start afresh
    opterr = 0;
    while ((code = getopt_long(argc, argv, short_options, long_options, NULL)) != -1) {
        if (take(options, code, argv, errors) != E_OK)
            return E_INVALID;
    }
    if (optind < argc)
        return fail(errors, "unexpected argument: ", argv[optind]);
    if (options->key_count > options->cert_count)
        return fail(errors, "no --cert is given for --key ", options->keys[options->cert_count]);
    return E_OK;
}

void options_print_help(FILE *out)
{
    fputs("Usage: sotto [OPTION]...\n", out);
    subcommands_print_usage(out);
    fputs("\nTakes plain DNS and forwards it over verified DNS over TLS. Without options it\n"
          "listens on port 53 of 127.0.0.1 and [::1] and forwards to Cloudflare.\n\n",
          out);
    for (size_t i = 0; i < COUNT; i++) {
        char left[32];

        if (table[i].code < CODE_ALLOW)
            snprintf(left, sizeof(left), "-%c, --%s %s", table[i].code, table[i].name,
                     table[i].argument ? table[i].argument : "");
        else
            snprintf(left, sizeof(left), "    --%s %s", table[i].name,
                     table[i].argument ? table[i].argument : "");
        if (strlen(left) > HELP_LEFT) { // on a line of its own
            fprintf(out, "  %s\n", left);
            *left = '\0';
        }
        for (const char *line = table[i].help; line;) {
            const char *end = strchrnul(line, '\n');

            fprintf(out, "  %-*s %.*s\n", HELP_LEFT, line == table[i].help ? left : "",
                    (int)(end - line), line);
            line = *end ? end + 1 : NULL;
        }
    }
    fputs("\nOptions override the file. TERM and INT end the program, HUP reloads the file.\n"
          "Exit codes: 0; 1 after a failure; 2 if an option or the file is wrong.\n",
          out);
}

// Puts the option before what is wrong with its value.
static int fail_value(const char *option, struct config_error *error)
{
    struct config_error what = *error;

    snprintf(error->text, sizeof(error->text), "%s %.*s", option,
             (int)(sizeof(error->text) - strlen(option) - 2), what.text);
    return E_INVALID;
}

static int override_certificates(const struct options *options, struct config *config,
                                 struct config_error *error)
{
    if (options->cert_count > 0)
        config_clear_certificates(config);
    for (uint32_t i = 0; i < options->cert_count; i++) {
        const char *key = i < options->key_count ? options->keys[i] : "";

        if (config_add_certificate(config, options->certs[i], key, error) != E_OK)
            return fail_value("--cert", error);
    }
    return E_OK;
}

static int override(const struct options *options, struct config *config,
                    struct config_error *error)
{
    if (options->listen_count > 0)
        config_clear_listeners(config);
    for (uint32_t i = 0; i < options->listen_count; i++) {
        if (config_add_listener(config, options->listen[i], error) != E_OK)
            return fail_value("--listen", error);
    }
    if (override_certificates(options, config, error) != E_OK)
        return E_INVALID;
    if (options->upstream_count > 0) {
        memset(config->upstream.servers, 0, sizeof(config->upstream.servers));
        config->upstream.server_count = 0;
    }
    for (uint32_t i = 0; i < options->upstream_count; i++) {
        if (config_add_upstream(config, options->upstreams[i], error) != E_OK)
            return fail_value("--upstream", error);
    }
    if (options->allow_count > 0) {
        memset(config->engine.policy.allow, 0, sizeof(config->engine.policy.allow));
        config->engine.policy.allow_count = 0;
    }
    for (uint32_t i = 0; i < options->allow_count; i++) {
        if (config_add_allowed(config, options->allow[i], error) != E_OK)
            return fail_value("--allow", error);
    }
    if (options->query_log_count > 0) {
        memset(config->querylog.sinks, 0, sizeof(config->querylog.sinks));
        config->querylog.sink_count = 0;
    }
    for (uint32_t i = 0; i < options->query_log_count; i++) {
        if (config_add_sink(config, options->query_logs[i], error) != E_OK)
            return fail_value("--query-log", error);
    }
    if (options->ca_file && config_set_ca_file(config, options->ca_file, error) != E_OK)
        return fail_value("--ca-file", error);
    if (options->cache_size && config_set_cache_size(config, options->cache_size, error) != E_OK)
        return fail_value("--cache-size", error);
    if (options->control_socket &&
        config_set_control_socket(config, options->control_socket, error) != E_OK)
        return fail_value("--control-socket", error);
    if (options->workers && config_set_workers(config, options->workers, error) != E_OK)
        return fail_value("--workers", error);
    for (unsigned i = 0; i < options->verbose && config->log.level < LOG_DEBUG; i++)
        config->log.level++;
    return E_OK;
}

int options_load_config(const struct options *options, struct config *config,
                        struct config_error *error)
{
    config_defaults(config);
    if (options->config_file && config_load_file(config, options->config_file, error) != E_OK)
        return E_INVALID;
    if (override(options, config, error) != E_OK)
        return E_INVALID;
    return config_check(config, error);
}
