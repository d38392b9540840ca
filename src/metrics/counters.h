// What is counted. Each worker has one `struct counters` that only it writes; any thread may read
// it at any time and adds the workers' up. A line a counter: name and what it counts.
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "base/compiler.h"
#include "metrics/query_counts.h"

#define COUNTER_LIST(X)                                                                            \
    X(queries_udp, "queries received over UDP")                                                    \
    X(queries_tcp, "queries received over TCP")                                                    \
    X(queries_tls, "queries received over TLS")                                                    \
    X(queries_https, "queries received over HTTPS, or over HTTP behind a proxy")                   \
    X(http_refused, "HTTP requests that are no right query: answered with 4xx or 5xx")             \
    X(queries_ignored, "messages that get no answer: too short, or themselves a response")         \
    X(queries_not_allowed, "queries of clients that are not allowed: REFUSED or silence")          \
    X(queries_limited_dropped, "queries over the rate limit that got silence")                     \
    X(queries_limited_slipped, "queries over the rate limit answered with TC or BADCOOKIE")        \
    X(cookies_valid, "queries with a server cookie that we gave to their source")                  \
    X(cookies_bad, "queries with a server cookie that is not ours, of another source or too old")  \
    X(queries_malformed, "queries answered with FORMERR")                                          \
    X(queries_not_implemented, "queries answered with NOTIMP: opcode or zone transfer")            \
    X(queries_refused, "queries answered with REFUSED by rule")                                    \
    X(queries_badvers, "queries answered with BADVERS: EDNS version over 0")                       \
    X(queries_local, "queries answered locally: names that never leave, identity, cookies")        \
    X(queries_overload, "queries answered with SERVFAIL: too many in flight or out of memory")     \
    X(queries_forwarded, "questions handed to the upstreams")                                      \
    X(queries_joined, "queries that waited for another's upstream query for the same question")    \
    X(queries_failed, "queries answered with SERVFAIL: no upstream could, nor the cache")          \
    X(cache_hits, "queries answered from the cache with a fresh answer")                           \
    X(cache_misses, "queries whose answer was not, or no longer, in the cache")                    \
    X(cache_stale, "queries answered from the cache with a stale answer")                          \
    X(cache_prefetches, "answers refreshed before their end because they are asked for often")     \
    X(cache_inserts, "answers put into the cache")                                                 \
    X(cache_evictions, "answers evicted from the cache that were still fresh")                     \
    X(cache_expired, "answers removed from the cache past their TTL")                              \
    X(cache_negative_limited, "negative answers not kept: one client caused too many")             \
    X(replies_truncated, "replies sent with TC because they exceed what the client takes")         \
    X(udp_send_errors, "UDP replies that the kernel refused")                                      \
    X(udp_source_refused, "UDP queries dropped: source port 0")                                    \
    X(tcp_accepted, "TCP connections accepted, with or without TLS")                               \
    X(tcp_closed_idle, "TCP connections closed: idle")                                             \
    X(tcp_closed_evicted, "idle TCP connections closed to make room for a new one")                \
    X(tcp_closed_slow, "TCP connections closed: message not whole in time, or replies not read")   \
    X(tcp_closed_invalid, "TCP connections closed: no DNS message, or HTTP/2 against its rules")   \
    X(tcp_refused, "TCP connections refused: at the limit and none idle")                          \
    X(tcp_accept_paused, "times that accepting paused for lack of descriptors")                    \
    X(tls_handshakes, "TLS handshakes with clients")                                               \
    X(tls_handshakes_resumed, "of these, those that resumed a session")                            \
    X(tls_handshakes_failed, "TLS handshakes with clients that failed")                            \
    X(tls_handshakes_closed, "of these, those where the client went away")                         \
    X(tls_handshakes_alert, "of these, those where the client sent an alert: no trust, no cipher") \
    X(tls_handshakes_no_tls, "of these, those where the client spoke no TLS")                      \
    X(tls_handshakes_certificate, "of these, those where the client's certificate was refused")    \
    X(tls_handshakes_slow, "connections closed because their TLS handshake took too long")         \
    X(proxy_headers, "PROXY headers read: of connections, and of datagrams")                       \
    X(proxy_headers_refused, "connections closed and datagrams dropped for want of a right one")   \
    X(upstream_connections_opened, "upstream connections established, handshake included")         \
    X(upstream_connections_resumed, "of these, those with a resumed TLS session")                  \
    X(upstream_connections_failed, "upstream connections that failed before they were usable")     \
    X(upstream_connections_verify_failed, "of these, those whose certificate was refused")         \
    X(upstream_connections_broken, "upstream connections lost with queries in flight")             \
    X(upstream_connections_stalled, "upstream connections given up because nothing was answered")  \
    X(upstream_connections_closed_invalid, "upstream connections closed for what they sent")       \
    X(upstream_connections_idle, "upstream connections closed idle, by either side")               \
    X(upstream_queries, "queries sent upstream, retries included")                                 \
    X(upstream_retries, "of these, those sent again after a failure")                              \
    X(upstream_replies, "replies accepted from upstreams")                                         \
    X(upstream_replies_unmatched, "replies dropped: no query has that ID")                         \
    X(upstream_replies_mismatched, "replies dropped: not the question that was asked")             \
    X(upstream_replies_malformed, "replies dropped: malformed")                                    \
    X(upstream_replies_late, "replies that came after their query was answered or given up")       \
    X(upstream_replies_failed, "replies with an rcode or TC that made another upstream be tried")  \
    X(upstream_timeouts, "queries not answered by an upstream in time")                            \
    X(upstream_probes, "queries of our own that test an upstream that was down")                   \
    X(upstream_down, "times that an upstream went down")                                           \
    X(upstream_up, "times that an upstream came back")                                             \
    X(bootstrap_lookups, "names of upstreams resolved")

enum counter {
#define X(name, text) COUNTER_##name,
    COUNTER_LIST(X)
#undef X
        COUNTER_COUNT,
};

struct counters {
    _Atomic uint64_t value[COUNTER_COUNT];
    struct query_counts queries;
};

NONNULL static inline void counter_add(struct counters *counters, enum counter counter,
                                       uint64_t amount)
{
    // Only one thread writes, so no locked instruction is needed.
    uint64_t value = atomic_load_explicit(&counters->value[counter], memory_order_relaxed) + amount;

    atomic_store_explicit(&counters->value[counter], value, memory_order_relaxed);
}

NONNULL static inline void counter_inc(struct counters *counters, enum counter counter)
{
    counter_add(counters, counter, 1);
}

// Any thread.
NONNULL static inline uint64_t counter_get(struct counters *counters, enum counter counter)
{
    return atomic_load_explicit(&counters->value[counter], memory_order_relaxed);
}

const char *counter_name(enum counter counter);
// What it counts, in words.
const char *counter_text(enum counter counter);
