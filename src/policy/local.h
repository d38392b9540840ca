// Questions that are answered here and never leave: special-use names (RFC 6761, 7686, 9462), the
// reverse zones of private addresses (RFC 6303, RFC 7793), and who we are (RFC 4892).
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "base/compiler.h"
#include "dns/build.h"

struct policy_discovery;

struct policy_local_options {
    bool private_reverse;                     // answer for the reverse zones of private addresses
    const char *identity_version;             // version.bind, version.server; "" refuses
    const char *identity_id;                  // id.server, hostname.bind; "" refuses
    const struct policy_discovery *discovery; // what _dns.resolver.arpa says; NULL: nothing
    const struct address *asked;              // the address that the client asked; for that
};

// What to answer. Its record points to static data or to the options, and to `rdata`.
struct policy_answer {
    uint16_t rcode;
    unsigned record_count;
    struct dns_local_record records[4]; // of an RRset, that is all
    uint8_t rdata[2048];
};

// Whether the question (wire name, type, class) is ours to answer; if so fills in the answer.
// `name` must stay valid as long as the answer.
NONNULL bool policy_answer_local(const struct policy_local_options *options, const uint8_t *name,
                                 uint16_t type, uint16_t class, struct policy_answer *answer);
