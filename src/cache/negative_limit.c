#include "cache/negative_limit.h"

#include <string.h>

void cache_negative_limit_init(struct cache_negative_limit *limit, const struct siphash_key *secret)
{
    memset(limit, 0, sizeof(*limit));
    limit->secret = *secret;
}

bool cache_negative_limit_pass(struct cache_negative_limit *limit, const struct address *client,
                               uint32_t rate, usec_t now)
{
    static const struct rate_limit_prefix prefix = {32, 64};
    size_t slot = rate_limit_slot(&limit->secret, client, &prefix, CACHE_NEGATIVE_SLOTS);

    return rate_limit_pass(&limit->slots[slot], rate, CACHE_NEGATIVE_BURST * USEC_SEC, now);
}
