#include "daemon/collect.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "daemon/process.h"

struct collection;

struct question {
    struct worker_status asked;
    struct collection *collection;
    atomic_bool answered;
};

// A round of questions. It lives until the asker is done and the last worker has answered, which
// may be after the asker lost patience.
struct collection {
    atomic_uint refs;
    sem_t answers;
    struct question questions[];
};

static void unref(struct collection *collection)
{
    if (atomic_fetch_sub_explicit(&collection->refs, 1, memory_order_acq_rel) > 1)
        return;
    sem_destroy(&collection->answers);
    free(collection);
}

// On the worker's thread.
static void on_answer(struct worker_status *asked)
{
    struct question *question = container_of(asked, struct question, asked);
    struct collection *collection = question->collection;

    atomic_store_explicit(&question->answered, true, memory_order_release);
    sem_post(&collection->answers);
    unref(collection);
}

static struct collection *ask(struct worker *const *workers, unsigned count, bool test_upstreams)
{
    struct collection *collection =
        calloc(1, sizeof(*collection) + count * sizeof(collection->questions[0]));

    if (!collection)
        return NULL;
    atomic_init(&collection->refs, count + 1);
    sem_init(&collection->answers, 0, 0);
    for (unsigned i = 0; i < count; i++) {
        struct question *question = &collection->questions[i];

        question->collection = collection;
        question->asked.test_upstreams = test_upstreams;
        worker_status_ask(workers[i], &question->asked, on_answer);
    }
    return collection;
}

static void await_answers(struct collection *collection, unsigned count)
{
    struct timespec until;
    unsigned heard = 0;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += COLLECT_TIMEOUT / USEC_SEC;
    while (heard < count) {
        if (sem_clockwait(&collection->answers, CLOCK_MONOTONIC, &until) == 0)
            heard++;
        else if (errno != EINTR)
            return;
    }
}

int collect_rest(struct status *status, struct worker *const *workers, unsigned count,
                 const struct cache *cache)
{
    memset(status, 0, sizeof(*status));
    status->workers = calloc(count, sizeof(status->workers[0]));
    if (!status->workers)
        return E_NOMEM;
    status->worker_count = count;
    status->pid = getpid();
    collect_counters(status->counters, workers, count);
    for (unsigned i = 0; i < count; i++)
        query_counts_read(&worker_counters(workers[i])->queries, &status->queries);
    process_usage(&status->process);
    cache_usage(cache, &status->cache);
    return E_OK;
}

int collect_status(struct status *status, struct worker *const *workers, unsigned count,
                   const struct cache *cache, bool test_upstreams)
{
    struct collection *collection = ask(workers, count, test_upstreams);
    struct status_worker *answers;
    int err;

    if (collection)
        await_answers(collection, count);
    // What else there is is read now, so that it goes with the answers.
    err = collect_rest(status, workers, count, cache);
    answers = status->workers;
    for (unsigned i = 0; collection && err == E_OK && i < count; i++) {
        struct question *question = &collection->questions[i];

        // The memory of one that has not answered is still the worker's.
        if (atomic_load_explicit(&question->answered, memory_order_acquire))
            answers[i] = question->asked.status;
    }
    if (!collection)
        return E_NOMEM;
    unref(collection);
    return err;
}

void collect_counters(uint64_t sums[COUNTER_COUNT], struct worker *const *workers, unsigned count)
{
    for (int c = 0; c < COUNTER_COUNT; c++) {
        sums[c] = 0;
        for (unsigned i = 0; i < count; i++)
            sums[c] += counter_get(worker_counters(workers[i]), c);
    }
}
