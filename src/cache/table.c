#include "cache/table.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "dns/ttl.h"

// A bucket for each so many octets of the budget: about one an entry of a small answer.
#define OCTETS_PER_BUCKET 128

// More shards than workers, so that two seldom want the same; each large enough for the largest
// answers.
#define SHARDS_MAX 64
#define SHARD_SIZE_MIN ((uint64_t)1024 * 1024)

// No answer takes more than this part of a shard: it would wash out too many others.
#define SHARD_PART 8

// How many buckets an insertion looks through for expired entries, and how many visited entries it
// spares, before it evicts the next that comes: its time is bounded, whatever is in the table.
#define SWEEP_MAX 32
#define SPARED_MAX 64

int table_init(struct cache *cache, uint64_t size)
{
    cache->size = size;
    if (size == 0)
        return E_OK;
    reclaim_start();
    cache->shard_count = 1;
    while (cache->shard_count < SHARDS_MAX && size / cache->shard_count / 2 >= SHARD_SIZE_MIN)
        cache->shard_count *= 2;
    cache->bucket_count = cache->shard_count;
    while (cache->bucket_count * 2 <= size / OCTETS_PER_BUCKET)
        cache->bucket_count *= 2;
    // Not touched here: pages that no entry's bucket is in take no memory.
    cache->buckets = calloc(cache->bucket_count, sizeof(*cache->buckets));
    cache->shards = aligned_alloc(64, cache->shard_count * sizeof(*cache->shards));
    if (!cache->buckets || !cache->shards) {
        free((void *)cache->buckets);
        free(cache->shards);
        return E_NOMEM;
    }

    uint64_t overhead = table_overhead(cache);
    uint64_t left = size > overhead ? size - overhead : 0;

    for (unsigned i = 0; i < cache->shard_count; i++) {
        struct cache_shard *shard = &cache->shards[i];

        memset(shard, 0, sizeof(*shard));
        pthread_mutex_init(&shard->lock, NULL);
        list_init(&shard->queue);
        shard->limit = left / cache->shard_count;
    }
    return E_OK;
}

static void free_entry(struct rcu_head *head)
{
    reclaim_acquire();
    free(container_of(head, struct cache_entry, reclaims));
}

void table_deinit(struct cache *cache)
{
    if (!cache->buckets)
        return;
    reclaim_wait();
    for (unsigned i = 0; i < cache->shard_count; i++) {
        for (struct list *node; (node = list_pop(&cache->shards[i].queue));)
            free(list_entry(node, struct cache_entry, queue));
        pthread_mutex_destroy(&cache->shards[i].lock);
    }
    free(cache->shards);
    free((void *)cache->buckets);
}

uint64_t table_overhead(const struct cache *cache)
{
    return cache->bucket_count * sizeof(*cache->buckets) +
           cache->shard_count * sizeof(*cache->shards);
}

// ---- Entries

bool entry_is_usable(const struct cache_entry *entry, const struct cache_options *options,
                     ticks_t now)
{
    uint64_t lifetime = (uint64_t)entry->ttl * TICKS_PER_SECOND;

    if (entry->kind != CACHE_FAILURE)
        lifetime += options->stale_max / USEC_PER_TICK;
    return entry_age(entry, now) < lifetime;
}

static size_t records_end(const struct dns_message *reply)
{
    return reply->has_opt ? reply->opt_start : reply->end;
}

static uint16_t count_records(const struct dns_message *reply)
{
    unsigned count = reply->count[DNS_ANSWER] + reply->count[DNS_AUTHORITY];

    count += reply->count[DNS_ADDITIONAL];
    if (reply->has_opt)
        count -= 1u + reply->opt_records_behind;
    return (uint16_t)count; // a record has at least 11 octets
}

static void write_message(struct cache_entry *entry, uint8_t *to, const struct cache_key *key,
                          const struct dns_message *reply, size_t records_size)
{
    uint16_t additional = reply->count[DNS_ADDITIONAL];

    if (reply->has_opt)
        additional = (uint16_t)(additional - 1 - reply->opt_records_behind);
    memset(to, 0, DNS_HEADER_SIZE);
    put_u16(to + 2, reply->flags & ~(DNS_FLAG_AA | DNS_FLAG_TC));
    put_u16(to + 4, 1);
    if (entry->ttl_count > 0) {
        put_u16(to + 6, reply->count[DNS_ANSWER]);
        put_u16(to + 8, reply->count[DNS_AUTHORITY]);
        put_u16(to + 10, additional);
    }
    memcpy(to + DNS_HEADER_SIZE, key->question, key->size);
    memcpy(to + DNS_HEADER_SIZE + key->size, reply->wire + reply->section[DNS_ANSWER],
           records_size);
}

static void note_ttls(struct cache_entry *entry, const struct dns_message *reply)
{
    size_t pos = reply->section[DNS_ANSWER];
    struct dns_record record;

    for (unsigned i = 0; i < entry->ttl_count && dns_record_next(reply, &pos, &record); i++)
        entry->tail[i] = (uint16_t)record.ttl_pos;
}

struct cache_entry *entry_new(const struct cache_key *key, const struct dns_message *reply,
                              const struct cache_verdict *verdict, ticks_t stored)
{
    // Of a failure nothing matters but that it was one.
    bool whole = verdict->kind != CACHE_FAILURE;
    size_t records_size = whole ? records_end(reply) - reply->section[DNS_ANSWER] : 0;
    uint16_t ttl_count = whole ? count_records(reply) : 0;
    size_t size = DNS_HEADER_SIZE + key->size + records_size;
    struct cache_entry *entry = malloc(sizeof(*entry) + ttl_count * sizeof(entry->tail[0]) + size);

    if (!entry)
        return NULL;
    atomic_init(&entry->next, NULL);
    atomic_init(&entry->rests_until, 0);
    atomic_init(&entry->state, 0);
    list_init(&entry->queue);
    entry->hash = (uint32_t)key->hash;
    entry->stored = stored;
    entry->ttl = MIN(verdict->ttl, ENTRY_TTL_MAX);
    entry->size = (uint16_t)size;
    entry->question_size = key->size;
    entry->ttl_count = ttl_count;
    entry->kind = verdict->kind & 3;
    entry->key_flags = key->flags & 63;

    uint8_t *wire = (uint8_t *)(entry->tail + ttl_count);

    write_message(entry, wire, key, reply, records_size);
    note_ttls(entry, reply);
    if (whole && verdict->adjust)
        dns_ttl_bound(wire, reply, records_end(reply), verdict->ttl_min, verdict->ttl_max);
    return entry;
}

// What malloc() spends on it: its own header is a word.
static uint64_t entry_cost(struct cache_entry *entry)
{
    return malloc_usable_size(entry) + sizeof(size_t);
}

// ---- The table

static size_t bucket_of(const struct cache *cache, uint32_t hash)
{
    return hash & (cache->bucket_count - 1);
}

static struct cache_shard *shard_of(const struct cache *cache, size_t bucket)
{
    return &cache->shards[bucket & (cache->shard_count - 1)];
}

void table_lock_bucket(struct cache *cache, size_t bucket)
{
    pthread_mutex_lock(&shard_of(cache, bucket)->lock);
}

void table_unlock_bucket(struct cache *cache, size_t bucket)
{
    pthread_mutex_unlock(&shard_of(cache, bucket)->lock);
}

static struct cache_entry *find(struct cache *cache, uint32_t hash, uint8_t key_flags,
                                const uint8_t *question, size_t size)
{
    struct cache_entry *entry = bucket_first(cache, bucket_of(cache, hash));

    while (entry &&
           (entry->hash != hash || entry->key_flags != key_flags || entry->question_size != size ||
            memcmp(entry_wire(entry) + DNS_HEADER_SIZE, question, size) != 0))
        entry = entry_next(entry);
    return entry;
}

struct cache_entry *table_find(struct cache *cache, const struct cache_key *key)
{
    if (!cache->buckets)
        return NULL;
    return find(cache, (uint32_t)key->hash, key->flags, key->question, key->size);
}

void table_unlink(struct cache *cache, struct cache_entry *entry, struct list *removed)
{
    size_t bucket = bucket_of(cache, entry->hash);
    struct cache_shard *shard = shard_of(cache, bucket);
    _Atomic(struct cache_entry *) *link = &cache->buckets[bucket];
    struct cache_entry *at;

    while ((at = atomic_load_explicit(link, memory_order_relaxed)) != entry)
        link = &at->next;
    // A reader that stands on the entry goes on from there: its own link stays.
    atomic_store_explicit(link, atomic_load_explicit(&entry->next, memory_order_relaxed),
                          memory_order_release);
    if (shard->hand == entry)
        shard->hand = entry->queue.next == &shard->queue
                          ? NULL
                          : list_entry(entry->queue.next, struct cache_entry, queue);
    list_remove(&entry->queue);
    list_append(removed, &entry->queue);
    atomic_fetch_sub_explicit(&shard->bytes, entry_cost(entry), memory_order_relaxed);
    atomic_fetch_sub_explicit(&shard->entries, 1, memory_order_relaxed);
}

uint64_t table_free_later(struct list *removed)
{
    uint64_t count = 0;

    for (struct list *node; (node = list_pop(removed)); count++)
        reclaim_later(&list_entry(node, struct cache_entry, queue)->reclaims, free_entry);
    return count;
}

static void link_entry(struct cache *cache, struct cache_shard *shard, struct cache_entry *entry)
{
    _Atomic(struct cache_entry *) *bucket = &cache->buckets[bucket_of(cache, entry->hash)];
    ticks_t expires = entry->stored + (ticks_t)(entry->ttl * TICKS_PER_SECOND);

    atomic_store_explicit(&entry->next, atomic_load_explicit(bucket, memory_order_relaxed),
                          memory_order_relaxed);
    list_append(&shard->queue, &entry->queue);
    // Which part of the shard it comes into does not matter: it counts for both.
    if (shard->entries == 0 || (int32_t)(expires - shard->expires) < 0)
        shard->expires = expires;
    if (shard->entries == 0 || (int32_t)(expires - shard->expires_swept) < 0)
        shard->expires_swept = expires;
    atomic_fetch_add_explicit(&shard->bytes, entry_cost(entry), memory_order_relaxed);
    atomic_fetch_add_explicit(&shard->entries, 1, memory_order_relaxed);
    atomic_store_explicit(bucket, entry, memory_order_release); // published
}

// ---- Eviction

static bool is_expired(const struct cache_entry *entry, ticks_t now)
{
    return entry_age(entry, now) >= entry->ttl * TICKS_PER_SECOND;
}

// Takes expired entries out of the shard's next bucket. Where nothing more is expired it remembers
// when the next will be.
static unsigned sweep_bucket(struct cache *cache, struct cache_shard *shard, ticks_t now,
                             struct list *removed)
{
    size_t bucket = shard->sweep * cache->shard_count + (size_t)(shard - cache->shards);
    unsigned count = 0;

    for (struct cache_entry *entry = bucket_first(cache, bucket), *next; entry; entry = next) {
        next = entry_next(entry);

        ticks_t expires = entry->stored + (ticks_t)(entry->ttl * TICKS_PER_SECOND);

        if (is_expired(entry, now)) {
            table_unlink(cache, entry, removed);
            count++;
        } else if ((int32_t)(expires - shard->expires_swept) < 0) {
            shard->expires_swept = expires;
        }
    }
    if (++shard->sweep == cache->bucket_count / cache->shard_count) {
        shard->sweep = 0;
        shard->expires = shard->expires_swept;
        shard->expires_swept = now + INT32_MAX;
    }
    return count;
}

static struct cache_entry *sieve_victim(struct cache_shard *shard)
{
    struct list *at = shard->hand ? &shard->hand->queue : shard->queue.next;

    for (unsigned spared = 0;; spared++) {
        if (at == &shard->queue)
            at = at->next; // behind the newest comes the oldest

        struct cache_entry *entry = list_entry(at, struct cache_entry, queue);

        if (spared == SPARED_MAX ||
            !(atomic_load_explicit(&entry->state, memory_order_relaxed) & ENTRY_VISITED)) {
            shard->hand = entry; // it moves on when the entry is unlinked
            return entry;
        }
        atomic_fetch_and_explicit(&entry->state, (uint8_t)~ENTRY_VISITED, memory_order_relaxed);
        at = at->next;
    }
}

static void make_room(struct cache *cache, struct cache_shard *shard, uint64_t cost, ticks_t now,
                      struct list *removed, struct counters *counters)
{
    unsigned swept = 0;

    while (shard->bytes + cost > shard->limit && shard->entries > 0) {
        if (swept < SWEEP_MAX && (int32_t)(shard->expires - now) <= 0) {
            swept++;
            counter_add(counters, COUNTER_cache_expired, sweep_bucket(cache, shard, now, removed));
            continue;
        }

        struct cache_entry *victim = sieve_victim(shard);

        counter_inc(counters,
                    is_expired(victim, now) ? COUNTER_cache_expired : COUNTER_cache_evictions);
        table_unlink(cache, victim, removed);
    }
}

// ---- Changes

static struct cache_entry *find_same(struct cache *cache, struct cache_entry *entry)
{
    return find(cache, entry->hash, entry->key_flags, entry_wire(entry) + DNS_HEADER_SIZE,
                entry->question_size);
}

// Whether the entry may take the place of what there is under its key.
static bool may_replace(const struct cache_entry *entry, const struct cache_entry *old,
                        const struct cache_options *options, ticks_t now)
{
    return !old || entry->kind != CACHE_FAILURE || old->kind == CACHE_FAILURE ||
           !entry_is_usable(old, options, now);
}

// In place of what there is under its key, also where the entry itself is too large to be kept. A
// reader finds the one or the other at any time. Returns whether it was put in.
static bool put(struct cache *cache, struct cache_shard *shard, struct cache_entry *entry,
                ticks_t now, struct list *removed, struct counters *counters)
{
    uint64_t cost = entry_cost(entry);
    bool fits = cost <= shard->limit / SHARD_PART;
    struct cache_entry *old;

    if (fits)
        make_room(cache, shard, cost, now, removed, counters);
    old = find_same(cache, entry); // unless that was in the way
    if (fits) {
        // What was asked for often stays a while longer; its hits begin anew.
        uint8_t visited = old ? atomic_load_explicit(&old->state, memory_order_relaxed) : 0;

        atomic_store_explicit(&entry->state, visited & ENTRY_VISITED, memory_order_relaxed);
        link_entry(cache, shard, entry);
    }
    if (old)
        table_unlink(cache, old, removed);
    return fits;
}

void table_insert(struct cache *cache, struct cache_entry *entry,
                  const struct cache_options *options, uint64_t generation, ticks_t now,
                  struct counters *counters)
{
    struct cache_shard *shard = shard_of(cache, bucket_of(cache, entry->hash));
    bool inserted = false;
    struct list removed;

    list_init(&removed);
    pthread_mutex_lock(&shard->lock);
    if (generation == cache_generation(cache) &&
        may_replace(entry, find_same(cache, entry), options, now))
        inserted = put(cache, shard, entry, now, &removed, counters);
    pthread_mutex_unlock(&shard->lock);
    table_free_later(&removed);
    if (inserted)
        counter_inc(counters, COUNTER_cache_inserts);
    else
        free(entry);
}

void table_remove(struct cache *cache, const struct cache_key *key)
{
    struct list removed;
    struct cache_entry *entry;

    if (!table_find(cache, key)) // mostly so, and takes no lock
        return;
    list_init(&removed);
    table_lock_bucket(cache, bucket_of(cache, (uint32_t)key->hash));
    entry = table_find(cache, key);
    if (entry)
        table_unlink(cache, entry, &removed);
    table_unlock_bucket(cache, bucket_of(cache, (uint32_t)key->hash));
    table_free_later(&removed);
}
