// What can be configured about how queries are answered; plain values, see upstream/options.h.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cache/options.h"
#include "policy/discovery.h"
#include "policy/options.h"

// Padding of replies (RFC 7830, RFC 8467). Queries to an upstream are always padded.
#define ENGINE_PADDING_LIST(X)                                                                     \
    X(AUTO, "auto")     /* to clients that themselves padded */                                    \
    X(ALWAYS, "always") /* and to all with EDNS over an encrypted transport */                     \
    X(OFF, "off")       /* never */                                                                \
    X(MIRROR, "mirror") /* the upstream's padding is passed on, to be looked at */

enum engine_padding {
#define X(name, text) ENGINE_PADDING_##name,
    ENGINE_PADDING_LIST(X)
#undef X
};

// Reverse zones of private addresses (RFC 6303): answered here, or forwarded like any other name.
#define ENGINE_PRIVATE_REVERSE_LIST(X)                                                             \
    X(LOCAL, "local")                                                                              \
    X(FORWARD, "forward")

enum engine_private_reverse {
#define X(name, text) ENGINE_PRIVATE_REVERSE_##name,
    ENGINE_PRIVATE_REVERSE_LIST(X)
#undef X
};

// A character-string (RFC 1035 section 3.3) and the NUL.
#define ENGINE_IDENTITY_SIZE 256

struct engine_options {
    struct cache_options cache;
    struct policy_options policy;
    enum engine_padding padding;
    enum engine_private_reverse private_reverse;
    uint32_t max_in_flight;                      // queries of one worker
    struct policy_discovery discovery;           // of our own encrypted listeners
    char identity_version[ENGINE_IDENTITY_SIZE]; // version.bind CH TXT; "": refused
    char identity_id[ENGINE_IDENTITY_SIZE];      // id.server CH TXT; "": refused
};
