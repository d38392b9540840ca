// The life of a query: from a listener's message to the one answer that goes back.
//
// All transports enter by engine_query(). Each query is answered exactly once, by its client's
// `answer`, with a message or with silence. On the way:
//
//   message ─► client ──► well formed? ─► permitted? ─► local? ──► cached? ─► upstreams ─► reply
//              allowed?     FORMERR         NOTIMP,       names      fresh      one query for
//              REFUSED or   BADVERS         REFUSED       that never answer     all who ask
//              silence                                    leave                 the same
//
// One engine belongs to one worker, which is its host. It does no I/O and reads no clock. The
// cache, and the table of what is being asked, are shared by all workers' engines.
//
// Glossary
//   client   who asked: where the answer goes, and what it can take
//   query    a client's question while it is being answered
//   flight   a question while upstreams are being asked, for all queries that wait for it
//   (flight.h)
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/compiler.h"
#include "base/task.h"
#include "base/wheel.h"
#include "cache/cache.h"
#include "engine/options.h"
#include "engine/upstream.h"
#include "metrics/counters.h"
#include "policy/rules.h"
#include "querylog/ring.h"

enum engine_transport { ENGINE_UDP, ENGINE_TCP, ENGINE_TLS, ENGINE_HTTP };

struct engine;
struct engine_client;

struct engine_client_ops {
    // The answer, valid during the call; NULL and 0 for silence. Exactly once for each query,
    // perhaps before engine_query() returns.
    void (*answer)(const struct engine_client *client, const uint8_t *message, size_t size);
};

// Copied by the engine.
struct engine_client {
    const struct engine_client_ops *ops;
    void *owner; // the listener's socket or connection
    enum engine_transport transport;
    uint16_t udp_max_size; // the most that the listener sends over UDP
    uint16_t keepalive;    // TCP, TLS: our idle time-out, in units of 100 ms (RFC 7828)
    struct address source; // who asks: whom all rules are about
    struct address peer;   // where the answer goes: the same, or the proxy that says who asks
    struct address local;  // the address that was asked, or AF_UNSPEC if there is only one
};

// What the engine needs of the worker that it runs in; all but `post` in its own thread.
struct engine_host_ops {
    usec_t (*now)(void *host);            // the time of this turn
    usec_t (*clock)(void *host);          // and of this moment
    uint32_t (*wall_seconds)(void *host); // the turn's by the wall clock
    void (*arm)(void *host, struct wheel_timer *timer, usec_t due);
    void (*disarm)(void *host, struct wheel_timer *timer);
    void (*at_turn_end)(void *host, struct task *task);
    void (*post)(void *host, struct task *task); // any thread: runs it in the worker's
};

// All pointers must outlive the engine, but for the options, which are copied.
struct engine_setup {
    const struct engine_options *options;
    struct cache *cache;
    const struct engine_host_ops *host_ops;
    void *host;
    const struct upstream_ops *upstream_ops;
    void *upstreams;
    struct counters *counters;
    struct querylog_ring *querylog; // where queries are written down; NULL: nowhere
};

// NULL out of memory. The thread that runs it must be a reader of the cache (cache/reader.h).
NONNULL NODISCARD struct engine *engine_new(const struct engine_setup *setup);

// No query may be in flight, and all that upstreams were asked must have ended.
void engine_free(struct engine *engine);

// For a reload: queries that come from now on are answered by these.
NONNULL void engine_configure(struct engine *engine, const struct engine_options *options);

// Takes a message from a client, who is judged by the listener's own rules, or by those of the
// engine's options (NULL). Bytes and rules are the caller's again afterwards.
void engine_query(struct engine *engine, const struct policy_rules *rules,
                  const struct engine_client *client, const uint8_t *message, size_t size);

// Queries that have not been answered yet.
NONNULL unsigned engine_in_flight(const struct engine *engine);

// Whether no query is in flight and no other worker owes us an answer.
NONNULL bool engine_is_idle(const struct engine *engine);

// `drained` is called once, when the engine is idle (perhaps at once): for the end.
NONNULL void engine_drain(struct engine *engine, void (*drained)(void *context), void *context);
