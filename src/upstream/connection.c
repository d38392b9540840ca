// One TLS connection to a server: queries out, each under an ID of its own, replies in, matched by
// ID and whole question, in whatever order (RFC 7766 section 6.2.1.1, RFC 7858 section 3.3).
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "base/error.h"
#include "dns/build.h"
#include "upstream/internal.h"
#include "upstream/reply.h"

enum {
    // RFC 8467 section 4.1.
    QUERY_PADDING = 128,
    // A question, its OPT with keepalive, and padding of less than a block.
    QUERY_MAX = 512,
    // What we say we take (RFC 9715); over a stream nobody asks.
    EDNS_SIZE = 1232,
};

// The bounds of how long a probe's answer may take before the connection is given up. A live server
// answers it from its cache.
#define PROBE_MIN (500 * USEC_MSEC)
#define PROBE_MAX (1 * USEC_SEC)

// The root's name servers: what every resolver has at hand.
static const uint8_t probe_question[] = {0, 0, DNS_TYPE_NS, 0, DNS_CLASS_IN};

static struct connection *of_stream(struct stream *stream)
{
    return container_of(stream, struct connection, stream);
}

static struct list *bucket(struct connection *connection, uint16_t id)
{
    return &connection->table[id % CONNECTION_BUCKETS];
}

static struct attempt *find(struct connection *connection, uint16_t id)
{
    struct list *chain = bucket(connection, id);

    list_for_each(node, chain) {
        struct attempt *attempt = list_entry(node, struct attempt, place);

        if (attempt->id == id)
            return attempt;
    }
    return NULL;
}

// Takes an attempt out of the table.
static void take_out(struct connection *connection, struct attempt *attempt)
{
    list_remove(&attempt->place);
    attempt->connection = NULL;
    if (attempt->question) {
        connection->in_flight--;
        connection->server->in_flight--;
    } else {
        connection->abandoned--;
    }
}

void attempt_abandon(struct attempt *attempt)
{
    struct connection *connection = attempt->connection;

    list_remove(&attempt->node);
    attempt->exchange = NULL;
    attempt->question = NULL;
    if (!connection) {
        list_remove(&attempt->place);
        attempt_free(attempt);
        return;
    }
    connection->in_flight--;
    connection->server->in_flight--;
    connection->abandoned++;
    if (connection->abandoned > CONNECTION_ABANDONED_MAX)
        connection->retiring = true;
    if (connection->retiring && connection->in_flight == 0)
        connection_close(connection);
}

// Everything that was in flight goes: the abandoned end here, the others are told at the turn's
// end.
static void empty_table(struct connection *connection)
{
    struct upstream_set *set = connection->server->set;

    for (size_t i = 0; i < CONNECTION_BUCKETS; i++) {
        for (struct list *node; !list_empty(&connection->table[i]);) {
            node = connection->table[i].next;

            struct attempt *attempt = list_entry(node, struct attempt, place);

            take_out(connection, attempt);
            if (attempt->exchange)
                set_fail_later(set, attempt);
            else
                attempt_free(attempt);
        }
    }
}

bool connection_was_pipelined(const struct connection *connection)
{
    for (size_t i = 0; i < CONNECTION_BUCKETS; i++)
        list_for_each(node, &connection->table[i])
            if (list_entry(node, struct attempt, place)->sent_at <= connection->last_message)
                return true;
    return false;
}

// Out of the server's sight; the stream is closed already, or about to be.
static void detach(struct connection *connection)
{
    struct server *server = connection->server;

    if (list_linked(&connection->node)) {
        list_remove(&connection->node);
        if (connection->open)
            server->connection_count--;
    }
    loop_disarm(server->set->loop, &connection->timer);
    loop_disarm(server->set->loop, &connection->probe_timer);
    empty_table(connection);
    server_drain_later(server);
}

void connection_close(struct connection *connection)
{
    detach(connection);
    stream_close(&connection->stream);
}

void connection_retire(struct connection *connection)
{
    connection->retiring = true;
    if (connection->in_flight == 0)
        connection_close(connection);
}

// The end of a connection that was in use, by whatever cause.
static void lose(struct connection *connection, enum stream_phase phase, const char *reason)
{
    stream_close(&connection->stream);
    if (!connection->open) {
        server_open_failed(connection, phase, reason);
        return;
    }
    server_lost(connection, phase, reason);
}

static void on_failed(struct stream *stream, enum stream_phase phase, const char *reason)
{
    lose(of_stream(stream), phase, reason);
}

static void on_released(struct stream *stream)
{
    struct connection *connection = of_stream(stream);

    frame_deinit(&connection->frames);
    server_release(connection->server);
    free(connection);
}

// The peer is done. What it has not answered by now it will not.
static void on_ended(struct stream *stream)
{
    struct connection *connection = of_stream(stream);

    if (connection->in_flight > 0) {
        lose(connection, PHASE_READ, "closed by the server");
        return;
    }
    server_closed_idle(connection, true);
    connection_close(connection);
}

static void on_drained(struct stream *stream)
{
    server_drain_later(of_stream(stream)->server);
}

static void on_idle_timer(struct wheel_timer *timer)
{
    struct connection *connection = container_of(timer, struct connection, timer);
    struct server *server = connection->server;
    struct loop *loop = server->set->loop;
    usec_t now = loop_now(loop);

    if (!connection->open) {
        lose(connection,
             connection->stream.state == STREAM_CONNECTING ? PHASE_CONNECT : PHASE_HANDSHAKE,
             "timed out");
        return;
    }

    usec_t due =
        MAX(connection->last_read, connection->last_sent) + server_idle_limit(server, connection);

    if (connection->in_flight > 0 || now < due) {
        loop_arm(loop, timer, MAX(due, now + 10 * USEC_MSEC));
        return;
    }
    server_closed_idle(connection, false);
    connection_close(connection);
}

static void on_probe_timer(struct wheel_timer *timer)
{
    struct connection *connection = container_of(timer, struct connection, probe_timer);

    counter_inc(connection->server->set->counters, COUNTER_upstream_connections_stalled);
    lose(connection, PHASE_READ, "no answer");
}

static void on_opened(struct stream *stream)
{
    struct connection *connection = of_stream(stream);
    struct server *server = connection->server;
    usec_t now = set_now(server->set);

    connection->open = true;
    connection->opened_at = connection->last_read = now;
    connection->last_sent = connection->last_message = now;
    loop_arm(server->set->loop, &connection->timer, now + server_idle_limit(server, connection));
    server_opened(connection);
}

// Something nobody asked for. True if the connection was closed for it.
static bool strike(struct connection *connection)
{
    if (++connection->strikes <= CONNECTION_STRIKES)
        return false;
    counter_inc(connection->server->set->counters, COUNTER_upstream_connections_closed_invalid);
    lose(connection, PHASE_READ, "sent too many replies to questions not asked");
    return true;
}

// RFC 7828 section 3.2.2 and 3.4.
static void obey_keepalive(struct connection *connection, const struct dns_message *reply)
{
    struct dns_option option;

    if (!dns_option_find(reply, DNS_OPTION_KEEPALIVE, &option) || option.size != 2)
        return;

    usec_t before = connection->keepalive;
    usec_t timeout = (usec_t)get_u16(option.data) * 100 * USEC_MSEC;
    struct server *server = connection->server;

    connection->keepalive = timeout;
    if (timeout == 0)
        connection->retiring = true;
    else if (timeout < before)
        loop_arm(server->set->loop, &connection->timer,
                 connection->last_read + server_idle_limit(server, connection));
}

// A reply that is no answer to the attempt under whose ID it came.
static void handle_wrong(struct connection *connection, struct attempt *attempt, int err)
{
    struct counters *counters = connection->server->set->counters;

    counter_inc(counters, err == E_MISMATCH ? COUNTER_upstream_replies_mismatched
                                            : COUNTER_upstream_replies_malformed);
    if (strike(connection))
        return;
    attempt->struck = true;
    if (attempt->exchange)
        exchange_struck(attempt);
}

static void handle_right(struct connection *connection, struct attempt *attempt,
                         const struct dns_message *reply)
{
    struct server *server = connection->server;
    struct upstream_set *set = server->set;

    take_out(connection, attempt);
    if (connection->answered++ == 0)
        announce_back(server); // perhaps it was another worker's word that it is down
    if (connection->strikes > 0)
        connection->strikes--;
    connection->probing = false;
    loop_disarm(set->loop, &connection->probe_timer);
    counter_inc(set->counters, COUNTER_upstream_replies);
    server->replies++;
    rtt_add(&server->rtt, connection->last_read - attempt->sent_at);
    obey_keepalive(connection, reply);
    server_answered(server);
    if (!server->ticket)
        server->ticket = tls_ticket_take(connection->stream.tls);
    if (attempt->exchange)
        exchange_replied(attempt, connection, reply);
    attempt_free(attempt);
}

static void handle_reply(struct connection *connection, const uint8_t *wire, size_t size)
{
    struct counters *counters = connection->server->set->counters;
    struct attempt *attempt = find(connection, get_u16(wire));
    struct dns_message reply;

    if (!attempt) {
        counter_inc(counters, COUNTER_upstream_replies_unmatched);
        strike(connection);
        return;
    }
    if (!attempt->question) {
        counter_inc(counters, COUNTER_upstream_replies_late);
        connection->answered++;
        take_out(connection, attempt);
        attempt_free(attempt);
        return;
    }

    int err = upstream_reply_check(&reply, wire, size, attempt->question, attempt->question_size);

    if (err != E_OK)
        handle_wrong(connection, attempt, err);
    else
        handle_right(connection, attempt, &reply);
}

static bool on_message(void *context, const uint8_t *message, size_t size)
{
    struct connection *connection = context;

    connection->last_message = connection->last_read;
    handle_reply(connection, message, size);
    return connection->stream.state == STREAM_OPEN;
}

static void on_received(struct stream *stream, const uint8_t *bytes, size_t size)
{
    struct connection *connection = of_stream(stream);
    struct server *server = connection->server;

    connection->last_read = set_now(server->set);

    int err = frame_feed(&connection->frames, bytes, size, on_message, connection);

    if (stream->state != STREAM_OPEN)
        return;
    if (err != E_OK && err != E_AGAIN) {
        counter_inc(server->set->counters, COUNTER_upstream_connections_closed_invalid);
        lose(connection, PHASE_READ, err == E_NOMEM ? "out of memory" : "sent an invalid length");
        return;
    }
    if (connection->retiring && connection->in_flight == 0)
        connection_close(connection);
    server_drain_later(server);
}

struct connection *connection_open(struct server *server, const struct address *address)
{
    static const struct stream_ops ops = {
        .opened = on_opened,
        .received = on_received,
        .ended = on_ended,
        .drained = on_drained,
        .failed = on_failed,
        .released = on_released,
    };
    struct upstream_set *set = server->set;
    struct connection *connection = calloc(1, sizeof(*connection));

    if (!connection)
        return NULL;
    connection->server = server;
    connection->address = *address;
    connection->keepalive = USEC_NEVER;
    list_init(&connection->node);
    wheel_timer_init(&connection->timer, on_idle_timer);
    wheel_timer_init(&connection->probe_timer, on_probe_timer);
    for (size_t i = 0; i < CONNECTION_BUCKETS; i++)
        list_init(&connection->table[i]);

    struct tls *tls =
        tls_new(server->shared->tls, address, server->ticket, stream_tls_push, &connection->stream);

    server->ticket = NULL;
    if (!tls ||
        stream_connect(&connection->stream, set->loop, &ops, address, set->timeout) != E_OK) {
        tls_free(tls);
        free(connection);
        return NULL;
    }
    stream_set_tls(&connection->stream, tls);
    server->refs++;
    list_append(&server->candidates, &connection->node);
    // Less than the query's deadline, so that its client still hears why.
    loop_arm(set->loop, &connection->timer, set_now(set) + set->timeout * 3 / 5);
    return connection;
}

bool connection_usable(const struct connection *connection, usec_t after)
{
    return connection->open && !connection->retiring && !connection->probing &&
           (after == 0 || connection->opened_at > after) &&
           connection->in_flight < CONNECTION_IN_FLIGHT_MAX;
}

// A random ID that is free on this connection.
static uint16_t pick_id(struct connection *connection)
{
    uint16_t id;

    do
        id = random_u16(connection->server->set->random);
    while (find(connection, id));
    return id;
}

bool connection_send(struct connection *connection, struct attempt *attempt)
{
    struct server *server = connection->server;
    struct upstream_set *set = server->set;
    struct dns_opt opt = dns_opt_plain(EDNS_SIZE, false);
    uint8_t *frame = stream_reserve(&connection->stream, 2 + QUERY_MAX);
    uint16_t flags = DNS_FLAG_RD;

    if (!frame)
        return false;
    if (attempt->exchange) {
        flags = attempt->exchange->request->flags;
        opt.dnssec_ok = attempt->exchange->request->dnssec_ok;
    }
    opt.keepalive_ask = true;
    opt.padding_block = QUERY_PADDING;
    opt.padding_limit = QUERY_MAX;
    attempt->id = pick_id(connection);

    size_t size = dns_query_build(frame + 2, QUERY_MAX, attempt->id, flags, attempt->question,
                                  attempt->question_size, &opt);

    require(size > 0);
    put_u16(frame, (uint16_t)size);
    stream_commit(&connection->stream, 2 + size);

    usec_t now = set_now(set);

    if (connection->in_flight == 0)
        connection->idle_before = now - MAX(connection->last_read, connection->last_sent);
    attempt->sent_at = connection->last_sent = now;
    attempt->connection = connection;
    list_append(bucket(connection, attempt->id), &attempt->place);
    connection->in_flight++;
    server->in_flight++;
    connection->sent++;
    server->queries++;
    if (server->query_limit != 0 && connection->sent >= server->query_limit)
        connection->retiring = true;
    counter_inc(set->counters, COUNTER_upstream_queries);
    return true;
}

void connection_probe(struct connection *connection)
{
    struct server *server = connection->server;
    struct upstream_set *set = server->set;
    struct attempt *attempt;

    if (connection->probing || !(attempt = slab_take(&set->attempts)))
        return;
    *attempt = (struct attempt){
        .server = server,
        .question = probe_question,
        .question_size = sizeof(probe_question),
        .probe = true,
    };
    list_init(&attempt->node);
    list_init(&attempt->place);
    server->refs++;
    if (!connection_send(connection, attempt)) {
        attempt_free(attempt);
        return;
    }
    counter_inc(set->counters, COUNTER_upstream_probes);
    connection->probing = true;

    usec_t patience = rtt_patience(&server->rtt, PROBE_MAX);

    loop_arm(set->loop, &connection->probe_timer,
             set_now(set) + MIN(MAX(patience, PROBE_MIN), PROBE_MAX));
}
