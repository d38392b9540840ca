// Which answers are kept, as what, and for how long: the one place where that is decided.
//
// Kept are whole replies to a question of class IN, under that question and nothing else:
//   positive   NOERROR with records of the name that was asked, for the lowest TTL of all records
//   NODATA     NOERROR without records of the type, with a SOA record: for the lowest of all TTLs
//   NXDOMAIN   and the SOA's MINIMUM (RFC 2308 section 5)
//   failure    SERVFAIL, for a fixed short time (RFC 9520)
// Not kept: TTL 0; TC; a negative answer without SOA; records of another class; an answer section
// in which no CNAMEs, in their order, lead from the question's name to what was asked; a SOA that
// is not above their end; names that are compressed into a TTL; other rcodes; EDNS other than
// version 0, or with a client subnet; answers to queries without RD, of meta types.
#pragma once

#include "cache/key.h"
#include "cache/options.h"
#include "dns/message.h"

enum cache_kind { CACHE_POSITIVE, CACHE_NODATA, CACHE_NXDOMAIN, CACHE_FAILURE };

struct cache_verdict {
    bool keep;
    enum cache_kind kind;
    uint32_t ttl; // seconds: how long it is fresh

    // Bounds for the TTLs of its records, as they are shown to clients; valid also if it is not to
    // be kept. A TTL of 0 stays.
    uint32_t ttl_min, ttl_max;
    bool adjust; // some TTL is out of these bounds
};

NONNULL void cache_judge(struct cache_verdict *verdict, const struct cache_options *options,
                         const struct cache_key *key, const struct dns_message *reply);
