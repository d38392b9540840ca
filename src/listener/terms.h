// On what terms those are served who came by one TCP socket that is listened on: shared by the
// socket and its connections, which may outlive it, and changed in place by a reload. One thread.
#pragma once

#include "base/list.h"
#include "listener/options.h"
#include "policy/rules.h"

struct listener_terms {
    unsigned refs;
    struct listener_limits limits;
    struct policy_rules *policy; // NULL: those of the engine
    struct list idle;            // of its connections, those with nothing in flight
    uint32_t client_count;
};

// With these limits, and no rules of its own. NULL out of memory.
NONNULL NODISCARD struct listener_terms *listener_terms_new(const struct listener_limits *limits);
NONNULL struct listener_terms *listener_terms_ref(struct listener_terms *terms);
void listener_terms_unref(struct listener_terms *terms);

// For a reload; `policy` is referenced.
void listener_terms_set(struct listener_terms *terms, const struct listener_limits *limits,
                        struct policy_rules *policy);
