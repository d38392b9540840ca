#include "admin/status.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void status_deinit(struct status *status)
{
    free(status->workers);
    status->workers = NULL;
    status->worker_count = 0;
}

// The sum that is this upstream's: the first of its URL that this worker has not been added to.
static struct status_upstream_sum *find_sum(struct status_upstream_sum *sums, unsigned *count,
                                            const char *url, uint32_t added)
{
    for (unsigned i = 0; i < *count; i++)
        if (!(added & UINT32_C(1) << i) && strcmp(sums[i].url, url) == 0)
            return &sums[i];
    if (*count == STATUS_UPSTREAMS_MAX)
        return NULL; // workers that differ, after a reload
    sums[*count] = (struct status_upstream_sum){.url = url, .reason = ""};
    return &sums[(*count)++];
}

static void add_totals(struct status_upstream_totals *sum,
                       const struct status_upstream_totals *totals)
{
    sum->opened += totals->opened;
    sum->resumed += totals->resumed;
    sum->reused += totals->reused;
    sum->not_connected += totals->not_connected;
    for (unsigned i = 0; i < HANDSHAKE_FAILURES; i++)
        sum->failed[i] += totals->failed[i];
    for (unsigned i = 0; i < STATUS_CLOSES; i++)
        sum->closed[i] += totals->closed[i];
}

static void add_latency(struct histogram_values *sum, const struct histogram_values *latency)
{
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        sum->buckets[i] += latency->buckets[i];
    sum->sum += latency->sum;
}

static void add(struct status_upstream_sum *sum, const struct status_upstream *upstream)
{
    sum->workers++;
    sum->workers_down += upstream->state == STATUS_UPSTREAM_DOWN;
    if (sum->workers_down == sum->workers)
        sum->state = STATUS_UPSTREAM_DOWN;
    else if (upstream->state == STATUS_UPSTREAM_SLOW || sum->state == STATUS_UPSTREAM_SLOW)
        sum->state = STATUS_UPSTREAM_SLOW;
    else
        sum->state = STATUS_UPSTREAM_UP;
    if (upstream->state == STATUS_UPSTREAM_DOWN && !*sum->reason)
        sum->reason = upstream->reason;
    sum->down_for = MAX(sum->down_for, upstream->down_for);
    sum->load.connections += upstream->load.connections;
    sum->load.dialling += upstream->load.dialling;
    sum->load.in_flight += upstream->load.in_flight;
    sum->load.waiting += upstream->load.waiting;
    sum->load.queries += upstream->load.queries;
    sum->load.replies += upstream->load.replies;
    add_totals(&sum->totals, &upstream->totals);
    add_latency(&sum->latency, &upstream->latency);
}

unsigned status_sum_upstreams(const struct status *status,
                              struct status_upstream_sum sums[STATUS_UPSTREAMS_MAX])
{
    static_assert(STATUS_UPSTREAMS_MAX <= 32, "a bit for each");
    uint32_t knowing[STATUS_UPSTREAMS_MAX] = {0};
    unsigned count = 0;

    for (uint32_t w = 0; w < status->worker_count; w++) {
        const struct status_worker *worker = &status->workers[w];
        uint32_t added = 0;

        for (uint32_t u = 0; worker->answered && u < worker->upstream_count; u++) {
            const struct status_upstream *upstream = &worker->upstreams[u];
            struct status_upstream_sum *sum = find_sum(sums, &count, upstream->url, added);

            if (!sum)
                continue;
            added |= UINT32_C(1) << (sum - sums);
            add(sum, upstream);
            if (upstream->load.rtt > 0) {
                sum->load.rtt += upstream->load.rtt;
                knowing[sum - sums]++;
            }
        }
    }
    for (unsigned i = 0; i < count; i++)
        if (knowing[i] > 0)
            sums[i].load.rtt /= knowing[i];
    return count;
}

double status_hit_ratio(const struct status *status)
{
    double hits = (double)status->counters[COUNTER_cache_hits];
    double all = hits + (double)status->counters[COUNTER_cache_misses];

    return all > 0 ? hits / all : -1;
}
