#include "base/rate_limit.h"

#include <string.h>

size_t rate_limit_slot(const struct siphash_key *secret, const struct address *client,
                       const struct rate_limit_prefix *prefix, size_t count)
{
    uint8_t masked[16] = {0};
    size_t size;
    const uint8_t *octets = address_octets(client, &size);
    size_t bits = MIN(size == 4 ? prefix->ipv4 : prefix->ipv6, 8 * size);

    memcpy(masked, octets, (bits + 7) / 8);
    if (bits % 8)
        masked[bits / 8] &= (uint8_t)(0xff << (8 - bits % 8));
    // The size keeps the families apart.
    if (size == 16 && bits <= 64)
        size = 8;
    return siphash(secret, masked, size) % count;
}

bool rate_limit_pass(usec_t *slot, uint32_t rate, usec_t burst, usec_t now)
{
    usec_t full_at = MAX(*slot, now);

    if (rate == 0)
        return true;
    full_at += USEC_SEC / rate;
    if (full_at > now + burst)
        return false;
    *slot = full_at;
    return true;
}
