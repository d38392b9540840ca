// What the log is told of a server. All workers see the same server, and one of them says it; one
// that goes up and down all the time gets a line now and then.
#include <stdio.h>

#include "upstream/internal.h"

// Often enough to be seen, too rare to fill a disk.
#define DOWN_INTERVAL (10 * USEC_SEC)

void announce_connected(struct server *server, const struct connection *connection)
{
    struct upstream_set *set = server->set;
    const struct tls *tls = connection->stream.tls;
    char address[ADDRESS_TEXT_MAX];
    char identity[TLS_REASON_SIZE + UPSTREAM_NAME_SIZE];
    enum log_level level =
        atomic_exchange(&server->shared->said_connected, true) ? LOG_DEBUG : LOG_INFO;

    if (!log_enabled(set->log, level))
        return;
    if (tls_verified(tls))
        snprintf(identity, sizeof(identity), "verified %s",
                 server->options->endpoint.auth_name[0] ? server->options->endpoint.auth_name
                 : server->options->pin_count > 0       ? "by pin"
                                                        : "by address");
    else
        snprintf(identity, sizeof(identity), "NOT verified (%s), profile opportunistic",
                 tls_reason(tls));
    log_write(set->log, level, "upstream", "connected to %s (%s): %s, %s%s", server->options->url,
              address_to_text(&connection->address, address), tls_version(tls), identity,
              tls_resumed(tls) ? ", resumed" : "");
}

void announce_down(struct server *server)
{
    struct upstream_plan_server *shared = server->shared;
    usec_t now = set_now(server->set);
    usec_t quiet_until = atomic_load(&shared->quiet_until);
    char since[48] = "";

    if (now < quiet_until ||
        !atomic_compare_exchange_strong(&shared->quiet_until, &quiet_until, now + DOWN_INTERVAL)) {
        atomic_fetch_add(&shared->unsaid, 1);
        return;
    }

    unsigned unsaid = atomic_exchange(&shared->unsaid, 0);
    bool still = atomic_exchange(&shared->said_down, true);

    if (unsaid > 0)
        snprintf(since, sizeof(since), " (%u more failures since the last line)", unsaid);
    log_warning(server->set->log, "upstream", "%s is %sdown: %s%s", server->options->url,
                still ? "still " : "", server->reason, since);
}

void announce_back(struct server *server)
{
    // Unless its being down was not said either.
    if (atomic_exchange(&server->shared->said_down, false))
        log_info(server->set->log, "upstream", "%s is back", server->options->url);
}
