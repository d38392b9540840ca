// The command line, and what it does to the configuration.
#pragma once

#include <stdio.h>

#include "base/compiler.h"
#include "config/config.h"

// What was asked for.
enum options_action {
    OPTIONS_RUN,
    OPTIONS_CHECK_CONFIG, // check, print the effective configuration
    OPTIONS_SCHEMA,       // print the JSON Schema
    OPTIONS_VERSION,
    OPTIONS_HELP,
};

// All texts belong to the command line or the environment.
struct options {
    enum options_action action;
    const char *config_file;    // NULL: none is read
    const char *ca_file;        // NULL: not given
    const char *cache_size;     // NULL: not given
    const char *control_socket; // NULL: not given
    const char *workers;        // NULL: not given
    unsigned verbose;           // how often
    uint32_t listen_count;
    const char *listen[LISTENER_ADDRESSES_MAX];
    uint32_t cert_count, key_count; // the first key is that of the first certificate, and so on
    const char *certs[TLS_CERTIFICATES_MAX];
    const char *keys[TLS_CERTIFICATES_MAX];
    uint32_t upstream_count;
    const char *upstreams[UPSTREAM_SERVERS_MAX];
    uint32_t query_log_count;
    const char *query_logs[QUERYLOG_SINKS_MAX];
    uint32_t allow_count;
    const char *allow[POLICY_PREFIXES_MAX];
};

// Reads the command line and SOTTO_CONFIG. The values are checked only by options_load_config().
// E_INVALID after having said on `errors` what is wrong: the program should then end with code 2.
// Main thread only (getopt).
NONNULL NODISCARD int options_parse(struct options *options, int argc, char **argv, FILE *errors);

// The text of --help.
NONNULL void options_print_help(FILE *out);

// The whole way to a configuration: defaults, the file if there is one, the options on top, the
// check. May be called again, for a reload. E_INVALID with the error; the configuration is then
// undefined.
NONNULL NODISCARD int options_load_config(const struct options *options, struct config *config,
                                          struct config_error *error);
