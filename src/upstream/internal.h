// The parts of src/upstream/ and what they owe each other. Included by src/upstream/*.c only.
//
// Glossary
//   server      one configured upstream with its addresses, connections and health
//   connection  one TLS connection to a server, shared by the queries in flight on it
//   exchange    the life of one request: at most EXCHANGE_ATTEMPTS attempts within one deadline
//   attempt     one query sent, or waiting to be sent, to one server
//   dial        the race of connection set-ups to a server's addresses
//   probe       a query of our own that tells whether a server or connection is alive
//
// Life of an attempt: server_submit() sends it on a connection or lets it wait for one. Then
// exactly one of: exchange_replied(), exchange_failed(), or attempt_abandon() by its exchange. An
// abandoned attempt that was sent keeps its ID taken on its connection until the late reply or the
// connection's end, so that no other query can get that reply.
#pragma once

#include "base/list.h"
#include "base/log.h"
#include "base/random.h"
#include "base/slab.h"
#include "base/wheel.h"
#include "dns/message.h"
#include "engine/upstream.h"
#include "metrics/counters.h"
#include "net/frame.h"
#include "net/stream.h"
#include "upstream/plan.h"
#include "upstream/rtt.h"

// A query costs an upstream no more than this, whatever happens (the attempts of one exchange).
#define EXCHANGE_ATTEMPTS 3

// A connection with this many in flight gets company (DESIGN: few, deep connections).
#define CONNECTION_DEPTH 100
// No connection carries more: well below the 65,536 IDs, so that a free one is found at once.
#define CONNECTION_IN_FLIGHT_MAX 4096
#define CONNECTION_BUCKETS 256
// Replies that may be owed for queries given up, before a connection is left for a fresh one.
#define CONNECTION_ABANDONED_MAX 1024
// Replies nobody asked for that a connection may send more of than it sends right answers.
#define CONNECTION_STRIKES 8

#define SERVER_REASON_SIZE 320

struct upstream_set;
struct server;
struct connection;
struct exchange;

struct attempt {
    struct list node;  // in its exchange
    struct list place; // in its connection's table, its server's waiting list, or the set's failed
    struct exchange *exchange; // NULL: abandoned, or a probe
    struct server *server;
    struct connection *connection; // NULL until sent
    const uint8_t *question;       // NULL when abandoned
    size_t question_size;
    uint16_t id;
    bool probe;
    bool struck;  // a reply came under its ID that was none to it
    usec_t after; // only connections opened after this time will do; 0: any
    usec_t sent_at;
};

struct exchange {
    struct upstream_set *set;
    struct upstream_request *request;
    struct list attempts;
    struct wheel_timer timer; // the newest attempt's patience, at last the deadline
    usec_t deadline;
    usec_t failed_at; // when a connection was last lost under it; 0: never
    unsigned tried;   // attempts made
    uint32_t tried_serials[EXCHANGE_ATTEMPTS];
    bool tried_answered[EXCHANGE_ATTEMPTS]; // that server answered, with a failure
    bool timed_out;
    uint8_t *saved; // the best failure reply so far, on the heap, or NULL
    size_t saved_size;
    struct upstream_via saved_via;
    enum dns_ede ede; // of the last failure
    char reason[SERVER_REASON_SIZE];
};

enum server_state { SERVER_UP, SERVER_DOWN };

struct server {
    struct list node; // in the set, in the configured order
    struct upstream_set *set;
    uint32_t serial;            // tells servers apart across reloads
    struct upstream_plan *plan; // holds the two below
    struct upstream_plan_server *shared;
    const struct upstream_server_options *options;
    bool retired;  // not in the configuration any more
    unsigned refs; // attempts and connections

    // Addresses: as configured, or found by the bootstrap.
    struct address addresses[UPSTREAM_ADDRESSES_MAX];
    unsigned address_count;
    unsigned address_next; // where the next dial begins: the last good one
    struct lookup *lookup; // the name is being resolved

    // Dialling.
    struct list candidates; // connections being set up
    unsigned dial_left;     // addresses this dial has not tried
    struct wheel_timer dial_timer;

    struct list connections; // open ones
    unsigned connection_count;
    struct list waiting; // attempts
    struct task drain;
    unsigned in_flight;
    struct tls_ticket *ticket;
    uint64_t queries; // sent
    uint64_t replies; // accepted

    // Health.
    enum server_state state;
    usec_t down_since;
    bool suspect;      // slow to the point of doubt
    unsigned failures; // connections in a row that answered nothing
    usec_t backoff;
    usec_t backoff_until;
    struct rtt rtt;
    enum dns_ede ede;
    char reason[SERVER_REASON_SIZE]; // why it is down, phase first

    // What was learnt about the server's limits.
    usec_t idle_limit; // it closes idle connections after about this; 0: unknown
    usec_t idle_seen;  // how long the last connection that it closed had been idle; 0: none
    usec_t idle_limit_until;
    unsigned query_limit; // it closes a connection after this many; 0: unknown
    usec_t query_limit_until;
};

struct connection {
    struct list node; // in the server's candidates or connections
    struct server *server;
    struct stream stream;
    struct frame_reader frames;
    struct address address;
    struct wheel_timer timer; // set-up, later idle
    struct wheel_timer probe_timer;
    struct list table[CONNECTION_BUCKETS]; // attempts by ID
    unsigned in_flight;                    // without the abandoned
    unsigned abandoned;
    unsigned sent;
    unsigned answered;
    unsigned strikes;
    usec_t opened_at;
    usec_t last_sent;
    usec_t last_read;
    usec_t last_message; // the last whole one; part of one is no sign of life
    usec_t idle_before;  // how long it had been idle before the oldest in flight was sent
    usec_t keepalive;    // the server's word on idle time (RFC 7828); USEC_NEVER: none
    bool open;
    bool retiring; // takes no new queries, closes when those in flight are done
    bool probing;
};

struct upstream_set {
    struct loop *loop;
    struct log *log;
    struct counters *counters;
    struct random *random;
    struct upstream_set *bootstrap; // for servers given by name, or NULL
    bool stopping;

    enum upstream_strategy strategy;
    usec_t timeout;
    struct list servers;
    struct list retired;
    unsigned server_count;
    uint32_t next_serial;

    struct slab exchanges;
    struct slab attempts;
    struct list failed; // attempts whose connection or dial ended, told at the turn's end
    struct task tell_failed;
};

// exchange.c
NONNULL void exchange_start(struct upstream_set *set, struct upstream_request *request);
// The reply is one to this question, and came by that connection. The attempt is the caller's
// again, to be freed.
NONNULL void exchange_replied(struct attempt *attempt, const struct connection *by,
                              const struct dns_message *reply);
// The attempt's connection or dial ended without a reply. Frees the attempt.
NONNULL void exchange_failed(struct attempt *attempt);
// Something came under the attempt's ID that is no reply to it; the true one may yet follow.
NONNULL void exchange_struck(struct attempt *attempt);
NONNULL void attempt_free(struct attempt *attempt);

// server.c
NONNULL struct server *server_new(struct upstream_set *set, struct upstream_plan *plan,
                                  struct upstream_plan_server *shared);
// No more attempts will be submitted. It goes when the last of its connections and attempts do.
NONNULL void server_retire(struct server *server);
// As server_retire(), but at once: what is in flight fails.
NONNULL void server_stop(struct server *server);
NONNULL void server_release(struct server *server);
NONNULL void server_submit(struct server *server, struct attempt *attempt);
// Lets a server that is down be tested if its back-off is over; costs nothing otherwise.
NONNULL void server_revive(struct server *server);
// The name was resolved (or not: no addresses, and why).
NONNULL void server_resolved(struct server *server, const struct address *addresses, unsigned count,
                             const char *reason);
// What connections tell their server. `connection` is unusable after failed and lost.
NONNULL void server_opened(struct connection *connection);
NONNULL void server_open_failed(struct connection *connection, enum stream_phase phase,
                                const char *reason);
NONNULL void server_lost(struct connection *connection, enum stream_phase phase,
                         const char *reason);
NONNULL void server_closed_idle(struct connection *connection, bool by_peer);
NONNULL void server_answered(struct server *server);
// A connection has room again, or is gone: at the turn's end the attempts that wait go on.
NONNULL void server_drain_later(struct server *server);
// How long a connection may be idle before we close it.
NONNULL usec_t server_idle_limit(const struct server *server, const struct connection *connection);

// announce.c
NONNULL void announce_connected(struct server *server, const struct connection *connection);
NONNULL void announce_down(struct server *server);
NONNULL void announce_back(struct server *server);

// connection.c
// NULL with errno if it fails at once.
struct connection *connection_open(struct server *server, const struct address *address);
NONNULL bool connection_usable(const struct connection *connection, usec_t after);
// Sends. False if the connection takes no more for now.
NONNULL NODISCARD bool connection_send(struct connection *connection, struct attempt *attempt);
// Whether a query in flight was sent before the last reply came.
NONNULL bool connection_was_pipelined(const struct connection *connection);
NONNULL void connection_probe(struct connection *connection);
// Takes the attempts away (to the set's failed ones; abandoned ones end) and closes.
NONNULL void connection_close(struct connection *connection);
// Closes when nothing is in flight any more; at once if so now.
NONNULL void connection_retire(struct connection *connection);
// The exchange is over: the attempt waits no longer, or becomes an abandoned one.
NONNULL void attempt_abandon(struct attempt *attempt);

// strategy.c
// The server for the exchange's next attempt, or NULL if none is left that could do better.
NONNULL struct server *strategy_pick(struct exchange *exchange);

// bootstrap.c
// Resolves the server's name; server_resolved() follows, not before the return. NULL out of memory.
NONNULL struct lookup *lookup_start(struct server *server);
void lookup_cancel(struct lookup *lookup);

// set.c
NONNULL void set_fail_later(struct upstream_set *set, struct attempt *attempt);

static inline usec_t set_now(struct upstream_set *set)
{
    return loop_now(set->loop);
}
