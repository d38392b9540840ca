// The life of a query: from a listener's message to the one answer that goes back.
//
// All transports enter by engine_query(). Each query is answered exactly once, by its client's
// `answer`, with a message or with silence. On the way:
//
//   message ─► well formed? ─► permitted? ─► answered locally? ─► (cache) ─► upstreams ─► reply
//                 FORMERR        NOTIMP,        names that
//                 BADVERS        REFUSED        never leave
//
// One engine belongs to one worker. It does no I/O and reads no clock.
//
// Glossary
//   client   who asked: where the answer goes, and what it can take
//   query    a client's question while it is being answered
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/compiler.h"
#include "engine/options.h"
#include "engine/upstream.h"
#include "metrics/counters.h"

enum engine_transport { ENGINE_UDP, ENGINE_TCP };

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
    uint16_t keepalive;    // TCP: our idle time-out, in units of 100 ms (RFC 7828)
    struct address peer;
    struct address local; // the address that was asked, or AF_UNSPEC if there is only one
};

// `upstreams` is passed to the functions of `ops`; both must outlive the engine. The options are
// copied. NULL out of memory.
NODISCARD struct engine *engine_new(const struct engine_options *options,
                                    const struct upstream_ops *ops, void *upstreams,
                                    struct counters *counters);

// No query may be in flight.
void engine_free(struct engine *engine);

// For a reload: queries that come from now on are answered by these.
NONNULL void engine_configure(struct engine *engine, const struct engine_options *options);

// Takes a message from a client. The bytes are the caller's again afterwards.
NONNULL void engine_query(struct engine *engine, const struct engine_client *client,
                          const uint8_t *message, size_t size);

// Queries that have not been answered yet.
NONNULL unsigned engine_in_flight(const struct engine *engine);

// `drained` is called once, when no query is in flight (perhaps at once): for the end.
NONNULL void engine_drain(struct engine *engine, void (*drained)(void *context), void *context);
