#include "querylog/ring.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

// Of an entry in the ring, so that each begins aligned.
#define ALIGNMENT 16

// The rest up to the ring's end is not used.
#define SKIP UINT32_MAX

#define SIZE_MIN (UINT64_C(64) * 1024)

struct slot {
    uint32_t size; // with what follows, aligned; or SKIP
    uint16_t name_size;
    uint16_t upstream_url_size;
    uint16_t reply_size;
    struct querylog_record record;
    uint8_t bytes[]; // name, URL, reply
};

struct querylog_ring {
    uint8_t *bytes;
    uint64_t size; // a power of two
    bool with_replies;
    uint32_t sample;

    // The writer's. Positions only grow; where they are in `bytes` is their rest by `size`.
    _Alignas(64) _Atomic uint64_t head;
    uint64_t known_tail;
    uint32_t skipped;
    _Atomic uint64_t dropped;

    // The reader's.
    _Alignas(64) _Atomic uint64_t tail;
    uint64_t read;
};

struct querylog_ring *querylog_ring_new(uint64_t size, bool with_replies, uint32_t sample)
{
    struct querylog_ring *ring = aligned_alloc(64, sizeof(*ring));

    if (!ring)
        return NULL;
    memset(ring, 0, sizeof(*ring));
    ring->size = SIZE_MIN;
    while (ring->size < size)
        ring->size *= 2;
    ring->with_replies = with_replies;
    ring->sample = MAX(sample, 1u);
    ring->bytes = aligned_alloc(64, ring->size);
    if (ring->bytes)
        return ring;
    free(ring);
    return NULL;
}

void querylog_ring_free(struct querylog_ring *ring)
{
    if (!ring)
        return;
    free(ring->bytes);
    free(ring);
}

bool querylog_ring_samples(struct querylog_ring *ring)
{
    if (LIKELY(ring->sample == 1))
        return true;
    if (++ring->skipped < ring->sample)
        return false;
    ring->skipped = 0;
    return true;
}

// Room for an entry in one piece, from `*head` on, which may skip to the ring's beginning. NULL if
// it is full.
static struct slot *reserve(struct querylog_ring *ring, size_t size, uint64_t *head)
{
    uint64_t left = ring->size - (*head & (ring->size - 1));
    uint64_t needed = left < size ? left + size : size;

    if (*head + needed - ring->known_tail > ring->size) {
        ring->known_tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
        if (*head + needed - ring->known_tail > ring->size)
            return NULL;
    }
    if (left < size) {
        ((struct slot *)(ring->bytes + (*head & (ring->size - 1))))->size = SKIP;
        *head += left;
    }
    return (struct slot *)(ring->bytes + (*head & (ring->size - 1)));
}

bool querylog_ring_put(struct querylog_ring *ring, const struct querylog_entry *entry)
{
    size_t reply_size = ring->with_replies ? entry->reply_message_size : 0;
    size_t size = sizeof(struct slot) + entry->name_size + entry->upstream_url_size + reply_size;
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    struct slot *slot;
    uint8_t *to;

    size = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    slot = reserve(ring, size, &head);
    if (!slot) {
        atomic_store_explicit(&ring->dropped,
                              atomic_load_explicit(&ring->dropped, memory_order_relaxed) + 1,
                              memory_order_relaxed);
        return false;
    }
    slot->size = (uint32_t)size;
    slot->name_size = entry->name_size;
    slot->upstream_url_size = entry->upstream_url_size;
    slot->reply_size = (uint16_t)reply_size;
    slot->record = entry->record;
    to = slot->bytes;
    if (entry->name_size > 0)
        memcpy(to, entry->name, entry->name_size);
    to += entry->name_size;
    if (entry->upstream_url_size > 0)
        memcpy(to, entry->upstream_url, entry->upstream_url_size);
    to += entry->upstream_url_size;
    if (reply_size > 0)
        memcpy(to, entry->reply, reply_size);
    atomic_store_explicit(&ring->head, head + size, memory_order_release);
    return true;
}

bool querylog_ring_next(struct querylog_ring *ring, struct querylog_entry *entry)
{
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
    const struct slot *slot;

    if (ring->read == head)
        return false;
    slot = (const struct slot *)(ring->bytes + (ring->read & (ring->size - 1)));
    // An entry always follows: head is moved on over both at once.
    if (slot->size == SKIP) {
        ring->read += ring->size - (ring->read & (ring->size - 1));
        slot = (const struct slot *)ring->bytes;
    }
    *entry = (struct querylog_entry){
        .record = slot->record,
        .name = slot->bytes,
        .name_size = slot->name_size,
        .upstream_url = (const char *)slot->bytes + slot->name_size,
        .upstream_url_size = slot->upstream_url_size,
        .reply = slot->bytes + slot->name_size + slot->upstream_url_size,
        .reply_message_size = slot->reply_size,
    };
    ring->read += slot->size;
    return true;
}

void querylog_ring_release(struct querylog_ring *ring)
{
    atomic_store_explicit(&ring->tail, ring->read, memory_order_release);
}

uint64_t querylog_ring_dropped(const struct querylog_ring *ring)
{
    return atomic_load_explicit(&ring->dropped, memory_order_relaxed);
}
