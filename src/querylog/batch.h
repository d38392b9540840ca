// Records that go to the sinks together: put together by the collector, then immutable, shared by
// all sinks' threads, and freed by the last.
#pragma once

#include "base/compiler.h"
#include "querylog/record.h"

struct querylog_batch;
struct querylog_builder;

// One thread. NULL out of memory.
NODISCARD struct querylog_builder *querylog_builder_new(void);
void querylog_builder_free(struct querylog_builder *builder);

// Copies the entry with all that it points to. False: it is full, and to be taken first.
NONNULL NODISCARD bool querylog_builder_add(struct querylog_builder *builder,
                                            const struct querylog_entry *entry);

NONNULL size_t querylog_builder_count(const struct querylog_builder *builder);

// What was added since the last time, in no more memory than it needs, since it may wait for long;
// the builder is empty afterwards. NULL out of memory.
NONNULL NODISCARD struct querylog_batch *querylog_builder_take(struct querylog_builder *builder);

NONNULL struct querylog_batch *querylog_batch_ref(struct querylog_batch *batch);
void querylog_batch_unref(struct querylog_batch *batch);

NONNULL const struct querylog_entry *querylog_batch_entries(const struct querylog_batch *batch,
                                                            size_t *count);
// What it takes up, in octets.
NONNULL size_t querylog_batch_size(const struct querylog_batch *batch);
