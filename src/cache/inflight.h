// Questions that upstreams are being asked, by all workers: the first to ask a question leads, and
// whoever asks the same before the answer comes follows (one question, one upstream query).
#pragma once

#include <pthread.h>

#include "base/list.h"
#include "cache/key.h"

#define CACHE_INFLIGHT_SHARDS 64
#define CACHE_INFLIGHT_BUCKETS 64 // of a shard

struct cache_inflight_table {
    struct cache_inflight_shard {
        pthread_mutex_t lock;
        struct list buckets[CACHE_INFLIGHT_BUCKETS]; // leaders
    } shards[CACHE_INFLIGHT_SHARDS];
};

// Embedded in what its asker keeps about the question.
struct cache_inflight {
    struct list node;            // among the leaders, or its leader's followers
    struct list followers;       // of a leader
    const struct cache_key *key; // the asker's
};

NODISCARD struct cache_inflight_table *cache_inflight_new(void);
void cache_inflight_free(struct cache_inflight_table *table);

// Any thread. True: the caller leads. It must call cache_inflight_finish(). False: it follows, and
// will be found among the followers of its leader; until then `asker` must stay as it is.
NONNULL NODISCARD bool cache_inflight_join(struct cache_inflight_table *table,
                                           struct cache_inflight *asker,
                                           const struct cache_key *key);

// The leader's thread: the question is in flight no longer. Moves the followers to the end of
// `followers`.
NONNULL void cache_inflight_finish(struct cache_inflight_table *table,
                                   struct cache_inflight *leader, struct list *followers);
