#include "policy/rules.h"

#include <stdlib.h>

#include "base/error.h"

static bool is_said(const struct policy_own *own)
{
    return own->allow_count > 0 || own->refuse != POLICY_OWN_REFUSE_INHERIT || own->rate_limit > 0;
}

void policy_rules_compile(struct policy_rules *rules, const struct policy_options *general,
                          const struct policy_own *own)
{
    bool own_allow = own && own->allow_count > 0;

    rules->refuse = general->refuse;
    rules->rate_limit = general->rate_limit;
    policy_acl_compile(&rules->allowed, own_allow ? own->allow : general->allow,
                       own_allow ? own->allow_count : general->allow_count);
    if (own && own->refuse != POLICY_OWN_REFUSE_INHERIT)
        rules->refuse =
            own->refuse == POLICY_OWN_REFUSE_DROP ? POLICY_REFUSE_DROP : POLICY_REFUSE_REFUSED;
    if (own && own->rate_limit > 0)
        rules->rate_limit.rate = own->rate_limit - 1;
}

int policy_rules_new(struct policy_rules **rules, const struct policy_options *general,
                     const struct policy_own *own)
{
    *rules = NULL;
    if (!is_said(own))
        return E_OK;
    *rules = calloc(1, sizeof(**rules));
    if (!*rules)
        return E_NOMEM;
    (*rules)->refs = 1;
    policy_rules_compile(*rules, general, own);
    return E_OK;
}

struct policy_rules *policy_rules_ref(struct policy_rules *rules)
{
    if (rules)
        rules->refs++;
    return rules;
}

void policy_rules_unref(struct policy_rules *rules)
{
    if (rules && --rules->refs == 0)
        free(rules);
}
