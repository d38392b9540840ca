#include "engine/engine.h"

#include <stdlib.h>

#include "base/error.h"
#include "cache/reader.h"
#include "dns/edns.h"
#include "dns/tables.h"
#include "engine/flight.h"
#include "engine/query.h"
#include "engine/resolve.h"
#include "policy/admit.h"

static void on_stop_reading(struct task *task)
{
    struct engine *engine = container_of(task, struct engine, stop_reading);

    engine->reading = false;
    cache_reader_offline();
}

static void on_ask_late(struct task *task)
{
    flight_ask_late(container_of(task, struct engine, ask_late));
}

void engine_read_cache(struct engine *engine)
{
    if (engine->reading)
        return;
    engine->reading = true;
    cache_reader_online();
    engine->host_ops->at_turn_end(engine->host, &engine->stop_reading);
}

struct engine *engine_new(const struct engine_setup *setup)
{
    struct engine *engine = calloc(1, sizeof(*engine));

    if (!engine)
        return NULL;
    engine->cache = setup->cache;
    engine->host_ops = setup->host_ops;
    engine->host = setup->host;
    engine->upstream_ops = setup->upstream_ops;
    engine->upstreams = setup->upstreams;
    engine->counters = setup->counters;
    engine->querylog = setup->querylog;
    task_init(&engine->stop_reading, on_stop_reading);
    task_init(&engine->ask_late, on_ask_late);
    list_init(&engine->late);
    cache_negative_limit_init(&engine->negative_limit, cache_secret(setup->cache));
    policy_limit_init(&engine->limit, cache_secret(setup->cache));
    slab_init(&engine->queries, sizeof(struct query), setup->options->max_in_flight);
    slab_init(&engine->flights, sizeof(struct flight), setup->options->max_in_flight);
    for (size_t i = 0; i < ARRAY_LEN(engine->flight_buckets); i++)
        list_init(&engine->flight_buckets[i]);
    engine_configure(engine, setup->options);
    return engine;
}

void engine_free(struct engine *engine)
{
    if (!engine)
        return;
    slab_deinit(&engine->queries);
    slab_deinit(&engine->flights);
    free(engine);
}

void engine_configure(struct engine *engine, const struct engine_options *options)
{
    engine->options = *options;
    policy_rules_compile(&engine->rules, &options->policy, NULL);
    engine->queries.limit = MAX((size_t)options->max_in_flight, engine->queries.made);
    engine->flights.limit = MAX((size_t)options->max_in_flight, engine->flights.made);
}

unsigned engine_in_flight(const struct engine *engine)
{
    return engine->in_flight;
}

bool engine_is_idle(const struct engine *engine)
{
    return engine->in_flight == 0 && engine->following == 0;
}

void engine_drain(struct engine *engine, void (*drained)(void *context), void *context)
{
    engine->drained = drained;
    engine->drained_context = context;
    engine_drained_if_idle(engine);
}

void engine_drained_if_idle(struct engine *engine)
{
    void (*drained)(void *context) = engine->drained;

    if (!drained || !engine_is_idle(engine))
        return;
    engine->drained = NULL; // once, whatever still comes
    drained(engine->drained_context);
}

static void turn_away(struct query *query, uint16_t rcode)
{
    enum counter counter = COUNTER_queries_refused;

    if (rcode == DNS_RCODE_FORMERR)
        counter = COUNTER_queries_malformed;
    else if (rcode == DNS_RCODE_NOTIMP)
        counter = COUNTER_queries_not_implemented;
    else if (rcode == DNS_RCODE_BADVERS)
        counter = COUNTER_queries_badvers;
    counter_inc(query->engine->counters, counter);
    query->outcome = QUERYLOG_REFUSED;
    query_reply_empty(query, rcode, -1, NULL);
}

static bool answer_locally(struct query *query, const struct dns_message *message)
{
    const struct engine_options *options = &query->engine->options;
    const struct policy_local_options local = {
        .private_reverse = options->private_reverse == ENGINE_PRIVATE_REVERSE_LOCAL,
        .identity_version = options->identity_version,
        .identity_id = options->identity_id,
        .discovery = &options->discovery,
        .asked = &query->client.local,
    };
    struct policy_answer answer;

    if (!policy_answer_local(&local, query->question, message->type, message->class, &answer))
        return false;
    counter_inc(query->engine->counters, COUNTER_queries_local);
    query_reply_local(query, &answer);
    return true;
}

// RFC 7873 section 5.4: a query without a question, for the cookie's sake.
static bool answer_about_cookie(struct query *query, const struct dns_message *message)
{
    if (query->cookie.state == POLICY_COOKIE_NONE ||
        DNS_OPCODE(message->flags) != DNS_OPCODE_QUERY || message->question_count != 0 ||
        message->edns_version != 0 || message->count[DNS_ANSWER] != 0 ||
        message->count[DNS_AUTHORITY] != 0)
        return false;
    counter_inc(query->engine->counters, COUNTER_queries_local);
    query->outcome = QUERYLOG_LOCAL;
    query_reply_empty(
        query, query->cookie.state == POLICY_COOKIE_BAD ? DNS_RCODE_BADCOOKIE : DNS_RCODE_NOERROR,
        -1, NULL);
    return true;
}

// What parsing made of the message decides its way.
static void begin(struct query *query, const struct dns_message *message, int parsed)
{
    bool malformed = parsed != E_OK || query->cookie.state == POLICY_COOKIE_MALFORMED;
    uint16_t rcode;

    query_read(query, message);
    // Opcodes that we do not know have formats that we do not know (RFC 1035 section 4.1.1).
    if (malformed && DNS_OPCODE(message->flags) == DNS_OPCODE_QUERY) {
        turn_away(query, DNS_RCODE_FORMERR);
        return;
    }
    rcode = policy_admit(message);
    if (UNLIKELY(rcode != DNS_RCODE_NOERROR)) {
        if (!answer_about_cookie(query, message))
            turn_away(query, rcode);
    } else if (!answer_locally(query, message)) {
        query_resolve(query);
    }
}

static bool is_to_be_ignored(const struct dns_message *message, int parsed)
{
    // Answering a response, or what only looks like DNS, is how loops and reflections start.
    return parsed == E_SHORT || (message->flags & DNS_FLAG_QR);
}

static enum policy_limit_verdict check_limit(struct engine *engine,
                                             const struct policy_rules *rules,
                                             const struct engine_client *client,
                                             enum policy_cookie_state cookie)
{
    const struct policy_rate_limit *limit = &rules->rate_limit;

    if (limit->rate == 0 || client->transport != ENGINE_UDP || cookie == POLICY_COOKIE_VALID)
        return POLICY_LIMIT_PASS;
    return policy_limit_check(&engine->limit, limit, &client->source, engine_now(engine));
}

static void stay_silent(struct query *query, const struct dns_message *message)
{
    if (UNLIKELY(query->logged))
        query_read(query, message);
    query_record(query, query->engine->reply, 0);
    query->client.ops->answer(&query->client, NULL, 0);
}

// Whatever the query is: nobody from elsewhere learns more than that.
static void refuse_client(struct engine *engine, const struct policy_rules *rules,
                          const struct engine_client *client, const struct dns_message *message)
{
    struct query query = {.engine = engine, .client = *client, .outcome = QUERYLOG_REFUSED};

    counter_inc(engine->counters, COUNTER_queries_not_allowed);
    query_record_begin(&query, message->size);
    if (rules->refuse == POLICY_REFUSE_DROP ||
        check_limit(engine, rules, client, POLICY_COOKIE_NONE) != POLICY_LIMIT_PASS) {
        stay_silent(&query, message);
        return;
    }
    query_read(&query, message);
    // Without a text and padding, which would be for whomever the source was forged to be.
    query.padded = false;
    query_reply_outside(&query, DNS_RCODE_REFUSED, DNS_EDE_PROHIBITED, NULL);
}

static void set_cookie(struct query *query, const struct policy_cookie *cookie)
{
    query->cookie.state = POLICY_COOKIE_NONE;
    if (UNLIKELY(cookie))
        query->cookie = *cookie;
}

// Over the limit. Who forges a source cannot go on by what is said here; who does not can.
static void reply_limited(struct engine *engine, const struct engine_client *client,
                          const struct dns_message *message, const struct policy_cookie *cookie,
                          enum policy_limit_verdict verdict)
{
    struct query query = {.engine = engine, .client = *client, .outcome = QUERYLOG_LIMITED};

    query_record_begin(&query, message->size);
    if (verdict == POLICY_LIMIT_DROP) {
        counter_inc(engine->counters, COUNTER_queries_limited_dropped);
        stay_silent(&query, message);
        return;
    }
    counter_inc(engine->counters, COUNTER_queries_limited_slipped);
    set_cookie(&query, cookie);
    query_read(&query, message);
    query.padded = false;
    if (cookie->state > POLICY_COOKIE_MALFORMED)
        query_reply_outside(&query, DNS_RCODE_BADCOOKIE, -1, NULL);
    else
        query_reply_truncated(&query);
}

// No room for the query: it is told so, from the stack.
static void overload(struct engine *engine, const struct engine_client *client,
                     const struct dns_message *message, const struct policy_cookie *cookie)
{
    struct query query = {.engine = engine, .client = *client, .outcome = QUERYLOG_LIMITED};

    counter_inc(engine->counters, COUNTER_queries_overload);
    query_record_begin(&query, message->size);
    set_cookie(&query, cookie);
    query_read(&query, message);
    query_reply_outside(&query, DNS_RCODE_SERVFAIL, DNS_EDE_OTHER, "too many queries in flight");
}

static void read_cookie(struct engine *engine, const struct engine_client *client,
                        const struct dns_message *message, struct policy_cookie *cookie)
{
    const struct policy_cookie_secrets *secrets = &engine->options.policy.cookie_secrets;
    struct dns_option option;

    // The first counts, should there be several.
    if (secrets->count == 0 || !dns_option_find(message, DNS_OPTION_COOKIE, &option))
        return;
    policy_cookie_read(cookie, secrets, &client->source, option.data, option.size,
                       engine->host_ops->wall_seconds(engine->host));
    if (cookie->state == POLICY_COOKIE_VALID)
        counter_inc(engine->counters, COUNTER_cookies_valid);
    else if (cookie->state == POLICY_COOKIE_BAD)
        counter_inc(engine->counters, COUNTER_cookies_bad);
}

// What a query's cookie says, and whether it may go on by the rate limit; if not it is answered.
// Out of line: most queries have no options, and most servers no limit.
__attribute__((noinline)) static bool pass_limit(struct engine *engine,
                                                 const struct policy_rules *rules,
                                                 const struct engine_client *client,
                                                 const struct dns_message *message,
                                                 struct policy_cookie *cookie)
{
    enum policy_limit_verdict verdict;

    cookie->state = POLICY_COOKIE_NONE;
    read_cookie(engine, client, message, cookie);
    verdict = check_limit(engine, rules, client, cookie->state);
    if (verdict != POLICY_LIMIT_PASS)
        reply_limited(engine, client, message, cookie, verdict);
    return verdict == POLICY_LIMIT_PASS;
}

void engine_query(struct engine *engine, const struct policy_rules *rules,
                  const struct engine_client *client, const uint8_t *message, size_t size)
{
    static const enum counter received[] = {
        [ENGINE_UDP] = COUNTER_queries_udp,
        [ENGINE_TCP] = COUNTER_queries_tcp,
        [ENGINE_TLS] = COUNTER_queries_tls,
        [ENGINE_HTTP] = COUNTER_queries_https,
    };
    struct dns_message view;
    struct query *query = NULL;
    struct policy_cookie room, *cookie = NULL;
    int parsed = dns_message_parse(&view, message, size);

    if (!rules)
        rules = &engine->rules;
    counter_inc(engine->counters, received[client->transport]);
    if (is_to_be_ignored(&view, parsed)) {
        counter_inc(engine->counters, COUNTER_queries_ignored);
        client->ops->answer(client, NULL, 0);
        return;
    }
    if (UNLIKELY(!policy_acl_allows(&rules->allowed, &client->source))) {
        refuse_client(engine, rules, client, &view);
        return;
    }
    if (UNLIKELY(view.options_size > 0 || rules->rate_limit.rate > 0)) {
        cookie = &room;
        if (!pass_limit(engine, rules, client, &view, cookie))
            return;
    }
    // After a reload the slab may hold more than the limit.
    if (engine->in_flight < engine->options.max_in_flight)
        query = slab_take(&engine->queries);
    if (!query) {
        overload(engine, client, &view, cookie);
        return;
    }
    query->engine = engine;
    query->client = *client;
    query_record_begin(query, size);
    set_cookie(query, cookie);
    engine->in_flight++;
    begin(query, &view, parsed);
}
