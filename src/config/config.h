// The configuration: a YAML file loaded through one schema table into the option structs that the
// components declare, checked, and printed again.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "admin/options.h"
#include "base/compiler.h"
#include "base/log.h"
#include "engine/options.h"
#include "listener/options.h"
#include "querylog/options.h"
#include "upstream/options.h"

#define CONFIG_USER_SIZE 64
#define CONFIG_WORKERS_MAX 256

// Plain values: a snapshot is a copy, and as unused octets are zero, two are equal if memcmp() says
// so. Large (about 3 MB, most of it never touched): keep it off the stack, and take it from
// calloc().
struct config {
    bool filled; // it has been in use
    struct listener_options listener;
    struct upstream_options upstream;
    struct engine_options engine;
    struct log_options log;
    struct control_options control;
    struct querylog_options querylog;
    uint32_t workers;            // 0: one for each CPU that we may use
    char user[CONFIG_USER_SIZE]; // to become after binding, when started as root
};

// What is wrong, as shown to the user: "FILE:LINE:COLUMN: …, expected …; did you mean …?"
struct config_error {
    char text[1024];
};

// Every default, servers and listeners included (Cloudflare; 127.0.0.1:53 and [::1]:53). `config`
// must be zero, or have been used before.
NONNULL void config_defaults(struct config *config);

// Files larger than this are refused.
#define CONFIG_FILE_MAX ((size_t)1024 * 1024)

// Sets everything that the file names; what it doesn't name keeps its value, but a list in the file
// replaces the whole list. E_INVALID (with the error) if the file cannot be read or is wrong; the
// configuration is then undefined.
NONNULL NODISCARD int config_load_file(struct config *config, const char *path,
                                       struct config_error *error);

// The same from memory; `name` stands for the file's name in errors.
NONNULL NODISCARD int config_load_text(struct config *config, const char *text, size_t size,
                                       const char *name, struct config_error *error);

// One setting as on the command line, by the rules of the file. E_INVALID with the error, which
// begins with the value; the configuration is then undefined.

// Adds an upstream with default settings, as -u does; empty upstream.server_count first to replace
// those that are there.
NONNULL NODISCARD int config_add_upstream(struct config *config, const char *url,
                                          struct config_error *error);

// Adds a listener, as -l does.
NONNULL NODISCARD int config_add_listener(struct config *config, const char *url,
                                          struct config_error *error);

// Leaves none of those that are there.
NONNULL void config_clear_listeners(struct config *config);

// The same with tls.certificates, as --cert and --key do; a key of "" is in the same file.
NONNULL NODISCARD int config_add_certificate(struct config *config, const char *cert,
                                             const char *key, struct config_error *error);
NONNULL void config_clear_certificates(struct config *config);
// Allows one more prefix of clients, as --allow does; empty engine.policy.allow_count first to
// replace those that are there.
NONNULL NODISCARD int config_add_allowed(struct config *config, const char *prefix,
                                         struct config_error *error);

// Adds a sink of the query log, as --query-log does; empty querylog.sink_count first to replace
// those that are there.
NONNULL NODISCARD int config_add_sink(struct config *config, const char *url,
                                      struct config_error *error);

// Sets the authorities of each upstream that has none of its own.
NONNULL NODISCARD int config_set_ca_file(struct config *config, const char *path,
                                         struct config_error *error);

// A number or "auto".
NONNULL NODISCARD int config_set_workers(struct config *config, const char *text,
                                         struct config_error *error);

// As control.socket.
NONNULL NODISCARD int config_set_control_socket(struct config *config, const char *text,
                                                struct config_error *error);

// As cache.size.
NONNULL NODISCARD int config_set_cache_size(struct config *config, const char *text,
                                            struct config_error *error);

// What can only be said of the whole: the cache's settings agree; there is a listener and a server;
// no listen address stands there twice, and none has keys
// that mean nothing there; bootstrap servers are given by address, and there is one if
// a server is given by name; CA files and the cookies' secrets can be read; encrypted listeners
// have certificates with their keys. E_INVALID with the error.
NONNULL NODISCARD int config_check(const struct config *config, struct config_error *error);

// Prints the whole effective configuration as YAML that loads to the same.
NONNULL void config_print(const struct config *config, FILE *out);

// Prints the JSON Schema (draft 2020-12) of the file, for editors; made from the same table.
NONNULL void config_print_schema(FILE *out);
