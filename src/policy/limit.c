#include "policy/limit.h"

#include <string.h>

// Odd, so that rates below the number of slots all differ; large, so that those of near ones are
// far apart.
#define RATE_SPREAD ((size_t)5279)

void policy_limit_init(struct policy_limit *limit, const struct siphash_key *secret)
{
    memset(limit, 0, sizeof(*limit));
    limit->secret = *secret;
}

enum policy_limit_verdict policy_limit_check(struct policy_limit *limit,
                                             const struct policy_rate_limit *options,
                                             const struct address *client, usec_t now)
{
    const struct rate_limit_prefix prefix = {options->ipv4_prefix, options->ipv6_prefix};
    size_t slot = rate_limit_slot(&limit->secret, client, &prefix, POLICY_LIMIT_SLOTS);

    // A slot's time is counted at one rate: what a client asks at another is counted elsewhere.
    slot = (slot + options->rate * RATE_SPREAD) % POLICY_LIMIT_SLOTS;
    if (rate_limit_pass(&limit->slots[slot], options->rate, POLICY_LIMIT_BURST, now))
        return POLICY_LIMIT_PASS;
    if (options->slip == 0 || ++limit->over[slot] < options->slip)
        return POLICY_LIMIT_DROP;
    limit->over[slot] = 0;
    return POLICY_LIMIT_SLIP;
}
