#include "daemon/reload.h"

#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "cache/reader.h"
#include "daemon/cache_file.h"
#include "daemon/encryption.h"
#include "daemon/listening.h"
#include "daemon/notify.h"
#include "daemon/start_log.h"
#include "net/loop.h"

// What a reload has prepared; nothing of it is in use yet.
struct reload {
    struct config *config;
    uint64_t cache_size; // as configured
    struct upstream_plan *plan;
    struct list opened; // endpoints
    struct worker_update *updates[CONFIG_WORKERS_MAX];
};

static int prepare_certificates(struct daemon *daemon, const struct listener_options *options,
                                struct config_error *error)
{
    int err;

    pthread_mutex_lock(&daemon->endpoints_lock);
    err = encryption_prepare(&daemon->endpoints, options, error);
    pthread_mutex_unlock(&daemon->endpoints_lock);
    return err;
}

static void end_certificates(struct daemon *daemon, void (*end)(struct certificates *))
{
    pthread_mutex_lock(&daemon->endpoints_lock);
    encryption_end(&daemon->endpoints, end);
    pthread_mutex_unlock(&daemon->endpoints_lock);
}

// The transports of an endpoint that stay.
static uint32_t still_wanted(const struct daemon *daemon, const struct listener_options *options,
                             const struct endpoint *endpoint)
{
    uint32_t transports = daemon->activated ? LISTENER_DNS | LISTENER_STREAM : 0;

    for (unsigned i = 0; i < options->place_count; i++)
        if (address_equal(&endpoint->wanted.address, &options->places[i].at.address))
            transports |= options->places[i].at.transports;
    return transports & endpoint->wanted.transports;
}

static int prepare_rules(const struct list *endpoints, const struct listener_options *options,
                         struct worker_update *update)
{
    list_for_each(node, endpoints) {
        const struct endpoint *endpoint = list_entry(node, struct endpoint, node);

        for (size_t i = 0; i < LISTENING_KINDS; i++) {
            struct listener_address at;
            const struct listener_rules *rules =
                listening_rules(endpoint, options, listening_kinds[i], &at);

            if (rules && worker_update_rules(update, &at, rules) != E_OK)
                return E_NOMEM;
        }
    }
    return E_OK;
}

static int prepare_update(struct daemon *daemon, struct reload *reload, unsigned worker)
{
    struct worker_update *update = worker_update_new(reload->config, reload->plan);

    reload->updates[worker] = update;
    if (!update)
        return E_NOMEM;
    list_for_each(node, &daemon->endpoints) {
        struct endpoint *endpoint = list_entry(node, struct endpoint, node);
        uint32_t unwanted = endpoint->wanted.transports &
                            ~still_wanted(daemon, &reload->config->listener, endpoint);

        if (unwanted && worker_update_unlisten(update, &endpoint->bound, unwanted) != E_OK)
            return E_NOMEM;
    }
    list_for_each(opened_node, &reload->opened) {
        struct endpoint *endpoint = list_entry(opened_node, struct endpoint, node);

        const struct listener_address at = endpoint_at(endpoint);

        if (worker_update_listen(update, &at, endpoint->udp[worker], endpoint->tcp[worker],
                                 endpoint_tls_server(endpoint)) != E_OK)
            return E_NOMEM;
        endpoint->udp[worker] = endpoint->tcp[worker] = -1;
    }
    if (prepare_rules(&daemon->endpoints, &reload->config->listener, update) != E_OK)
        return E_NOMEM;
    return prepare_rules(&reload->opened, &reload->config->listener, update);
}

// Everything that can fail. E_OK, or an error with its text.
static int prepare(struct daemon *daemon, struct reload *reload, struct config_error *error)
{
    int err;

    snprintf(error->text, sizeof(error->text), "out of memory");
    reload->config = calloc(1, sizeof(*reload->config));
    if (!reload->config)
        return E_NOMEM;
    err = daemon_load(daemon, reload->config, error);
    if (err != E_OK)
        return err;
    reload->config->listener.limits.tcp_max_connections =
        listening_fit_descriptors(daemon, reload->config->listener.limits.tcp_max_connections);
    // The table that there is stays.
    reload->cache_size = reload->config->engine.cache.size;
    reload->config->engine.cache.size = daemon->config->engine.cache.size;
    reload->plan = upstream_plan_new(&reload->config->upstream, error->text, sizeof(error->text));
    if (!reload->plan)
        return E_INVALID;
    err = daemon->activated
              ? E_OK
              : listening_open_missing(daemon, &reload->config->listener, &reload->opened, error);
    if (err == E_OK)
        err = prepare_certificates(daemon, &reload->config->listener, error);
    if (err == E_OK) {
        struct policy_discovery *discovery = &reload->config->engine.discovery;

        encryption_advertise(&daemon->endpoints, &reload->config->listener, discovery);
        encryption_advertise(&reload->opened, &reload->config->listener, discovery);
    }
    for (unsigned i = 0; i < daemon->worker_count && err == E_OK; i++) {
        snprintf(error->text, sizeof(error->text), "out of memory");
        err = prepare_update(daemon, reload, i);
    }
    return err;
}

static void abandon(struct daemon *daemon, struct reload *reload)
{
    for (unsigned i = 0; i < daemon->worker_count; i++)
        worker_update_free(reload->updates[i]);
    end_certificates(daemon, certificates_abandon);
    endpoints_free(&reload->opened);
    upstream_plan_unref(reload->plan);
    free(reload->config);
}

// But for the key, which is another each time where there is no file with it.
static bool is_other_query_log(const struct querylog_options *a, const struct querylog_options *b)
{
    return memcmp(a, b, offsetof(struct querylog_options, key)) != 0;
}

static void log_not_applied(const struct daemon *daemon, const struct reload *reload)
{
    const struct config *config = reload->config;

    if (reload->cache_size != daemon->config->engine.cache.size)
        log_warning(daemon->log, "daemon", "cache.size: a new size takes a restart to apply");
    if (config->workers != daemon->config->workers)
        log_warning(daemon->log, "daemon", "workers: a new number takes a restart to apply");
    if (strcmp(config->user, daemon->config->user) != 0)
        log_warning(daemon->log, "daemon", "user: another user takes a restart to apply");
    if (strcmp(config->control.socket, daemon->config->control.socket) != 0 ||
        strcmp(config->control.group, daemon->config->control.group) != 0)
        log_warning(daemon->log, "daemon",
                    "control: another socket or group takes a restart to apply");
    if (!address_equal(&config->admin.listen, &daemon->config->admin.listen))
        log_warning(daemon->log, "daemon",
                    "admin.listen: another address takes a restart to apply");
    if (is_other_query_log(&config->querylog, &daemon->config->querylog))
        log_warning(daemon->log, "daemon", "query-log: changes take a restart to apply");
}

// By which path its URL goes from now on.
static void note_path(struct endpoint *endpoint, const struct listener_options *options)
{
    const struct listener_place *place = listener_place_at(
        options, &endpoint->wanted.address, endpoint->wanted.transports & LISTENER_ANY_HTTP);

    if (place)
        memcpy(endpoint->wanted.path, place->at.path, sizeof(place->at.path));
}

// The new configuration's answers are not those of the old one's upstreams.
static void flush_if_other_upstreams(struct daemon *daemon, const struct config *config)
{
    if (cache_file_origin(&config->upstream) == cache_file_origin(&daemon->config->upstream))
        return;
    cache_reader_online();
    cache_flush(daemon->cache, NULL, false);
    cache_reader_offline();
    log_info(daemon->log, "cache", "emptied: its answers were those of other upstreams");
}

static void apply(struct daemon *daemon, struct reload *reload)
{
    sem_t applied;

    end_certificates(daemon, certificates_commit);
    sem_init(&applied, 0, 0);
    for (unsigned i = 0; i < daemon->worker_count; i++) {
        require(reload->updates[i]); // prepare() made one for each
        worker_update_send(daemon->workers[i], reload->updates[i], &applied);
    }
    // So that a reload is done when it says so, and the next finds no listener half closed.
    for (unsigned i = 0; i < daemon->worker_count;)
        i += sem_wait(&applied) == 0;
    sem_destroy(&applied);

    pthread_mutex_lock(&daemon->endpoints_lock);
    list_for_each(node, &daemon->endpoints) {
        struct endpoint *endpoint = list_entry(node, struct endpoint, node);

        endpoint->wanted.transports = still_wanted(daemon, &reload->config->listener, endpoint);
        note_path(endpoint, &reload->config->listener);
        if (endpoint->wanted.transports)
            continue;
        list_remove(node);
        endpoint_free(endpoint);
    }
    list_for_each(opened_node, &reload->opened)
        start_log_endpoint(daemon->log, list_entry(opened_node, struct endpoint, node));
    list_splice(&daemon->endpoints, &reload->opened);
    pthread_mutex_unlock(&daemon->endpoints_lock);
    log_not_applied(daemon, reload);
    if (daemon->admin)
        admin_http_configure(daemon->admin, &reload->config->admin);
    flush_if_other_upstreams(daemon, reload->config);
    upstream_plan_unref(daemon->plan);
    daemon->plan = reload->plan;
    // The control thread may be writing the file by the old one.
    pthread_mutex_lock(&daemon->cache_file);
    free(daemon->config);
    daemon->config = reload->config;
    pthread_mutex_unlock(&daemon->cache_file);
    daemon->save_at = loop_clock() + daemon->config->engine.cache.persist_interval;
    if (daemon->querylog)
        querylog_reopen(daemon->querylog);
    log_configure(daemon->log, &daemon->config->log);
    start_log_dangers(daemon->log, daemon->config, &daemon->endpoints);
}

void reload_all(struct daemon *daemon)
{
    struct reload reload = {0};
    struct config_error error;

    list_init(&reload.opened);
    notify_reloading();
    if (prepare(daemon, &reload, &error) == E_OK) {
        apply(daemon, &reload);
        log_info(daemon->log, "daemon", "reloaded");
    } else {
        abandon(daemon, &reload);
        log_error(daemon->log, "daemon", "reload failed: %s; the old configuration stays",
                  error.text);
    }
    notify_ready();
}
