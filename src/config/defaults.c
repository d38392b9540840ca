#include "config/defaults.h"

#include <string.h>

#include "base/error.h"
#include "config/config.h"
#include "config/texts.h"
#include "listener/url.h"

void config_server_defaults(void *server)
{
    struct upstream_server_options *options = server;

    memset(options, 0, sizeof(*options));
    options->profile = UPSTREAM_STRICT;
    options->max_connections = 8; // at 100 in flight each, more than one worker can use
    options->idle_timeout = 60 * USEC_SEC;
}

void config_sink_defaults(void *sink)
{
    struct querylog_sink_options *options = sink;

    memset(options, 0, sizeof(*options));
    options->max_age = 30 * (86400 * USEC_SEC);           // a month's bills and questions
    options->max_size = UINT64_C(4) * 1024 * 1024 * 1024; // some 20 million records
}

static void querylog_defaults(struct querylog_options *querylog)
{
    querylog->clients = QUERYLOG_CLIENTS_FULL;
    querylog->names = QUERYLOG_NAMES_FULL;
    querylog->sample = 1;
    querylog->ring_size = UINT64_C(4) * 1024 * 1024;   // a second at 30,000 queries a second
    querylog->queue_size = UINT64_C(64) * 1024 * 1024; // minutes of a database that is gone
}

static void add_server(struct upstream_server_options *server, const char *preset)
{
    const char *why;

    config_server_defaults(server);
    require(text_upstream_url.parse(server, preset, &why) == E_OK);
}

static void add_listener(struct listener_options *listener, const char *url)
{
    const char *why;

    require(listener_url_parse(&listener->places[listener->place_count++].at, url, &why) == E_OK);
}

static void listener_defaults(struct listener_options *listener)
{
    add_listener(listener, "dns://127.0.0.1:53");
    add_listener(listener, "dns://[::1]:53");

    struct listener_limits *limits = &listener->limits;

    limits->udp_max_size = 1232; // fits an IPv6 packet of 1280 octets, which every path carries
    limits->tcp_idle_timeout = 10 * USEC_SEC;
    limits->tcp_message_timeout = 5 * USEC_SEC;
    limits->tcp_max_connections = 1024;
    limits->tcp_max_in_flight = 100;
    limits->tls_handshake_timeout = 5 * USEC_SEC;
}

static void upstream_defaults(struct upstream_options *upstream)
{
    upstream->strategy = UPSTREAM_FAILOVER;
    upstream->timeout = 4 * USEC_SEC; // stub resolvers wait 5 s: they are to hear why
    add_server(&upstream->servers[upstream->server_count++], "cloudflare");
    add_server(&upstream->bootstrap[upstream->bootstrap_count++], "cloudflare");
    add_server(&upstream->bootstrap[upstream->bootstrap_count++], "quad9");
}

static void cache_defaults(struct cache_options *cache)
{
    cache->size = 64 * UINT64_C(1024) * 1024; // some 400,000 answers
    cache->max_ttl = 86400 * USEC_SEC;
    cache->negative_max_ttl = 3600 * USEC_SEC; // RFC 2308 section 5: one to three hours work well
    cache->failure_ttl = 5 * USEC_SEC;         // RFC 9520 section 3.2: at least 1 s
    cache->stale_after = 1800 * USEC_MSEC;     // RFC 8767 section 5: before stubs ask again
    cache->stale_max = 86400 * USEC_SEC;       // RFC 8767 section 5: one to three days
    cache->prefetch = true;
    cache->negative_per_client = 100;
    cache->persist_interval = 600 * USEC_SEC;
}

static void policy_defaults(struct policy_options *policy)
{
    // Whoever is meant to be served at home or in an office has such an address, or says so.
    policy->allow[policy->allow_count++].kind = POLICY_PREFIX_PRIVATE;
    policy->refuse = POLICY_REFUSE_REFUSED;
    policy->rate_limit.rate = 0;         // neighbours do not forge each other's addresses
    policy->rate_limit.ipv4_prefix = 32; // an address is a house
    policy->rate_limit.ipv6_prefix = 64; // and with IPv6 a network, in which hosts choose theirs
    policy->rate_limit.slip = 2;
    policy->cookies.enabled = true;
}

static void engine_defaults(struct engine_options *engine)
{
    cache_defaults(&engine->cache);
    policy_defaults(&engine->policy);
    engine->padding = ENGINE_PADDING_AUTO;
    engine->private_reverse = ENGINE_PRIVATE_REVERSE_LOCAL;
    engine->max_in_flight = 10000;
    strcpy(engine->identity_version, "sotto " SOTTO_VERSION);
}

void config_defaults(struct config *config)
{
    // Most of it is room for more than anybody has, and takes no memory while nobody writes to it.
    if (config->filled)
        memset(config, 0, sizeof(*config));
    config->filled = true;
    listener_defaults(&config->listener);
    upstream_defaults(&config->upstream);
    engine_defaults(&config->engine);
    querylog_defaults(&config->querylog);
    config->log.level = LOG_INFO;
    config->log.format = LOG_TEXT;
    strcpy(config->control.socket, "auto");
    strcpy(config->user, "nobody");
}
