// A query while it is being answered, and the replies to it. Included by src/engine/ only.
#pragma once

#include "base/slab.h"
#include "engine/engine.h"
#include "policy/local.h"

struct engine {
    struct engine_options options;
    const struct upstream_ops *ops;
    void *upstreams;
    struct counters *counters;
    struct slab queries;
    unsigned in_flight;
    void (*drained)(void *context);
    void *drained_context;
    uint8_t reply[DNS_MESSAGE_MAX]; // where replies are built
};

struct query {
    struct engine *engine;
    struct engine_client client;
    struct upstream_request request;
    uint16_t id;
    uint16_t flags;
    uint16_t udp_size; // what the client takes over UDP, clamped
    bool has_edns;
    bool dnssec_ok;
    bool padded;    // the client's query had a padding option
    bool keepalive; // and one of edns-tcp-keepalive, over TCP
    uint16_t question_size;
    uint8_t question[DNS_QUESTION_MAX]; // 0 octets if there was none that could be read
};

// After an answer: tells who waits for it when that was the last.
NONNULL void engine_drained_if_idle(struct engine *engine);

// What is known of a message's sender, from the header on, even if the rest is malformed.
NONNULL void query_read(struct query *query, const struct dns_message *message);

// Each sends one reply and is the query's last.
void query_reply_empty(struct query *query, uint16_t rcode, int ede, const char *ede_text);
NONNULL void query_reply_local(struct query *query, const struct policy_answer *answer);
NONNULL void query_reply_from(struct query *query, const struct dns_message *from);

// The reply to a query for which there was no room: it was never in flight.
NONNULL void query_reply_overload(const struct query *query);
