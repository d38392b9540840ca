// A query while it is being answered, and the replies to it. Included by src/engine/ only.
#pragma once

#include "base/slab.h"
#include "cache/negative_limit.h"
#include "engine/engine.h"
#include "policy/cookie.h"
#include "policy/limit.h"
#include "policy/local.h"
#include "policy/share.h"

#define ENGINE_FLIGHT_BUCKETS 1024

struct engine {
    struct engine_options options;
    struct policy_rules rules; // of listeners that have none of their own
    struct cache *cache;
    const struct engine_host_ops *host_ops;
    void *host;
    const struct upstream_ops *upstream_ops;
    void *upstreams;
    struct counters *counters;
    struct querylog_ring *querylog;

    bool reading; // online as a reader of the cache, until the turn's end
    struct task stop_reading;
    struct cache_negative_limit negative_limit;
    struct policy_limit limit;

    struct slab queries;
    unsigned in_flight;
    struct slab flights;
    struct policy_share waiting; // queries that wait for a flight
    struct policy_share asking;  // flights, by the client that caused them
    struct list flight_buckets[ENGINE_FLIGHT_BUCKETS];
    struct list late; // queries that are to ask again
    struct task ask_late;
    unsigned following; // flights whose answer another worker owes

    void (*drained)(void *context);
    void *drained_context;
    uint8_t reply[DNS_MESSAGE_MAX]; // where replies are built
};

struct query {
    struct engine *engine;
    struct engine_client client;
    // While it waits for a flight:
    struct flight *flight;
    struct list node;         // among the flight's waiters
    struct wheel_timer timer; // when it stops waiting
    size_t share;             // its client's slot
    usec_t arrived;
    usec_t deadline; // USEC_NEVER: the flight's

    // For the query log:
    bool logged;
    bool joined;                    // another query had the upstreams asked
    uint8_t outcome;                // enum querylog_outcome
    uint16_t rcode;                 // of the reply
    int16_t ede;                    // or QUERYLOG_NO_EDE
    uint16_t size;                  // of the query's message
    usec_t began;                   // by the clock
    const struct upstream_via *via; // while it is answered by what upstreams said; else NULL

    uint16_t id;
    uint16_t flags;
    uint16_t udp_size; // what the client takes over UDP, clamped
    bool has_edns;
    bool dnssec_ok;
    bool padded;    // the client's query had a padding option
    bool keepalive; // and one of edns-tcp-keepalive, over TCP
    struct policy_cookie cookie;
    uint16_t question_size;
    uint8_t question[DNS_QUESTION_MAX]; // 0 octets if there was none that could be read
};

// After an answer: tells who waits for it when that was the last.
NONNULL void engine_drained_if_idle(struct engine *engine);

NONNULL static inline usec_t engine_now(const struct engine *engine)
{
    return engine->host_ops->now(engine->host);
}

// Before the cache is used: what is found in it stays until the end of the turn.
NONNULL void engine_read_cache(struct engine *engine);

// The key of a query that was read.
NONNULL void query_key(const struct query *query, struct cache_key *key);

// A query that came in `size` octets begins: whether it is to be written down. Before anything is
// answered.
NONNULL void query_record_begin(struct query *query, size_t size);
// It is answered: writes it down, if it is to be. Without a reply (silence) `size` is 0.
NONNULL void query_record(const struct query *query, const uint8_t *reply, size_t size);

// What is known of a message's sender, from the header on, even if the rest is malformed.
NONNULL void query_read(struct query *query, const struct dns_message *message);

// Each sends one reply and is the query's last.
void query_reply_empty(struct query *query, uint16_t rcode, int ede, const char *ede_text);
NONNULL void query_reply_local(struct query *query, const struct policy_answer *answer);
// From an upstream's reply; `verdict` has the bounds for its TTLs.
NONNULL void query_reply_from(struct query *query, const struct dns_message *from,
                              const struct cache_verdict *verdict);
NONNULL void query_reply_cached(struct query *query, enum cache_state state,
                                const struct cache_found *found);
NONNULL void query_reply_failed(struct query *query, const struct upstream_result *result);

// An empty reply to a query that was never in flight; `ede` may be negative, `ede_text` NULL.
void query_reply_outside(struct query *query, uint16_t rcode, int ede, const char *ede_text);
// And one that says no more than that the answer is to be had over TCP.
NONNULL void query_reply_truncated(struct query *query);
