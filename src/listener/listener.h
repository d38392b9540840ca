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

// Begins to listen on sockets bound to `address`: a UDP socket and a listening TCP socket, either
// of them -1 for none. They belong to the listener from now on, also on failure (E_NOMEM,
// E_SYSTEM). With `tls` (referenced) clients over TCP must speak TLS.
NODISCARD int listener_add(struct listener *listener, const struct address *address, int udp,
                           int tcp, struct tls_server *tls);

// Who must send PROXY headers to what was added with this address, over these transports; nobody
// before it is called. Copied. Connections of peers for whom that changes are heard no more, and
// close when nothing is in flight.
NONNULL void listener_set_proxies(struct listener *listener, const struct address *address,
                                  uint32_t transports, const struct listener_proxies *proxies);

// Stops listening on the address, over these transports (enum listener_transports). Queries that
// came in by it are still answered; its TCP connections are closed when they are idle.
NONNULL void listener_remove(struct listener *listener, const struct address *address,
                             uint32_t transports);

// For a reload.
NONNULL void listener_configure(struct listener *listener, const struct listener_limits *limits);

// Connections of clients, plain and encrypted.
NONNULL uint32_t listener_client_count(const struct listener *listener);

// Takes in no more queries and connections; answers still go out.
NONNULL void listener_pause(struct listener *listener);

// Closes all sockets and connections. No query may be in flight.
NONNULL void listener_stop(struct listener *listener);

// After listener_stop(), and when the loop has no more handles.
void listener_free(struct listener *listener);
