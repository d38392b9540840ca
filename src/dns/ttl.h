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

// Whether a name of a parsed message leads, by compression, into a TTL, so that it becomes another
// when that goes down. Linear in the message's size but for such names.
NONNULL NODISCARD bool dns_ttl_in_name(const struct dns_message *message);

// `to` holds the records of `from` at the same positions, up to `end`: brings their TTLs between
// `min` and `max`; a TTL of 0 stays, since it says that the record is for this once.
NONNULL void dns_ttl_bound(uint8_t *to, const struct dns_message *from, size_t end, uint32_t min,
                           uint32_t max);
