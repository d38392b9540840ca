// The addresses of a server that is given by name: asked of the bootstrap's servers, which are
// given by address, over the same verified TLS. Never of ourselves, never of the system's resolver.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "base/error.h"
#include "dns/name.h"
#include "upstream/internal.h"

// When one question is answered, how much longer the other may take (RFC 8305 section 3 has 50 ms
// for a stub; here a connection set-up depends on it).
#define GRACE (200 * USEC_MSEC)

struct question {
    struct lookup *lookup;
    struct upstream_request request;
    uint8_t wire[DNS_QUESTION_MAX];
    bool done;
};

struct lookup {
    struct server *server; // NULL: cancelled
    struct task report;
    struct wheel_timer grace;
    struct question questions[2]; // AAAA and A
    struct address addresses[UPSTREAM_ADDRESSES_MAX];
    unsigned count;
    char reason[SERVER_REASON_SIZE];
};

// Answers with addresses; aliases are followed by the resolver that was asked. Whom they lead to
// must still prove the name, so what is in an answer need not be believed here.
static void collect(struct lookup *lookup, const struct dns_message *reply)
{
    size_t pos = reply->section[DNS_ANSWER];
    struct dns_record record;

    for (unsigned i = 0; i < reply->count[DNS_ANSWER]; i++) {
        if (!dns_record_next(reply, &pos, &record) || lookup->count == UPSTREAM_ADDRESSES_MAX)
            return;
        if (record.class != DNS_CLASS_IN)
            continue;

        struct address *address = &lookup->addresses[lookup->count];

        memset(address, 0, sizeof(*address));
        if (record.type == DNS_TYPE_A && record.rdata_size == 4) {
            address->v4.sin_family = AF_INET;
            memcpy(&address->v4.sin_addr, record.rdata, 4);
            lookup->count++;
        } else if (record.type == DNS_TYPE_AAAA && record.rdata_size == 16) {
            address->v6.sin6_family = AF_INET6;
            memcpy(&address->v6.sin6_addr, record.rdata, 16);
            lookup->count++;
        }
    }
}

static bool all_done(const struct lookup *lookup)
{
    return lookup->questions[0].done && lookup->questions[1].done;
}

static void report(struct lookup *lookup)
{
    struct server *server = lookup->server;

    loop_disarm(server->set->loop, &lookup->grace);
    lookup->server = NULL;
    server_resolved(server, lookup->addresses, lookup->count, lookup->reason);
}

static void on_grace(struct wheel_timer *timer)
{
    report(container_of(timer, struct lookup, grace));
}

static void on_report(struct task *task)
{
    struct lookup *lookup = container_of(task, struct lookup, report);

    if (lookup->server && all_done(lookup))
        report(lookup);
    else if (lookup->server && lookup->count > 0)
        loop_arm(lookup->server->set->loop, &lookup->grace, set_now(lookup->server->set) + GRACE);
    if (all_done(lookup))
        free(lookup);
}

static void on_done(struct upstream_request *request, const struct upstream_result *result)
{
    struct question *question = container_of(request, struct question, request);
    struct lookup *lookup = question->lookup;

    question->done = true;
    if (result->reply)
        collect(lookup, result->reply);
    if (lookup->server) {
        if (result->reply)
            snprintf(lookup->reason, sizeof(lookup->reason), "%s has no address",
                     lookup->server->options->endpoint.host);
        else
            snprintf(lookup->reason, sizeof(lookup->reason), "%s", result->reason);
        loop_at_turn_end(lookup->server->set->loop, &lookup->report);
    } else if (all_done(lookup) && !list_linked(&lookup->report.node)) {
        free(lookup);
    }
}

static void ask(struct lookup *lookup, struct question *question, const uint8_t *name,
                size_t name_size, uint16_t type)
{
    memcpy(question->wire, name, name_size);
    put_u16(question->wire + name_size, type);
    put_u16(question->wire + name_size + 2, DNS_CLASS_IN);
    question->lookup = lookup;
    question->request = (struct upstream_request){
        .question = question->wire,
        .question_size = name_size + 4,
        .flags = DNS_FLAG_RD,
        .done = on_done,
    };
    exchange_start(lookup->server->set->bootstrap, &question->request);
}

struct lookup *lookup_start(struct server *server)
{
    struct lookup *lookup = calloc(1, sizeof(*lookup));
    uint8_t name[DNS_NAME_MAX];

    if (!lookup)
        return NULL;
    lookup->server = server;
    task_init(&lookup->report, on_report);
    wheel_timer_init(&lookup->grace, on_grace);
    counter_inc(server->set->counters, COUNTER_bootstrap_lookups);
    if (!server->set->bootstrap ||
        dns_name_from_text(server->options->endpoint.host, name) != E_OK) {
        snprintf(lookup->reason, sizeof(lookup->reason), "there is no bootstrap to resolve %s",
                 server->options->endpoint.host);
        lookup->questions[0].done = lookup->questions[1].done = true;
        loop_at_turn_end(server->set->loop, &lookup->report);
        return lookup;
    }

    size_t size = dns_name_length(name);

    ask(lookup, &lookup->questions[0], name, size, DNS_TYPE_AAAA);
    ask(lookup, &lookup->questions[1], name, size, DNS_TYPE_A);
    return lookup;
}

void lookup_cancel(struct lookup *lookup)
{
    if (!lookup)
        return;
    loop_disarm(lookup->server->set->loop, &lookup->grace);
    lookup->server = NULL;
    if (all_done(lookup) && !list_linked(&lookup->report.node))
        free(lookup);
}
