#include "listener/terms.h"

#include <stdlib.h>

struct listener_terms *listener_terms_new(const struct listener_limits *limits)
{
    struct listener_terms *terms = calloc(1, sizeof(*terms));

    if (!terms)
        return NULL;
    terms->refs = 1;
    terms->limits = *limits;
    list_init(&terms->idle);
    return terms;
}

struct listener_terms *listener_terms_ref(struct listener_terms *terms)
{
    terms->refs++;
    return terms;
}

void listener_terms_unref(struct listener_terms *terms)
{
    if (!terms || --terms->refs > 0)
        return;
    policy_rules_unref(terms->policy);
    free(terms);
}

void listener_terms_set(struct listener_terms *terms, const struct listener_limits *limits,
                        struct policy_rules *policy)
{
    terms->limits = *limits;
    policy_rules_ref(policy);
    policy_rules_unref(terms->policy);
    terms->policy = policy;
}
