// What can be configured about the cache; plain values, see upstream/options.h.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/time.h"

// With a NUL.
#define CACHE_PATH_SIZE 256

// Less room than this is as good as none: refused by the configuration.
#define CACHE_SIZE_MIN (64 * UINT64_C(1024))

struct cache_options {
    uint64_t size; // octets, all told; 0: nothing is kept

    // How long answers are kept; the TTLs shown to clients are brought into these bounds too.
    usec_t min_ttl; // of positive answers
    usec_t max_ttl;
    usec_t negative_max_ttl; // NXDOMAIN, NODATA (RFC 2308)
    usec_t failure_ttl;      // SERVFAIL (RFC 9520); 0: not kept

    // Stale answers (RFC 8767).
    usec_t stale_after; // how long a client waits for an upstream before it is given one
    usec_t stale_max;   // how long after its end an answer may be given; 0: never

    bool prefetch;                // refresh what is asked often before its end
    uint32_t negative_per_client; // negative answers kept a second for one client; 0: no limit

    char persist[CACHE_PATH_SIZE]; // file that the cache survives a restart in; "": none
    usec_t persist_interval;
};
