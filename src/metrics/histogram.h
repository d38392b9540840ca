// How long things took: a number for each of a few spans of time, and the sum of all. One writer;
// any thread may read at any time, and needs no lock: what it reads is never less than before.
//
// The bounds are fixed, so that histograms of all workers add up. They reach from an answer out of
// the cache to a query's deadline, at most 2.5 apart.
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/time.h"

// The upper bounds, inclusive: in microseconds, and as text in seconds.
#define HISTOGRAM_BOUND_LIST(X)                                                                    \
    X(25, "0.000025")                                                                              \
    X(50, "0.00005")                                                                               \
    X(100, "0.0001")                                                                               \
    X(250, "0.00025")                                                                              \
    X(500, "0.0005")                                                                               \
    X(1000, "0.001")                                                                               \
    X(2500, "0.0025")                                                                              \
    X(5000, "0.005")                                                                               \
    X(10000, "0.01")                                                                               \
    X(25000, "0.025")                                                                              \
    X(50000, "0.05")                                                                               \
    X(100000, "0.1")                                                                               \
    X(250000, "0.25")                                                                              \
    X(500000, "0.5")                                                                               \
    X(1000000, "1.0")                                                                              \
    X(2500000, "2.5")                                                                              \
    X(5000000, "5.0")

enum {
#define X(bound, text) HISTOGRAM_BOUND_##bound,
    HISTOGRAM_BOUND_LIST(X)
#undef X
        HISTOGRAM_BOUNDS,
    HISTOGRAM_BUCKETS, // one more: above all bounds
};

struct histogram {
    _Atomic uint64_t buckets[HISTOGRAM_BUCKETS]; // each without those below it
    _Atomic uint64_t sum;                        // in microseconds
};

// The same to reckon with.
struct histogram_values {
    uint64_t buckets[HISTOGRAM_BUCKETS];
    uint64_t sum;
};

// So many events took this long.
NONNULL void histogram_add(struct histogram *histogram, usec_t took, uint64_t events);

// Any thread. Adds what it holds to the values.
NONNULL void histogram_read(const struct histogram *histogram, struct histogram_values *values);

// Of all buckets.
NONNULL uint64_t histogram_events(const struct histogram_values *values);

// The upper bound as text, in seconds; "+Inf" of the last.
const char *histogram_bound_text(unsigned bucket);
