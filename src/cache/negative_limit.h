// How many negative answers are kept for one client: names that do not exist cost nothing to make
// up, and must not wash out what others ask for. Clients are told apart by prefix: IPv4 by /32,
// IPv6 by /64. One thread.
#pragma once

#include "base/rate_limit.h"

#define CACHE_NEGATIVE_SLOTS 1024

// A client that has been quiet may have this many seconds' worth at once.
#define CACHE_NEGATIVE_BURST 10

struct cache_negative_limit {
    struct siphash_key secret;
    usec_t slots[CACHE_NEGATIVE_SLOTS];
};

NONNULL void cache_negative_limit_init(struct cache_negative_limit *limit,
                                       const struct siphash_key *secret);

// Whether one more may be kept for this client now; counts it. `rate` is a second's; 0: no limit.
NONNULL NODISCARD bool cache_negative_limit_pass(struct cache_negative_limit *limit,
                                                 const struct address *client, uint32_t rate,
                                                 usec_t now);
