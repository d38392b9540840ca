// Queries and responses by what they are: counters with several dimensions. One writer, any thread
// reads, like all counters.
//
// Of dimensions that the metrics do not know by themselves (transports, outcomes) they know the
// number; the engine says which is which, and admin/prometheus.c how they are called.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "dns/tables.h"
#include "metrics/histogram.h"

#define QUERY_TRANSPORTS 4 // enum engine_transport
#define QUERY_FAMILIES 2   // IPv4, IPv6
#define QUERY_OUTCOMES 8   // enum querylog_outcome

// The types that are asked for; all others are one.
#define QUERY_TYPE_LIST(X)                                                                         \
    X(A)                                                                                           \
    X(AAAA)                                                                                        \
    X(ANY)                                                                                         \
    X(CAA)                                                                                         \
    X(CNAME)                                                                                       \
    X(DNSKEY)                                                                                      \
    X(DS)                                                                                          \
    X(HTTPS)                                                                                       \
    X(MX)                                                                                          \
    X(NAPTR)                                                                                       \
    X(NS)                                                                                          \
    X(PTR)                                                                                         \
    X(SOA)                                                                                         \
    X(SRV)                                                                                         \
    X(SSHFP)                                                                                       \
    X(SVCB)                                                                                        \
    X(TLSA)                                                                                        \
    X(TXT)

enum query_type {
    QUERY_TYPE_OTHER, // 0: what the table does not name
#define X(name) QUERY_TYPE_##name,
    QUERY_TYPE_LIST(X)
#undef X
        QUERY_TYPES,
};

// Responses are counted by the rcode's number; the last place is for all that are larger.
#define QUERY_RCODES 32

// Powers of two are found faster.
#define QUERY_TYPE_PLACES 32

struct query_counts {
    _Atomic uint64_t queries[QUERY_TRANSPORTS][QUERY_FAMILIES][QUERY_TYPE_PLACES];
    _Atomic uint64_t responses[QUERY_OUTCOMES][QUERY_RCODES];
    struct histogram hits;   // answered at once, from the cache
    struct histogram misses; // had to wait for upstreams, however it ended
};

// The same to reckon with.
struct query_sums {
    uint64_t queries[QUERY_TRANSPORTS][QUERY_FAMILIES][QUERY_TYPES];
    uint64_t responses[QUERY_OUTCOMES][QUERY_RCODES];
    struct histogram_values hits, misses;
};

// Any thread. Adds what was counted to the sums.
NONNULL void query_counts_read(const struct query_counts *counts, struct query_sums *sums);

// A static text, "other" included.
const char *query_type_name(unsigned type);

extern const uint8_t query_type_of[DNS_TYPE_CAA + 1];

// A query came in.
NONNULL static inline void query_counts_received(struct query_counts *counts, unsigned transport,
                                                 bool ipv6, uint16_t type)
{
    _Atomic uint64_t *count =
        &counts->queries[transport][ipv6]
                        [type < ARRAY_LEN(query_type_of) ? query_type_of[type] : QUERY_TYPE_OTHER];

    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

// A response went out. `rcode` is at most QUERY_RCODES - 1.
NONNULL static inline void query_counts_answered(struct query_counts *counts, unsigned outcome,
                                                 uint16_t rcode)
{
    _Atomic uint64_t *count = &counts->responses[outcome][rcode];

    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}
