#include "policy/cookie.h"

#include <string.h>

#include "base/cursor.h"
#include "dns/edns.h"

enum {
    VERSION = 1,
    // Where they are, behind the client's part: version, three octets reserved, time, hash.
    TIME = DNS_COOKIE_CLIENT_SIZE + 4,
    HASH = DNS_COOKIE_CLIENT_SIZE + 8,
};

// RFC 9018 section 4.3, in seconds: how old a cookie may be, how far ahead its maker's clock, and
// when the client is given a new one.
enum { OLDEST = 3600, AHEAD = 300, RENEW = 1800 };

// Of the cookie up to its hash, and the client's address.
static uint64_t hash_of(const struct siphash_key *key, const uint8_t *cookie,
                        const struct address *client)
{
    uint8_t input[HASH + 16];
    size_t size;
    const uint8_t *address = address_octets(client, &size);

    memcpy(input, cookie, HASH);
    memcpy(input + HASH, address, size);
    return siphash_2_4(key, input, HASH + size);
}

// The hash is its octets from the lowest on.
static uint64_t get_hash(const uint8_t *at)
{
    return (uint64_t)__builtin_bswap32(get_u32(at + 4)) << 32 | __builtin_bswap32(get_u32(at));
}

static void put_hash(uint8_t *at, uint64_t hash)
{
    for (unsigned i = 0; i < 8; i++)
        at[i] = (uint8_t)(hash >> 8 * i);
}

// Seconds since it was made, by serial number arithmetic (RFC 1982): they wrap in 2106.
static int32_t age_of(const uint8_t *cookie, uint32_t now)
{
    return (int32_t)(now - get_u32(cookie + TIME));
}

// Which secret it was made with, or -1.
static int find_secret(const struct policy_cookie_secrets *secrets, const struct address *client,
                       const uint8_t *cookie)
{
    for (uint32_t i = 0; i < secrets->count; i++)
        if (hash_of(&secrets->keys[i], cookie, client) == get_hash(cookie + HASH))
            return (int)i;
    return -1;
}

static void make(uint8_t *cookie, const struct policy_cookie_secrets *secrets,
                 const struct address *client, uint32_t now)
{
    put_u32(cookie + DNS_COOKIE_CLIENT_SIZE, (uint32_t)VERSION << 24);
    put_u32(cookie + TIME, now);
    put_hash(cookie + HASH, hash_of(&secrets->keys[0], cookie, client));
}

void policy_cookie_read(struct policy_cookie *cookie, const struct policy_cookie_secrets *secrets,
                        const struct address *client, const uint8_t *content, size_t size,
                        uint32_t now)
{
    int32_t age;
    int secret;

    cookie->state = POLICY_COOKIE_MALFORMED;
    if (size != DNS_COOKIE_CLIENT_SIZE &&
        (size < DNS_COOKIE_SIZE_MIN || size > DNS_COOKIE_SIZE_MAX))
        return;
    cookie->state = size == DNS_COOKIE_CLIENT_SIZE ? POLICY_COOKIE_NEW : POLICY_COOKIE_BAD;
    memcpy(cookie->reply, content, DNS_COOKIE_CLIENT_SIZE);
    if (size == POLICY_COOKIE_SIZE && content[DNS_COOKIE_CLIENT_SIZE] == VERSION) {
        age = age_of(content, now);
        secret = age >= -AHEAD && age <= OLDEST ? find_secret(secrets, client, content) : -1;
        if (secret >= 0)
            cookie->state = POLICY_COOKIE_VALID;
        if (secret == 0 && age <= RENEW) {
            memcpy(cookie->reply, content, POLICY_COOKIE_SIZE);
            return;
        }
    }
    make(cookie->reply, secrets, client, now);
}
