#include "upstream/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Whether the server's name or address must verify; pins stand alone only for a server that is
// given by address and without a name.
static bool must_have_name(const struct upstream_server_options *server)
{
    return server->pin_count == 0 || server->endpoint.auth_name[0] != '\0';
}

static struct tls_context *make_context(const struct upstream_server_options *server, char *reason,
                                        size_t reason_size)
{
    const struct tls_client_options options = {
        .ca_file = server->ca_file,
        .auth_name = server->endpoint.auth_name,
        .pins = server->pins,
        .pin_count = server->pin_count,
        .has_name = must_have_name(server),
        .opportunistic = server->profile == UPSTREAM_OPPORTUNISTIC,
    };
    char tls_reason[TLS_REASON_SIZE];
    struct tls_context *context = tls_context_new(&options, tls_reason);

    if (!context)
        snprintf(reason, reason_size, "upstream %s: %s", server->url, tls_reason);
    return context;
}

static bool make_servers(struct upstream_plan_server *servers,
                         const struct upstream_server_options *options, unsigned count,
                         char *reason, size_t reason_size)
{
    for (unsigned i = 0; i < count; i++) {
        servers[i].options = &options[i];
        servers[i].tls = make_context(&options[i], reason, reason_size);
        if (!servers[i].tls)
            return false;
    }
    return true;
}

// The bootstrap is needed, and its authorities loaded, only if a server is given by name.
static bool needs_bootstrap(const struct upstream_options *options)
{
    for (unsigned i = 0; i < options->server_count; i++)
        if (options->servers[i].endpoint.host[0] != '\0')
            return true;
    return false;
}

struct upstream_plan *upstream_plan_new(const struct upstream_options *options, char *reason,
                                        size_t reason_size)
{
    struct upstream_plan *plan = calloc(1, sizeof(*plan));

    if (!plan) {
        snprintf(reason, reason_size, "out of memory");
        return NULL;
    }
    atomic_init(&plan->refs, 1);
    plan->options = *options;
    if (!needs_bootstrap(options))
        plan->options.bootstrap_count = 0;
    if (make_servers(plan->servers, plan->options.servers, plan->options.server_count, reason,
                     reason_size) &&
        make_servers(plan->bootstrap, plan->options.bootstrap, plan->options.bootstrap_count,
                     reason, reason_size))
        return plan;
    upstream_plan_unref(plan);
    return NULL;
}

struct upstream_plan *upstream_plan_ref(struct upstream_plan *plan)
{
    atomic_fetch_add_explicit(&plan->refs, 1, memory_order_relaxed);
    return plan;
}

void upstream_plan_unref(struct upstream_plan *plan)
{
    if (!plan || atomic_fetch_sub_explicit(&plan->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (unsigned i = 0; i < UPSTREAM_SERVERS_MAX; i++)
        tls_context_unref(plan->servers[i].tls);
    for (unsigned i = 0; i < UPSTREAM_BOOTSTRAP_MAX; i++)
        tls_context_unref(plan->bootstrap[i].tls);
    free(plan);
}
