#include "admin/readiness.h"

#include <string.h>

#include "base/error.h"
#include "base/reason.h"

// What the cache did is judged over at least this time: a probe every second or a scrape every
// minute see the same.
#define WINDOW (5 * USEC_SEC)

static int not_ready(char reason[READINESS_REASON_SIZE], const char *text)
{
    return reason_give(E_AGAIN, reason, READINESS_REASON_SIZE, "%s", text);
}

// The sample that this one is compared with.
static const struct readiness_sample *sample(struct readiness *readiness,
                                             const struct readiness_sample *now)
{
    if (now->at >= readiness->recent.at + WINDOW) {
        readiness->earlier = readiness->recent;
        readiness->recent = *now;
    }
    return &readiness->earlier;
}

static bool is_usable(const struct status_upstream *upstream)
{
    return upstream->state != STATUS_UPSTREAM_DOWN &&
           (upstream->load.replies > 0 || upstream->load.connections > 0);
}

// Whether the worker can forward. Else why not, of its first upstream.
static bool can_forward(const struct status_worker *worker, char reason[READINESS_REASON_SIZE])
{
    const struct status_upstream *first = &worker->upstreams[0];

    for (uint32_t i = 0; i < worker->upstream_count; i++)
        if (is_usable(&worker->upstreams[i]))
            return true;
    if (worker->upstream_count == 0)
        not_ready(reason, "no upstream is configured");
    else if (first->state == STATUS_UPSTREAM_DOWN)
        reason_give(E_AGAIN, reason, READINESS_REASON_SIZE, "no upstream is usable: %s: %s",
                    first->url, first->reason);
    else
        reason_give(E_AGAIN, reason, READINESS_REASON_SIZE,
                    "no upstream has been reached yet: %s is being tried", first->url);
    return false;
}

static int judge(struct readiness *readiness, const struct status *status, usec_t now,
                 char reason[READINESS_REASON_SIZE])
{
    const struct readiness_sample current = {
        .at = now,
        .from_cache = status->counters[COUNTER_cache_hits] + status->counters[COUNTER_cache_stale],
        .failed = status->counters[COUNTER_queries_failed],
    };
    const struct readiness_sample *before = sample(readiness, &current);
    bool forwarding = false;

    if (status->stopping)
        return not_ready(reason, "it is stopping");
    for (uint32_t i = 0; i < status->worker_count; i++) {
        if (!status->workers[i].answered)
            return not_ready(reason, "a worker does not answer: it is overloaded, or stuck");
        forwarding = forwarding || can_forward(&status->workers[i], reason);
    }
    if (forwarding || current.from_cache - before->from_cache > current.failed - before->failed)
        return E_OK;
    return E_AGAIN;
}

bool readiness_judge(struct readiness *readiness, const struct status *status, usec_t now,
                     char reason[READINESS_REASON_SIZE])
{
    *reason = '\0';
    if (judge(readiness, status, now, reason) == E_OK)
        return true;
    // What a peer said may be part of it.
    for (char *c = reason; *c; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
    return false;
}
