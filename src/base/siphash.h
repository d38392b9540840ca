// SipHash-1-3 (Aumasson, Bernstein): a keyed hash for tables whose keys a peer chooses. Without the
// key nobody can make names that fall into one bucket.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

struct siphash_key {
    uint64_t k0, k1;
};

NONNULL NODISCARD uint64_t siphash(const struct siphash_key *key, const uint8_t *bytes,
                                   size_t size);
