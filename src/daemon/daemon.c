#include "daemon/daemon.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
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
#include "daemon/listening.h"
#include "daemon/notify.h"
#include "daemon/privileges.h"
#include "daemon/query_log.h"
#include "daemon/reload.h"
#include "daemon/start_log.h"
#include "daemon/state.h"
#include "daemon/worker.h"
#include "net/loop.h"

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

int daemon_load(struct daemon *daemon, struct config *config, struct config_error *error)
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

// Before the workers run.
static int set_rules(const struct daemon *daemon, struct worker *worker,
                     const struct endpoint *endpoint)
{
    const struct config *config = daemon->config;

    for (size_t i = 0; i < LISTENING_KINDS; i++) {
        struct listener_address at;
        const struct listener_rules *rules =
            listening_rules(endpoint, &config->listener, listening_kinds[i], &at);

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
    endpoints_free(&daemon->endpoints);
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
    if (daemon_load(daemon, config, &error) != E_OK)
        return complain(error.text, EXIT_USAGE);
    daemon->worker_count = config->workers ? config->workers : cpus();
    daemon->plan = upstream_plan_new(&config->upstream, error.text, sizeof(error.text));
    if (!daemon->plan)
        return complain(error.text, EXIT_USAGE);
    if (listening_open(daemon, &error) != E_OK ||
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
    uint32_t fitting = listening_fit_descriptors(&daemon, wanted);

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
