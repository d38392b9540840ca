// Records on their way from the worker that writes them to the collector that reads them: one
// writer, one reader, no locks, of a fixed size. Entries have the room that they need.
#pragma once

#include "base/compiler.h"
#include "querylog/record.h"

struct querylog_ring;

// `size` in octets, rounded up to a power of two. NULL out of memory.
NODISCARD struct querylog_ring *querylog_ring_new(uint64_t size, bool with_replies,
                                                  uint32_t sample);
void querylog_ring_free(struct querylog_ring *ring);

// The writer: whether this query is one of those to be written (1 in `sample`).
NONNULL bool querylog_ring_samples(struct querylog_ring *ring);

// The writer: copies the entry; the reply only if the ring is one with replies. False: it is full,
// and the record counted as dropped.
NONNULL bool querylog_ring_put(struct querylog_ring *ring, const struct querylog_entry *entry);

// The reader: the next entry, whose name, URL and reply lie in the ring until
// querylog_ring_release(). False if there is none.
NONNULL bool querylog_ring_next(struct querylog_ring *ring, struct querylog_entry *entry);
// The reader: the room of all entries that were read is the writer's again.
NONNULL void querylog_ring_release(struct querylog_ring *ring);

// Any thread.
NONNULL uint64_t querylog_ring_dropped(const struct querylog_ring *ring);
