// The TTLs of a message's records.
#pragma once

#include "base/compiler.h"
#include "dns/message.h"

// The largest (RFC 2181 section 8).
#define DNS_TTL_MAX INT32_MAX

// What a TTL field says: with its top bit set, 0 (RFC 2181 section 8).
static inline uint32_t dns_ttl_valid(uint32_t ttl)
{
    return ttl > DNS_TTL_MAX ? 0 : ttl;
}

// What the MINIMUM of a SOA record of a parsed response says: for how long, at most, it may be
// believed that something is not there (RFC 2308 section 4).
NONNULL NODISCARD uint32_t dns_ttl_of_soa(const struct dns_record *soa);

// For how long a parsed message may be shown again as it is (RFC 8484 section 5.1): the lowest TTL
// of its answers and, of what is not there, of the SOA in the authority section and that one's
// MINIMUM. 0 if it has none of these, and for queries, truncated responses, and rcodes other than
// NOERROR and NXDOMAIN.
NONNULL NODISCARD uint32_t dns_ttl_of_message(const struct dns_message *message);

// Whether a name of a parsed message leads, by compression, into a TTL, so that it becomes another
// when that goes down. Linear in the message's size but for such names.
NONNULL NODISCARD bool dns_ttl_in_name(const struct dns_message *message);

// `to` holds the records of `from` at the same positions, up to `end`: brings their TTLs between
// `min` and `max`; a TTL of 0 stays, since it says that the record is for this once.
NONNULL void dns_ttl_bound(uint8_t *to, const struct dns_message *from, size_t end, uint32_t min,
                           uint32_t max);
