#include "daemon/start_log.h"

#include <unistd.h>

#include "daemon/query_log.h"
#include "policy/acl.h"

void start_log_endpoint(struct log *log, const struct endpoint *endpoint)
{
    uint32_t transports = endpoint->wanted.transports;
    char url[LISTENER_URL_SIZE];

    log_info(log, "listener", "listening on %s (%s%s)%s", endpoint_url(endpoint, url),
             transports & LISTENER_UDP ? "udp" : "",
             transports == LISTENER_DNS    ? ", tcp"
             : transports & LISTENER_TCP   ? "tcp"
             : transports & LISTENER_TLS   ? "tls"
             : transports & LISTENER_HTTPS ? "https"
             : transports & LISTENER_HTTP  ? "http, not encrypted"
                                           : "",
             endpoint->inherited ? ", passed by the service manager" : "");
}

static void log_upstreams(struct log *log, const struct upstream_options *options)
{
    for (unsigned i = 0; i < options->server_count; i++) {
        const struct upstream_server_options *server = &options->servers[i];
        bool named = server->endpoint.auth_name[0] != '\0';

        if (server->profile == UPSTREAM_OPPORTUNISTIC)
            log_warning(log, "upstream",
                        "%s: profile opportunistic: encrypted, but whoever answers there is "
                        "believed",
                        server->url);
        else
            log_info(log, "upstream", "%s: profile strict, must prove to be %s%s", server->url,
                     named               ? server->endpoint.auth_name
                     : server->pin_count ? "the pinned key"
                                         : "its IP address",
                     named && server->pin_count ? " with a pinned key" : "");
    }
}

// To be reached by everybody is what amplification attacks look for.
static void warn_if_open(struct log *log, const struct policy_options *policy,
                         const struct list *endpoints)
{
    struct policy_acl allowed;
    char text[ADDRESS_TEXT_MAX];

    policy_acl_compile(&allowed, policy->allow, policy->allow_count);
    if (!policy_acl_is_open(&allowed))
        return;
    list_for_each(node, endpoints) {
        const struct endpoint *endpoint = list_entry(node, struct endpoint, node);

        if (policy_address_is_private(&endpoint->bound))
            continue;
        log_warning(log, "listener",
                    "whoever reaches %s is answered: an open resolver, which others will abuse. "
                    "Name your clients in 'clients: allow' (--allow), or keep a firewall in front "
                    "of it%s",
                    address_to_text(&endpoint->bound, text),
                    policy->rate_limit.rate == 0 ? "; else set 'clients: rate-limit'" : "");
    }
}

// Such a place believes everybody about who he is, so that 'clients: allow' keeps out nobody.
static void warn_if_all_are_proxies(struct log *log, const struct listener_options *options)
{
    char url[LISTENER_URL_SIZE];

    for (uint32_t i = 0; i < options->place_count; i++)
        if (listener_proxies_are_all(&options->places[i].rules.proxies) ||
            listener_proxies_are_all(&options->places[i].rules.forwarders))
            log_warning(log, "listener",
                        "whoever reaches %s is believed whom it asks for: name your proxies in "
                        "'proxy-from' or 'forwarded-from', or keep a firewall in front of it",
                        listener_url_to_text(&options->places[i].at, url));
}

void start_log_dangers(struct log *log, const struct config *config, const struct list *endpoints)
{
    warn_if_open(log, &config->engine.policy, endpoints);
    warn_if_all_are_proxies(log, &config->listener);
}

void start_log(struct log *log, const struct config *config, const struct list *endpoints,
               unsigned workers)
{
    log_info(log, "daemon", "sotto %s: %u worker%s, user ID %u", SOTTO_VERSION, workers,
             workers == 1 ? "" : "s", (unsigned)geteuid());
    if (geteuid() == 0)
        log_warning(log, "daemon",
                    "running as root; name another user with 'user:' in the configuration");
    log_upstreams(log, &config->upstream);
    list_for_each(node, endpoints)
        start_log_endpoint(log, list_entry(node, struct endpoint, node));
    query_log_say(&config->querylog, log);
    start_log_dangers(log, config, endpoints);
}
