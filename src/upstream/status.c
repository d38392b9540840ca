// How the servers are, for those who watch.
#include <assert.h>
#include <string.h>

#include "upstream/internal.h"
#include "upstream/set.h"

static_assert(STATUS_UPSTREAMS_MAX == UPSTREAM_SERVERS_MAX, "all servers have their place");
static_assert(STATUS_URL_SIZE == UPSTREAM_URL_SIZE, "every URL fits");
static_assert(STATUS_REASON_SIZE == SERVER_REASON_SIZE, "every reason fits");

static uint32_t count(const struct list *list)
{
    uint32_t nodes = 0;

    for (const struct list *node = list->next; node != list; node = node->next)
        nodes++;
    return nodes;
}

static void fill(struct status_upstream *status, const struct server *server, usec_t now)
{
    memset(status, 0, sizeof(*status));
    strcpy(status->url, server->options->url);
    if (server->state == SERVER_DOWN) {
        status->state = STATUS_UPSTREAM_DOWN;
        strcpy(status->reason, server->reason);
        status->down_for = now - server->down_since;
    } else {
        status->state = server->suspect ? STATUS_UPSTREAM_SLOW : STATUS_UPSTREAM_UP;
    }
    status->load.connections = server->connection_count;
    status->load.dialling = count(&server->candidates);
    status->load.in_flight = server->in_flight;
    status->load.waiting = count(&server->waiting);
    status->load.rtt = server->rtt.smoothed;
    status->load.queries = server->queries;
    status->load.replies = server->replies;
    status->totals = server->totals;
    histogram_read(&server->latency, &status->latency);
}

unsigned upstream_set_status(struct upstream_set *set,
                             struct status_upstream upstreams[STATUS_UPSTREAMS_MAX])
{
    unsigned filled = 0;

    list_for_each(node, &set->servers)
        fill(&upstreams[filled++], list_entry(node, struct server, node), set_now(set));
    return filled;
}

void upstream_set_test(struct upstream_set *set)
{
    list_for_each(node, &set->servers)
        server_test(list_entry(node, struct server, node));
}
