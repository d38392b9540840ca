// Replies: what the client can take, and what it is told by EDNS (RFC 6891, hop by hop).
#include <assert.h>
#include <string.h>

#include "base/cursor.h"
#include "dns/build.h"
#include "dns/tables.h"
#include "engine/query.h"

static_assert(QUERYLOG_OUTCOMES == QUERY_OUTCOMES, "each is counted");
static_assert(QUERYLOG_TRANSPORTS == QUERY_TRANSPORTS && (int)QUERYLOG_HTTPS == (int)ENGINE_HTTP,
              "and under its name");

// RFC 8467 section 4.2: replies are padded to a multiple of this.
#define REPLY_PADDING 468

// RFC 1035 section 2.3.4: what a client without EDNS takes.
#define UDP_SIZE_MIN 512

// Not HTTP, which has its own ways (RFC 8484 section 5).
static bool has_keepalive(enum engine_transport transport)
{
    return transport == ENGINE_TCP || transport == ENGINE_TLS;
}

void query_read(struct query *query, const struct dns_message *message)
{
    struct dns_option option;

    query->id = message->id;
    query->flags = message->flags;
    query->has_edns = message->has_opt;
    query->dnssec_ok = message->has_opt && message->dnssec_ok;
    query->padded = message->has_opt && dns_option_find(message, DNS_OPTION_PADDING, &option);
    query->keepalive = message->has_opt && has_keepalive(query->client.transport) &&
                       dns_option_find(message, DNS_OPTION_KEEPALIVE, &option);
    query->udp_size = message->has_opt ? message->udp_size : UDP_SIZE_MIN;
    query->udp_size = MIN(MAX(query->udp_size, UDP_SIZE_MIN), query->client.udp_max_size);
    query->question_size = (uint16_t)message->question_size;
    memcpy(query->question, dns_message_question(message), message->question_size);
}

// The most octets of a reply to this client.
static size_t limit_of(const struct query *query)
{
    return query->client.transport == ENGINE_UDP ? query->udp_size : DNS_MESSAGE_MAX;
}

static bool is_padded(const struct query *query)
{
    switch (query->engine->options.padding) {
    case ENGINE_PADDING_AUTO:
        return query->padded;
    case ENGINE_PADDING_ALWAYS:
        return query->padded || query->client.transport >= ENGINE_TLS;
    default:
        return false;
    }
}

// Inlined into each reply: most of it is not used by most.
__attribute__((always_inline)) static inline struct dns_opt opt_for(const struct query *query)
{
    struct dns_opt opt = dns_opt_plain(query->client.udp_max_size, query->dnssec_ok);

    opt.padding_limit = limit_of(query);
    if (query->cookie.state > POLICY_COOKIE_MALFORMED) {
        opt.cookie = query->cookie.reply;
        opt.cookie_size = sizeof(query->cookie.reply);
    }
    if (query->keepalive)
        opt.keepalive = query->client.keepalive;
    if (is_padded(query))
        opt.padding_block = REPLY_PADDING;
    return opt;
}

static struct dns_reply_to reply_to(const struct query *query, const struct dns_opt *opt)
{
    return (struct dns_reply_to){
        .id = query->id,
        .flags = query->flags,
        .question = query->question_size ? query->question : NULL,
        .question_size = query->question_size,
        .opt = query->has_edns ? opt : NULL,
        .limit = limit_of(query),
    };
}

// For the metrics: how the query ended, and how long it took. An rcode that has no place in the
// reply of a client without EDNS became SERVFAIL.
__attribute__((always_inline)) static inline void count(const struct query *query)
{
    struct engine *engine = query->engine;
    struct query_counts *counts = &engine->counters->queries;
    uint16_t rcode = query->rcode;

    if (UNLIKELY(rcode > 15))
        rcode = query->has_edns ? MIN(rcode, QUERY_RCODES - 1) : DNS_RCODE_SERVFAIL;
    query_counts_answered(counts, query->outcome, rcode);
    if (LIKELY(query->arrived == 0))
        engine->hits_of_turn += query->outcome == QUERYLOG_HIT;
    else
        histogram_add(&counts->misses, engine_now(engine) - query->arrived, 1);
}

// Hands the answer to the client; the query is over.
static void answer(struct query *query, size_t size)
{
    struct engine *engine = query->engine;
    const struct engine_client client = query->client;

    require(size > 0);
    if (get_u16(engine->reply + 2) & DNS_FLAG_TC)
        counter_inc(engine->counters, COUNTER_replies_truncated);
    count(query);
    query_record(query, engine->reply, size);
    slab_give(&engine->queries, query);
    engine->in_flight--;
    client.ops->answer(&client, engine->reply, size);
    engine_drained_if_idle(engine);
}

void query_reply_empty(struct query *query, uint16_t rcode, int ede, const char *ede_text)
{
    struct engine *engine = query->engine;
    struct dns_opt opt = opt_for(query);
    struct dns_reply_to reply = reply_to(query, &opt);

    opt.ede = ede;
    opt.ede_text = ede_text;
    query->rcode = rcode;
    query->ede = (int16_t)ede;
    answer(query, dns_reply_build_empty(engine->reply, sizeof(engine->reply), &reply, rcode));
}

static void reply_outside(struct query *query, uint16_t rcode, int ede, const char *ede_text,
                          bool truncated)
{
    struct engine *engine = query->engine;
    struct dns_opt opt = opt_for(query);
    struct dns_reply_to reply = reply_to(query, &opt);
    size_t size;

    opt.ede = ede;
    opt.ede_text = ede_text;
    if (truncated)
        size = dns_reply_build_truncated(engine->reply, sizeof(engine->reply), &reply);
    else
        size = dns_reply_build_empty(engine->reply, sizeof(engine->reply), &reply, rcode);
    query->rcode = rcode;
    query->ede = (int16_t)ede;
    count(query);
    query_record(query, engine->reply, size);
    query->client.ops->answer(&query->client, engine->reply, size);
}

void query_reply_outside(struct query *query, uint16_t rcode, int ede, const char *ede_text)
{
    reply_outside(query, rcode, ede, ede_text, false);
}

void query_reply_truncated(struct query *query)
{
    reply_outside(query, DNS_RCODE_NOERROR, -1, NULL, true);
}

void query_reply_local(struct query *query, const struct policy_answer *local)
{
    struct engine *engine = query->engine;
    struct dns_opt opt = opt_for(query);
    struct dns_reply_to reply = reply_to(query, &opt);

    query->rcode = local->rcode;
    query->outcome = QUERYLOG_LOCAL;
    answer(query, dns_reply_build_local(engine->reply, sizeof(engine->reply), &reply, local->rcode,
                                        local->records, local->record_count));
}

// RFC 6840 section 5.7 and 5.8: the bit is for those who said that they understand it.
static bool wants_ad(const struct query *query)
{
    return query->dnssec_ok || (query->flags & DNS_FLAG_AD);
}

static void note_upstream_reply(struct query *query, const struct dns_message *from)
{
    struct dns_option option;

    query->rcode = dns_message_rcode(from);
    query->outcome = upstream_reply_is_failure(from)     ? QUERYLOG_ERROR
                     : query->joined || !query->via->url ? QUERYLOG_JOINED
                                                         : QUERYLOG_MISS;
    if (UNLIKELY(query->logged) && dns_option_find(from, DNS_OPTION_EDE, &option) &&
        option.size >= 2)
        query->ede = (int16_t)get_u16(option.data);
}

void query_reply_from(struct query *query, const struct dns_message *from,
                      const struct cache_verdict *verdict)
{
    struct engine *engine = query->engine;
    struct dns_opt opt = opt_for(query);
    struct dns_reply_to reply = reply_to(query, &opt);
    struct dns_option padding;

    reply.bound_ttls = verdict->adjust;
    reply.ttl_min = verdict->ttl_min;
    reply.ttl_max = verdict->ttl_max;
    opt.ede_from = from;
    note_upstream_reply(query, from);
    if (engine->options.padding == ENGINE_PADDING_MIRROR &&
        dns_option_find(from, DNS_OPTION_PADDING, &padding))
        opt.padding_exact = (size_t)padding.size + 1;
    answer(query,
           dns_reply_build(engine->reply, sizeof(engine->reply), &reply, from, wants_ad(query)));
}

void query_reply_cached(struct query *query, enum cache_state state,
                        const struct cache_found *found)
{
    struct engine *engine = query->engine;
    struct dns_opt opt = opt_for(query);
    struct dns_reply_to reply = reply_to(query, &opt);
    size_t size;

    counter_inc(engine->counters, state == CACHE_STALE ? COUNTER_cache_stale : COUNTER_cache_hits);
    query->outcome = state == CACHE_STALE ? QUERYLOG_STALE : QUERYLOG_HIT;
    if (found->kind == CACHE_FAILURE) {
        query_reply_empty(query, DNS_RCODE_SERVFAIL, DNS_EDE_CACHED_ERROR,
                          "the upstreams failed a moment ago");
        return;
    }
    if (state == CACHE_STALE)
        opt.ede =
            found->kind == CACHE_NXDOMAIN ? DNS_EDE_STALE_NXDOMAIN_ANSWER : DNS_EDE_STALE_ANSWER;
    query->rcode = dns_message_rcode(&found->message);
    query->ede = (int16_t)opt.ede;
    size = dns_reply_build(engine->reply, sizeof(engine->reply), &reply, &found->message,
                           wants_ad(query));
    if (!(get_u16(engine->reply + 2) & DNS_FLAG_TC)) // else its records are not there
        cache_found_set_ttls(found, state, engine->reply);
    answer(query, size);
}

void query_reply_failed(struct query *query, const struct upstream_result *result)
{
    counter_inc(query->engine->counters, COUNTER_queries_failed);
    query->outcome = QUERYLOG_ERROR;
    query->via = &result->via;
    query_reply_empty(query, DNS_RCODE_SERVFAIL, (int)result->ede, result->reason);
}
