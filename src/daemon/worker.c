#include "daemon/worker.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/random.h"
#include "cache/reader.h"
#include "engine/engine.h"
#include "listener/listener.h"
#include "listener/url.h"
#include "net/loop.h"
#include "upstream/set.h"

struct worker {
    struct counters counters;
    struct loop loop;
    struct log *log;
    struct random random;
    struct upstream_set *upstreams;
    struct engine *engine;
    struct listener *listener;
    usec_t drain_timeout;
    struct task stop;
    struct task finish;
    struct wheel_timer drain_timer;
    pthread_t thread;
};

enum change_kind { CHANGE_LISTEN, CHANGE_UNLISTEN, CHANGE_RULES };

struct change {
    struct list node;
    enum change_kind kind;
    struct listener_address at;
    int udp, tcp; // -1: none
    struct tls_server *tls;
    const struct listener_rules *rules;
    struct policy_rules *policy; // NULL: the general one
};

struct worker_update {
    struct task task;
    struct worker *worker;
    sem_t *applied;
    struct upstream_plan *plan;
    struct engine_options engine;
    struct listener_limits listener;
    struct list changes;
};

static void on_stop(struct task *task);
static void on_finish(struct task *task);
static void on_drain_timer(struct wheel_timer *timer);

// ---- What the engine is served with

static usec_t host_now(void *host)
{
    struct worker *worker = host;

    return loop_now(&worker->loop);
}

static usec_t host_clock(void *host)
{
    (void)host;
    return loop_clock();
}

static uint32_t host_wall_seconds(void *host)
{
    struct worker *worker = host;

    return loop_wall_seconds(&worker->loop);
}

static void host_arm(void *host, struct wheel_timer *timer, usec_t due)
{
    struct worker *worker = host;

    loop_arm(&worker->loop, timer, due);
}

static void host_disarm(void *host, struct wheel_timer *timer)
{
    struct worker *worker = host;

    loop_disarm(&worker->loop, timer);
}

static void host_at_turn_end(void *host, struct task *task)
{
    struct worker *worker = host;

    loop_at_turn_end(&worker->loop, task);
}

static void host_post(void *host, struct task *task)
{
    struct worker *worker = host;

    loop_post(&worker->loop, task);
}

static const struct engine_host_ops host_ops = {
    .now = host_now,
    .clock = host_clock,
    .wall_seconds = host_wall_seconds,
    .arm = host_arm,
    .disarm = host_disarm,
    .at_turn_end = host_at_turn_end,
    .post = host_post,
};

// ---- Life

struct worker *worker_new(const struct config *config, struct upstream_plan *plan,
                          struct cache *cache, struct log *log, struct querylog_ring *ring)
{
    struct worker *worker = calloc(1, sizeof(*worker));

    if (!worker)
        return NULL;
    if (loop_init(&worker->loop) != E_OK) {
        free(worker);
        return NULL;
    }
    worker->log = log;
    worker->drain_timeout = config->upstream.timeout;
    random_init(&worker->random);
    task_init(&worker->stop, on_stop);
    task_init(&worker->finish, on_finish);
    wheel_timer_init(&worker->drain_timer, on_drain_timer);
    worker->upstreams = upstream_set_new(&worker->loop, log, &worker->counters, &worker->random,
                                         plan, config->engine.max_in_flight);
    if (worker->upstreams)
        worker->engine = engine_new(&(struct engine_setup){
            .options = &config->engine,
            .cache = cache,
            .host_ops = &host_ops,
            .host = worker,
            .upstream_ops = &upstream_set_ops,
            .upstreams = worker->upstreams,
            .counters = &worker->counters,
            .querylog = ring,
        });
    if (worker->engine)
        worker->listener = listener_new(&worker->loop, log, &worker->counters, worker->engine,
                                        &config->listener.limits);
    if (worker->listener)
        return worker;
    worker_free(worker);
    return NULL;
}

void worker_free(struct worker *worker)
{
    if (!worker)
        return;
    listener_free(worker->listener);
    engine_free(worker->engine);
    upstream_set_free(worker->upstreams);
    loop_deinit(&worker->loop);
    free(worker);
}

int worker_listen(struct worker *worker, const struct listener_address *at, int udp, int tcp,
                  struct tls_server *tls)
{
    return listener_add(worker->listener, at, udp, tcp, tls);
}

int worker_set_rules(struct worker *worker, const struct listener_address *at,
                     const struct listener_rules *rules, const struct policy_options *general)
{
    struct policy_rules *policy;

    if (policy_rules_new(&policy, general, &rules->policy) != E_OK)
        return E_NOMEM;
    listener_set_rules(worker->listener, at, rules, policy);
    policy_rules_unref(policy);
    return E_OK;
}

static void *run(void *arg)
{
    struct worker *worker = arg;

    cache_reader_start();
    loop_run(&worker->loop);
    cache_reader_stop();
    return NULL;
}

int worker_start(struct worker *worker)
{
    return pthread_create(&worker->thread, NULL, run, worker) == 0 ? E_OK : E_SYSTEM;
}

void worker_join(struct worker *worker)
{
    pthread_join(worker->thread, NULL);
}

struct counters *worker_counters(struct worker *worker)
{
    return &worker->counters;
}

// ---- The end

void worker_stop(struct worker *worker)
{
    loop_post(&worker->loop, &worker->stop);
}

// Called from within an answer: what is still on the stack must be done first.
static void on_drained(void *context)
{
    struct worker *worker = context;

    loop_at_turn_end(&worker->loop, &worker->finish);
}

static void on_stop(struct task *task)
{
    struct worker *worker = container_of(task, struct worker, stop);

    listener_pause(worker->listener);
    loop_arm(&worker->loop, &worker->drain_timer, loop_now(&worker->loop) + worker->drain_timeout);
    engine_drain(worker->engine, on_drained, worker);
}

// What has no answer by now gets its SERVFAIL.
static void on_drain_timer(struct wheel_timer *timer)
{
    struct worker *worker = container_of(timer, struct worker, drain_timer);

    upstream_set_stop(worker->upstreams);
}

static void on_finish(struct task *task)
{
    struct worker *worker = container_of(task, struct worker, finish);

    // The last answer of a TCP client made room for those of its queries that waited.
    if (!engine_is_idle(worker->engine)) {
        engine_drain(worker->engine, on_drained, worker);
        return;
    }
    loop_disarm(&worker->loop, &worker->drain_timer);
    listener_stop(worker->listener);
    upstream_set_stop(worker->upstreams);
    loop_stop(&worker->loop);
}

// ---- Reload

struct worker_update *worker_update_new(const struct config *config, struct upstream_plan *plan)
{
    struct worker_update *update = calloc(1, sizeof(*update));

    if (!update)
        return NULL;
    update->plan = upstream_plan_ref(plan);
    update->engine = config->engine;
    update->listener = config->listener.limits;
    list_init(&update->changes);
    return update;
}

void worker_update_free(struct worker_update *update)
{
    if (!update)
        return;
    for (struct list *node; (node = list_pop(&update->changes));) {
        struct change *change = list_entry(node, struct change, node);

        if (change->udp >= 0)
            close(change->udp);
        if (change->tcp >= 0)
            close(change->tcp);
        tls_server_unref(change->tls);
        policy_rules_unref(change->policy);
        free(change);
    }
    upstream_plan_unref(update->plan);
    free(update);
}

// NULL out of memory.
static struct change *add_change(struct worker_update *update, enum change_kind kind,
                                 const struct listener_address *at)
{
    struct change *change = calloc(1, sizeof(*change));

    if (!change)
        return NULL;
    change->kind = kind;
    change->at = *at;
    change->udp = change->tcp = -1;
    list_append(&update->changes, &change->node);
    return change;
}

int worker_update_listen(struct worker_update *update, const struct listener_address *at, int udp,
                         int tcp, struct tls_server *tls)
{
    struct change *change = add_change(update, CHANGE_LISTEN, at);

    if (!change)
        return E_NOMEM;
    change->udp = udp;
    change->tcp = tcp;
    change->tls = tls ? tls_server_ref(tls) : NULL;
    return E_OK;
}

int worker_update_unlisten(struct worker_update *update, const struct address *address,
                           uint32_t transports)
{
    const struct listener_address at = {.address = *address, .transports = transports};

    return add_change(update, CHANGE_UNLISTEN, &at) ? E_OK : E_NOMEM;
}

int worker_update_rules(struct worker_update *update, const struct listener_address *at,
                        const struct listener_rules *rules)
{
    struct change *change = add_change(update, CHANGE_RULES, at);

    if (!change)
        return E_NOMEM;
    change->rules = rules;
    return policy_rules_new(&change->policy, &update->engine.policy, &rules->policy);
}

static void apply_change(struct worker *worker, struct change *change)
{
    switch (change->kind) {
    case CHANGE_UNLISTEN:
        listener_remove(worker->listener, &change->at.address, change->at.transports);
        return;
    case CHANGE_RULES:
        listener_set_rules(worker->listener, &change->at, change->rules, change->policy);
        return;
    case CHANGE_LISTEN:
        if (listener_add(worker->listener, &change->at, change->udp, change->tcp, change->tls) !=
            E_OK) {
            char url[LISTENER_URL_SIZE];

            log_error(worker->log, "daemon", "out of memory: a worker does not listen on %s",
                      listener_url_to_text(&change->at, url));
        }
        change->udp = change->tcp = -1; // the listener's now
        return;
    }
}

static void on_update(struct task *task)
{
    struct worker_update *update = container_of(task, struct worker_update, task);
    struct worker *worker = update->worker;

    if (upstream_set_apply(worker->upstreams, update->plan) != E_OK)
        log_error(worker->log, "daemon", "out of memory: a worker keeps its old upstreams");
    worker->drain_timeout = update->plan->options.timeout;
    engine_configure(worker->engine, &update->engine);
    listener_configure(worker->listener, &update->listener);
    list_for_each(node, &update->changes)
        apply_change(worker, list_entry(node, struct change, node));
    sem_post(update->applied);
    worker_update_free(update);
}

void worker_update_send(struct worker *worker, struct worker_update *update, sem_t *applied)
{
    update->worker = worker;
    update->applied = applied;
    task_init(&update->task, on_update);
    loop_post(&worker->loop, &update->task);
}

// ---- Status

static void on_status(struct task *task)
{
    struct worker_status *asked = container_of(task, struct worker_status, task);
    struct worker *worker = asked->worker;
    struct status_worker *status = &asked->status;

    status->in_flight = engine_in_flight(worker->engine);
    status->tcp_clients = listener_client_count(worker->listener);
    status->queries_udp = counter_get(&worker->counters, COUNTER_queries_udp);
    status->queries_tcp = counter_get(&worker->counters, COUNTER_queries_tcp);
    status->queries_tls = counter_get(&worker->counters, COUNTER_queries_tls);
    status->queries_https = counter_get(&worker->counters, COUNTER_queries_https);
    status->upstream_count = upstream_set_status(worker->upstreams, status->upstreams);
    status->answered = true;
    asked->done(asked);
}

void worker_status_ask(struct worker *worker, struct worker_status *status,
                       void (*done)(struct worker_status *status))
{
    task_init(&status->task, on_status);
    status->worker = worker;
    status->status.answered = false;
    status->done = done;
    loop_post(&worker->loop, &status->task);
}
