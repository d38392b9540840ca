// A sink with its thread, and the queue before it.
#pragma once

#include "base/compiler.h"
#include "querylog/batch.h"
#include "querylog/querylog.h"
#include "querylog/sink.h"

struct querylog_outlet;

// The sink for a URL, by its scheme; NULL if there is none.
NONNULL const struct querylog_sink_ops *querylog_sink_find(const char *url);

// Opens the sink. NULL with the reason. `options` and `instance` must outlive it; `queue_size` in
// octets.
NONNULL NODISCARD struct querylog_outlet *querylog_outlet_open(
    const struct querylog_sink_options *options, const char *instance, uint64_t queue_size,
    struct log *log, char reason[QUERYLOG_REASON_SIZE]);

// E_SYSTEM.
NONNULL NODISCARD int querylog_outlet_start(struct querylog_outlet *outlet);

// Queues the batch (referenced), or drops it if the queue is full.
NONNULL void querylog_outlet_give(struct querylog_outlet *outlet, struct querylog_batch *batch);

NONNULL void querylog_outlet_reopen(struct querylog_outlet *outlet);

// No more will come: what is queued has some seconds to be kept. Returns at once.
NONNULL void querylog_outlet_end(struct querylog_outlet *outlet);
// Waits for that, and frees it. Also for one that was never started.
void querylog_outlet_free(struct querylog_outlet *outlet);

// Any thread.
NONNULL void querylog_outlet_status(struct querylog_outlet *outlet,
                                    struct querylog_sink_status *status);
