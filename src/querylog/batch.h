// Records that go to the sinks together: made by the collector, then immutable, shared by all
// sinks' threads, and freed by the last.
#pragma once

#include "base/compiler.h"
#include "querylog/record.h"

struct querylog_batch;

// Empty, with room for so much. NULL out of memory.
NODISCARD struct querylog_batch *querylog_batch_new(void);

// Copies the entry with all that it points to. False: there is no room for it.
NONNULL NODISCARD bool querylog_batch_add(struct querylog_batch *batch,
                                          const struct querylog_entry *entry);

NONNULL struct querylog_batch *querylog_batch_ref(struct querylog_batch *batch);
void querylog_batch_unref(struct querylog_batch *batch);

NONNULL const struct querylog_entry *querylog_batch_entries(const struct querylog_batch *batch,
                                                            size_t *count);
// What it takes up, in octets.
NONNULL size_t querylog_batch_size(const struct querylog_batch *batch);
