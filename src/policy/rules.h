// Who is answered by one listener, or by all that say nothing of their own: what is configured,
// compiled. Immutable.
#pragma once

#include "policy/acl.h"

struct policy_rules {
    unsigned refs;
    enum policy_refuse refuse;
    struct policy_rate_limit rate_limit;
    struct policy_acl allowed;
};

// In place; `own` is what a listener says of its own, or NULL.
void policy_rules_compile(struct policy_rules *rules, const struct policy_options *general,
                          const struct policy_own *own);

// The same on the heap, or NULL if the listener says nothing of its own, so that the general rules
// hold. E_NOMEM.
NONNULL NODISCARD int policy_rules_new(struct policy_rules **rules,
                                       const struct policy_options *general,
                                       const struct policy_own *own);

// Each is of one thread at a time. NULL is left alone.
struct policy_rules *policy_rules_ref(struct policy_rules *rules);
void policy_rules_unref(struct policy_rules *rules);
