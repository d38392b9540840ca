#include "engine/flight.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "dns/tables.h"

// A query that came this much after the one that a flight began with is not content with that one's
// time-out.
#define LATE (250 * USEC_MSEC)

struct flight_answer {
    atomic_uint refs;
    usec_t started; // of the leader
    enum dns_ede ede;
    bool timed_out;
    struct upstream_via via;
    size_t size;     // of the reply; 0: none
    uint8_t bytes[]; // the reply, then the reason and the URL of `via`, each with its NUL
};

static void launch(struct flight *flight);
static void on_landed(struct task *task);

// ---- Queries that wait

static void stop_waiting(struct query *query)
{
    struct engine *engine = query->engine;

    list_remove(&query->node);
    engine->waiting.held[query->share]--;
    engine->host_ops->disarm(engine->host, &query->timer);
}

static enum cache_state look_up(struct engine *engine, const struct cache_key *key,
                                struct cache_found *found)
{
    engine_read_cache(engine);
    return cache_lookup(engine->cache, key, &engine->options.cache, engine_now(engine), found);
}

// It has waited long enough for a fresh answer, or for any.
static void on_query_timer(struct wheel_timer *timer)
{
    struct query *query = container_of(timer, struct query, timer);
    struct engine *engine = query->engine;
    struct cache_found found;
    enum cache_state state = look_up(engine, &query->flight->key, &found);

    if (state != CACHE_MISS) {
        // So that the next who ask need not wait as well.
        if (state == CACHE_STALE)
            cache_set_failing(&found, engine_now(engine));
        stop_waiting(query);
        query_reply_cached(query, state, &found);
    } else if (query->deadline != USEC_NEVER) {
        stop_waiting(query);
        query_reply_failed(query, &(struct upstream_result){.ede = DNS_EDE_NO_REACHABLE_AUTHORITY,
                                                            .reason = "no answer in time"});
    }
}

static void wait_for(struct flight *flight, struct query *query, usec_t until)
{
    struct engine *engine = flight->engine;

    query->flight = flight;
    list_append(&flight->waiters, &query->node);
    engine->waiting.held[query->share]++;
    wheel_timer_init(&query->timer, on_query_timer);
    if (until != USEC_NEVER)
        engine->host_ops->arm(engine->host, &query->timer, until);
}

// ---- Flights

static struct list *bucket_of(struct engine *engine, const struct cache_key *key)
{
    // Not the bits by which the shared tables are divided.
    return &engine->flight_buckets[(key->hash >> 40) % ENGINE_FLIGHT_BUCKETS];
}

static struct flight *find(struct engine *engine, const struct cache_key *key)
{
    list_for_each(node, bucket_of(engine, key)) {
        struct flight *flight = list_entry(node, struct flight, node);

        if (cache_key_equal(&flight->key, key))
            return flight;
    }
    return NULL;
}

// The last places are for clients that have few.
static bool may_fly(const struct engine *engine, const struct query *cause)
{
    size_t taken = engine->flights.used, places = engine->options.max_in_flight;

    if (!cause)
        return policy_share_is_ample(taken, places);
    return policy_share_allows(&engine->asking, cause->share, taken, places);
}

// `cause` is NULL for a refresh. NULL if there is no room.
static struct flight *make(struct engine *engine, const struct cache_key *key,
                           const uint8_t *question, const struct query *cause)
{
    struct flight *flight = may_fly(engine, cause) ? slab_take(&engine->flights) : NULL;

    if (!flight)
        return NULL;
    flight->engine = engine;
    flight->answer = NULL;
    flight->started = engine_now(engine);
    flight->generation = cache_generation(engine->cache);
    flight->client = cause ? cause->client.source : (struct address){.family = AF_UNSPEC};
    flight->share = cause ? cause->share : POLICY_SHARE_NOBODY;
    engine->asking.held[flight->share]++;
    cache_key_copy(&flight->key, key);
    memcpy(flight->question, question, key->size);
    list_init(&flight->waiters);
    task_init(&flight->landed, on_landed);
    list_append(bucket_of(engine, key), &flight->node);
    return flight;
}

bool flight_refresh(struct engine *engine, const struct cache_key *key)
{
    struct flight *flight = NULL;

    if (!find(engine, key))
        flight = make(engine, key, key->question, NULL);
    if (flight)
        launch(flight);
    return flight != NULL;
}

// No room for one more question, or for one more of this client: what is left is a stale answer.
static void answer_without(struct query *query, const struct cache_key *key)
{
    struct cache_found found;
    enum cache_state state = look_up(query->engine, key, &found);

    if (state != CACHE_MISS) {
        query_reply_cached(query, state, &found);
        return;
    }
    counter_inc(query->engine->counters, COUNTER_queries_overload);
    query->outcome = QUERYLOG_LIMITED;
    query_reply_empty(query, DNS_RCODE_SERVFAIL, DNS_EDE_OTHER, "too many queries in flight");
}

static void join(struct query *query, const struct cache_key *key, usec_t until)
{
    struct engine *engine = query->engine;
    struct flight *flight = find(engine, key);

    // Itself it is in flight already.
    if (!policy_share_allows(&engine->waiting, query->share, engine->in_flight - 1,
                             engine->options.max_in_flight)) {
        answer_without(query, key);
        return;
    }
    if (flight) {
        counter_inc(engine->counters, COUNTER_queries_joined);
        query->joined = true;
        wait_for(flight, query, until);
        return;
    }
    flight = make(engine, key, query->question, query);
    if (!flight) {
        answer_without(query, key);
        return;
    }
    wait_for(flight, query, until);
    launch(flight);
}

void flight_join(struct query *query, const struct cache_key *key, usec_t stale_at)
{
    query->arrived = engine_now(query->engine);
    query->deadline = USEC_NEVER;
    query->share = policy_share_slot(cache_secret(query->engine->cache), &query->client.source);
    join(query, key, stale_at);
}

void flight_ask_late(struct engine *engine)
{
    struct cache_key key;

    for (struct list *node; (node = list_pop(&engine->late));) {
        struct query *query = list_entry(node, struct query, node);

        query_key(query, &key);
        join(query, &key, query->deadline);
    }
}

// ---- Landing

static bool is_failure(const struct upstream_result *result)
{
    return !result->reply || upstream_reply_is_failure(result->reply);
}

// Together, at the turn's end.
static void ask_again(struct query *query, usec_t deadline)
{
    struct engine *engine = query->engine;

    query->deadline = deadline;
    list_append(&engine->late, &query->node);
    if (!list_linked(&engine->ask_late.node))
        engine->host_ops->at_turn_end(engine->host, &engine->ask_late);
}

// `state` and `found`: what the cache has instead; CACHE_MISS if nothing.
static void answer_failure(struct query *query, const struct upstream_result *result,
                           const struct cache_verdict *verdict, enum cache_state state,
                           const struct cache_found *found)
{
    if (state != CACHE_MISS)
        query_reply_cached(query, state, found);
    else if (result->reply)
        query_reply_from(query, result->reply, verdict);
    else
        query_reply_failed(query, result);
}

// Answers those who wait. Whoever asks the same while that goes on starts a new flight.
static void land(struct flight *flight, const struct upstream_result *result,
                 const struct cache_verdict *verdict)
{
    struct engine *engine = flight->engine;
    bool failed = is_failure(result);
    usec_t lasted = engine_now(engine) - flight->started;
    enum cache_state state = CACHE_MISS;
    struct cache_found found;
    struct list waiters;

    list_remove(&flight->node);
    list_init(&waiters);
    list_splice(&waiters, &flight->waiters);
    if (failed)
        state = look_up(engine, &flight->key, &found);
    // The failure itself, just kept, tells less than what the upstream said.
    if (state == CACHE_FRESH && found.kind == CACHE_FAILURE)
        state = CACHE_MISS;
    while (!list_empty(&waiters)) {
        struct query *query = list_first(&waiters, struct query, node);

        stop_waiting(query);
        query->via = &result->via;
        if (!failed)
            query_reply_from(query, result->reply, verdict);
        else if (result->timed_out && state == CACHE_MISS && query->deadline == USEC_NEVER &&
                 query->arrived >= flight->started + LATE) {
            query->via = NULL;
            ask_again(query, query->arrived + lasted);
        } else {
            answer_failure(query, result, verdict, state, &found);
        }
    }
    engine->asking.held[flight->share]--;
    slab_give(&engine->flights, flight);
    engine_drained_if_idle(engine);
}

// ---- A follower's end

static void answer_unref(struct flight_answer *answer)
{
    if (answer && atomic_fetch_sub(&answer->refs, 1) == 1)
        free(answer);
}

static void judge(const struct flight *flight, const struct upstream_result *result,
                  struct cache_verdict *verdict)
{
    const struct cache_options *options = &flight->engine->options.cache;

    *verdict = (struct cache_verdict){.keep = false};
    if (result->reply && options->size > 0)
        cache_judge(verdict, options, &flight->key, result->reply);
}

static void on_landed(struct task *task)
{
    struct flight *flight = container_of(task, struct flight, landed);
    struct flight_answer *answer = flight->answer;
    struct upstream_result result = {.ede = DNS_EDE_OTHER, .reason = "out of memory"};
    struct cache_verdict verdict;
    struct dns_message reply;

    flight->engine->following--;
    if (answer) {
        flight->started = answer->started;
        result.ede = answer->ede;
        result.reason = (const char *)answer->bytes + answer->size;
        result.timed_out = answer->timed_out;
        result.via = answer->via;
        if (answer->size > 0 && dns_message_parse(&reply, answer->bytes, answer->size) == E_OK)
            result.reply = &reply;
    }
    list_for_each(node, &flight->waiters)
        list_entry(node, struct query, node)->joined = true;
    judge(flight, &result, &verdict);
    land(flight, &result, &verdict);
    answer_unref(answer);
}

// ---- A leader's end

static struct flight_answer *answer_new(const struct flight *flight,
                                        const struct upstream_result *result, unsigned refs)
{
    const char *reason = result->reason ? result->reason : "";
    const char *url = result->via.url ? result->via.url : "";
    size_t size = result->reply ? result->reply->size : 0;
    struct flight_answer *answer =
        malloc(sizeof(*answer) + size + strlen(reason) + 1 + strlen(url) + 1);
    char *text;

    if (!answer)
        return NULL;
    atomic_init(&answer->refs, refs);
    answer->started = flight->started;
    answer->ede = result->ede;
    answer->timed_out = result->timed_out;
    answer->via = result->via;
    answer->size = size;
    if (size > 0)
        memcpy(answer->bytes, result->reply->wire, size);
    text = (char *)answer->bytes + size;
    strcpy(text, reason);
    // The servers may be others by the time that it is read.
    text += strlen(reason) + 1;
    strcpy(text, url);
    answer->via.url = *url ? text : NULL;
    return answer;
}

static void tell_followers(struct flight *leader, const struct upstream_result *result)
{
    struct flight_answer *answer = NULL;
    unsigned count = 0;
    struct list followers;

    list_init(&followers);
    cache_inflight_finish(cache_inflight(leader->engine->cache), &leader->shared, &followers);
    list_for_each(node, &followers)
        count++;
    if (count > 0)
        answer = answer_new(leader, result, count);
    for (struct list *node; (node = list_pop(&followers));) {
        struct flight *follower = container_of(node, struct flight, shared.node);
        struct engine *engine = follower->engine;

        follower->answer = answer;
        // From here on it is its own worker's.
        engine->host_ops->post(engine->host, &follower->landed);
    }
}

static bool is_negative(const struct cache_verdict *verdict)
{
    return verdict->kind == CACHE_NODATA || verdict->kind == CACHE_NXDOMAIN;
}

// What the answer means for the cache.
static void keep(struct flight *flight, const struct upstream_result *result,
                 const struct cache_verdict *verdict)
{
    struct engine *engine = flight->engine;
    const struct cache_options *options = &engine->options.cache;
    usec_t now = engine_now(engine);
    bool keep = verdict->keep;
    struct cache_found found;

    engine_read_cache(engine);
    if (keep && is_negative(verdict) && flight->client.family != AF_UNSPEC &&
        !cache_negative_limit_pass(&engine->negative_limit, &flight->client,
                                   options->negative_per_client, now)) {
        counter_inc(engine->counters, COUNTER_cache_negative_limited);
        keep = false;
    }
    if (keep)
        cache_insert(engine->cache,
                     &(struct cache_answer){
                         .key = &flight->key,
                         .reply = result->reply,
                         .verdict = verdict,
                         .generation = flight->generation,
                     },
                     options, now, engine->counters);
    if (!is_failure(result)) {
        if (!keep)
            cache_remove(engine->cache, &flight->key);
    } else if (look_up(engine, &flight->key, &found) == CACHE_STALE) {
        cache_set_failing(&found, now);
    }
}

static void on_upstream_done(struct upstream_request *request, const struct upstream_result *result)
{
    struct flight *flight = container_of(request, struct flight, request);
    struct cache_verdict verdict;

    judge(flight, result, &verdict);
    // The cache first: who finds the question in flight no longer finds its answer there.
    keep(flight, result, &verdict);
    tell_followers(flight, result);
    land(flight, result, &verdict);
}

// ---- The start

// Another worker's flight may have landed between the look into the cache and our taking the lead.
static bool answered_meanwhile(struct flight *flight)
{
    const struct cache_verdict verdict = {.keep = false};
    struct cache_found found;
    struct upstream_result result = {.reply = &found.message};

    // A refresh is asked for because of what is in the cache.
    if (list_empty(&flight->waiters) ||
        look_up(flight->engine, &flight->key, &found) != CACHE_FRESH)
        return false;
    tell_followers(flight, &result);
    land(flight, &result, &verdict);
    return true;
}

static void launch(struct flight *flight)
{
    struct engine *engine = flight->engine;
    uint8_t how = flight->key.flags;

    if (!cache_inflight_join(cache_inflight(engine->cache), &flight->shared, &flight->key)) {
        engine->following++;
        if (!list_empty(&flight->waiters))
            counter_inc(engine->counters, COUNTER_queries_joined);
        return;
    }
    if (answered_meanwhile(flight))
        return;
    counter_inc(engine->counters, COUNTER_queries_forwarded);
    flight->request = (struct upstream_request){
        .question = flight->question,
        .question_size = flight->key.size,
        // AD: whoever may ask for this later may want to know.
        .flags = (uint16_t)(DNS_FLAG_AD | (how & CACHE_KEY_NO_RECURSION ? 0 : DNS_FLAG_RD) |
                            (how & CACHE_KEY_CHECKING_DISABLED ? DNS_FLAG_CD : 0)),
        .dnssec_ok = how & CACHE_KEY_DNSSEC_OK,
        .done = on_upstream_done,
    };
    engine->upstream_ops->resolve(engine->upstreams, &flight->request);
}
