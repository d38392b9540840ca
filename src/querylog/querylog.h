// The query log: takes records from workers, which never wait for it, and hands them to sinks.
//
//   worker ─► ring (one each) ─► collector thread ─► queue ─► sink's thread ─► file, server, …
//
// The collector empties the rings several times a second, applies what is configured for privacy,
// and makes batches, which all sinks share. A ring or a queue that is full drops and counts.
#pragma once

#include "base/compiler.h"
#include "base/log.h"
#include "querylog/options.h"
#include "querylog/record.h"
#include "querylog/sink.h"

struct querylog;
struct querylog_ring; // a worker's end

// Opens all sinks. NULL with the reason in words. `log` must outlive it.
NONNULL NODISCARD struct querylog *querylog_new(const struct querylog_options *options,
                                                unsigned workers, struct log *log,
                                                char reason[QUERYLOG_REASON_SIZE]);

// Starts its threads. E_SYSTEM.
NONNULL NODISCARD int querylog_start(struct querylog *querylog);

// The ring of a worker: for its thread only.
NONNULL struct querylog_ring *querylog_ring_of(struct querylog *querylog, unsigned worker);

// Any thread: files were moved.
NONNULL void querylog_reopen(struct querylog *querylog);

// When no worker writes any more: what is there is handed on, and each sink has some seconds to
// keep it.
void querylog_free(struct querylog *querylog);

// What became of records, since the start. Any thread.
struct querylog_sink_status {
    char url[QUERYLOG_URL_SIZE]; // without what is secret in it
    uint64_t written;
    uint64_t dropped; // the queue was full, or the sink could not keep them
    uint64_t queued;  // now
    bool failing;
};

struct querylog_status {
    uint64_t dropped; // rings were full
    uint32_t sink_count;
    struct querylog_sink_status sinks[QUERYLOG_SINKS_MAX];
};

NONNULL void querylog_status(struct querylog *querylog, struct querylog_status *status);
