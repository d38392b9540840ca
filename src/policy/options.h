// What can be configured about who is answered; plain values, see upstream/options.h.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/siphash.h"
#include "policy/prefix.h"

// More than anybody writes by hand; a bound, so that the compiled set has one too.
#define POLICY_PREFIXES_MAX 256

// What becomes of a query from elsewhere.
#define POLICY_REFUSE_LIST(X)                                                                      \
    X(REFUSED, "refused") /* it is told so: REFUSED */                                             \
    X(DROP, "drop")       /* silence */

enum policy_refuse {
#define X(name, text) POLICY_REFUSE_##name,
    POLICY_REFUSE_LIST(X)
#undef X
};

// With a NUL.
#define POLICY_PATH_SIZE 256

// The one that cookies are made with, and another that is believed too: the one before, or the
// next.
#define POLICY_COOKIE_SECRETS_MAX 2

struct policy_cookie_secrets {
    uint32_t count; // 0: cookies are not spoken
    struct siphash_key keys[POLICY_COOKIE_SECRETS_MAX];
};

struct policy_cookie_options {
    bool enabled;
    char secret_file[POLICY_PATH_SIZE]; // "": a secret made at the start
};

// Of queries over UDP whose source is not verified.
struct policy_rate_limit {
    uint32_t rate;                     // a second's, of one client to one worker; 0: no limit
    uint32_t ipv4_prefix, ipv6_prefix; // the bits of its address that make a client
    uint32_t slip; // every so many queries over the limit get a short answer; 0: none does
};

// A listener's own are fewer: there is one list for all of them.
#define POLICY_OWN_PREFIXES_MAX 64

enum policy_own_refuse {
    POLICY_OWN_REFUSE_INHERIT,
#define X(name, text) POLICY_OWN_REFUSE_##name,
    POLICY_REFUSE_LIST(X)
#undef X
};

// What a listener says of its own; zeros: as in policy_options.
struct policy_own {
    uint32_t allow_count;
    struct policy_prefix allow[POLICY_OWN_PREFIXES_MAX];
    enum policy_own_refuse refuse;
    uint32_t rate_limit; // rate, plus one
};

struct policy_options {
    uint32_t allow_count; // 0: nobody
    struct policy_prefix allow[POLICY_PREFIXES_MAX];
    enum policy_refuse refuse;
    struct policy_rate_limit rate_limit;
    struct policy_cookie_options cookies;
    struct policy_cookie_secrets cookie_secrets; // what the above comes to; not in the file
};
