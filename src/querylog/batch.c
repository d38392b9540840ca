#include "querylog/batch.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

// Of one batch. The octets are enough for so many entries of common size; a reply of 64 KiB fits.
enum { ENTRIES_MAX = 2048, OCTETS_MAX = 256 * 1024 };

struct querylog_batch {
    atomic_uint refs;
    size_t size; // of all of it
    size_t count;
    struct querylog_entry entries[]; // then the octets that they point to
};

struct querylog_builder {
    size_t count;
    size_t used;
    struct querylog_entry entries[ENTRIES_MAX];
    uint8_t octets[OCTETS_MAX];
};

struct querylog_builder *querylog_builder_new(void)
{
    struct querylog_builder *builder = malloc(sizeof(*builder));

    if (builder)
        builder->count = builder->used = 0;
    return builder;
}

void querylog_builder_free(struct querylog_builder *builder)
{
    free(builder);
}

size_t querylog_builder_count(const struct querylog_builder *builder)
{
    return builder->count;
}

static const void *copy(struct querylog_builder *builder, const void *bytes, size_t size)
{
    uint8_t *to = builder->octets + builder->used;

    if (size > 0)
        memcpy(to, bytes, size);
    builder->used += size;
    return to;
}

bool querylog_builder_add(struct querylog_builder *builder, const struct querylog_entry *entry)
{
    size_t size = (size_t)entry->name_size + entry->upstream_url_size + entry->reply_message_size;
    struct querylog_entry *to;

    if (builder->count == ENTRIES_MAX || size > OCTETS_MAX - builder->used)
        return false;
    to = &builder->entries[builder->count++];
    *to = *entry;
    to->name = copy(builder, entry->name, entry->name_size);
    to->upstream_url = copy(builder, entry->upstream_url, entry->upstream_url_size);
    to->reply = copy(builder, entry->reply, entry->reply_message_size);
    return true;
}

struct querylog_batch *querylog_builder_take(struct querylog_builder *builder)
{
    size_t entries_size = builder->count * sizeof(builder->entries[0]);
    size_t size = sizeof(struct querylog_batch) + entries_size + builder->used;
    struct querylog_batch *batch = malloc(size);
    const uint8_t *from = builder->octets, *to;

    if (batch) {
        atomic_init(&batch->refs, 1);
        batch->size = size;
        batch->count = builder->count;
        memcpy(batch->entries, builder->entries, entries_size);
        to = memcpy((uint8_t *)batch->entries + entries_size, from, builder->used);
        for (size_t i = 0; i < batch->count; i++) {
            struct querylog_entry *entry = &batch->entries[i];

            entry->name = to + (entry->name - from);
            entry->upstream_url = (const char *)to + ((const uint8_t *)entry->upstream_url - from);
            entry->reply = to + (entry->reply - from);
        }
    }
    builder->count = builder->used = 0;
    return batch;
}

struct querylog_batch *querylog_batch_ref(struct querylog_batch *batch)
{
    atomic_fetch_add_explicit(&batch->refs, 1, memory_order_relaxed);
    return batch;
}

void querylog_batch_unref(struct querylog_batch *batch)
{
    if (batch && atomic_fetch_sub_explicit(&batch->refs, 1, memory_order_acq_rel) == 1)
        free(batch);
}

const struct querylog_entry *querylog_batch_entries(const struct querylog_batch *batch,
                                                    size_t *count)
{
    *count = batch->count;
    return batch->entries;
}

size_t querylog_batch_size(const struct querylog_batch *batch)
{
    return batch->size;
}
