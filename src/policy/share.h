// A fair share of places of which there are only so many: as long as there is ample room, whoever
// comes first has it; of the last eighth a client gets one only if it holds fewer than are left. So
// one client alone has at most seven eighths, and the next always finds room. Clients are told
// apart as by the cache's limit: IPv4 by address, IPv6 by /64.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/siphash.h"

// Clients whose prefixes fall into one slot share what it holds; the hash is keyed.
#define POLICY_SHARE_BITS 10
#define POLICY_SHARE_SLOTS (1 << POLICY_SHARE_BITS)

// The slot of clients without an address, which are always let in.
#define POLICY_SHARE_NOBODY POLICY_SHARE_SLOTS

struct policy_share {
    uint32_t held[POLICY_SHARE_SLOTS + 1];
};

NONNULL NODISCARD size_t policy_share_slot(const struct siphash_key *secret,
                                           const struct address *client);

// Whether more than the last eighth of the places is left.
NODISCARD bool policy_share_is_ample(size_t taken, size_t places);

// Whether this client may have one more. Who then takes it counts it in `held`, and out again.
NONNULL NODISCARD bool policy_share_allows(const struct policy_share *share, size_t slot,
                                           size_t taken, size_t places);
