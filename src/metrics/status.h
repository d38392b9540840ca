// How things stand, as plain values: what a worker fills in about itself in its own thread, for
// others to read when it is done. Who shows it (the control socket, and whatever else) reads these
// and nothing of the worker's.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/time.h"
#include "metrics/handshake.h"
#include "metrics/histogram.h"

// As many as a configuration may have, and as long as its texts may be (upstream/options.h).
#define STATUS_UPSTREAMS_MAX 32
#define STATUS_URL_SIZE 512
#define STATUS_REASON_SIZE 320

#define STATUS_UPSTREAM_STATE_LIST(X)                                                              \
    X(UP, "up")     /* answers, or has not been asked yet */                                       \
    X(SLOW, "slow") /* did not answer in time of late; others are preferred */                     \
    X(DOWN, "down")

enum status_upstream_state {
#define X(name, text) STATUS_UPSTREAM_##name,
    STATUS_UPSTREAM_STATE_LIST(X)
#undef X
};

const char *status_upstream_state_name(enum status_upstream_state state);

struct status_upstream_load {
    uint64_t connections; // open
    uint64_t dialling;    // being set up
    uint64_t in_flight;   // queries sent and not answered
    uint64_t waiting;     // queries that wait for a connection
    usec_t rtt;           // smoothed round-trip time; 0: not known
    uint64_t queries;     // sent, our own probes included, since the server is configured
    uint64_t replies;     // accepted
};

// How an established connection with an upstream ended.
#define STATUS_CLOSE_LIST(X)                                                                       \
    X(RETIRED, "retired")         /* by us: a limit of the server's, or another configuration */   \
    X(IDLE, "idle")               /* by us */                                                      \
    X(IDLE_SERVER, "idle_server") /* by the server, with nothing in flight */                      \
    X(LOST, "lost")               /* in any other way that was not ours */                         \
    X(STALLED, "stalled")         /* by us: nothing was answered any more */                       \
    X(INVALID, "invalid")         /* by us: for what it sent */

enum status_close {
#define X(name, text) STATUS_CLOSE_##name,
    STATUS_CLOSE_LIST(X)
#undef X
        STATUS_CLOSES,
};

const char *status_close_name(unsigned close);

// Since the server is configured. Made connections are opened or failed; opened ones end closed.
struct status_upstream_totals {
    uint64_t opened;                     // handshake included
    uint64_t resumed;                    // of these, with a resumed TLS session
    uint64_t reused;                     // queries sent on a connection that had carried one before
    uint64_t not_connected;              // failed before there was a handshake
    uint64_t failed[HANDSHAKE_FAILURES]; // and in the handshake
    uint64_t closed[STATUS_CLOSES];
};

// An upstream server, as one worker sees it.
struct status_upstream {
    char url[STATUS_URL_SIZE]; // as configured
    enum status_upstream_state state;
    char reason[STATUS_REASON_SIZE]; // why it is down; else "". May hold what a peer sent
    usec_t down_for;                 // 0 if it is not down
    struct status_upstream_load load;
    struct status_upstream_totals totals;
    struct histogram_values latency; // of its replies
};

struct status_worker {
    bool answered; // false: it was too busy to; nothing below is known
    uint32_t in_flight;
    uint32_t tcp_clients; // connections of clients
    uint64_t queries_udp, queries_tcp, queries_tls, queries_https;
    uint32_t upstream_count;
    struct status_upstream upstreams[STATUS_UPSTREAMS_MAX];
};

// More encrypted listeners than these are not shown.
#define STATUS_CERTIFICATES_MAX 32
#define STATUS_LISTENER_SIZE 216
#define STATUS_NAME_SIZE 256

// What clients of an encrypted listener are shown.
struct status_certificate {
    char listener[STATUS_LISTENER_SIZE]; // its URL
    char name[STATUS_NAME_SIZE];         // the first of the first certificate; "": it has none
    int64_t seconds_left;                // of the one that ends first; negative: it has ended
};
