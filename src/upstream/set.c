#include "upstream/set.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "upstream/internal.h"

// Lookups of upstreams' names at once.
#define BOOTSTRAP_IN_FLIGHT (2 * UPSTREAM_SERVERS_MAX)

static void resolve(void *upstreams, struct upstream_request *request)
{
    exchange_start(upstreams, request);
}

const struct upstream_ops upstream_set_ops = {.resolve = resolve};

static void on_tell_failed(struct task *task)
{
    struct upstream_set *set = container_of(task, struct upstream_set, tell_failed);

    for (struct list *node; (node = list_pop(&set->failed));)
        exchange_failed(list_entry(node, struct attempt, place));
}

// At the turn's end, since the other connections' ends may be among this turn's events too.
void set_fail_later(struct upstream_set *set, struct attempt *attempt)
{
    list_append(&set->failed, &attempt->place);
    loop_at_turn_end(set->loop, &set->tell_failed);
}

static struct upstream_set *make(struct loop *loop, struct log *log, struct counters *counters,
                                 struct random *random, unsigned max_in_flight)
{
    struct upstream_set *set = calloc(1, sizeof(*set));

    if (!set)
        return NULL;
    set->loop = loop;
    set->log = log;
    set->counters = counters;
    set->random = random;
    list_init(&set->servers);
    list_init(&set->retired);
    list_init(&set->failed);
    task_init(&set->tell_failed, on_tell_failed);
    slab_init(&set->exchanges, sizeof(struct exchange), max_in_flight);
    // Abandoned attempts live on for a while.
    slab_init(&set->attempts, sizeof(struct attempt),
              (size_t)max_in_flight * EXCHANGE_ATTEMPTS + (size_t)64 * 1024);
    return set;
}

static bool same_options(const struct upstream_server_options *a,
                         const struct upstream_server_options *b)
{
    return strcmp(a->url, b->url) == 0 && strcmp(a->ca_file, b->ca_file) == 0 &&
           a->pin_count == b->pin_count &&
           memcmp(a->pins, b->pins, a->pin_count * sizeof(a->pins[0])) == 0 &&
           a->profile == b->profile && a->max_connections == b->max_connections &&
           a->idle_timeout == b->idle_timeout;
}

static struct server *find_same(struct list *servers, const struct upstream_plan_server *wanted)
{
    list_for_each(node, servers) {
        struct server *server = list_entry(node, struct server, node);

        if (same_options(server->options, wanted->options) &&
            tls_context_same_authorities(server->shared->tls, wanted->tls))
            return server;
    }
    return NULL;
}

static int apply_servers(struct upstream_set *set, struct upstream_plan *plan,
                         struct upstream_plan_server *wanted, unsigned count)
{
    struct list kept, fresh;

    list_init(&kept);
    list_init(&fresh);
    // Those that are new first: only this can fail.
    for (unsigned i = 0; i < count; i++) {
        if (find_same(&set->servers, &wanted[i]))
            continue;

        struct server *server = server_new(set, plan, &wanted[i]);

        if (!server) {
            while (!list_empty(&fresh))
                server_release(list_first(&fresh, struct server, node));
            return E_NOMEM;
        }
        list_append(&fresh, &server->node);
    }
    for (unsigned i = 0; i < count; i++) {
        struct server *server = find_same(&set->servers, &wanted[i]);

        if (!server)
            server = find_same(&fresh, &wanted[i]);
        if (!server)
            continue; // the same server twice
        list_remove(&server->node);
        list_append(&kept, &server->node);
    }
    for (struct list *node; (node = list_pop(&set->servers));) {
        list_append(&set->retired, node);
        server_retire(list_entry(node, struct server, node));
    }
    set->server_count = 0;
    list_for_each(node, &kept)
        set->server_count++;
    list_splice(&set->servers, &kept);
    return E_OK;
}

// A set of its own for the bootstrap's servers, if there are any.
static int apply_bootstrap(struct upstream_set *set, struct upstream_plan *plan)
{
    if (!set->bootstrap && plan->options.bootstrap_count > 0) {
        set->bootstrap = make(set->loop, set->log, set->counters, set->random, BOOTSTRAP_IN_FLIGHT);
        if (!set->bootstrap)
            return E_NOMEM;
    }
    if (!set->bootstrap)
        return E_OK;
    set->bootstrap->strategy = UPSTREAM_FAILOVER;
    set->bootstrap->timeout = plan->options.timeout;
    return apply_servers(set->bootstrap, plan, plan->bootstrap, plan->options.bootstrap_count);
}

int upstream_set_apply(struct upstream_set *set, struct upstream_plan *plan)
{
    int err = apply_bootstrap(set, plan);

    if (err == E_OK)
        err = apply_servers(set, plan, plan->servers, plan->options.server_count);
    if (err != E_OK)
        return err;
    set->strategy = plan->options.strategy;
    set->timeout = plan->options.timeout;
    return E_OK;
}

struct upstream_set *upstream_set_new(struct loop *loop, struct log *log, struct counters *counters,
                                      struct random *random, struct upstream_plan *plan,
                                      unsigned max_in_flight)
{
    struct upstream_set *set = make(loop, log, counters, random, max_in_flight);

    if (set && upstream_set_apply(set, plan) != E_OK) {
        upstream_set_stop(set);
        upstream_set_free(set);
        return NULL;
    }
    return set;
}

// Every server is retired, every connection closed, and with them every exchange.
static void stop_servers(struct upstream_set *set)
{
    set->stopping = true;
    list_splice(&set->retired, &set->servers);
    set->server_count = 0;
    list_for_each(node, &set->retired)
        server_stop(list_entry(node, struct server, node));
}

void upstream_set_stop(struct upstream_set *set)
{
    // Lookups in flight go with their servers, before the bootstrap that would answer them.
    stop_servers(set);
    if (set->bootstrap)
        stop_servers(set->bootstrap);
}

static void free_set(struct upstream_set *set)
{
    require(list_empty(&set->servers) && list_empty(&set->retired));
    slab_deinit(&set->exchanges);
    slab_deinit(&set->attempts);
    free(set);
}

void upstream_set_free(struct upstream_set *set)
{
    if (!set)
        return;
    if (set->bootstrap)
        free_set(set->bootstrap);
    free_set(set);
}
