#include "base/siphash.h"

#include <endian.h>
#include <string.h>

struct state {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotate(uint64_t x, unsigned bits)
{
    return x << bits | x >> (64 - bits);
}

static inline void sip_round(struct state *s)
{
    s->v0 += s->v1;
    s->v1 = rotate(s->v1, 13) ^ s->v0;
    s->v0 = rotate(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = rotate(s->v1, 17) ^ s->v2;
    s->v2 = rotate(s->v2, 32);
}

static inline void sip_rounds(struct state *s, unsigned rounds)
{
    for (unsigned i = 0; i < rounds; i++)
        sip_round(s);
}

static inline void absorb(struct state *s, uint64_t word, unsigned rounds)
{
    s->v3 ^= word;
    sip_rounds(s, rounds);
    s->v0 ^= word;
}

// Inlined, so that the numbers of rounds are constants.
__attribute__((always_inline)) static inline uint64_t hash(const struct siphash_key *key,
                                                           const uint8_t *bytes, size_t size,
                                                           unsigned rounds, unsigned last_rounds)
{
    struct state s = {
        .v0 = key->k0 ^ UINT64_C(0x736f6d6570736575),
        .v1 = key->k1 ^ UINT64_C(0x646f72616e646f6d),
        .v2 = key->k0 ^ UINT64_C(0x6c7967656e657261),
        .v3 = key->k1 ^ UINT64_C(0x7465646279746573),
    };
    uint64_t last = (uint64_t)size << 56;
    size_t whole = size & ~(size_t)7;
    uint64_t word;

    for (size_t i = 0; i < whole; i += 8) {
        memcpy(&word, bytes + i, 8);
        absorb(&s, le64toh(word), rounds);
    }
    for (size_t i = whole; i < size; i++)
        last |= (uint64_t)bytes[i] << 8 * (i - whole);
    absorb(&s, last, rounds);
    s.v2 ^= 0xff;
    sip_rounds(&s, last_rounds);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

uint64_t siphash(const struct siphash_key *key, const uint8_t *bytes, size_t size)
{
    return hash(key, bytes, size, 1, 3);
}

uint64_t siphash_2_4(const struct siphash_key *key, const uint8_t *bytes, size_t size)
{
    return hash(key, bytes, size, 2, 4);
}
