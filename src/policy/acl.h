// Who is answered: a set of prefixes, compiled so that most clients are told by the first octet of
// their address. One rule for all transports. A plain value; read by any thread once it is
// compiled.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "policy/options.h"

// The private prefixes of the family that has more of them, beside all that can be written.
#define POLICY_ACL_RANGES_MAX (POLICY_PREFIXES_MAX + 6)

// An address as a number of 128 bits; an IPv4 address fills the upper 32.
struct policy_acl_key {
    uint64_t high, low;
};

struct policy_acl_family {
    uint8_t by_first_octet[256]; // all, none or some of the addresses that begin with it
    unsigned count;
    struct {
        struct policy_acl_key first, last; // inclusive
    } ranges[POLICY_ACL_RANGES_MAX];       // sorted, none overlaps another
};

struct policy_acl {
    bool everyone; // of whatever family
    struct policy_acl_family ipv4, ipv6;
};

// Of the `allow_count` prefixes at `allow`.
NONNULL void policy_acl_compile(struct policy_acl *acl, const struct policy_prefix *allow,
                                uint32_t allow_count);

// IPv4-mapped IPv6 addresses count as IPv4. A client without an address (AF_UNSPEC) is allowed only
// with everyone.
NONNULL NODISCARD bool policy_acl_allows(const struct policy_acl *acl,
                                         const struct address *client);

// The same of a few prefixes that are not compiled; one after the other.
NODISCARD bool policy_prefixes_have(const struct policy_prefix *prefixes, uint32_t count,
                                    const struct address *address);

// Whether all addresses of IPv4 or all of IPv6 are in the set, however that is written.
NONNULL NODISCARD bool policy_acl_is_open(const struct policy_acl *acl);

// Whether this is an address that cannot be reached from beyond the neighbourhood: loopback,
// RFC 1918, shared (RFC 6598), link-local and unique local.
NONNULL NODISCARD bool policy_address_is_private(const struct address *address);
