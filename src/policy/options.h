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

struct policy_options {
    uint32_t allow_count; // 0: nobody
    struct policy_prefix allow[POLICY_PREFIXES_MAX];
    enum policy_refuse refuse;
    struct policy_cookie_options cookies;
    struct policy_cookie_secrets cookie_secrets; // what the above comes to; not in the file
};
