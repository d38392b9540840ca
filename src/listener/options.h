// What can be configured about listeners; plain values, see upstream/options.h.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "base/time.h"
#include "net/tls_options.h"
#include "policy/options.h"

// An office router has a few dozen addresses; this is a bound, not a goal.
#define LISTENER_ADDRESSES_MAX 512

// Bits: dns:// is UDP and TCP.
enum listener_transports {
    LISTENER_UDP = 1,
    LISTENER_TCP = 2,
    LISTENER_TLS = 4,    // DNS over TLS (RFC 7858)
    LISTENER_HTTP = 8,   // DNS over HTTPS (RFC 8484) whose TLS was ended by a proxy
    LISTENER_HTTPS = 16, // DNS over HTTPS
    LISTENER_DNS = LISTENER_UDP | LISTENER_TCP,
    LISTENER_ANY_HTTP = LISTENER_HTTP | LISTENER_HTTPS,
    LISTENER_ENCRYPTED = LISTENER_TLS | LISTENER_HTTPS,
    LISTENER_STREAM = LISTENER_TCP | LISTENER_TLS | LISTENER_ANY_HTTP, // on a TCP socket: one
};

// Of a URL, with the NUL.
#define LISTENER_PATH_SIZE 128

struct listener_address {
    struct address address;
    uint32_t transports;           // enum listener_transports
    char path[LISTENER_PATH_SIZE]; // HTTP: where queries are taken; else ""
};

// Proxies are a handful; where they are many they share a prefix.
#define LISTENER_PROXIES_MAX 16

struct listener_proxies {
    uint32_t count;
    struct policy_prefix prefixes[LISTENER_PROXIES_MAX];
};

// What holds for connections and sockets.
struct listener_limits {
    uint32_t udp_max_size; // largest UDP reply, 512 to 4096

    usec_t tcp_idle_timeout;      // a client's connection without anything in flight
    usec_t tcp_message_timeout;   // from a message's first octet to its last
    uint32_t tcp_max_connections; // of one worker
    uint32_t tcp_max_in_flight;   // queries of one connection; it is not read from beyond

    usec_t tls_handshake_timeout;
};

// What a place may change while it is listened on.
struct listener_rules {
    // Who must say by a PROXY header for whom it asks. From all others none is read.
    struct listener_proxies proxies;
    // HTTP: who must say so by a field of the request; nor is that read from others.
    struct listener_proxies forwarders;
    // Who is answered.
    struct policy_own policy;
    // What is 0 is as in listener_options; udp_max_size always is. Its own tcp_max_connections are
    // counted beside those of all places.
    struct listener_limits limits;
};

// Where to listen, and how.
struct listener_place {
    struct listener_address at;
    struct tls_server_options tls; // what is not set is as in listener_options
    struct listener_rules rules;
};

struct listener_options {
    uint32_t place_count;
    struct listener_place places[LISTENER_ADDRESSES_MAX]; // large, and mostly empty
    struct tls_server_options tls;                        // where a place says nothing else
    struct listener_limits limits;                        // likewise
};

// How a place is encrypted: what it says itself, else what is said for all.
void listener_tls_options(const struct listener_options *options, uint32_t place,
                          struct tls_server_options *tls);

// The limits of a place: its own, else the general ones.
NONNULL struct listener_limits listener_limits_of(const struct listener_limits *general,
                                                  const struct listener_limits *own);

NONNULL bool listener_limits_equal(const struct listener_limits *a,
                                   const struct listener_limits *b);

// Whether everybody of a family is in the list, so that it keeps out nobody.
NONNULL bool listener_proxies_are_all(const struct listener_proxies *proxies);

NONNULL bool listener_proxies_equal(const struct listener_proxies *a,
                                    const struct listener_proxies *b);

// The place that has one of these transports at this address, or NULL.
NONNULL const struct listener_place *listener_place_at(const struct listener_options *options,
                                                       const struct address *address,
                                                       uint32_t transports);
