// Connecting in the background: looking up the host, TCP, TLS, authentication and the tables take
// as long as they like, in a thread of their own, and nobody waits for it. Nor is it waited for
// when it is no longer wanted: looking up a name cannot be broken off, and the one that would
// answer may be ourselves.
#pragma once

#include "base/compiler.h"
#include "base/time.h"
#include "querylog/postgresql/exchange.h"
#include "querylog/postgresql/target.h"

struct postgresql_connector;

// How it ended.
struct postgresql_connected {
    PGconn *conn;        // the receiver's; NULL: the problem tells
    bool wants_password; // and there is none
    bool used_password;  // and was turned away, perhaps for it
    struct postgresql_problem problem;
};

// Starts to connect; tables are brought up to date as well. NULL out of memory or threads. All of
// `target` is copied.
NONNULL NODISCARD struct postgresql_connector *postgresql_connector_start(
    const struct postgresql_target *target);

// Waits until it is done, for at most until `deadline`. Whether it is; then it is freed.
NONNULL NODISCARD bool postgresql_connector_wait(struct postgresql_connector *connector,
                                                 usec_t deadline,
                                                 struct postgresql_connected *connected);

// It is not wanted any more, and frees itself when it is done.
void postgresql_connector_abandon(struct postgresql_connector *connector);
