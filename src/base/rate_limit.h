// So much a second for each of many clients, in a table of fixed size that its owner has: a slot is
// the time at which its clients will have their whole burst again, so that time alone empties it.
// Clients are told apart by prefix. Those whose prefixes fall into one slot share it; the hash is
// keyed, so nobody can choose whose.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/compiler.h"
#include "base/siphash.h"
#include "base/time.h"

// Leading bits of the address that make a client: up to 32 and 128.
struct rate_limit_prefix {
    uint32_t ipv4, ipv6;
};

// The slot of a client, of `count`.
NONNULL NODISCARD size_t rate_limit_slot(const struct siphash_key *secret,
                                         const struct address *client,
                                         const struct rate_limit_prefix *prefix, size_t count);

// Whether one more may pass now; counts it if so. `rate` is a second's; 0: no limit. A client that
// has been quiet may have what is due in `burst` at once.
NONNULL NODISCARD bool rate_limit_pass(usec_t *slot, uint32_t rate, usec_t burst, usec_t now);
