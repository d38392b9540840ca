// Which server is asked next.
#include "upstream/internal.h"

// How good a choice a server is; less is better, equal ones are for the strategy to choose from.
enum rank {
    RANK_WELL,
    RANK_SUSPECT,
    RANK_RETRY, // was tried for this question, and its connection failed: a new one may do
    RANK_DOWN,
    RANK_DOWN_RETRY,
    RANK_NONE, // answered this question already, or is on it
};

// One in so many picks goes to a random server, so that one that was slow once gets another chance.
#define EXPLORE_ONE_IN 32

static bool is_on_it(const struct exchange *exchange, const struct server *server)
{
    list_for_each(node, &exchange->attempts)
        if (list_entry(node, struct attempt, node)->server == server &&
            !list_entry(node, struct attempt, node)->struck)
            return true;
    return false;
}

static enum rank rank_of(const struct exchange *exchange, const struct server *server)
{
    for (unsigned i = 0; i < exchange->tried; i++) {
        if (exchange->tried_serials[i] != server->serial)
            continue;
        if (exchange->tried_answered[i] || is_on_it(exchange, server))
            return RANK_NONE;
        return server->state == SERVER_DOWN ? RANK_DOWN_RETRY : RANK_RETRY;
    }
    if (server->state == SERVER_DOWN)
        return RANK_DOWN;
    return server->suspect ? RANK_SUSPECT : RANK_WELL;
}

// Collects the servers of the best rank, in the configured order.
static unsigned best_of(struct exchange *exchange, struct server *best[UPSTREAM_SERVERS_MAX])
{
    enum rank best_rank = RANK_NONE;
    unsigned count = 0;

    list_for_each(node, &exchange->set->servers) {
        struct server *server = list_entry(node, struct server, node);
        enum rank rank = rank_of(exchange, server);

        server_revive(server);
        if (rank < best_rank) {
            best_rank = rank;
            count = 0;
        }
        if (rank == best_rank && rank != RANK_NONE)
            best[count++] = server;
    }
    return count;
}

static struct server *random_of(struct exchange *exchange, struct server **servers, unsigned count)
{
    return servers[random_u16(exchange->set->random) % count];
}

// Expected wait: the round trip, stretched by what is queued. An unmeasured server comes first.
static uint64_t cost_of(const struct server *server)
{
    return server->rtt.smoothed * (1 + server->in_flight / CONNECTION_DEPTH);
}

// Power of two choices.
static struct server *fastest(struct exchange *exchange, struct server **servers, unsigned count)
{
    struct server *a = random_of(exchange, servers, count);
    struct server *b = random_of(exchange, servers, count);

    if (random_u16(exchange->set->random) % EXPLORE_ONE_IN == 0)
        return a;
    // With two servers both are compared.
    if (count == 2 && a == b)
        b = a == servers[0] ? servers[1] : servers[0];
    return cost_of(a) <= cost_of(b) ? a : b;
}

// The fewest in flight; among equals a random one.
static struct server *balance(struct exchange *exchange, struct server **servers, unsigned count)
{
    struct server *best = NULL;
    unsigned start = random_u16(exchange->set->random) % count;

    for (unsigned i = 0; i < count; i++) {
        struct server *server = servers[(start + i) % count];

        if (!best || server->in_flight < best->in_flight)
            best = server;
    }
    return best;
}

struct server *strategy_pick(struct exchange *exchange)
{
    struct server *best[UPSTREAM_SERVERS_MAX];
    unsigned count = best_of(exchange, best);

    if (count == 0)
        return NULL;
    if (count == 1)
        return best[0];
    switch (exchange->set->strategy) {
    case UPSTREAM_FASTEST:
        return fastest(exchange, best, count);
    case UPSTREAM_BALANCE:
        return balance(exchange, best, count);
    case UPSTREAM_FAILOVER:
    case UPSTREAM_PARALLEL:
        break;
    }
    return best[0];
}
