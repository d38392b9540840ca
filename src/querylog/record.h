// What is written down of a query: by the worker that answered it, for others to keep or to show.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// How a query came. HTTP: DNS over HTTPS, or behind a proxy that has ended its TLS.
#define QUERYLOG_TRANSPORT_LIST(X)                                                                 \
    X(UDP, "udp")                                                                                  \
    X(TCP, "tcp")                                                                                  \
    X(TLS, "tls")                                                                                  \
    X(HTTPS, "https")

enum querylog_transport {
#define X(name, text) QUERYLOG_##name,
    QUERYLOG_TRANSPORT_LIST(X)
#undef X
        QUERYLOG_TRANSPORTS,
};

// How it ended.
#define QUERYLOG_OUTCOME_LIST(X)                                                                   \
    X(HIT, "hit")         /* from the cache, fresh */                                              \
    X(MISS, "miss")       /* upstreams were asked for it */                                        \
    X(JOINED, "joined")   /* upstreams were being asked by another query */                        \
    X(STALE, "stale")     /* from the cache, past its TTL */                                       \
    X(LOCAL, "local")     /* names that never leave, identity, cookies */                          \
    X(REFUSED, "refused") /* client not allowed, malformed, not implemented */                     \
    X(LIMITED, "limited") /* over the rate limit, or too many in flight */                         \
    X(ERROR, "error")     /* no upstream could answer */

enum querylog_outcome {
#define X(name, text) QUERYLOG_##name,
    QUERYLOG_OUTCOME_LIST(X)
#undef X
        QUERYLOG_OUTCOMES,
};

// Of `flags`. Q: of the query; R: of the reply.
enum querylog_flags {
    QUERYLOG_RD = 1,         // Q
    QUERYLOG_CD = 2,         // Q
    QUERYLOG_DO = 4,         // Q
    QUERYLOG_EDNS = 8,       // Q
    QUERYLOG_PADDED = 16,    // Q: it had a padding option
    QUERYLOG_AD = 32,        // R
    QUERYLOG_TC = 64,        // R
    QUERYLOG_SILENCE = 128,  // there was no reply
    QUERYLOG_RESUMED = 256,  // the TLS session with the upstream was a resumed one
    QUERYLOG_QUERY_AD = 512, // Q
};

#define QUERYLOG_NO_EDE (-1)

// An IP address with its port. `family` is AF_INET, AF_INET6, or AF_UNSPEC for none; IPv4 in the
// first four octets; network order.
struct querylog_address {
    uint8_t family;
    uint8_t length; // 0; or, of a client that is shown truncated, the bits that are left
    uint16_t port;
    uint8_t octets[16];
};

// Plain values. What has no fixed size lies elsewhere: see querylog_entry.
struct querylog_record {
    uint64_t time;             // when it came: microseconds since 1970 UTC
    uint32_t latency;          // until it was answered, in microseconds
    uint32_t upstream_latency; // of the upstream that answered, in microseconds; 0: none
    struct querylog_address client;
    struct querylog_address upstream; // whose answer it is
    uint16_t type;
    uint16_t class;
    uint16_t id;
    uint16_t rcode;                  // 12 bits
    int16_t ede;                     // extended error (RFC 8914), or QUERYLOG_NO_EDE
    uint16_t flags;                  // enum querylog_flags
    uint16_t query_size, reply_size; // in octets
    uint8_t transport;               // enum querylog_transport
    uint8_t outcome;                 // enum querylog_outcome
    uint8_t attempts;                // upstreams asked, one after the other or side by side
    uint8_t tls_version;             // with the upstream: 12, 13, or 0 for none
};

// A record with what belongs to it.
struct querylog_entry {
    struct querylog_record record;
    const uint8_t *name; // wire form, in the letters of the query; size 0: it could not be read
    uint16_t name_size;
    const char *upstream_url; // as configured; not terminated; size 0: none was asked
    uint16_t upstream_url_size;
    const uint8_t *reply; // the whole reply, if a sink asked for it; else size 0
    uint16_t reply_message_size;
    uint64_t client_key; // of a client that is shown keyed (record.client has no address): else 0
    uint64_t name_hash;  // of a name that is shown hashed (name_size is 0): else 0
};

// Static texts; "other" beyond the list.
const char *querylog_transport_name(unsigned transport);
const char *querylog_outcome_name(unsigned outcome);
