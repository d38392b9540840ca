// Discovery of designated resolvers (RFC 9462): who asks over plain DNS is told where the same
// resolver is to be had encrypted.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "base/compiler.h"
#include "dns/name.h"
#include "policy/local.h"

// More encrypted listeners than clients care to try.
#define POLICY_ENDPOINTS_MAX 4

// Of a path, with the NUL.
#define POLICY_DOHPATH_SIZE 128

// Where DNS over TLS or, with a path, over HTTPS is to be had.
struct policy_endpoint {
    uint8_t name[DNS_NAME_MAX];     // in its certificate, in wire form
    struct address address;         // perhaps every address
    char path[POLICY_DOHPATH_SIZE]; // "": over TLS
};

// Plain values.
struct policy_discovery {
    uint32_t count;
    struct policy_endpoint endpoints[POLICY_ENDPOINTS_MAX];
};

// Answers _dns.resolver.arpa SVCB (RFC 9461): an alternative for each endpoint that the client can
// reach, with `asked`, the address that it asked (AF_UNSPEC: not known), as a hint where we listen
// on every address. False if there is nothing to tell. `discovery` must stay valid as long as the
// answer.
NONNULL bool policy_answer_discovery(const struct policy_discovery *discovery,
                                     const struct address *asked, struct policy_answer *answer);
