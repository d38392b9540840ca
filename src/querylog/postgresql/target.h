// Which PostgreSQL server a URL means, as whom, and how safe the way there is:
//
//   postgresql://USER@HOST:PORT/DATABASE?sslmode=verify-full&sslrootcert=FILE
//
// and all else that libpq knows (its manual, section 34.1.1.2), but for passwords: a URL is seen in
// process lists and logs, so they are in a file of their own.
#pragma once

#include <libpq-fe.h>
#include <stdbool.h>

#include "base/compiler.h"
#include "querylog/options.h"

#define POSTGRESQL_REASON_SIZE 320

struct postgresql_target {
    PQconninfoOption *options;     // of the URL; those that it does not name have no value
    char shown[QUERYLOG_URL_SIZE]; // for logs: user, hosts and database
    char password_file[QUERYLOG_PATH_SIZE];
    char password[256]; // as the file said when it last could be read; "": none
};

// Reads URL and password file. E_INVALID or E_SYSTEM with the reason in words. After either, too,
// postgresql_target_deinit() may be called.
NONNULL NODISCARD int postgresql_target_init(struct postgresql_target *target,
                                             const struct querylog_sink_options *options,
                                             char reason[POSTGRESQL_REASON_SIZE]);
NONNULL void postgresql_target_deinit(struct postgresql_target *target);

// Reads the password file again. What was there before stays if that is no longer possible: after
// privileges were given up it may not be.
NONNULL void postgresql_target_refresh(struct postgresql_target *target);

// Whether somebody between us and the server could read and change what is sent: it is not on this
// machine, and nobody looks who it is.
NONNULL bool postgresql_target_exposed(const struct postgresql_target *target);

// What the URL says, and beyond it what any connection of ours has: time-outs, so that a server
// that is gone is noticed; no Kerberos, which asks servers of its own first.
struct postgresql_parameters {
    const char *keywords[64], *values[64]; // up to a NULL
};

// The strings are those of the target. `writes`: of several hosts, only one that can be written to
// will do.
NONNULL void postgresql_target_parameters(const struct postgresql_target *target, bool writes,
                                          struct postgresql_parameters *parameters);
