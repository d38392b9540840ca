// One request: attempts at servers, one after the other or side by side, until the first good reply
// or the deadline.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "upstream/internal.h"

// An answer that takes less is not worth a second query.
#define PATIENCE_MIN (300 * USEC_MSEC)

static void on_timer(struct wheel_timer *timer);

void attempt_free(struct attempt *attempt)
{
    struct server *server = attempt->server;

    slab_give(&server->set->attempts, attempt);
    server_release(server);
}

// Ends the exchange: nothing of it is touched afterwards.
static void finish(struct exchange *exchange, const struct upstream_result *result)
{
    struct upstream_request *request = exchange->request;

    loop_disarm(exchange->set->loop, &exchange->timer);
    while (!list_empty(&exchange->attempts))
        attempt_abandon(list_first(&exchange->attempts, struct attempt, node));
    request->exchange = NULL;
    request->done(request, result);
    free(exchange->saved);
    slab_give(&exchange->set->exchanges, exchange);
}

// No attempt is left that could bring more: the failure that an upstream sent is passed on, as the
// truth about that question; else the client hears why there is none.
static void give_up(struct exchange *exchange)
{
    struct upstream_result result = {
        .ede = exchange->ede,
        .reason = exchange->reason,
        .timed_out = exchange->timed_out,
        .via = exchange->saved_via,
    };
    struct dns_message reply;

    if (exchange->saved && dns_message_parse(&reply, exchange->saved, exchange->saved_size) == E_OK)
        result.reply = &reply;
    result.via.attempts = (uint8_t)exchange->tried;
    finish(exchange, &result);
}

static struct upstream_via via_of(const struct attempt *attempt,
                                  const struct connection *connection)
{
    return (struct upstream_via){
        .url = attempt->server->options->url,
        .address = connection->address,
        .latency = set_now(attempt->server->set) - attempt->sent_at,
        .attempts = (uint8_t)attempt->exchange->tried,
        .tls_version = tls_version_number(connection->stream.tls),
        .resumed = tls_resumed(connection->stream.tls),
    };
}

static void say_reason(struct exchange *exchange, enum dns_ede ede, const struct server *server,
                       const char *reason)
{
    exchange->ede = ede;
    snprintf(exchange->reason, sizeof(exchange->reason), "%s: %s", server->options->url, reason);
}

// A server that is down has a reason better than that the query waited in vain.
static void say_slow(struct exchange *exchange, const struct server *server)
{
    if (server->state == SERVER_DOWN)
        say_reason(exchange, server->ede, server, server->reason);
    else
        say_reason(exchange, DNS_EDE_NO_REACHABLE_AUTHORITY, server, "no answer in time");
}

static void arm(struct exchange *exchange, const struct server *server)
{
    struct upstream_set *set = exchange->set;
    usec_t share = set->timeout / EXCHANGE_ATTEMPTS;
    usec_t patience = MIN(MAX(rtt_patience(&server->rtt, share), PATIENCE_MIN), share);

    loop_arm(set->loop, &exchange->timer, MIN(set_now(set) + patience, exchange->deadline));
}

// Makes one more attempt. False if there is no server that could do better, or no attempt left.
static bool try_next(struct exchange *exchange)
{
    struct upstream_set *set = exchange->set;
    struct server *server;
    struct attempt *attempt;

    if (exchange->tried == EXCHANGE_ATTEMPTS || set->stopping)
        return false;
    server = strategy_pick(exchange);
    if (!server)
        return false;
    attempt = slab_take(&set->attempts);
    if (!attempt)
        return false;
    *attempt = (struct attempt){
        .exchange = exchange,
        .question = exchange->request->question,
        .question_size = exchange->request->question_size,
        .after = exchange->failed_at,
    };
    list_init(&attempt->place);
    list_append(&exchange->attempts, &attempt->node);
    exchange->tried_answered[exchange->tried] = false;
    exchange->tried_serials[exchange->tried++] = server->serial;
    if (exchange->tried > 1)
        counter_inc(set->counters, COUNTER_upstream_retries);
    arm(exchange, server);
    server_submit(server, attempt);
    return true;
}

// Another attempt if there can be one. Attempts that are under way may still bring the reply, also
// those under whose ID something false came.
static void go_on(struct exchange *exchange)
{
    if (!try_next(exchange) && list_empty(&exchange->attempts))
        give_up(exchange);
}

void exchange_start(struct upstream_set *set, struct upstream_request *request)
{
    struct exchange *exchange = slab_take(&set->exchanges);

    if (!exchange) {
        request->done(request, &(struct upstream_result){.ede = DNS_EDE_OTHER,
                                                         .reason = "too many queries in flight"});
        return;
    }
    // Not all of it: `reason` is large, and empty until something fails.
    exchange->set = set;
    exchange->request = request;
    list_init(&exchange->attempts);
    wheel_timer_init(&exchange->timer, on_timer);
    exchange->deadline = set_now(set) + set->timeout;
    exchange->failed_at = 0;
    exchange->tried = 0;
    exchange->timed_out = false;
    exchange->saved = NULL;
    exchange->saved_size = 0;
    exchange->saved_via = (struct upstream_via){.url = NULL};
    exchange->ede = DNS_EDE_NO_REACHABLE_AUTHORITY;
    exchange->reason[0] = '\0';
    request->exchange = exchange;

    unsigned attempts = 1;

    if (set->strategy == UPSTREAM_PARALLEL)
        attempts = MIN(set->server_count, (unsigned)EXCHANGE_ATTEMPTS);
    while (attempts > 0 && try_next(exchange))
        attempts--;
    if (list_empty(&exchange->attempts)) {
        snprintf(exchange->reason, sizeof(exchange->reason), "no upstream can be asked");
        give_up(exchange);
    }
}

// Keeps a failure reply, in case nothing better comes. The first is kept: the preferred server's.
static void save(struct exchange *exchange, const struct dns_message *reply,
                 const struct upstream_via *via)
{
    if (exchange->saved)
        return;
    exchange->saved = malloc(reply->size);
    if (!exchange->saved)
        return;
    memcpy(exchange->saved, reply->wire, reply->size);
    exchange->saved_size = reply->size;
    exchange->saved_via = *via;
}

static void note_answered(struct exchange *exchange, uint32_t serial)
{
    for (unsigned i = 0; i < exchange->tried; i++)
        if (exchange->tried_serials[i] == serial)
            exchange->tried_answered[i] = true;
}

void exchange_replied(struct attempt *attempt, const struct connection *by,
                      const struct dns_message *reply)
{
    struct exchange *exchange = attempt->exchange;
    const struct upstream_via via = via_of(attempt, by);

    list_remove(&attempt->node);
    attempt->exchange = NULL;
    if (LIKELY(!upstream_reply_is_failure(reply))) {
        finish(exchange, &(struct upstream_result){.reply = reply, .via = via});
        return;
    }
    counter_inc(exchange->set->counters, COUNTER_upstream_replies_failed);
    note_answered(exchange, attempt->server->serial);
    save(exchange, reply, &via);
    go_on(exchange);
}

void exchange_failed(struct attempt *attempt)
{
    struct exchange *exchange = attempt->exchange;
    const struct server *server = attempt->server;

    list_remove(&attempt->node);
    // A reused connection may have been dead for a while, and so may its neighbours.
    exchange->failed_at = set_now(exchange->set);
    say_reason(exchange, server->ede, server, server->reason);
    attempt_free(attempt);
    go_on(exchange);
}

void exchange_struck(struct attempt *attempt)
{
    say_reason(attempt->exchange, DNS_EDE_INVALID_DATA, attempt->server,
               "sent a reply that does not match the query");
    go_on(attempt->exchange);
}

// The newest attempt has taken longer than its server usually does.
static void on_timer(struct wheel_timer *timer)
{
    struct exchange *exchange = container_of(timer, struct exchange, timer);
    struct upstream_set *set = exchange->set;

    if (set_now(set) >= exchange->deadline) {
        if (exchange->reason[0] == '\0')
            snprintf(exchange->reason, sizeof(exchange->reason), "no upstream answered in time");
        counter_inc(set->counters, COUNTER_upstream_timeouts);
        exchange->timed_out = true;
        give_up(exchange);
        return;
    }

    loop_arm(set->loop, timer, exchange->deadline);
    list_for_each(node, &exchange->attempts) {
        struct attempt *attempt = list_entry(node, struct attempt, node);
        struct connection *connection = attempt->connection;

        say_slow(exchange, attempt->server);
        // Slow is not dead: others may have been answered meanwhile. If none was, ask.
        if (connection && connection->last_message >= attempt->sent_at)
            continue;
        attempt->server->suspect = true;
        if (connection)
            connection_probe(connection);
    }
    counter_inc(set->counters, COUNTER_upstream_timeouts);
    try_next(exchange);
}
