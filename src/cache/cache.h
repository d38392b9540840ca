// The cache: upstreams' answers by question, shared by all workers.
//
// Glossary
//   key     the question, lower-case, with DO and CD (key.h)
//   entry   one answer: the upstream's reply without its OPT, since when, and for how long
//   fresh   within its TTL
//   stale   past its TTL, by less than `stale-max`: given if no upstream answers (RFC 8767)
//   dead    past that, too: never given
//
// Life of an entry: cache_insert() makes it, whole and never to be changed but for a few bits that
// say how it is used, and publishes it. Readers find it without a lock. A newer answer, eviction,
// or a flush takes it out of the table; it is freed when no reader can hold it any more (reader.h).
//
// The table is a fixed array of buckets, in shards with a lock for writers each. Each shard has its
// part of the budget. Room is made by taking expired entries first, then by SIEVE (Zhang et al.,
// NSDI 2024): in the order of insertion, sparing once whatever was asked for since the last pass.
//
// All functions that do not say otherwise are for any thread that is an online reader.
// Time is `now` of the caller's loop.
#pragma once

#include "base/time.h"
#include "cache/key.h"
#include "cache/options.h"
#include "cache/rules.h"
#include "dns/message.h"
#include "metrics/counters.h"

struct cache;
struct cache_entry;
struct cache_inflight_table;

// Room for `size` octets, its own tables included; 0: nothing will be kept. NULL out of memory.
NODISCARD struct cache *cache_new(uint64_t size);

// No reader may use it any more. The calling thread must be a reader, offline.
void cache_free(struct cache *cache);

// For cache_key_make(). Any thread.
NONNULL const struct siphash_key *cache_secret(const struct cache *cache);

// What is being asked; there is a table of it even if nothing is kept. Any thread.
NONNULL struct cache_inflight_table *cache_inflight(struct cache *cache);

enum cache_state { CACHE_MISS, CACHE_FRESH, CACHE_STALE };

// Valid until the reader goes offline.
struct cache_found {
    // Header, question (lower-case) and records, without OPT; ID 0. AD as the upstream said, AA
    // clear. Of the sections only the first's beginning is known.
    struct dns_message message;
    const uint16_t *ttls; // where in the message the records' TTLs are
    uint16_t ttl_count;
    enum cache_kind kind;
    uint32_t age;  // seconds that all TTLs have gone down by
    bool prefetch; // fresh: near its end, often asked, and the caller is the one to refresh it
    bool failing;  // stale: the last try to refresh it failed, so that waiting is of no use
    bool resting;  // and that was a moment ago: neither is asking
    struct cache_entry *entry;
};

// `found` is filled in unless it is a miss.
NONNULL NODISCARD enum cache_state cache_lookup(struct cache *cache, const struct cache_key *key,
                                                const struct cache_options *options, usec_t now,
                                                struct cache_found *found);

// Puts the TTLs of a found answer right in a reply that was built from it, with all its records.
NONNULL void cache_found_set_ttls(const struct cache_found *found, enum cache_state state,
                                  uint8_t *reply);

// After a refresh failed, the next is tried no sooner (RFC 8767 section 5, failure recheck timer).
// The RFC has 30 s in mind, for the sake of authoritative servers. Upstreams that are down are
// spared by their back-off already, and when they are back, so should the answers be.
#define CACHE_REST USEC_SEC

// No upstream could refresh the stale entry.
NONNULL void cache_set_failing(const struct cache_found *found, usec_t now);

// Grows with each flush. An answer asked for before a flush must not come in after it.
NONNULL uint64_t cache_generation(const struct cache *cache);

struct cache_answer {
    const struct cache_key *key;
    const struct dns_message *reply;
    const struct cache_verdict *verdict;
    uint64_t generation; // the cache's when the question was asked
    usec_t age;          // how long ago the reply came; at most eight years
};

// Keeps a reply that cache_judge() said to keep, in place of the key's former one; that goes also
// if there is no room for the new one. A failure takes no place of an answer that may still be
// given.
NONNULL void cache_insert(struct cache *cache, const struct cache_answer *answer,
                          const struct cache_options *options, usec_t now,
                          struct counters *counters);

// Drops what is kept under the key: an upstream has an answer that is not to be kept.
NONNULL void cache_remove(struct cache *cache, const struct cache_key *key);

// Drops what is kept under `name` (a wire name), with `subtree` also under all names below it; NULL
// drops everything. Returns how many entries that were.
uint64_t cache_flush(struct cache *cache, const uint8_t *name, bool subtree);

struct cache_usage {
    uint64_t size;  // the budget
    uint64_t bytes; // used, tables included
    uint64_t entries;
};

// Any thread.
NONNULL void cache_usage(const struct cache *cache, struct cache_usage *usage);

// For each answer, failures not among them, that may still be given, in no order, on and offline by
// itself now and then: the caller must be offline. Stops when `visit` returns false.
struct cache_visit {
    const uint8_t *message; // as in cache_found, `size` octets
    uint16_t size;
    uint8_t key_flags;
    uint32_t ttl; // seconds, when it came
    usec_t age;   // since it came
};
NONNULL void cache_walk(struct cache *cache, const struct cache_options *options, usec_t now,
                        bool (*visit)(void *context, const struct cache_visit *visit),
                        void *context);
