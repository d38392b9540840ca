// What can be configured about upstreams. Plain values without pointers, so that a snapshot is a
// copy and a reload can compare; config/ fills them in.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "base/time.h"

// More would be a mistake: each has its own connections.
#define UPSTREAM_SERVERS_MAX 32
#define UPSTREAM_BOOTSTRAP_MAX 8
// A preset has four; a name may resolve to more, the rest is left aside.
#define UPSTREAM_ADDRESSES_MAX 8
#define UPSTREAM_PINS_MAX 8
#define UPSTREAM_NAME_SIZE 256
#define UPSTREAM_URL_SIZE 512
#define UPSTREAM_PATH_SIZE 1024

#define UPSTREAM_STRATEGY_LIST(X)                                                                  \
    X(FAILOVER, "failover")                                                                        \
    X(FASTEST, "fastest")                                                                          \
    X(BALANCE, "balance")                                                                          \
    X(PARALLEL, "parallel")

enum upstream_strategy {
#define X(name, text) UPSTREAM_##name,
    UPSTREAM_STRATEGY_LIST(X)
#undef X
};

// RFC 8310 section 5: strict refuses to send where authentication fails; opportunistic encrypts
// without it. Neither ever sends in the clear.
#define UPSTREAM_PROFILE_LIST(X)                                                                   \
    X(STRICT, "strict")                                                                            \
    X(OPPORTUNISTIC, "opportunistic")

enum upstream_profile {
#define X(name, text) UPSTREAM_##name,
    UPSTREAM_PROFILE_LIST(X)
#undef X
};

// Where a server is and who it must prove to be; made by upstream_url_parse().
struct upstream_endpoint {
    char host[UPSTREAM_NAME_SIZE];      // to be resolved through the bootstrap, or "" if by address
    char auth_name[UPSTREAM_NAME_SIZE]; // the certificate's name, or "": its IP address (SAN)
    uint16_t port;
    uint8_t address_count;
    struct address addresses[UPSTREAM_ADDRESSES_MAX]; // ports filled in; none if `host` is set
};

struct upstream_server_options {
    char url[UPSTREAM_URL_SIZE]; // as the user wrote it
    struct upstream_endpoint endpoint;
    char ca_file[UPSTREAM_PATH_SIZE]; // "": the system's authorities
    uint32_t pin_count;
    uint8_t pins[UPSTREAM_PINS_MAX][32]; // SHA-256 of the SubjectPublicKeyInfo
    enum upstream_profile profile;
    uint32_t max_connections; // of one worker
    usec_t idle_timeout;      // we close an idle connection after at most this
};

struct upstream_options {
    enum upstream_strategy strategy;
    usec_t timeout; // the one deadline of a query, all attempts included
    uint32_t server_count;
    struct upstream_server_options servers[UPSTREAM_SERVERS_MAX];
    // Resolve the names of servers given by name; each given by address or preset itself.
    uint32_t bootstrap_count;
    struct upstream_server_options bootstrap[UPSTREAM_BOOTSTRAP_MAX];
};
