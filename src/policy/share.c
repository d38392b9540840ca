#include "policy/share.h"

#include "base/cursor.h"

size_t policy_share_slot(const struct siphash_key *secret, const struct address *client)
{
    size_t size;
    const uint8_t *octets = address_octets(client, &size);
    uint64_t prefix;

    if (size == 0)
        return POLICY_SHARE_NOBODY;
    prefix = get_u32(octets);
    if (size == 16)
        prefix = prefix << 32 | get_u32(octets + 4);
    // Enough where nobody gets to see what would tell the key, at a tenth of SipHash's cost: two
    // rounds of multiplication (as in MurmurHash's last step) with the key in each.
    prefix = (prefix ^ secret->k0) * UINT64_C(0x9e3779b97f4a7c15);
    prefix = (prefix ^ prefix >> 32) * (secret->k1 | 1);
    return prefix >> (64 - POLICY_SHARE_BITS);
}

bool policy_share_is_ample(size_t taken, size_t places)
{
    return taken + places / 8 < places;
}

bool policy_share_allows(const struct policy_share *share, size_t slot, size_t taken, size_t places)
{
    return policy_share_is_ample(taken, places) || slot == POLICY_SHARE_NOBODY ||
           taken + share->held[slot] < places;
}
