// The upstreams of one worker: implements the engine's upstream_ops over the configured servers.
#pragma once

#include "base/log.h"
#include "base/random.h"
#include "engine/upstream.h"
#include "metrics/counters.h"
#include "metrics/status.h"
#include "net/loop.h"
#include "upstream/plan.h"

struct upstream_set;

// `max_in_flight` bounds the requests. All pointers must outlive the set; the plan is
// referenced by its servers. NULL out of memory.
NODISCARD struct upstream_set *upstream_set_new(struct loop *loop, struct log *log,
                                                struct counters *counters, struct random *random,
                                                struct upstream_plan *plan, unsigned max_in_flight);

// Takes over a new plan: servers whose options and authorities are the same keep their connections
// and what was learnt; others are let go when their queries in flight are answered. E_NOMEM leaves
// the set as it was.
NONNULL NODISCARD int upstream_set_apply(struct upstream_set *set, struct upstream_plan *plan);

// Every request in flight is ended, every connection closed; new requests fail.
NONNULL void upstream_set_stop(struct upstream_set *set);

// After upstream_set_stop(), and when the loop has no more handles.
void upstream_set_free(struct upstream_set *set);

// How each server is, in the configured order. Returns how many there are.
NONNULL unsigned upstream_set_status(struct upstream_set *set,
                                     struct status_upstream upstreams[STATUS_UPSTREAMS_MAX]);

// Servers that have never been asked, or are down, are tried, so that the status tells soon whether
// they are usable, even if nobody asks anything.
NONNULL void upstream_set_test(struct upstream_set *set);

extern const struct upstream_ops upstream_set_ops;
