#include "cache/cache.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/random.h"
#include "cache/inflight.h"
#include "cache/reader.h"
#include "cache/table.h"
#include "dns/name.h"

// RFC 8767 section 4: the TTL of a stale answer.
#define STALE_TTL 30

// How many buckets are walked between two moments at which what was removed can be freed.
#define WALK_BATCH 1024

static void make_secret(struct siphash_key *secret)
{
    struct random random;
    uint32_t word[4];

    random_init(&random);
    for (size_t i = 0; i < ARRAY_LEN(word); i++)
        word[i] = random_u32(&random);
    memcpy(secret, word, sizeof(*secret));
}

struct cache *cache_new(uint64_t size)
{
    struct cache *cache = calloc(1, sizeof(*cache));

    if (!cache)
        return NULL;
    make_secret(&cache->secret);
    cache->inflight = cache_inflight_new();
    if (cache->inflight && table_init(cache, size) == E_OK)
        return cache;
    cache_inflight_free(cache->inflight);
    free(cache);
    return NULL;
}

void cache_free(struct cache *cache)
{
    if (!cache)
        return;
    table_deinit(cache);
    cache_inflight_free(cache->inflight);
    free(cache);
}

const struct siphash_key *cache_secret(const struct cache *cache)
{
    return &cache->secret;
}

struct cache_inflight_table *cache_inflight(struct cache *cache)
{
    return cache->inflight;
}

uint64_t cache_generation(const struct cache *cache)
{
    return atomic_load_explicit(&cache->generation, memory_order_acquire);
}

// ---- Lookups

// Whether this hit is the one that has the entry refreshed.
static bool note_hit(struct cache_entry *entry, const struct cache_options *options, uint32_t left)
{
    uint8_t state = atomic_load_explicit(&entry->state, memory_order_relaxed);
    uint8_t after =
        (uint8_t)(state | ENTRY_VISITED | (state & ENTRY_HIT ? ENTRY_HIT_AGAIN : ENTRY_HIT));

    // Readers of one name share its cache line: it is written to only if that changes it.
    if (after != state)
        atomic_fetch_or_explicit(&entry->state, after, memory_order_relaxed);
    if (LIKELY((uint64_t)left * 10 > entry->ttl * TICKS_PER_SECOND) || !options->prefetch ||
        !(after & ENTRY_HIT_AGAIN) || (after & ENTRY_PREFETCHED) || entry->kind == CACHE_FAILURE)
        return false;
    return !(atomic_fetch_or_explicit(&entry->state, ENTRY_PREFETCHED, memory_order_relaxed) &
             ENTRY_PREFETCHED);
}

static void show(struct cache_found *found, struct cache_entry *entry)
{
    const uint8_t *wire = entry_wire(entry);

    *found = (struct cache_found){
        .message =
            {
                .wire = wire,
                .size = entry->size,
                .flags = get_u16(wire + 2),
                .question_count = 1,
                .count = {get_u16(wire + 6), get_u16(wire + 8), get_u16(wire + 10)},
                .question_size = entry->question_size,
                .type = get_u16(wire + DNS_HEADER_SIZE + entry->question_size - 4),
                .class = get_u16(wire + DNS_HEADER_SIZE + entry->question_size - 2),
                .section = {[DNS_ANSWER] = DNS_HEADER_SIZE + (size_t)entry->question_size},
                .end = entry->size,
            },
        .ttls = entry->tail,
        .ttl_count = entry->ttl_count,
        .kind = entry->kind,
        .entry = entry,
    };
}

enum cache_state cache_lookup(struct cache *cache, const struct cache_key *key,
                              const struct cache_options *options, usec_t now,
                              struct cache_found *found)
{
    struct cache_entry *entry = table_find(cache, key);
    ticks_t at = ticks_of(now);

    if (!entry)
        return CACHE_MISS;

    uint32_t age = entry_age(entry, at);
    uint32_t lifetime = entry->ttl * TICKS_PER_SECOND;

    if (age < lifetime) {
        show(found, entry);
        found->age = age / TICKS_PER_SECOND;
        found->prefetch = note_hit(entry, options, lifetime - age);
        return CACHE_FRESH;
    }
    if (!entry_is_usable(entry, options, at))
        return CACHE_MISS;

    uint8_t state = atomic_load_explicit(&entry->state, memory_order_relaxed);

    show(found, entry);
    found->age = age / TICKS_PER_SECOND;
    found->failing = state & ENTRY_FAILING;
    found->resting =
        found->failing &&
        (int32_t)(atomic_load_explicit(&entry->rests_until, memory_order_relaxed) - at) > 0;
    if (!(state & ENTRY_VISITED))
        atomic_fetch_or_explicit(&entry->state, ENTRY_VISITED, memory_order_relaxed);
    return CACHE_STALE;
}

void cache_found_set_ttls(const struct cache_found *found, enum cache_state state, uint8_t *reply)
{
    for (unsigned i = 0; i < found->ttl_count; i++) {
        uint8_t *at = reply + found->ttls[i];

        // No TTL is lower than the entry's.
        put_u32(at, state == CACHE_STALE ? STALE_TTL : get_u32(at) - found->age);
    }
}

void cache_set_failing(const struct cache_found *found, usec_t now)
{
    struct cache_entry *entry = found->entry;

    atomic_store_explicit(&entry->rests_until, ticks_of(now + CACHE_REST), memory_order_relaxed);
    atomic_fetch_or_explicit(&entry->state, ENTRY_FAILING, memory_order_relaxed);
}

// ---- Changes

void cache_insert(struct cache *cache, const struct cache_answer *answer,
                  const struct cache_options *options, usec_t now, struct counters *counters)
{
    ticks_t stored = (ticks_t)(ticks_of(now) - ticks_of(answer->age));
    struct cache_entry *entry;

    if (!cache->buckets)
        return;
    entry = entry_new(answer->key, answer->reply, answer->verdict, stored);
    if (entry)
        table_insert(cache, entry, options, answer->generation, ticks_of(now), counters);
    else if (answer->verdict->kind != CACHE_FAILURE)
        table_remove(cache, answer->key); // out of memory: what there is is out of date
}

void cache_remove(struct cache *cache, const struct cache_key *key)
{
    table_remove(cache, key);
}

static bool is_to_be_flushed(const struct cache_entry *entry, const uint8_t *name, bool subtree)
{
    const uint8_t *owner = entry_wire(entry) + DNS_HEADER_SIZE;

    if (!name)
        return true;
    return subtree ? dns_name_is_under(owner, name) : dns_name_equal(owner, name);
}

uint64_t cache_flush(struct cache *cache, const uint8_t *name, bool subtree)
{
    uint64_t dropped = 0;

    // First, so that whatever is asked for from now on may be kept, and nothing older.
    atomic_fetch_add_explicit(&cache->generation, 1, memory_order_acq_rel);
    for (size_t i = 0; i < cache->bucket_count; i++) {
        struct list removed;

        list_init(&removed);
        table_lock_bucket(cache, i);
        for (struct cache_entry *entry = bucket_first(cache, i), *next; entry; entry = next) {
            next = entry_next(entry);
            if (is_to_be_flushed(entry, name, subtree))
                table_unlink(cache, entry, &removed);
        }
        table_unlock_bucket(cache, i);
        dropped += table_free_later(&removed);
    }
    return dropped;
}

// ---- Looking in

void cache_usage(const struct cache *cache, struct cache_usage *usage)
{
    *usage = (struct cache_usage){.size = cache->size, .bytes = table_overhead(cache)};
    for (unsigned i = 0; i < cache->shard_count; i++) {
        usage->bytes += atomic_load_explicit(&cache->shards[i].bytes, memory_order_relaxed);
        usage->entries += atomic_load_explicit(&cache->shards[i].entries, memory_order_relaxed);
    }
}

static bool visit_bucket(struct cache *cache, size_t bucket, const struct cache_options *options,
                         ticks_t now, bool (*visit)(void *context, const struct cache_visit *visit),
                         void *context)
{
    for (struct cache_entry *entry = bucket_first(cache, bucket); entry;
         entry = entry_next(entry)) {
        if (entry->kind == CACHE_FAILURE || !entry_is_usable(entry, options, now))
            continue;

        const struct cache_visit seen = {
            .message = entry_wire(entry),
            .size = entry->size,
            .key_flags = entry->key_flags,
            .ttl = entry->ttl,
            .age = (usec_t)entry_age(entry, now) * USEC_PER_TICK,
        };

        if (!visit(context, &seen))
            return false;
    }
    return true;
}

void cache_walk(struct cache *cache, const struct cache_options *options, usec_t now,
                bool (*visit)(void *context, const struct cache_visit *visit), void *context)
{
    ticks_t at = ticks_of(now);
    bool go_on = true;

    for (size_t i = 0; i < cache->bucket_count && go_on;) {
        cache_reader_online();
        do
            go_on = visit_bucket(cache, i, options, at, visit, context);
        while (++i % WALK_BATCH != 0 && i < cache->bucket_count && go_on);
        cache_reader_offline();
    }
}
