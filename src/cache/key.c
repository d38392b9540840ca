#include "cache/key.h"

#include <string.h>

#include "base/cursor.h"
#include "dns/name.h"

void cache_key_make(struct cache_key *key, const struct siphash_key *secret,
                    const uint8_t *question, size_t size, uint16_t flags, bool dnssec_ok)
{
    size_t name = size - 4;

    key->size = (uint16_t)size;
    key->flags = (uint8_t)((dnssec_ok ? CACHE_KEY_DNSSEC_OK : 0) |
                           (flags & DNS_FLAG_CD ? CACHE_KEY_CHECKING_DISABLED : 0) |
                           (flags & DNS_FLAG_RD ? 0 : CACHE_KEY_NO_RECURSION));
    dns_name_lower(key->question, question, name);
    memcpy(key->question + name, question + name, 4);
    // The flags need no place in the hash: few questions are asked in more than one way.
    key->hash = siphash(secret, key->question, size);
}

bool cache_key_equal(const struct cache_key *a, const struct cache_key *b)
{
    return a->hash == b->hash && a->size == b->size && a->flags == b->flags &&
           memcmp(a->question, b->question, a->size) == 0;
}

void cache_key_copy(struct cache_key *to, const struct cache_key *from)
{
    memcpy(to, from, offsetof(struct cache_key, question) + from->size);
}

uint16_t cache_key_type(const struct cache_key *key)
{
    return get_u16(key->question + key->size - 4);
}

uint16_t cache_key_class(const struct cache_key *key)
{
    return get_u16(key->question + key->size - 2);
}
