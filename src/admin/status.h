// The whole status: what `sotto status` shows, and every other view of it.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "base/compiler.h"
#include "base/time.h"
#include "cache/cache.h"
#include "metrics/counters.h"
#include "metrics/status.h"
#include "querylog/querylog.h"

// What the system says of the process. 0: not known.
struct status_process {
    uint64_t resident; // octets
    uint64_t descriptors;
    uint64_t descriptors_max;
    double cpu;        // seconds
    double started_at; // seconds since 1970 UTC
};

struct status {
    pid_t pid;
    usec_t uptime;
    bool stopping; // workers are not asked any more
    struct status_process process;
    struct querylog_status querylog; // no sinks: it is off
    struct cache_usage cache;
    uint64_t counters[COUNTER_COUNT]; // of all workers
    struct query_sums queries;
    uint32_t certificate_count;
    struct status_certificate certificates[STATUS_CERTIFICATES_MAX];
    uint32_t worker_count;
    struct status_worker *workers; // the status's own, from malloc()
};

// Frees what it holds.
NONNULL void status_deinit(struct status *status);

// An upstream as all workers that answered see it, taken together.
struct status_upstream_sum {
    const char *url;                  // the status's
    const char *reason;               // of the first worker that has it down, or ""
    enum status_upstream_state state; // down: in all workers; slow: in one or more
    uint32_t workers;                 // that have it; after a reload they may differ for a moment
    uint32_t workers_down;
    usec_t down_for;                  // the longest
    struct status_upstream_load load; // sums; of the times, the mean of those that are known
    struct status_upstream_totals totals;
    struct histogram_values latency;
};

// Fills `sums`, in the configured order, and returns how many there are. The same URL twice in the
// configuration is two upstreams.
NONNULL unsigned status_sum_upstreams(const struct status *status,
                                      struct status_upstream_sum sums[STATUS_UPSTREAMS_MAX]);

// Of the queries that the cache was looked into for, the part that found a fresh answer: 0 to 1;
// negative if there were none.
NONNULL double status_hit_ratio(const struct status *status);

// For people: tables, in units that they read.
NONNULL void status_print_table(const struct status *status, FILE *out);

// For programs: one JSON object. Keys are in snake_case and stay what they are; numbers are in
// seconds and octets ("bytes"). What is not known is left out.
NONNULL void status_print_json(const struct status *status, FILE *out);
