// The table behind the cache: entries, buckets, shards, eviction. Included by src/cache/*.c only.
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "cache/cache.h"
#include "cache/reclaim.h"

// The entries' clock: small enough to be kept twice in each, fine enough for a TTL of a second, and
// it goes round only once in eight years. Differences count, so that entries may be older than it.
typedef uint32_t ticks_t;

#define USEC_PER_TICK 62500
#define TICKS_PER_SECOND (USEC_SEC / USEC_PER_TICK)

static inline ticks_t ticks_of(usec_t time)
{
    return (ticks_t)(time / USEC_PER_TICK);
}

// Longer than any TTL makes sense (RFC 8767 section 4), and its ticks are far from going round.
#define ENTRY_TTL_MAX (30u * 24 * 3600)

// Bits of an entry's state.
#define ENTRY_VISITED 1 // found since the hand of SIEVE last came by
#define ENTRY_HIT 2
#define ENTRY_HIT_AGAIN 4
#define ENTRY_PREFETCHED 8 // somebody has set out to refresh it
#define ENTRY_FAILING 16   // somebody has tried to refresh it, in vain

struct cache_entry {
    _Atomic(struct cache_entry *) next; // in its bucket
    union {
        struct list queue;        // in its shard, the oldest first; under the shard's lock
        struct rcu_head reclaims; // once it is out of the table
    };
    uint32_t hash;
    ticks_t stored;
    uint32_t ttl; // seconds
    _Atomic ticks_t rests_until;
    uint16_t size; // of the message
    uint16_t question_size;
    uint16_t ttl_count;
    uint8_t kind : 2; // enum cache_kind
    uint8_t key_flags : 6;
    _Atomic uint8_t state;
    uint16_t tail[]; // where the TTLs are, then the message
};

static_assert(sizeof(struct cache_entry) == 48, "each octet costs a megabyte per million names");

struct cache_shard {
    pthread_mutex_t lock; // for writers
    struct list queue;
    struct cache_entry *hand; // where SIEVE goes on; NULL: at the oldest
    _Atomic uint64_t bytes;   // what malloc() spends on the entries
    _Atomic uint64_t entries;
    uint64_t limit;             // of bytes
    size_t sweep;               // the next of its buckets to be looked through for expired ones
    ticks_t expires;            // no entry of the part not swept expires before this
    ticks_t expires_swept;      // nor one of the part swept
} __attribute__((aligned(64))); // no two locks in one cache line

struct cache {
    struct siphash_key secret;
    struct cache_inflight_table *inflight;
    uint64_t size;
    _Atomic(struct cache_entry *) *buckets; // NULL: nothing is kept
    size_t bucket_count;                    // a power of two
    struct cache_shard *shards;
    unsigned shard_count; // a power of two; bucket i belongs to shard i % shard_count
    _Atomic uint64_t generation;
};

static inline const uint8_t *entry_wire(const struct cache_entry *entry)
{
    return (const uint8_t *)(entry->tail + entry->ttl_count);
}

// A reader's clock may be behind the writer's by a turn of the loop. Ages beyond this are not to be
// told from that, but a machine that slept for eight years has other troubles.
#define ENTRY_AGE_MAX (UINT32_MAX - 60 * TICKS_PER_SECOND)

// In ticks.
static inline uint32_t entry_age(const struct cache_entry *entry, ticks_t now)
{
    uint32_t age = now - entry->stored;

    return age > ENTRY_AGE_MAX ? 0 : age;
}

// Fresh, or stale and no older than allowed.
NONNULL bool entry_is_usable(const struct cache_entry *entry, const struct cache_options *options,
                             ticks_t now);

// NULL out of memory.
NONNULL NODISCARD struct cache_entry *entry_new(const struct cache_key *key,
                                                const struct dns_message *reply,
                                                const struct cache_verdict *verdict,
                                                ticks_t stored);

NONNULL static inline struct cache_entry *bucket_first(struct cache *cache, size_t bucket)
{
    return atomic_load_explicit(&cache->buckets[bucket], memory_order_acquire);
}

NONNULL static inline struct cache_entry *entry_next(struct cache_entry *entry)
{
    return atomic_load_explicit(&entry->next, memory_order_acquire);
}

// E_NOMEM.
NONNULL NODISCARD int table_init(struct cache *cache, uint64_t size);
NONNULL void table_deinit(struct cache *cache);

// Octets that are spent before there is any entry.
NONNULL uint64_t table_overhead(const struct cache *cache);

// The entry of exactly this key, or NULL.
NONNULL struct cache_entry *table_find(struct cache *cache, const struct cache_key *key);

// Takes the entry over; see cache_insert().
NONNULL void table_insert(struct cache *cache, struct cache_entry *entry,
                          const struct cache_options *options, uint64_t generation, ticks_t now,
                          struct counters *counters);

NONNULL void table_remove(struct cache *cache, const struct cache_key *key);

// For writers: the lock of the bucket's shard.
NONNULL void table_lock_bucket(struct cache *cache, size_t bucket);
NONNULL void table_unlock_bucket(struct cache *cache, size_t bucket);

// Under the lock: takes the entry out and puts it, by its `queue`, into `removed`.
NONNULL void table_unlink(struct cache *cache, struct cache_entry *entry, struct list *removed);

// Without the lock: has what was removed freed when no reader holds it. Returns how many they were.
NONNULL uint64_t table_free_later(struct list *removed);
