// Durations in nanoseconds, in buckets that are at most 1/64 of their value wide.
#pragma once

#include <stdint.h>

enum {
    HISTOGRAM_STEPS = 64,
    HISTOGRAM_SIZE = HISTOGRAM_STEPS * 40, // up to 2^45 ns, ten hours
};

struct histogram {
    uint64_t counts[HISTOGRAM_SIZE];
    uint64_t total, sum, max;
};

void histogram_add(struct histogram *histogram, uint64_t value);

// The value that this share (0 to 1) of all is not above, rounded up to its bucket's end. 0 if
// empty.
uint64_t histogram_at(const struct histogram *histogram, double share);

double histogram_mean(const struct histogram *histogram);
