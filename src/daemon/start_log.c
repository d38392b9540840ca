#include "daemon/start_log.h"

#include <unistd.h>

#include "daemon/query_log.h"
#include "policy/rules.h"

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

// Whether clients there must have a certificate.
static bool wants_certificates(const struct listener_options *options,
                               const struct listener_place *place, uint32_t transports)
{
    struct tls_server_options tls;

    if (!place || !(transports & LISTENER_ENCRYPTED))
        return false;
    listener_tls_options(options, (uint32_t)(place - options->places), &tls);
    return *tls.client_ca_file != '\0';
}

// To be reached by everybody is what amplification attacks look for. `transports`: of one kind of
// the endpoint's sockets. True: it is warned of.
static bool warn_if_open(struct log *log, const struct config *config,
                         const struct endpoint *endpoint, uint32_t transports)
{
    const struct listener_place *place =
        listener_place_at(&config->listener, &endpoint->wanted.address, transports);
    const struct policy_own *own = place ? &place->rules.policy : NULL;
    struct policy_rules rules;
    char text[ADDRESS_TEXT_MAX];

    policy_rules_compile(&rules, &config->engine.policy, own);
    if (transports == 0 || !policy_acl_is_open(&rules.allowed) ||
        wants_certificates(&config->listener, place, transports))
        return false;
    log_warning(
        log, "listener",
        "whoever reaches %s is answered: an open resolver, which others will abuse. Name "
        "your clients in %s, or keep a firewall in front of it%s",
        address_to_text(&endpoint->bound, text),
        own && own->allow_count > 0 ? "'allow' of this listen entry" : "'clients: allow' (--allow)",
        (transports & LISTENER_UDP) && rules.rate_limit.rate == 0 ? "; else set 'rate-limit'" : "");
    return true;
}

static void warn_of_open(struct log *log, const struct config *config, const struct list *endpoints)
{
    list_for_each(node, endpoints) {
        const struct endpoint *endpoint = list_entry(node, struct endpoint, node);
        uint32_t transports = endpoint->wanted.transports;

        // Once, also where both kinds of sockets are.
        if (!policy_address_is_private(&endpoint->bound) &&
            !warn_if_open(log, config, endpoint, transports & LISTENER_UDP))
            warn_if_open(log, config, endpoint, transports & LISTENER_STREAM);
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
    warn_of_open(log, config, endpoints);
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
