// SipHash (Aumasson, Bernstein): keyed hashes that nobody can foresee without the key.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

struct siphash_key {
    uint64_t k0, k1;
};

// SipHash-1-3: for tables whose keys a peer chooses.
NONNULL NODISCARD uint64_t siphash(const struct siphash_key *key, const uint8_t *bytes,
                                   size_t size);

// SipHash-2-4: for what a peer gets to see and must not be able to make itself.
NONNULL NODISCARD uint64_t siphash_2_4(const struct siphash_key *key, const uint8_t *bytes,
                                       size_t size);
