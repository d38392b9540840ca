// The ways to write who a client may be: "192.168.0.0/16", "fd00::/8", "192.0.2.1", or a word.
#pragma once

#include <stdint.h>

#include "base/compiler.h"

enum policy_prefix_kind {
    POLICY_PREFIX_ANY,     // whoever asks
    POLICY_PREFIX_PRIVATE, // addresses that only neighbours can have: see acl.c for the list
    POLICY_PREFIX_IPV4,
    POLICY_PREFIX_IPV6,
};

// Unused octets are zero.
struct policy_prefix {
    uint8_t kind;        // enum policy_prefix_kind
    uint8_t length;      // in bits: up to 32, or 128
    uint8_t address[16]; // in network order; IPv4: the first 4
};

// An IPv6 address, "/128" and the NUL.
#define POLICY_PREFIX_TEXT_MAX 56

// Reads an address with a length, without one (that address alone), "private" or "any". Prefixes of
// IPv4-mapped IPv6 addresses become those of IPv4. On failure returns E_INVALID and a static text
// that says what is wrong and what to write instead, or NULL: it is nothing of the kind.
NONNULL NODISCARD int policy_prefix_parse(struct policy_prefix *prefix, const char *text,
                                          const char **why);

// The canonical form; reads back to the same. Returns `text`.
NONNULL const char *policy_prefix_to_text(const struct policy_prefix *prefix,
                                          char text[POLICY_PREFIX_TEXT_MAX]);
