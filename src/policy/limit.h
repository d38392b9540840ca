// How many queries a second are answered over UDP to one client that has not shown that its address
// is its own: large answers to a forged source are an attack on whom it belongs to. Over the limit
// most get silence, and some a short answer by which a true client learns how to go on. One thread.
#pragma once

#include <stdint.h>

#include "base/rate_limit.h"
#include "policy/options.h"

// 72 KiB for each worker. Many more prefixes than this can be forged at once: then the slots fill
// up, and who shares one goes on with a cookie or over TCP.
#define POLICY_LIMIT_SLOTS 8192

// A client that has been quiet may ask so many seconds' worth at once: a page of a browser.
#define POLICY_LIMIT_BURST (5 * USEC_SEC)

struct policy_limit {
    struct siphash_key secret;
    usec_t slots[POLICY_LIMIT_SLOTS];
    uint8_t over[POLICY_LIMIT_SLOTS]; // queries over the limit, modulo slip
};

enum policy_limit_verdict {
    POLICY_LIMIT_PASS,
    POLICY_LIMIT_SLIP, // tell it to ask in another way
    POLICY_LIMIT_DROP,
};

NONNULL void policy_limit_init(struct policy_limit *limit, const struct siphash_key *secret);

// What becomes of one more query of this client; counts it. Those at another `rate` are counted
// apart.
NONNULL NODISCARD enum policy_limit_verdict policy_limit_check(
    struct policy_limit *limit, const struct policy_rate_limit *options,
    const struct address *client, usec_t now);
