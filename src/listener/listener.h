// The listeners of one worker: UDP sockets and TCP connections in front of its engine. Knows
// nothing of what happens to a query behind engine_query().
#pragma once

#include "base/log.h"
#include "engine/engine.h"
#include "listener/options.h"
#include "metrics/counters.h"
#include "net/loop.h"
#include "net/tls_server.h"

struct listener;

// All pointers must outlive the listener; the options are copied as far as they matter. NULL out of
// memory.
NODISCARD struct listener *listener_new(struct loop *loop, struct log *log,
                                        struct counters *counters, struct engine *engine,
                                        const struct listener_limits *limits);

// Begins to listen on sockets bound to `at->address`, for its transports: a UDP socket and a
// listening TCP socket, either of them -1 for none. They belong to the listener from now on, also
// on failure (E_NOMEM, E_SYSTEM). `tls` (referenced) is for those that are encrypted, else NULL.
NODISCARD int listener_add(struct listener *listener, const struct listener_address *at, int udp,
                           int tcp, struct tls_server *tls);

// The rules of what was added with this address, over any of these transports, and the path for
// HTTP; no rules before it is called. `policy` is what the policy there comes to (NULL: the general
// one), referenced; the rest is copied. Limits and policy hold for connections that are open too;
// connections of clients for whom the rest changes something are heard no more, and close when
// nothing is in flight.
void listener_set_rules(struct listener *listener, const struct listener_address *at,
                        const struct listener_rules *rules, struct policy_rules *policy);

// Stops listening on the address, over these transports (enum listener_transports). Queries that
// came in by it are still answered; its TCP connections are closed when they are idle.
NONNULL void listener_remove(struct listener *listener, const struct address *address,
                             uint32_t transports);

// For a reload. What is listened on has its old limits until listener_set_rules() is called for it.
NONNULL void listener_configure(struct listener *listener, const struct listener_limits *limits);

// Connections of clients, plain and encrypted.
NONNULL uint32_t listener_client_count(const struct listener *listener);

// Takes in no more queries and connections; answers still go out.
NONNULL void listener_pause(struct listener *listener);

// Closes all sockets and connections. No query may be in flight.
NONNULL void listener_stop(struct listener *listener);

// After listener_stop(), and when the loop has no more handles.
void listener_free(struct listener *listener);
