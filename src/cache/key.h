// What an answer is found by: the question without regard to letter case, and how it was asked.
#pragma once

#include "base/siphash.h"
#include "dns/message.h"

// How it was asked.
#define CACHE_KEY_DNSSEC_OK 1         // DO: signatures are wanted
#define CACHE_KEY_CHECKING_DISABLED 2 // CD
#define CACHE_KEY_NO_RECURSION 4      // RD clear: such answers are shared while in flight, not kept

struct cache_key {
    uint64_t hash;
    uint16_t size;                      // of the question
    uint8_t flags;                      // CACHE_KEY_…
    uint8_t question[DNS_QUESTION_MAX]; // wire form, lower-case; not defined beyond `size`
};

// `flags` are the header's, of the query. `question` is a whole wire question.
NONNULL void cache_key_make(struct cache_key *key, const struct siphash_key *secret,
                            const uint8_t *question, size_t size, uint16_t flags, bool dnssec_ok);

// The whole key is compared.
NONNULL bool cache_key_equal(const struct cache_key *a, const struct cache_key *b);

NONNULL void cache_key_copy(struct cache_key *to, const struct cache_key *from);

NONNULL uint16_t cache_key_type(const struct cache_key *key);
NONNULL uint16_t cache_key_class(const struct cache_key *key);
