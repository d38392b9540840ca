#include "policy/acl.h"

#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"

// by_first_octet
enum { NONE, SOME, ALL };

static const struct policy_prefix private_prefixes[] = {
    {POLICY_PREFIX_IPV4, 8, {127}},       // loopback
    {POLICY_PREFIX_IPV4, 8, {10}},        // RFC 1918
    {POLICY_PREFIX_IPV4, 12, {172, 16}},  // RFC 1918
    {POLICY_PREFIX_IPV4, 16, {192, 168}}, // RFC 1918
    {POLICY_PREFIX_IPV4, 10, {100, 64}},  // shared with a carrier (RFC 6598)
    {POLICY_PREFIX_IPV4, 16, {169, 254}}, // link-local (RFC 3927)
    {POLICY_PREFIX_IPV6, 128, {[15] = 1}},
    {POLICY_PREFIX_IPV6, 7, {0xfc}},        // unique local (RFC 4193)
    {POLICY_PREFIX_IPV6, 10, {0xfe, 0x80}}, // link-local (RFC 4291)
};

static int compare_keys(const struct policy_acl_key *a, const struct policy_acl_key *b)
{
    if (a->high != b->high)
        return a->high < b->high ? -1 : 1;
    return (a->low > b->low) - (a->low < b->low);
}

static struct policy_acl_key key_of(const uint8_t octets[16])
{
    return (struct policy_acl_key){
        .high = (uint64_t)get_u32(octets) << 32 | get_u32(octets + 4),
        .low = (uint64_t)get_u32(octets + 8) << 32 | get_u32(octets + 12),
    };
}

static void add(struct policy_acl *acl, const struct policy_prefix *prefix)
{
    struct policy_acl_family *family = prefix->kind == POLICY_PREFIX_IPV4 ? &acl->ipv4 : &acl->ipv6;
    struct policy_acl_key first = key_of(prefix->address), last = first;
    unsigned at = family->count;

    if (prefix->length < 64)
        last.high |= UINT64_MAX >> prefix->length;
    if (prefix->length <= 64)
        last.low = UINT64_MAX;
    else if (prefix->length < 128)
        last.low |= UINT64_MAX >> (prefix->length - 64);
    // What is in another prefix adds nothing.
    for (unsigned i = 0; i < family->count; i++)
        if (compare_keys(&family->ranges[i].first, &first) <= 0 &&
            compare_keys(&family->ranges[i].last, &last) >= 0)
            return;
    require(at < POLICY_ACL_RANGES_MAX);
    // Where two begin together the longer range comes first.
    for (; at > 0 && compare_keys(&family->ranges[at - 1].first, &first) >= 0; at--)
        family->ranges[at] = family->ranges[at - 1];
    family->ranges[at].first = first;
    family->ranges[at].last = last;
    family->count++;
}

// Prefixes nest or are apart: ranges that a later one contains follow it.
static void drop_contained(struct policy_acl_family *family)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < family->count; i++) {
        if (kept > 0 && compare_keys(&family->ranges[i].last, &family->ranges[kept - 1].last) <= 0)
            continue;
        family->ranges[kept++] = family->ranges[i];
    }
    family->count = kept;
}

static void sum_up(struct policy_acl_family *family)
{
    for (unsigned i = 0; i < family->count; i++) {
        unsigned first = (unsigned)(family->ranges[i].first.high >> 56);
        unsigned last = (unsigned)(family->ranges[i].last.high >> 56);
        bool whole = family->ranges[i].first.high << 8 == 0 && family->ranges[i].first.low == 0 &&
                     (family->ranges[i].last.high | UINT64_C(0xff) << 56) == UINT64_MAX &&
                     family->ranges[i].last.low == UINT64_MAX;

        for (unsigned octet = first; octet <= last; octet++)
            family->by_first_octet[octet] = whole ? ALL : SOME;
    }
}

void policy_acl_compile(struct policy_acl *acl, const struct policy_prefix *allow,
                        uint32_t allow_count)
{
    static const struct policy_prefix everyone[] = {
        {.kind = POLICY_PREFIX_IPV4},
        {.kind = POLICY_PREFIX_IPV6},
    };
    bool with_private = false;

    memset(acl, 0, sizeof(*acl));
    for (uint32_t i = 0; i < allow_count; i++) {
        acl->everyone |= allow[i].kind == POLICY_PREFIX_ANY;
        with_private |= allow[i].kind == POLICY_PREFIX_PRIVATE;
    }
    for (size_t i = 0; acl->everyone && i < ARRAY_LEN(everyone); i++)
        add(acl, &everyone[i]);
    for (size_t i = 0; with_private && i < ARRAY_LEN(private_prefixes); i++)
        add(acl, &private_prefixes[i]);
    for (uint32_t i = 0; i < allow_count; i++)
        if (allow[i].kind == POLICY_PREFIX_IPV4 || allow[i].kind == POLICY_PREFIX_IPV6)
            add(acl, &allow[i]);
    drop_contained(&acl->ipv4);
    drop_contained(&acl->ipv6);
    sum_up(&acl->ipv4);
    sum_up(&acl->ipv6);
}

// The last range that does not begin behind the address is the only one that can have it. Out of
// line: few addresses come so far.
__attribute__((noinline)) static bool find(const struct policy_acl_family *family,
                                           const uint8_t *octets, size_t size)
{
    unsigned low = 0, high = family->count;
    uint8_t whole[16] = {0};
    struct policy_acl_key key;

    memcpy(whole, octets, size);
    key = key_of(whole);
    while (low < high) {
        unsigned middle = low + (high - low) / 2;

        if (compare_keys(&family->ranges[middle].first, &key) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && compare_keys(&key, &family->ranges[low - 1].last) <= 0;
}

bool policy_acl_allows(const struct policy_acl *acl, const struct address *client)
{
    size_t size;
    const uint8_t *octets = address_octets(client, &size);
    const struct policy_acl_family *family = size == 4 ? &acl->ipv4 : &acl->ipv6;

    if (UNLIKELY(size == 0))
        return acl->everyone;
    if (LIKELY(family->by_first_octet[*octets] != SOME))
        return family->by_first_octet[*octets] == ALL;
    return find(family, octets, size);
}

static bool is_whole(const struct policy_acl_family *family)
{
    for (unsigned octet = 0; octet < ARRAY_LEN(family->by_first_octet); octet++)
        if (family->by_first_octet[octet] != ALL)
            return false;
    return true;
}

bool policy_acl_is_open(const struct policy_acl *acl)
{
    return is_whole(&acl->ipv4) || is_whole(&acl->ipv6);
}

static bool is_within(const uint8_t *octets, size_t size, const struct policy_prefix *prefix)
{
    unsigned whole = prefix->length / 8, rest = prefix->length % 8;

    return size == (prefix->kind == POLICY_PREFIX_IPV4 ? 4 : 16) &&
           memcmp(octets, prefix->address, whole) == 0 &&
           (rest == 0 || (octets[whole] ^ prefix->address[whole]) >> (8 - rest) == 0);
}

static bool is_private(const uint8_t *octets, size_t size)
{
    for (size_t i = 0; i < ARRAY_LEN(private_prefixes); i++)
        if (is_within(octets, size, &private_prefixes[i]))
            return true;
    return false;
}

bool policy_address_is_private(const struct address *address)
{
    size_t size;
    const uint8_t *octets = address_octets(address, &size);

    return is_private(octets, size);
}

bool policy_prefixes_have(const struct policy_prefix *prefixes, uint32_t count,
                          const struct address *address)
{
    size_t size;
    const uint8_t *octets = address_octets(address, &size);

    for (uint32_t i = 0; i < count; i++) {
        const struct policy_prefix *prefix = &prefixes[i];

        if (prefix->kind == POLICY_PREFIX_ANY ||
            (prefix->kind == POLICY_PREFIX_PRIVATE && is_private(octets, size)) ||
            (prefix->kind >= POLICY_PREFIX_IPV4 && is_within(octets, size, prefix)))
            return true;
    }
    return false;
}
