// A server: its addresses and connections, whether it is well, and what was learnt about it.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "upstream/internal.h"

// The next address joins the race when the ones before have not won by then (RFC 8305 section 5).
#define DIAL_STAGGER (250 * USEC_MSEC)

// Back-off after failures: doubles between these, so that a server that is mended is found within a
// second.
#define BACKOFF_MIN (100 * USEC_MSEC)
#define BACKOFF_MAX (1 * USEC_SEC)

// Big public resolvers close idle connections after about 10 s without saying so.
#define IDLE_LIMIT_UNSAID (8 * USEC_SEC)
#define IDLE_LIMIT_MIN (5 * USEC_MSEC)

// What was learnt is forgotten after this time: servers change.
#define IDLE_LIMIT_KEPT (600 * USEC_SEC)
#define QUERY_LIMIT_KEPT (60 * USEC_SEC)

// Queries written to a connection that had been idle for this long may have crossed the server's
// idle close.
#define IDLE_RACE_MIN (20 * USEC_MSEC)

// Connections in a row that end without one answer, before the server counts as down.
#define FAILURES_MAX 2

static const char *phase_name(enum stream_phase phase)
{
    static const char *const names[] = {
        [PHASE_CONNECT] = "connect", [PHASE_HANDSHAKE] = "handshake", [PHASE_VERIFY] = "verify",
        [PHASE_READ] = "read",       [PHASE_WRITE] = "write",
    };

    return names[phase];
}

static void dial(struct server *server);

static void on_drain(struct task *task);
static void on_dial_timer(struct wheel_timer *timer);

struct server *server_new(struct upstream_set *set, struct upstream_plan *plan,
                          struct upstream_plan_server *shared)
{
    struct server *server = calloc(1, sizeof(*server));

    if (!server)
        return NULL;
    server->set = set;
    server->serial = ++set->next_serial;
    server->plan = upstream_plan_ref(plan);
    server->shared = shared;
    server->options = shared->options;
    server->refs = 1; // the set's
    server->address_count = server->options->endpoint.address_count;
    memcpy(server->addresses, server->options->endpoint.addresses, sizeof(server->addresses));
    list_init(&server->node);
    list_init(&server->candidates);
    list_init(&server->connections);
    list_init(&server->waiting);
    task_init(&server->drain, on_drain);
    wheel_timer_init(&server->dial_timer, on_dial_timer);
    return server;
}

void server_release(struct server *server)
{
    if (--server->refs > 0)
        return;
    list_remove(&server->node);
    if (list_linked(&server->drain.node))
        list_remove(&server->drain.node);
    loop_disarm(server->set->loop, &server->dial_timer);
    lookup_cancel(server->lookup);
    tls_ticket_free(server->ticket);
    upstream_plan_unref(server->plan);
    free(server);
}

static void close_all(struct list *connections)
{
    while (!list_empty(connections))
        connection_close(list_first(connections, struct connection, node));
}

static void fail_waiting(struct server *server)
{
    for (struct list *node; (node = list_pop(&server->waiting));)
        set_fail_later(server->set, list_entry(node, struct attempt, place));
}

static void end_dial(struct server *server)
{
    close_all(&server->candidates);
    loop_disarm(server->set->loop, &server->dial_timer);
    server->dial_left = 0;
}

void server_retire(struct server *server)
{
    server->retired = true;
    lookup_cancel(server->lookup);
    server->lookup = NULL;
    end_dial(server);
    fail_waiting(server);
    list_for_each(node, &server->connections)
        connection_retire(list_entry(node, struct connection, node));
    server_release(server);
}

void server_stop(struct server *server)
{
    server->refs++;
    close_all(&server->connections);
    if (!server->retired)
        server_retire(server);
    server_release(server); // NOLINT(clang-analyzer-unix.Malloc): the reference taken above
}

// ---- Health

static void set_reason(struct server *server, enum stream_phase phase, const char *reason)
{
    snprintf(server->reason, sizeof(server->reason), "%s: %s", phase_name(phase), reason);
    server->ede = DNS_EDE_NETWORK_ERROR;
}

static void back_off(struct server *server)
{
    server->backoff = MIN(MAX(server->backoff * 2, BACKOFF_MIN), BACKOFF_MAX);
    server->backoff_until = set_now(server->set) + server->backoff;
}

// The server did not do its part: it is down, for at least the back-off.
static void go_down(struct server *server)
{
    back_off(server);
    announce_down(server);
    if (server->state == SERVER_UP) {
        server->state = SERVER_DOWN;
        server->down_since = set_now(server->set);
        counter_inc(server->set->counters, COUNTER_upstream_down);
    }
    end_dial(server);
    fail_waiting(server);
}

void server_answered(struct server *server)
{
    server->failures = 0;
    server->suspect = false;
    if (LIKELY(server->state == SERVER_UP))
        return;
    server->state = SERVER_UP;
    server->backoff = 0;
    counter_inc(server->set->counters, COUNTER_upstream_up);
    announce_back(server);
}

// ---- Dialling

static bool dialling(const struct server *server)
{
    return !list_empty(&server->candidates) || server->lookup;
}

// Every address failed.
static void dial_failed(struct server *server)
{
    if (server->connection_count > 0) {
        // Those that are open still serve; an additional one is not to be had for now.
        back_off(server);
        server_drain_later(server);
        return;
    }
    // A name may lead to other addresses by now.
    if (server->options->endpoint.host[0] != '\0')
        server->address_count = 0;
    go_down(server);
}

// Starts connections to the next addresses until one does not fail at once.
static void dial_next(struct server *server)
{
    struct loop *loop = server->set->loop;

    while (server->dial_left > 0) {
        unsigned at = server->address_count - server->dial_left--;
        const struct address *address =
            &server->addresses[(server->address_next + at) % server->address_count];

        if (connection_open(server, address)) {
            if (server->dial_left > 0)
                loop_arm(loop, &server->dial_timer, set_now(server->set) + DIAL_STAGGER);
            return;
        }
        counter_inc(server->set->counters, COUNTER_upstream_connections_failed);
        server->totals.not_connected++;
        set_reason(server, PHASE_CONNECT, strerror(errno));
    }
    if (list_empty(&server->candidates))
        dial_failed(server);
}

static void dial(struct server *server)
{
    if (dialling(server) || server->retired)
        return;
    if (server->address_count == 0) {
        server->lookup = lookup_start(server);
        return;
    }
    server->dial_left = server->address_count;
    dial_next(server);
}

static void on_dial_timer(struct wheel_timer *timer)
{
    struct server *server = container_of(timer, struct server, dial_timer);

    if (server->dial_left > 0)
        dial_next(server);
    else
        server_drain_later(server); // the back-off is over
}

void server_resolved(struct server *server, const struct address *addresses, unsigned count,
                     const char *reason)
{
    server->lookup = NULL;
    if (count == 0) {
        snprintf(server->reason, sizeof(server->reason), "bootstrap: %s", reason);
        server->ede = DNS_EDE_NO_REACHABLE_AUTHORITY;
        go_down(server);
        return;
    }
    server->address_count = MIN(count, (unsigned)UPSTREAM_ADDRESSES_MAX);
    server->address_next = 0;
    memcpy(server->addresses, addresses, server->address_count * sizeof(*addresses));
    for (unsigned i = 0; i < server->address_count; i++)
        address_set_port(&server->addresses[i], server->options->endpoint.port);
    dial(server);
}

void server_opened(struct connection *connection)
{
    struct server *server = connection->server;
    struct upstream_set *set = server->set;

    list_remove(&connection->node);
    list_append(&server->connections, &connection->node);
    server->connection_count++;
    counter_inc(set->counters, COUNTER_upstream_connections_opened);
    server->totals.opened++;
    if (tls_resumed(connection->stream.tls)) {
        counter_inc(set->counters, COUNTER_upstream_connections_resumed);
        server->totals.resumed++;
    }
    for (unsigned i = 0; i < server->address_count; i++)
        if (address_equal(&server->addresses[i], &connection->address))
            server->address_next = i;
    end_dial(server); // the race is won
    if (server->state == SERVER_UP)
        server->backoff = server->backoff_until = 0;
    announce_connected(server, connection);
    if (server->retired) {
        connection_retire(connection);
        return;
    }
    // A handshake alone does not say that queries are answered. The first that waits will tell.
    if (server->state == SERVER_DOWN && list_empty(&server->waiting))
        connection_probe(connection);
    server_drain_later(server);
}

static void count_failure(struct connection *connection, enum stream_phase phase)
{
    struct status_upstream_totals *totals = &connection->server->totals;

    if (phase == PHASE_CONNECT)
        totals->not_connected++;
    else
        totals->failed[connection->stream.handshake]++;
}

void server_open_failed(struct connection *connection, enum stream_phase phase, const char *reason)
{
    struct server *server = connection->server;
    struct upstream_set *set = server->set;

    count_failure(connection, phase);
    connection_close(connection);
    counter_inc(set->counters, COUNTER_upstream_connections_failed);
    if (phase == PHASE_VERIFY)
        counter_inc(set->counters, COUNTER_upstream_connections_verify_failed);
    set_reason(server, phase, reason);
    if (server->retired)
        return;
    dial_next(server);
}

// ---- Connections that end

// One close may have any cause; a second after about the same idle time shows a limit.
static void learn_idle_limit(struct server *server, usec_t idle)
{
    if (idle / 2 <= server->idle_seen && server->idle_seen <= idle * 2) {
        server->idle_limit = MAX(MIN(idle, server->idle_seen) * 3 / 4, IDLE_LIMIT_MIN);
        server->idle_limit_until = set_now(server->set) + IDLE_LIMIT_KEPT;
    }
    server->idle_seen = idle;
}

// A connection closed under queries: did the server close it for idleness just as they were sent,
// or does it take only so many?
static void learn_limits(struct server *server, const struct connection *connection)
{
    usec_t now = set_now(server->set);

    if (connection->answered == 0)
        return;
    if (connection->idle_before >= IDLE_RACE_MIN &&
        now - connection->last_sent < server->rtt.smoothed * 2 + IDLE_RACE_MIN &&
        connection->last_read < connection->last_sent) {
        learn_idle_limit(server, connection->idle_before);
        return;
    }
    // A query sent after the last reply may just have crossed a close that had other causes.
    if (!connection_was_pipelined(connection))
        return;
    server->query_limit = connection->answered;
    server->query_limit_until = now + QUERY_LIMIT_KEPT;
    log_debug(server->set->log, "upstream", "%s closes connections after %u queries",
              server->options->url, server->query_limit);
}

static void forget_limits(struct server *server)
{
    usec_t now = set_now(server->set);

    if (server->query_limit != 0 && now >= server->query_limit_until)
        server->query_limit = 0;
    if (server->idle_limit != 0 && now >= server->idle_limit_until)
        server->idle_limit = 0;
}

void server_lost(struct connection *connection, enum stream_phase phase, const char *reason)
{
    struct server *server = connection->server;
    bool stalled = connection->probing;

    if (connection->in_flight > 0)
        counter_inc(server->set->counters, COUNTER_upstream_connections_broken);
    if (connection->end == STATUS_CLOSE_RETIRED)
        connection->end = STATUS_CLOSE_LOST;
    set_reason(server, phase, reason);
    if (phase == PHASE_READ && !stalled)
        learn_limits(server, connection);
    connection_close(connection);
    log_debug(server->set->log, "upstream", "lost a connection to %s: %s", server->options->url,
              server->reason);
    if (server->retired)
        return;
    if (stalled || (connection->answered == 0 && ++server->failures >= FAILURES_MAX))
        go_down(server);
}

void server_closed_idle(struct connection *connection, bool by_peer)
{
    struct server *server = connection->server;
    usec_t now = set_now(server->set);
    usec_t idle = now - MAX(connection->last_read, connection->last_sent);

    counter_inc(server->set->counters, COUNTER_upstream_connections_idle);
    connection->end = by_peer ? STATUS_CLOSE_IDLE_SERVER : STATUS_CLOSE_IDLE;
    if (!by_peer || connection->answered == 0 || idle < IDLE_LIMIT_MIN)
        return;
    learn_idle_limit(server, idle);
}

usec_t server_idle_limit(const struct server *server, const struct connection *connection)
{
    usec_t limit = IDLE_LIMIT_UNSAID;

    // A little less than the server's own, so that its close does not cross our query.
    if (connection->keepalive != USEC_NEVER)
        limit = MAX(connection->keepalive * 7 / 8, IDLE_LIMIT_MIN);
    if (server->idle_limit != 0)
        limit = MIN(limit, server->idle_limit);
    return MIN(limit, server->options->idle_timeout);
}

// ---- Attempts

static struct connection *pick_connection(struct server *server, usec_t after)
{
    struct connection *best = NULL;

    list_for_each(node, &server->connections) {
        struct connection *connection = list_entry(node, struct connection, node);

        if (!connection_usable(connection, after))
            continue;
        // The first that is not deep: one hot connection rather than several cold ones.
        if (connection->in_flight < CONNECTION_DEPTH)
            return connection;
        if (!best || connection->in_flight < best->in_flight)
            best = connection;
    }
    return best;
}

// Makes sure that somebody who waits will be served: by a dial, or when the back-off is over.
static void want_connection(struct server *server)
{
    struct upstream_set *set = server->set;

    if (dialling(server) || server->connection_count >= server->options->max_connections)
        return;
    if (set_now(set) < server->backoff_until) {
        loop_arm(set->loop, &server->dial_timer, server->backoff_until);
        return;
    }
    dial(server);
}

static bool send_now(struct server *server, struct attempt *attempt)
{
    struct connection *connection = pick_connection(server, attempt->after);

    // It would rather have a fresh connection; where there can be none, any will do.
    if (!connection && attempt->after != 0 &&
        (server->connection_count >= server->options->max_connections ||
         set_now(server->set) < server->backoff_until))
        connection = pick_connection(server, 0);
    if (!connection)
        return false;
    // All are deep.
    if (UNLIKELY(connection->in_flight >= CONNECTION_DEPTH))
        want_connection(server);
    return connection_send(connection, attempt);
}

void server_submit(struct server *server, struct attempt *attempt)
{
    if (UNLIKELY(server->query_limit | server->idle_limit))
        forget_limits(server);
    attempt->server = server;
    server->refs++;
    if (list_empty(&server->waiting) && LIKELY(send_now(server, attempt)))
        return;
    list_append(&server->waiting, &attempt->place);
    want_connection(server);
}

void server_drain_later(struct server *server)
{
    if (!list_empty(&server->waiting))
        loop_at_turn_end(server->set->loop, &server->drain);
}

static void on_drain(struct task *task)
{
    struct server *server = container_of(task, struct server, drain);

    for (struct list *node; (node = list_pop(&server->waiting));) {
        struct attempt *attempt = list_entry(node, struct attempt, place);

        if (send_now(server, attempt))
            continue;
        // Back to its place at the head.
        list_append(server->waiting.next, &attempt->place);
        want_connection(server);
        return;
    }
}

void server_revive(struct server *server)
{
    if (LIKELY(server->state == SERVER_UP) || set_now(server->set) < server->backoff_until ||
        server->connection_count > 0)
        return;
    dial(server);
}

void server_test(struct server *server)
{
    if (server->state == SERVER_DOWN)
        server_revive(server);
    else if (server->replies == 0 && server->connection_count == 0)
        dial(server);
}
