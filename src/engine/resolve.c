#include "engine/resolve.h"

#include "engine/flight.h"

static void answer_fresh(struct query *query, const struct cache_key *key,
                         const struct cache_found *found)
{
    struct engine *engine = query->engine;

    query_reply_cached(query, CACHE_FRESH, found);
    if (UNLIKELY(found->prefetch) && flight_refresh(engine, key))
        counter_inc(engine->counters, COUNTER_cache_prefetches);
}

static void answer_stale(struct query *query, const struct cache_key *key,
                         const struct cache_found *found)
{
    struct engine *engine = query->engine;

    query_reply_cached(query, CACHE_STALE, found);
    if (!found->resting)
        flight_refresh(engine, key);
}

void query_key(const struct query *query, struct cache_key *key)
{
    cache_key_make(key, cache_secret(query->engine->cache), query->question, query->question_size,
                   query->flags, query->dnssec_ok);
}

void query_resolve(struct query *query)
{
    struct engine *engine = query->engine;
    const struct cache_options *options = &engine->options.cache;
    usec_t now = engine_now(engine);
    struct cache_key key;
    struct cache_found found;
    enum cache_state state;

    query_key(query, &key);
    engine_read_cache(engine);
    state = cache_lookup(engine->cache, &key, options, now, &found);
    if (LIKELY(state == CACHE_FRESH)) {
        answer_fresh(query, &key, &found);
        return;
    }
    counter_inc(engine->counters, COUNTER_cache_misses);
    if (state == CACHE_STALE && (found.failing || options->stale_after == 0)) {
        answer_stale(query, &key, &found);
        return;
    }
    flight_join(query, &key, state == CACHE_STALE ? now + options->stale_after : USEC_NEVER);
}
