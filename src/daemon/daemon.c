#include "daemon/daemon.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "admin/control.h"
#include "admin/http.h"
#include "admin/routes.h"
#include "base/error.h"
#include "base/random.h"
#include "cache/reader.h"
#include "config/admin_token.h"
#include "config/secrets.h"
#include "daemon/admin_open.h"
#include "daemon/cache_file.h"
#include "daemon/collect.h"
#include "daemon/control_open.h"
#include "daemon/encryption.h"
#include "daemon/endpoints.h"
#include "daemon/notify.h"
#include "daemon/privileges.h"
#include "daemon/query_log.h"
#include "daemon/start_log.h"
#include "daemon/worker.h"
#include "net/loop.h"

// Descriptors kept for the log, upstream connections, sockets and what libraries open.
#define DESCRIPTORS_RESERVED 128

struct daemon {
    const struct daemon_loader *loader;
    struct config *config;
    struct upstream_plan *plan;
    struct siphash_key cookie_secret; // made at the start, for when no other is given
    struct cache *cache;
    pthread_mutex_t cache_file; // held while it is written
    usec_t save_at;             // when the main thread does so next
    usec_t look_at;             // and when it looks whether certificates have changed
    struct log *log;
    pthread_mutex_t endpoints_lock; // held by the main thread to change them, by others to look
    struct list endpoints;
    bool activated; // the sockets came from the service manager
    struct control_socket control_socket;
    struct config_error no_control; // why there is no such socket, though there should be
    struct control *control;
    struct readiness readiness;   // as it is seen by the control socket
    int admin_socket;             // -1: none, or the server's
    struct address admin_address; // with the port that it has
    struct admin_context admin_context;
    struct admin_http *admin;
    pthread_mutex_t asking; // held to ask the workers
    bool stopping;          // they are not to be asked any more
    usec_t started_at;
    unsigned worker_count;
    struct querylog *querylog; // NULL: none
    struct worker *workers[CONFIG_WORKERS_MAX];
};

static int complain(const char *text, int code)
{
    fprintf(stderr, "sotto: %s\n", text);
    return code;
}

// ---- Start

static unsigned cpus(void)
{
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof(set), &set) != 0)
        return 1;
    return MIN(MAX((unsigned)CPU_COUNT(&set), 1u), (unsigned)CONFIG_WORKERS_MAX);
}

static void make_cookie_secret(struct siphash_key *key)
{
    struct random random;

    random_init(&random);
    key->k0 = (uint64_t)random_u32(&random) << 32 | random_u32(&random);
    key->k1 = (uint64_t)random_u32(&random) << 32 | random_u32(&random);
}

// The configuration, with what stands in files beside it. E_INVALID with the error.
static int load(struct daemon *daemon, struct config *config, struct config_error *error)
{
    struct policy_options *policy = &config->engine.policy;

    if (daemon->loader->load(daemon->loader->context, config, error) != E_OK ||
        query_log_read_key(&config->querylog, error) != E_OK)
        return E_INVALID;
    if (*config->admin.token_file &&
        admin_token_read(config->admin.token, config->admin.token_file, error) != E_OK)
        return E_INVALID;
    if (!policy->cookies.enabled)
        return E_OK;
    if (*policy->cookies.secret_file)
        return secrets_read(policy->cookie_secrets.keys, POLICY_COOKIE_SECRETS_MAX,
                            &policy->cookie_secrets.count, "cookies.secret-file",
                            policy->cookies.secret_file, error);
    policy->cookie_secrets.count = 1;
    policy->cookie_secrets.keys[0] = daemon->cookie_secret;
    return E_OK;
}

// What is left of `wanted` to open, beside the endpoints that there are: perhaps one transport, on
// the port that the kernel chose for the other.
static struct listener_address still_missing(const struct list *endpoints,
                                             const struct listener_address *wanted)
{
    struct listener_address missing = *wanted;

    list_for_each(node, endpoints) {
        const struct endpoint *endpoint = list_entry(node, struct endpoint, node);

        if (!address_equal(&endpoint->wanted.address, &wanted->address) ||
            ((endpoint->wanted.transports ^ wanted->transports) & ~LISTENER_DNS))
            continue;
        missing.transports &= ~endpoint->wanted.transports;
        missing.address = endpoint->bound;
    }
    return missing;
}

static bool same_socket_kind(uint32_t a, uint32_t b)
{
    return (a & b & LISTENER_UDP) || ((a & LISTENER_STREAM) && (b & LISTENER_STREAM));
}

// Whether we are on the same port: with another transport, or one of the two addresses is every
// address.
static bool is_own_port(const struct daemon *daemon, const struct listener_address *wanted)
{
    list_for_each(node, &daemon->endpoints) {
        const struct endpoint *endpoint = list_entry(node, struct endpoint, node);

        if (address_port(&endpoint->bound) == address_port(&wanted->address) &&
            same_socket_kind(endpoint->wanted.transports, wanted->transports) &&
            (address_is_wildcard(&endpoint->bound) || address_is_wildcard(&wanted->address) ||
             address_equal(&endpoint->bound, &wanted->address)))
            return true;
    }
    return false;
}

static void say_missing(const struct daemon *daemon, const char *text)
{
    if (daemon->log)
        log_warning(daemon->log, "listener", "%s", text);
    else
        complain(text, 0);
}

// Opens what is to be listened on and is not yet; appends it to `opened`, which is the daemon's own
// list at the start.
static int open_missing(struct daemon *daemon, const struct listener_options *options,
                        struct list *opened, struct config_error *error)
{
    for (unsigned i = 0; i < options->place_count; i++) {
        const struct listener_address *wanted = &options->places[i].at;
        struct listener_address missing = *wanted;
        struct endpoint *endpoint;

        if (opened != &daemon->endpoints)
            missing = still_missing(&daemon->endpoints, wanted);
        if (missing.transports == 0)
            continue;
        endpoint =
            endpoint_open(&missing, daemon->worker_count, endpoint_needs_only_v6(options, wanted),
                          opened != &daemon->endpoints && is_own_port(daemon, &missing), error);
        if (endpoint) {
            endpoint->wanted.address = wanted->address;
            list_append(opened, &endpoint->node);
            if (endpoint_encrypt(endpoint, options, error) != E_OK)
                return E_INVALID;
        }
        // EACCES: at a reload, when no privilege is left, the kernel says this first.
        else if ((errno == EADDRNOTAVAIL || errno == EAFNOSUPPORT || errno == EACCES) &&
                 endpoint_is_spare(options, wanted))
            say_missing(daemon, error->text);
        else
            return E_SYSTEM;
    }
    return E_OK;
}

static int open_endpoints(struct daemon *daemon, struct config_error *error)
{
    int inherited = endpoints_inherit(&daemon->endpoints, daemon->worker_count,
                                      &daemon->config->listener, error);

    if (inherited < 0)
        return E_INVALID;
    daemon->activated = inherited > 0;
    if (daemon->activated)
        return E_OK;
    return open_missing(daemon, &daemon->config->listener, &daemon->endpoints, error);
}

// As many open files as we may have; clients get what is left beside our own needs, so that a flood
// of connections cannot take the last descriptor. Returns the most connections of one worker.
static uint32_t fit_descriptors(const struct daemon *daemon, uint32_t wanted)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return wanted;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return wanted;

    uint64_t sockets =
        (uint64_t)daemon->worker_count * 2 * MAX(daemon->config->listener.place_count, 1u);
    uint64_t reserved = DESCRIPTORS_RESERVED + sockets;
    uint64_t left = limit.rlim_cur > reserved ? limit.rlim_cur - reserved : 1;

    return (uint32_t)MIN((uint64_t)wanted, MAX(left / daemon->worker_count, (uint64_t)1));
}

// A place may be for one of the two kinds of sockets that an endpoint has.
static const uint32_t socket_kinds[] = {LISTENER_UDP, LISTENER_STREAM};

// The rules for one kind of an endpoint's sockets, the options', and what they are for. NULL: it
// has none of the kind.
static const struct listener_rules *rules_of(const struct endpoint *endpoint,
                                             const struct listener_options *options, uint32_t kind,
                                             struct listener_address *at)
{
    static const struct listener_rules none;
    const struct listener_place *place;

    *at = endpoint_at(endpoint);
    at->transports &= kind;
    if (at->transports == 0)
        return NULL;
    place = listener_place_at(options, &endpoint->wanted.address, at->transports);
    if (!place)
        return &none;
    if (at->transports & LISTENER_ANY_HTTP)
        memcpy(at->path, place->at.path, sizeof(at->path));
    return &place->rules;
}

// Before the workers run.
static int set_rules(const struct daemon *daemon, struct worker *worker,
                     const struct endpoint *endpoint)
{
    const struct config *config = daemon->config;

    for (size_t i = 0; i < ARRAY_LEN(socket_kinds); i++) {
        struct listener_address at;
        const struct listener_rules *rules =
            rules_of(endpoint, &config->listener, socket_kinds[i], &at);

        if (rules && worker_set_rules(worker, &at, rules, &config->engine.policy) != E_OK)
            return E_NOMEM;
    }
    return E_OK;
}

static int start_workers(struct daemon *daemon)
{
    for (unsigned i = 0; i < daemon->worker_count; i++) {
        daemon->workers[i] =
            worker_new(daemon->config, daemon->plan, daemon->cache, daemon->log,
                       daemon->querylog ? querylog_ring_of(daemon->querylog, i) : NULL);
        if (!daemon->workers[i])
            return E_NOMEM;
        list_for_each(node, &daemon->endpoints) {
            struct endpoint *endpoint = list_entry(node, struct endpoint, node);
            const struct listener_address at = endpoint_at(endpoint);
            int udp = endpoint->udp[i];
            int tcp = endpoint->tcp[i];

            endpoint->udp[i] = endpoint->tcp[i] = -1;
            if (worker_listen(daemon->workers[i], &at, udp, tcp, endpoint_tls_server(endpoint)) !=
                    E_OK ||
                set_rules(daemon, daemon->workers[i], endpoint) != E_OK)
                return E_SYSTEM;
        }
    }
    for (unsigned i = 0; i < daemon->worker_count; i++)
        if (worker_start(daemon->workers[i]) != E_OK)
            return E_SYSTEM;
    return E_OK;
}

// ---- Certificates

static void look_at_certificates(struct daemon *daemon)
{
    pthread_mutex_lock(&daemon->endpoints_lock);
    encryption_look(&daemon->endpoints, daemon->log);
    pthread_mutex_unlock(&daemon->endpoints_lock);
}

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

static void show_certificates(struct daemon *daemon, struct status *status)
{
    pthread_mutex_lock(&daemon->endpoints_lock);
    encryption_show(&daemon->endpoints, status);
    pthread_mutex_unlock(&daemon->endpoints_lock);
}

// ---- The cache

// The calling thread is a reader of the cache, offline.
static void save_cache(struct daemon *daemon)
{
    pthread_mutex_lock(&daemon->cache_file);
    if (*daemon->config->engine.cache.persist)
        cache_file_save(daemon->cache, &daemon->config->engine.cache,
                        cache_file_origin(&daemon->config->upstream), daemon->log);
    pthread_mutex_unlock(&daemon->cache_file);
}

static int open_cache(struct daemon *daemon)
{
    const struct cache_options *options = &daemon->config->engine.cache;

    daemon->cache = cache_new(options->size);
    if (!daemon->cache)
        return E_NOMEM;
    cache_reader_start();
    if (*options->persist)
        cache_file_load(daemon->cache, options, cache_file_origin(&daemon->config->upstream),
                        daemon->log);
    daemon->save_at = loop_clock() + options->persist_interval;
    return E_OK;
}

static void close_cache(struct daemon *daemon)
{
    if (!daemon->cache)
        return;
    save_cache(daemon);
    cache_free(daemon->cache);
    cache_reader_stop();
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

// ---- The status, for those who look at it from their own threads

static int collect(struct daemon *daemon, struct status *status, bool test_upstreams)
{
    int err;

    pthread_mutex_lock(&daemon->asking);
    if (daemon->stopping)
        err = collect_rest(status, daemon->workers, daemon->worker_count, daemon->cache);
    else
        err = collect_status(status, daemon->workers, daemon->worker_count, daemon->cache,
                             test_upstreams);
    status->stopping = daemon->stopping;
    pthread_mutex_unlock(&daemon->asking);
    if (err == E_OK)
        show_certificates(daemon, status);
    if (daemon->querylog)
        querylog_status(daemon->querylog, &status->querylog);
    status->uptime = loop_clock() - daemon->started_at;
    return err;
}

// From now on workers may be told to stop.
static void stop_asking(struct daemon *daemon)
{
    pthread_mutex_lock(&daemon->asking);
    daemon->stopping = true;
    pthread_mutex_unlock(&daemon->asking);
}

// ---- The control socket

static int on_collect(void *context, struct status *status)
{
    return collect(context, status, false);
}

static int on_ready(void *context, char reason[READINESS_REASON_SIZE])
{
    struct daemon *daemon = context;
    struct status status = {0};
    int err = collect(daemon, &status, true);

    if (err == E_OK && !readiness_judge(&daemon->readiness, &status, loop_clock(), reason))
        err = E_AGAIN;
    status_deinit(&status);
    return err;
}

// What was flushed must not come back with the next start.
static void on_flushed(void *context)
{
    save_cache(context);
}

static int start_control(struct daemon *daemon)
{
    const struct control_handlers handlers = {
        .context = daemon,
        .collect = on_collect,
        .ready = on_ready,
        .flushed = on_flushed,
    };

    daemon->started_at = loop_clock();
    if (*daemon->no_control.text)
        log_warning(daemon->log, "control", "%s", daemon->no_control.text);
    if (daemon->control_socket.fd < 0)
        return E_OK;
    log_info(daemon->log, "control", "control socket %s", daemon->control_socket.path);
    daemon->control = control_start(&daemon->control_socket, &handlers, daemon->cache, daemon->log);
    return daemon->control ? E_OK : E_SYSTEM;
}

// ---- The admin's pages

static int on_admin_collect(void *context, struct status *status)
{
    return collect(context, status, true);
}

static int start_admin(struct daemon *daemon)
{
    const struct admin_http_setup setup = {
        .options = &daemon->config->admin,
        .routes = admin_routes,
        .context = &daemon->admin_context,
        .log = daemon->log,
        .fd = daemon->admin_socket,
    };
    char text[ADDRESS_TEXT_MAX];

    if (daemon->admin_socket < 0)
        return E_OK;
    daemon->admin_socket = -1;
    daemon->admin_context.owner = daemon;
    daemon->admin_context.collect = on_admin_collect;
    log_info(daemon->log, "admin", "metrics and health on http://%s",
             address_to_text(&daemon->admin_address, text));
    daemon->admin = admin_http_start(&setup);
    return daemon->admin ? E_OK : E_SYSTEM;
}

// ---- Reload

// What a reload has prepared; nothing of it is in use yet.
struct reload {
    struct config *config;
    uint64_t cache_size; // as configured
    struct upstream_plan *plan;
    struct list opened; // endpoints
    struct worker_update *updates[CONFIG_WORKERS_MAX];
};

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

        for (size_t i = 0; i < ARRAY_LEN(socket_kinds); i++) {
            struct listener_address at;
            const struct listener_rules *rules = rules_of(endpoint, options, socket_kinds[i], &at);

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
    err = load(daemon, reload->config, error);
    if (err != E_OK)
        return err;
    reload->config->listener.limits.tcp_max_connections =
        fit_descriptors(daemon, reload->config->listener.limits.tcp_max_connections);
    // The table that there is stays.
    reload->cache_size = reload->config->engine.cache.size;
    reload->config->engine.cache.size = daemon->config->engine.cache.size;
    reload->plan = upstream_plan_new(&reload->config->upstream, error->text, sizeof(error->text));
    if (!reload->plan)
        return E_INVALID;
    err = daemon->activated
              ? E_OK
              : open_missing(daemon, &reload->config->listener, &reload->opened, error);
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

static void free_endpoints(struct list *endpoints)
{
    for (struct list *node; (node = list_pop(endpoints));)
        endpoint_free(list_entry(node, struct endpoint, node));
}

static void abandon(struct daemon *daemon, struct reload *reload)
{
    for (unsigned i = 0; i < daemon->worker_count; i++)
        worker_update_free(reload->updates[i]);
    end_certificates(daemon, certificates_abandon);
    free_endpoints(&reload->opened);
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

static void reload_all(struct daemon *daemon)
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

// ---- Signals and the end

static void log_counters(const struct daemon *daemon)
{
    uint64_t sums[COUNTER_COUNT];
    char text[4000];
    size_t used = 0;

    collect_counters(sums, daemon->workers, daemon->worker_count);
    for (int c = 0; c < COUNTER_COUNT && used < sizeof(text); c++) {
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s=%llu", used ? " " : "",
                                 counter_name(c), (unsigned long long)sums[c]);
    }
    log_info(daemon->log, "stats", "%s", text);
}

// What is to be done from time to time.
static void keep_house(struct daemon *daemon)
{
    usec_t now = loop_clock();

    if (now >= daemon->save_at) {
        save_cache(daemon);
        daemon->save_at = loop_clock() + daemon->config->engine.cache.persist_interval;
    }
    if (now >= daemon->look_at) {
        look_at_certificates(daemon);
        daemon->look_at = now + CERTIFICATES_INTERVAL;
    }
}

// The next signal; on the way what is to be done is done when it is time.
static int wait_for_signal(struct daemon *daemon, const sigset_t *signals)
{
    for (;;) {
        usec_t due = encryption_is_used(&daemon->endpoints) ? MIN(daemon->look_at, daemon->save_at)
                                                            : daemon->save_at;
        usec_t now = loop_clock();
        usec_t wait = due > now ? due - now : 0;
        struct timespec timeout = {
            .tv_sec = (time_t)(wait / USEC_SEC),
            .tv_nsec = (long)(wait % USEC_SEC * 1000),
        };
        int signal = sigtimedwait(signals, NULL, &timeout);

        if (signal >= 0 || errno != EAGAIN)
            return signal;
        keep_house(daemon);
    }
}

static void serve(struct daemon *daemon, const sigset_t *signals)
{
    for (;;) {
        int signal = wait_for_signal(daemon, signals);

        switch (signal) {
        case SIGHUP:
            reload_all(daemon);
            break;
        case SIGUSR1:
            log_counters(daemon);
            break;
        case SIGTERM:
        case SIGINT:
            log_info(daemon->log, "daemon", "stopping: answering the last queries");
            return;
        default: // interrupted
            break;
        }
    }
}

static void stop_workers(struct daemon *daemon, const sigset_t *signals)
{
    // First of all, whoever sends us queries should no longer.
    stop_asking(daemon);
    notify_stopping();
    control_stop(daemon->control);
    for (unsigned i = 0; i < daemon->worker_count; i++)
        worker_stop(daemon->workers[i]);
    // Whoever asks a second time means at once.
    pthread_sigmask(SIG_UNBLOCK, signals, NULL);
    for (unsigned i = 0; i < daemon->worker_count; i++)
        worker_join(daemon->workers[i]);
    admin_http_stop(daemon->admin);
}

static void deinit(struct daemon *daemon)
{
    for (unsigned i = 0; i < daemon->worker_count; i++)
        worker_free(daemon->workers[i]);
    querylog_free(daemon->querylog);
    close_cache(daemon);
    control_socket_close(&daemon->control_socket);
    if (daemon->admin_socket >= 0)
        close(daemon->admin_socket);
    free_endpoints(&daemon->endpoints);
    upstream_plan_unref(daemon->plan);
    free(daemon->config);
}

// Up to where everything is opened and no privilege is left. Returns an exit code.
static int prepare_start(struct daemon *daemon)
{
    struct config_error error;
    struct config *config = daemon->config;

    if (!config)
        return complain("out of memory", EXIT_RUNTIME);
    make_cookie_secret(&daemon->cookie_secret);
    if (load(daemon, config, &error) != E_OK)
        return complain(error.text, EXIT_USAGE);
    daemon->worker_count = config->workers ? config->workers : cpus();
    daemon->plan = upstream_plan_new(&config->upstream, error.text, sizeof(error.text));
    if (!daemon->plan)
        return complain(error.text, EXIT_USAGE);
    if (open_endpoints(daemon, &error) != E_OK ||
        control_open(&daemon->control_socket, config, &error) != E_OK)
        return complain(error.text, EXIT_RUNTIME);
    encryption_advertise(&daemon->endpoints, &config->listener, &config->engine.discovery);
    daemon->no_control = error;
    if (config->admin.listen.family != AF_UNSPEC) {
        daemon->admin_socket = admin_open(&config->admin, &daemon->admin_address, &error);
        if (daemon->admin_socket < 0)
            return complain(error.text, EXIT_RUNTIME);
    }
    if (privileges_drop(config->user, &error) != E_OK)
        return complain(error.text, EXIT_RUNTIME);
    return EXIT_OK;
}

int daemon_run(const struct daemon_loader *loader)
{
    struct daemon daemon = {.loader = loader, .config = calloc(1, sizeof(struct config))};
    struct config_error error;
    sigset_t signals;
    int code;

    list_init(&daemon.endpoints);
    pthread_mutex_init(&daemon.cache_file, NULL);
    pthread_mutex_init(&daemon.endpoints_lock, NULL);
    pthread_mutex_init(&daemon.asking, NULL);
    daemon.control_socket.fd = -1;
    daemon.admin_socket = -1;
    // Every thread inherits this: only the main thread takes signals, when it waits for them.
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);

    code = prepare_start(&daemon);
    if (code != EXIT_OK) {
        daemon.worker_count = 0;
        deinit(&daemon);
        return code;
    }
    daemon.log = log_new(&daemon.config->log);
    if (!daemon.log)
        return complain("out of memory", EXIT_RUNTIME);

    uint32_t wanted = daemon.config->listener.limits.tcp_max_connections;
    uint32_t fitting = fit_descriptors(&daemon, wanted);

    daemon.config->listener.limits.tcp_max_connections = fitting;
    start_log(daemon.log, daemon.config, &daemon.endpoints, daemon.worker_count);
    if (fitting < wanted)
        log_warning(daemon.log, "daemon",
                    "the limit of open files leaves room for %u TCP connections a worker, not %u",
                    fitting, wanted);
    if (query_log_open(&daemon.querylog, daemon.config, daemon.worker_count, daemon.log, &error) !=
        E_OK) {
        log_error(daemon.log, "daemon", "%s", error.text);
        daemon.worker_count = 0;
        deinit(&daemon);
        log_free(daemon.log);
        return EXIT_RUNTIME;
    }
    if (open_cache(&daemon) != E_OK || start_workers(&daemon) != E_OK ||
        start_control(&daemon) != E_OK || start_admin(&daemon) != E_OK) {
        log_error(daemon.log, "daemon", "cannot start: out of memory or threads");
        log_free(daemon.log);
        // Half-started threads are in nobody's way: the process ends.
        return EXIT_RUNTIME;
    }
    encryption_log(&daemon.endpoints, daemon.log);
    log_info(daemon.log, "daemon", "ready");
    notify_ready();
    serve(&daemon, &signals);
    stop_workers(&daemon, &signals);
    log_counters(&daemon);
    deinit(&daemon);
    log_free(daemon.log);
    return EXIT_OK;
}
