// The status of the whole program: asks every worker how it is, and adds what can be read from
// anywhere.
#pragma once

#include "admin/status.h"
#include "daemon/worker.h"

// How long to wait for the workers: a turn of a loop takes milliseconds. One that is not heard of
// by then is shown as such.
#define COLLECT_TIMEOUT (2 * USEC_SEC)

// From any thread but a worker's, while the workers run. Fills in all but the uptime, and what only
// the daemon knows. With `test_upstreams`, the next status will tell whether upstreams are usable
// that nobody has asked of late. E_NOMEM.
NONNULL NODISCARD int collect_status(struct status *status, struct worker *const *workers,
                                     unsigned count, const struct cache *cache,
                                     bool test_upstreams);

// The same without asking the workers, of which nothing is known then: while they stop, too.
NONNULL NODISCARD int collect_rest(struct status *status, struct worker *const *workers,
                                   unsigned count, const struct cache *cache);

// The counters of all workers, added up. Any thread.
NONNULL void collect_counters(uint64_t sums[COUNTER_COUNT], struct worker *const *workers,
                              unsigned count);
