#include "cache/inflight.h"

#include <stdlib.h>

struct cache_inflight_table *cache_inflight_new(void)
{
    struct cache_inflight_table *table = malloc(sizeof(*table));

    if (!table)
        return NULL;
    for (unsigned i = 0; i < CACHE_INFLIGHT_SHARDS; i++) {
        pthread_mutex_init(&table->shards[i].lock, NULL);
        for (unsigned j = 0; j < CACHE_INFLIGHT_BUCKETS; j++)
            list_init(&table->shards[i].buckets[j]);
    }
    return table;
}

void cache_inflight_free(struct cache_inflight_table *table)
{
    if (!table)
        return;
    for (unsigned i = 0; i < CACHE_INFLIGHT_SHARDS; i++)
        pthread_mutex_destroy(&table->shards[i].lock);
    free(table);
}

static struct cache_inflight_shard *shard_of(struct cache_inflight_table *table,
                                             const struct cache_key *key)
{
    return &table->shards[key->hash % CACHE_INFLIGHT_SHARDS];
}

bool cache_inflight_join(struct cache_inflight_table *table, struct cache_inflight *asker,
                         const struct cache_key *key)
{
    struct cache_inflight_shard *shard = shard_of(table, key);
    struct list *bucket =
        &shard->buckets[key->hash / CACHE_INFLIGHT_SHARDS % CACHE_INFLIGHT_BUCKETS];
    struct list *place = bucket;

    asker->key = key;
    list_init(&asker->followers);
    pthread_mutex_lock(&shard->lock);
    list_for_each(node, bucket) {
        struct cache_inflight *leader = list_entry(node, struct cache_inflight, node);

        if (cache_key_equal(leader->key, key)) {
            place = &leader->followers;
            break;
        }
    }
    list_append(place, &asker->node);
    pthread_mutex_unlock(&shard->lock);
    return place == bucket;
}

void cache_inflight_finish(struct cache_inflight_table *table, struct cache_inflight *leader,
                           struct list *followers)
{
    struct cache_inflight_shard *shard = shard_of(table, leader->key);

    pthread_mutex_lock(&shard->lock);
    list_remove(&leader->node);
    list_splice(followers, &leader->followers);
    pthread_mutex_unlock(&shard->lock);
}
