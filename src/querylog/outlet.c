#include "querylog/outlet.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/list.h"

// Until a batch that could not be kept is tried again.
#define RETRY (1 * USEC_SEC)

// How long the end waits for a sink.
#define PATIENCE (5 * USEC_SEC)

struct queued {
    struct list node;
    struct querylog_batch *batch;
};

struct querylog_outlet {
    const struct querylog_sink_ops *ops;
    void *sink;
    struct querylog_sink_setup setup;
    uint64_t queue_size;
    pthread_t thread;
    bool started;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    // Under the lock:
    struct list queue;
    uint64_t queued_octets;
    uint64_t queued, written, dropped;
    bool failing;
    bool reopen;
    bool ending;
    usec_t end_by; // if ending
    struct log_limit drop_log;
};

static const struct querylog_sink_ops *const sinks[] = {
    &querylog_sqlite,
    &querylog_postgresql,
    &querylog_dnstap,
    &querylog_json,
};

const struct querylog_sink_ops *querylog_sink_find(const char *url)
{
    size_t scheme = strcspn(url, ":");

    for (size_t i = 0; i < ARRAY_LEN(sinks); i++)
        if (strlen(sinks[i]->scheme) == scheme && memcmp(sinks[i]->scheme, url, scheme) == 0)
            return sinks[i];
    return NULL;
}

static usec_t now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (usec_t)ts.tv_sec * USEC_SEC + (usec_t)ts.tv_nsec / 1000;
}

// Under the lock: until something changes, or until then (USEC_NEVER: no bound).
static void wait_until(struct querylog_outlet *outlet, usec_t due)
{
    const struct timespec ts = {
        .tv_sec = (time_t)(due / USEC_SEC),
        .tv_nsec = (long)(due % USEC_SEC * 1000),
    };

    if (due == USEC_NEVER)
        pthread_cond_wait(&outlet->changed, &outlet->lock);
    else
        pthread_cond_timedwait(&outlet->changed, &outlet->lock, &ts);
}

struct querylog_outlet *querylog_outlet_open(const struct querylog_sink_options *options,
                                             const char *instance, uint64_t queue_size,
                                             struct log *log, char reason[QUERYLOG_REASON_SIZE])
{
    struct querylog_outlet *outlet = calloc(1, sizeof(*outlet));
    pthread_condattr_t attributes;

    snprintf(reason, QUERYLOG_REASON_SIZE, "out of memory");
    if (!outlet)
        return NULL;
    outlet->ops = querylog_sink_find(options->url);
    require(outlet->ops); // the configuration was checked
    outlet->setup = (struct querylog_sink_setup){options, instance, log};
    outlet->queue_size = queue_size;
    list_init(&outlet->queue);
    pthread_mutex_init(&outlet->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&outlet->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    outlet->sink = outlet->ops->open(&outlet->setup, reason);
    if (outlet->sink)
        return outlet;
    querylog_outlet_free(outlet);
    return NULL;
}

// Under the lock.
static void drop(struct querylog_outlet *outlet, uint64_t count)
{
    uint32_t suppressed;

    outlet->dropped += count;
    if (log_limit_pass(&outlet->drop_log, now(), &suppressed))
        log_warning(outlet->setup.log, "querylog",
                    "%s: records are dropped, %" PRIu64 " by now: it takes them too slowly, or not "
                    "at all",
                    outlet->ops->scheme, outlet->dropped);
}

void querylog_outlet_give(struct querylog_outlet *outlet, struct querylog_batch *batch)
{
    struct queued *queued = malloc(sizeof(*queued));
    size_t size = querylog_batch_size(batch), count;

    querylog_batch_entries(batch, &count);
    pthread_mutex_lock(&outlet->lock);
    // One batch is always taken: however small the queue is.
    if (!queued ||
        (!list_empty(&outlet->queue) && outlet->queued_octets + size > outlet->queue_size)) {
        drop(outlet, count);
        free(queued);
    } else {
        queued->batch = querylog_batch_ref(batch);
        list_append(&outlet->queue, &queued->node);
        outlet->queued_octets += size;
        outlet->queued += count;
        pthread_cond_signal(&outlet->changed);
    }
    pthread_mutex_unlock(&outlet->lock);
}

// Under the lock: the first batch is done with.
static void pop(struct querylog_outlet *outlet)
{
    struct queued *queued = list_entry(list_pop(&outlet->queue), struct queued, node);
    size_t count;

    querylog_batch_entries(queued->batch, &count);
    outlet->queued -= count;
    outlet->queued_octets -= querylog_batch_size(queued->batch);
    querylog_batch_unref(queued->batch);
    free(queued);
}

// Under the lock, which is released meanwhile: gives the sink the first batch. False: not now.
static bool write_first(struct querylog_outlet *outlet)
{
    // The analyzer takes one that was popped before for the first.
    const struct queued *first = list_first(&outlet->queue, struct queued, node);
    struct querylog_batch *batch = first->batch; // NOLINT(clang-analyzer-unix.Malloc)
    const struct querylog_entry *entries;
    size_t count;
    int err;

    entries = querylog_batch_entries(batch, &count);
    pthread_mutex_unlock(&outlet->lock);
    err = outlet->ops->write(outlet->sink, entries, count);
    pthread_mutex_lock(&outlet->lock); // only this thread takes from the queue
    outlet->failing = err != E_OK;
    if (err == E_AGAIN)
        return false;
    if (err == E_OK)
        outlet->written += count;
    else
        drop(outlet, count);
    pop(outlet);
    return true;
}

// Under the lock, which is released meanwhile.
static void call(struct querylog_outlet *outlet, void (*function)(void *sink))
{
    pthread_mutex_unlock(&outlet->lock);
    function(outlet->sink);
    pthread_mutex_lock(&outlet->lock);
}

static bool is_over(const struct querylog_outlet *outlet)
{
    return outlet->ending && (list_empty(&outlet->queue) || now() >= outlet->end_by);
}

static void *run(void *context)
{
    struct querylog_outlet *outlet = context;
    usec_t interval = outlet->ops->tick ? outlet->ops->tick_interval : 0;
    usec_t tick_at = interval > 0 ? now() + interval : USEC_NEVER;
    usec_t retry_at = 0;

    pthread_mutex_lock(&outlet->lock);
    while (!is_over(outlet)) {
        bool may_write = !list_empty(&outlet->queue) && now() >= retry_at;

        if (outlet->reopen) {
            outlet->reopen = false;
            if (outlet->ops->reopen)
                call(outlet, outlet->ops->reopen);
        } else if (tick_at != USEC_NEVER && now() >= tick_at) {
            call(outlet, outlet->ops->tick);
            tick_at = now() + interval;
        } else if (may_write) {
            retry_at = write_first(outlet) ? 0 : now() + RETRY;
        } else {
            usec_t due = list_empty(&outlet->queue) ? tick_at : MIN(retry_at, tick_at);

            wait_until(outlet, outlet->ending ? MIN(due, outlet->end_by) : due);
        }
    }
    pthread_mutex_unlock(&outlet->lock);
    return NULL;
}

int querylog_outlet_start(struct querylog_outlet *outlet)
{
    outlet->started = pthread_create(&outlet->thread, NULL, run, outlet) == 0;
    return outlet->started ? E_OK : E_SYSTEM;
}

void querylog_outlet_reopen(struct querylog_outlet *outlet)
{
    pthread_mutex_lock(&outlet->lock);
    outlet->reopen = true;
    pthread_cond_signal(&outlet->changed);
    pthread_mutex_unlock(&outlet->lock);
}

void querylog_outlet_end(struct querylog_outlet *outlet)
{
    pthread_mutex_lock(&outlet->lock);
    outlet->ending = true;
    outlet->end_by = now() + PATIENCE;
    pthread_cond_signal(&outlet->changed);
    pthread_mutex_unlock(&outlet->lock);
}

void querylog_outlet_free(struct querylog_outlet *outlet)
{
    if (!outlet)
        return;
    if (outlet->started)
        pthread_join(outlet->thread, NULL);
    if (outlet->queued > 0)
        log_warning(outlet->setup.log, "querylog",
                    "%s: %" PRIu64 " records could not be kept before the end", outlet->ops->scheme,
                    outlet->queued);
    while (!list_empty(&outlet->queue))
        pop(outlet);
    if (outlet->sink)
        outlet->ops->close(outlet->sink);
    pthread_cond_destroy(&outlet->changed);
    pthread_mutex_destroy(&outlet->lock);
    free(outlet);
}

// Without the user and what else may be secret in a URL of a database.
static void copy_harmless_url(char to[QUERYLOG_URL_SIZE], const char *url)
{
    const char *authority = strstr(url, "://");
    const char *host = authority ? authority + 3 : url;
    const char *at = strchr(host, '@');
    size_t end;

    if (at)
        host = at + 1;
    end = strcspn(host, "?");
    snprintf(to, QUERYLOG_URL_SIZE, "%.*s%.*s", authority ? (int)(authority + 3 - url) : 0, url,
             (int)end, host);
}

void querylog_outlet_status(struct querylog_outlet *outlet, struct querylog_sink_status *status)
{
    copy_harmless_url(status->url, outlet->setup.options->url);
    pthread_mutex_lock(&outlet->lock);
    status->written = outlet->written;
    status->dropped = outlet->dropped;
    status->queued = outlet->queued;
    status->failing = outlet->failing;
    pthread_mutex_unlock(&outlet->lock);
}
