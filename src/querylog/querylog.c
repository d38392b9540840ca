#include "querylog/querylog.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "querylog/outlet.h"
#include "querylog/privacy.h"
#include "querylog/ring.h"

// How often the rings are emptied, and so how late a record is at the most.
#define INTERVAL (100 * USEC_MSEC)

struct querylog {
    struct querylog_options options;
    char instance[QUERYLOG_INSTANCE_SIZE];
    struct log *log;
    unsigned ring_count;
    struct querylog_ring **rings;
    unsigned outlet_count;
    struct querylog_outlet *outlets[QUERYLOG_SINKS_MAX];

    pthread_t collector;
    bool started;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool ending; // under the lock

    // The collector's.
    struct querylog_builder *builder;
    uint64_t dropped_said;
    atomic_uint_fast64_t lost; // records, for want of memory
};

static bool wants_replies(const struct querylog_options *options)
{
    for (uint32_t i = 0; i < options->sink_count; i++)
        if (querylog_sink_find(options->sinks[i].url)->wants_replies)
            return options->names == QUERYLOG_NAMES_FULL; // they have the name in them
    return false;
}

static int make_rings(struct querylog *querylog, unsigned workers)
{
    const struct querylog_options *options = &querylog->options;

    querylog->rings = calloc(workers, sizeof(struct querylog_ring *));
    if (!querylog->rings)
        return E_NOMEM;
    querylog->ring_count = workers;
    for (unsigned i = 0; i < workers; i++) {
        querylog->rings[i] =
            querylog_ring_new(options->ring_size, wants_replies(options), options->sample);
        if (!querylog->rings[i])
            return E_NOMEM;
    }
    return E_OK;
}

struct querylog *querylog_new(const struct querylog_options *options, unsigned workers,
                              struct log *log, char reason[QUERYLOG_REASON_SIZE])
{
    struct querylog *querylog = calloc(1, sizeof(*querylog));
    pthread_condattr_t attributes;

    snprintf(reason, QUERYLOG_REASON_SIZE, "out of memory");
    if (!querylog)
        return NULL;
    querylog->options = *options;
    querylog->log = log;
    snprintf(querylog->instance, sizeof(querylog->instance), "%s", options->instance);
    if (!*querylog->instance &&
        gethostname(querylog->instance, sizeof(querylog->instance) - 1) != 0)
        strcpy(querylog->instance, "sotto");
    pthread_mutex_init(&querylog->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&querylog->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    querylog->builder = querylog_builder_new();
    if (!querylog->builder || make_rings(querylog, workers) != E_OK)
        goto fail;
    for (uint32_t i = 0; i < options->sink_count; i++) {
        querylog->outlets[i] = querylog_outlet_open(&querylog->options.sinks[i], querylog->instance,
                                                    options->queue_size, log, reason);
        if (!querylog->outlets[i])
            goto fail;
        querylog->outlet_count++;
    }
    return querylog;

fail:
    querylog_free(querylog);
    return NULL;
}

// ---- The collector

static void lose(struct querylog *querylog, size_t count)
{
    atomic_fetch_add_explicit(&querylog->lost, count, memory_order_relaxed);
}

static void hand_on(struct querylog *querylog)
{
    size_t count = querylog_builder_count(querylog->builder);
    struct querylog_batch *batch;

    if (count == 0)
        return;
    batch = querylog_builder_take(querylog->builder);
    if (!batch) {
        lose(querylog, count);
        return;
    }
    for (unsigned i = 0; i < querylog->outlet_count; i++)
        querylog_outlet_give(querylog->outlets[i], batch);
    querylog_batch_unref(batch);
}

static void take(struct querylog *querylog, struct querylog_entry *entry)
{
    const struct querylog_options *options = &querylog->options;

    querylog_hide(entry, options->clients, options->names, &options->key);
    if (querylog_builder_add(querylog->builder, entry))
        return;
    hand_on(querylog);
    if (!querylog_builder_add(querylog->builder, entry))
        lose(querylog, 1);
}

static void collect(struct querylog *querylog)
{
    for (unsigned i = 0; i < querylog->ring_count; i++) {
        struct querylog_ring *ring = querylog->rings[i];
        struct querylog_entry entry;
        unsigned count = 0;

        while (querylog_ring_next(ring, &entry)) {
            take(querylog, &entry);
            // The writer shall not wait for its room until all is read.
            if (++count % 256 == 0)
                querylog_ring_release(ring);
        }
        querylog_ring_release(ring);
    }
    hand_on(querylog);
}

static uint64_t count_dropped(const struct querylog *querylog)
{
    uint64_t dropped = atomic_load_explicit(&querylog->lost, memory_order_relaxed);

    for (unsigned i = 0; i < querylog->ring_count; i++)
        dropped += querylog_ring_dropped(querylog->rings[i]);
    return dropped;
}

static void say_dropped(struct querylog *querylog)
{
    uint64_t dropped = count_dropped(querylog);

    if (dropped == querylog->dropped_said)
        return;
    log_warning(querylog->log, "querylog",
                "%" PRIu64 " records were dropped, as workers wrote faster than they were read: "
                "raise query-log.ring-size, or log one query in some (sample)",
                dropped - querylog->dropped_said);
    querylog->dropped_said = dropped;
}

static struct timespec after(usec_t time)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    ts.tv_nsec += (long)(time % USEC_SEC * 1000);
    ts.tv_sec += (time_t)(time / USEC_SEC) + ts.tv_nsec / 1000000000;
    ts.tv_nsec %= 1000000000;
    return ts;
}

static void *run(void *context)
{
    struct querylog *querylog = context;
    bool ending = false;
    unsigned rounds = 0;

    while (!ending) {
        const struct timespec until = after(INTERVAL);

        pthread_mutex_lock(&querylog->lock);
        while (!querylog->ending &&
               pthread_cond_timedwait(&querylog->changed, &querylog->lock, &until) == 0)
            ;
        ending = querylog->ending;
        pthread_mutex_unlock(&querylog->lock);
        collect(querylog);
        // Not more than a line in ten seconds.
        if (++rounds % (10 * USEC_SEC / INTERVAL) == 0 || ending)
            say_dropped(querylog);
    }
    return NULL;
}

int querylog_start(struct querylog *querylog)
{
    for (unsigned i = 0; i < querylog->outlet_count; i++)
        if (querylog_outlet_start(querylog->outlets[i]) != E_OK)
            return E_SYSTEM;
    querylog->started = pthread_create(&querylog->collector, NULL, run, querylog) == 0;
    return querylog->started ? E_OK : E_SYSTEM;
}

struct querylog_ring *querylog_ring_of(struct querylog *querylog, unsigned worker)
{
    return querylog->rings[worker];
}

void querylog_reopen(struct querylog *querylog)
{
    for (unsigned i = 0; i < querylog->outlet_count; i++)
        querylog_outlet_reopen(querylog->outlets[i]);
}

void querylog_free(struct querylog *querylog)
{
    if (!querylog)
        return;
    pthread_mutex_lock(&querylog->lock);
    querylog->ending = true;
    pthread_cond_signal(&querylog->changed);
    pthread_mutex_unlock(&querylog->lock);
    if (querylog->started)
        pthread_join(querylog->collector, NULL);
    for (unsigned i = 0; i < querylog->outlet_count; i++)
        querylog_outlet_end(querylog->outlets[i]);
    for (unsigned i = 0; i < querylog->outlet_count; i++)
        querylog_outlet_free(querylog->outlets[i]);
    for (unsigned i = 0; i < querylog->ring_count; i++)
        querylog_ring_free(querylog->rings[i]);
    free(querylog->rings);
    querylog_builder_free(querylog->builder);
    pthread_cond_destroy(&querylog->changed);
    pthread_mutex_destroy(&querylog->lock);
    free(querylog);
}

void querylog_status(struct querylog *querylog, struct querylog_status *status)
{
    status->dropped = count_dropped(querylog);
    status->sink_count = querylog->outlet_count;
    for (unsigned i = 0; i < querylog->outlet_count; i++)
        querylog_outlet_status(querylog->outlets[i], &status->sinks[i]);
}
