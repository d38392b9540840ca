#include "querylog/batch.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

// Of one batch. The octets are enough for so many entries of common size; a reply of 64 KiB fits.
enum { ENTRIES_MAX = 2048, OCTETS_MAX = 256 * 1024 };

struct querylog_batch {
    atomic_uint refs;
    size_t count;
    size_t used;
    struct querylog_entry entries[ENTRIES_MAX];
    uint8_t octets[OCTETS_MAX];
};

struct querylog_batch *querylog_batch_new(void)
{
    // Most of it is not touched where little is asked.
    struct querylog_batch *batch = malloc(sizeof(*batch));

    if (!batch)
        return NULL;
    atomic_init(&batch->refs, 1);
    batch->count = batch->used = 0;
    return batch;
}

static const void *copy(struct querylog_batch *batch, const void *bytes, size_t size)
{
    uint8_t *to = batch->octets + batch->used;

    if (size > 0)
        memcpy(to, bytes, size);
    batch->used += size;
    return to;
}

bool querylog_batch_add(struct querylog_batch *batch, const struct querylog_entry *entry)
{
    size_t size = (size_t)entry->name_size + entry->upstream_url_size + entry->reply_message_size;
    struct querylog_entry *to = &batch->entries[batch->count];

    if (batch->count == ENTRIES_MAX || size > OCTETS_MAX - batch->used)
        return false;
    *to = *entry;
    to->name = copy(batch, entry->name, entry->name_size);
    to->upstream_url = copy(batch, entry->upstream_url, entry->upstream_url_size);
    to->reply = copy(batch, entry->reply, entry->reply_message_size);
    batch->count++;
    return true;
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
    return batch->count * sizeof(batch->entries[0]) + batch->used;
}
