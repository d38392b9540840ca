#include "cache/negative_limit.h"

#include <string.h>

void cache_negative_limit_init(struct cache_negative_limit *limit, const struct siphash_key *secret)
{
    memset(limit, 0, sizeof(*limit));
    limit->secret = *secret;
}

// The prefix that stands for the client. Returns its size.
static size_t prefix_of(const struct address *client, uint8_t prefix[8])
{
    if (client->family == AF_INET6 && !IN6_IS_ADDR_V4MAPPED(&client->v6.sin6_addr)) {
        memcpy(prefix, client->v6.sin6_addr.s6_addr, 8);
        return 8;
    }
    if (client->family == AF_INET6)
        memcpy(prefix, client->v6.sin6_addr.s6_addr + 12, 4);
    else
        memcpy(prefix, &client->v4.sin_addr, 4);
    return 4;
}

bool cache_negative_limit_pass(struct cache_negative_limit *limit, const struct address *client,
                               uint32_t rate, usec_t now)
{
    uint8_t prefix[8];
    size_t size = prefix_of(client, prefix);
    size_t slot = siphash(&limit->secret, prefix, size) % CACHE_NEGATIVE_SLOTS;
    usec_t full_at = MAX(limit->slots[slot].full_at, now);

    if (rate == 0)
        return true;
    full_at += USEC_SEC / rate;
    if (full_at > now + CACHE_NEGATIVE_BURST * USEC_SEC)
        return false;
    limit->slots[slot].full_at = full_at;
    return true;
}
