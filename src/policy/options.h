// What can be configured about who is answered; plain values, see upstream/options.h.
#pragma once

#include <stdint.h>

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

struct policy_options {
    uint32_t allow_count; // 0: nobody
    struct policy_prefix allow[POLICY_PREFIXES_MAX];
    enum policy_refuse refuse;
};
