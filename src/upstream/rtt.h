// Smoothed round-trip time and its variation (RFC 6298 section 2), in microseconds.
#pragma once

#include "base/compiler.h"
#include "base/time.h"

struct rtt {
    usec_t smoothed; // 0 until the first sample
    usec_t variation;
};

NONNULL static inline void rtt_add(struct rtt *rtt, usec_t sample)
{
    if (rtt->smoothed == 0) {
        rtt->smoothed = MAX(sample, (usec_t)1);
        rtt->variation = sample / 2;
        return;
    }

    usec_t difference = sample > rtt->smoothed ? sample - rtt->smoothed : rtt->smoothed - sample;

    rtt->variation = (3 * rtt->variation + difference) / 4;
    rtt->smoothed = MAX((7 * rtt->smoothed + sample) / 8, (usec_t)1);
}

// How long to wait before the answer counts as slow, or `unknown` before the first sample.
NONNULL static inline usec_t rtt_patience(const struct rtt *rtt, usec_t unknown)
{
    return rtt->smoothed == 0 ? unknown : rtt->smoothed + 4 * rtt->variation;
}
