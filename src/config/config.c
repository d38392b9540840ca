// What is set without a file: single settings, and the check of the whole.
#include "config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "config/defaults.h"
#include "config/report.h"
#include "config/schema.h"
#include "config/secrets.h"
#include "config/texts.h"
#include "config/value.h"
#include "listener/url.h"
#include "net/tls_server.h"

// Reads a value by its row; the error says what was found and expected.
static int set(const struct schema_row *row, void *at, const char *text, struct config_error *error)
{
    const char *why;
    char quoted[CONFIG_QUOTE_SIZE], expected[VALUE_EXPECTED_SIZE];

    if (value_parse(row, at, text, &why) == E_OK)
        return E_OK;
    config_quote(text, quoted);
    if (why)
        return config_report(error, "%s: %s", quoted, why);
    return config_report(error, "%s: expected %s", quoted, value_expected(row, expected));
}

int config_add_upstream(struct config *config, const char *url, struct config_error *error)
{
    struct upstream_options *upstream = &config->upstream;
    const struct schema_row row = {.kind = SCHEMA_TEXT, .text = &text_upstream_url};
    struct upstream_server_options *server;

    if (upstream->server_count == UPSTREAM_SERVERS_MAX)
        return config_report(error, "more than %d upstreams", UPSTREAM_SERVERS_MAX);
    server = &upstream->servers[upstream->server_count++];
    config_server_defaults(server);
    return set(&row, server, url, error);
}

int config_add_listener(struct config *config, const char *url, struct config_error *error)
{
    struct listener_options *listener = &config->listener;
    const struct schema_row row = {.kind = SCHEMA_TEXT, .text = &text_listener_url};

    if (listener->place_count == LISTENER_ADDRESSES_MAX)
        return config_report(error, "more than %d listen addresses", LISTENER_ADDRESSES_MAX);
    return set(&row, &listener->places[listener->place_count++].at, url, error);
}

void config_clear_listeners(struct config *config)
{
    struct listener_options *listener = &config->listener;

    memset(listener->places, 0, listener->place_count * sizeof(listener->places[0]));
    listener->place_count = 0;
}

int config_add_certificate(struct config *config, const char *cert, const char *key,
                           struct config_error *error)
{
    const struct schema_row row = {.kind = SCHEMA_STRING, .min = 1, .max = TLS_PATH_SIZE - 1};
    struct tls_server_options *tls = &config->listener.tls;
    struct tls_certificate_files *files;

    if (tls->certificate_count == TLS_CERTIFICATES_MAX)
        return config_report(error, "more than %d certificates", TLS_CERTIFICATES_MAX);
    files = &tls->certificates[tls->certificate_count++];
    if (set(&row, files->cert, cert, error) != E_OK)
        return E_INVALID;
    return *key ? set(&row, files->key, key, error) : E_OK;
}

void config_clear_certificates(struct config *config)
{
    struct tls_server_options *tls = &config->listener.tls;

    memset(tls->certificates, 0, tls->certificate_count * sizeof(tls->certificates[0]));
    tls->certificate_count = 0;
}

int config_add_allowed(struct config *config, const char *prefix, struct config_error *error)
{
    struct policy_options *policy = &config->engine.policy;
    const struct schema_row row = {.kind = SCHEMA_TEXT, .text = &text_prefix};

    if (policy->allow_count == POLICY_PREFIXES_MAX)
        return config_report(error, "more than %d prefixes", POLICY_PREFIXES_MAX);
    return set(&row, &policy->allow[policy->allow_count++], prefix, error);
}

int config_add_sink(struct config *config, const char *url, struct config_error *error)
{
    struct querylog_options *querylog = &config->querylog;
    const struct schema_row row = {.kind = SCHEMA_TEXT, .text = &text_querylog_url};
    struct querylog_sink_options *sink;

    if (querylog->sink_count == QUERYLOG_SINKS_MAX)
        return config_report(error, "more than %d sinks of the query log", QUERYLOG_SINKS_MAX);
    sink = &querylog->sinks[querylog->sink_count++];
    config_sink_defaults(sink);
    return set(&row, sink->url, url, error);
}

int config_set_ca_file(struct config *config, const char *path, struct config_error *error)
{
    const struct schema_row row = {.kind = SCHEMA_STRING, .min = 1, .max = UPSTREAM_PATH_SIZE - 1};

    for (uint32_t i = 0; i < config->upstream.server_count; i++) {
        struct upstream_server_options *server = &config->upstream.servers[i];

        if (!*server->ca_file && set(&row, server->ca_file, path, error) != E_OK)
            return E_INVALID;
    }
    return E_OK;
}

int config_set_workers(struct config *config, const char *text, struct config_error *error)
{
    return set(schema_find(config_schema.rows, "workers"), &config->workers, text, error);
}

int config_set_control_socket(struct config *config, const char *text, struct config_error *error)
{
    const struct schema_row *control = schema_find(config_schema.rows, "control");

    return set(schema_find(control->rows, "socket"), config->control.socket, text, error);
}

int config_set_cache_size(struct config *config, const char *text, struct config_error *error)
{
    const struct schema_row *cache = schema_find(config_schema.rows, "cache");

    return set(schema_find(cache->rows, "size"), &config->engine.cache.size, text, error);
}

static int check_cache(const struct cache_options *cache, struct config_error *error)
{
    if (cache->size > 0 && cache->size < CACHE_SIZE_MIN)
        return config_report(error, "cache.size: too small to be of use: expected 64KiB or more, "
                                    "or 0 for no cache");
    if (cache->min_ttl > cache->max_ttl)
        return config_report(error, "cache.min-ttl: larger than cache.max-ttl");
    if (*cache->persist && cache->size == 0)
        return config_report(error, "cache.persist: there is nothing to write, as cache.size is 0");
    return E_OK;
}

// Whether both cannot be listened on at the same time.
static bool collide(const struct listener_address *a, const struct listener_address *b)
{
    return ((a->transports & b->transports & LISTENER_UDP) ||
            ((a->transports & LISTENER_STREAM) && (b->transports & LISTENER_STREAM))) &&
           address_equal(&a->address, &b->address);
}

static int check_tls(const struct listener_options *listener, uint32_t place,
                     struct config_error *error)
{
    const struct listener_address *at = &listener->places[place].at;
    char url[LISTENER_URL_SIZE], reason[TLS_REASON_SIZE];
    struct tls_server_options tls;
    struct tls_credentials *credentials;

    if (!(at->transports & LISTENER_ENCRYPTED)) {
        const struct tls_server_options *own = &listener->places[place].tls;

        if (own->certificate_count > 0 || *own->client_ca_file)
            return config_report(error,
                                 "listen: %s has certificates, but only tls:// and https:// are "
                                 "encrypted",
                                 listener_url_to_text(at, url));
        return E_OK;
    }
    listener_tls_options(listener, place, &tls);
    if (tls.certificate_count == 0)
        return config_report(error,
                             "listen: %s needs a certificate: give cert and key, or --cert and "
                             "--key; 'sotto cert' makes them for a network that has none",
                             listener_url_to_text(at, url));
    credentials = tls_credentials_new(&tls, reason);
    if (!credentials)
        return config_report(error, "listen: %s: %s", listener_url_to_text(at, url), reason);
    tls_credentials_unref(credentials);
    return E_OK;
}

// Two places at the same address. Port 0 is another port each time; but then nothing tells which of
// the two places a socket is of.
static int check_pair(const struct listener_place *a, const struct listener_place *b,
                      struct config_error *error)
{
    char url[LISTENER_URL_SIZE];

    if (address_port(&a->at.address) != 0 && collide(&a->at, &b->at))
        return config_report(error, "listen: %s is there twice", listener_url_to_text(&a->at, url));
    if ((a->at.transports & b->at.transports) && address_equal(&a->at.address, &b->at.address) &&
        !listener_proxies_equal(&a->rules.proxies, &b->rules.proxies))
        return config_report(error, "listen: %s is there twice, with another proxy-from",
                             listener_url_to_text(&a->at, url));
    if ((a->at.transports & b->at.transports & LISTENER_ANY_HTTP) &&
        address_equal(&a->at.address, &b->at.address) &&
        (strcmp(a->at.path, b->at.path) != 0 ||
         !listener_proxies_equal(&a->rules.forwarders, &b->rules.forwarders)))
        return config_report(error,
                             "listen: %s is there twice, with another path or forwarded-from",
                             listener_url_to_text(&a->at, url));
    if ((a->at.transports & b->at.transports) && address_equal(&a->at.address, &b->at.address) &&
        (memcmp(&a->rules.policy, &b->rules.policy, sizeof(a->rules.policy)) != 0 ||
         !listener_limits_equal(&a->rules.limits, &b->rules.limits)))
        return config_report(error, "listen: %s is there twice, with other clients or limits",
                             listener_url_to_text(&a->at, url));
    return E_OK;
}

static int check_forwarders(const struct listener_place *place, struct config_error *error)
{
    char url[LISTENER_URL_SIZE];

    if (place->rules.forwarders.count == 0 || (place->at.transports & LISTENER_ANY_HTTP))
        return E_OK;
    return config_report(error,
                         "listen: %s has forwarded-from, which is for http:// and https://; other "
                         "proxies speak the PROXY protocol, for which there is proxy-from",
                         listener_url_to_text(&place->at, url));
}

// Limits that are of no use where they stand, or not what they seem.
static int check_own_limits(const struct listener_options *listener,
                            const struct listener_place *place, struct config_error *error)
{
    const struct listener_limits *limits = &place->rules.limits;
    const struct {
        bool is_set;
        uint32_t transports;
        const char *key, *schemes;
    } uses[] = {
        {place->rules.policy.rate_limit, LISTENER_UDP, "rate-limit", "UDP"},
        {limits->tcp_idle_timeout, LISTENER_STREAM, "idle-timeout", "TCP"},
        {limits->tcp_message_timeout, LISTENER_STREAM, "message-timeout", "TCP"},
        {limits->tcp_max_connections, LISTENER_STREAM, "max-connections", "TCP"},
        {limits->tcp_max_in_flight, LISTENER_STREAM, "max-in-flight", "TCP"},
        {limits->tls_handshake_timeout, LISTENER_ENCRYPTED, "handshake-timeout",
         "tls:// and https://"},
    };
    char url[LISTENER_URL_SIZE];

    for (size_t i = 0; i < ARRAY_LEN(uses); i++)
        if (uses[i].is_set && !(place->at.transports & uses[i].transports))
            return config_report(error, "listen: %s has %s, which is for %s only",
                                 listener_url_to_text(&place->at, url), uses[i].key,
                                 uses[i].schemes);
    if (limits->tcp_max_connections > listener->limits.tcp_max_connections)
        return config_report(error,
                             "listen: %s has max-connections %u, but all listeners together have "
                             "%u: raise tcp.max-connections",
                             listener_url_to_text(&place->at, url), limits->tcp_max_connections,
                             listener->limits.tcp_max_connections);
    return E_OK;
}

static int check_listeners(const struct listener_options *listener, struct config_error *error)
{
    if (listener->place_count == 0)
        return config_report(error, "listen: no address to listen on");
    for (uint32_t i = 0; i < listener->place_count; i++) {
        for (uint32_t j = 0; j < i; j++)
            if (check_pair(&listener->places[i], &listener->places[j], error) != E_OK)
                return E_INVALID;
        if (check_forwarders(&listener->places[i], error) != E_OK ||
            check_own_limits(listener, &listener->places[i], error) != E_OK ||
            check_tls(listener, i, error) != E_OK)
            return E_INVALID;
    }
    return E_OK;
}

static int check_ca_file(const struct upstream_server_options *server, struct config_error *error)
{
    char url[CONFIG_QUOTE_SIZE], path[CONFIG_QUOTE_SIZE];
    const char *problem = NULL;
    struct stat status;
    int fd;

    if (!*server->ca_file)
        return E_OK;
    fd = open(server->ca_file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        problem = strerror(errno);
    else if (fstat(fd, &status) == 0 && S_ISDIR(status.st_mode))
        problem = strerror(EISDIR);
    if (fd >= 0)
        close(fd);
    if (!problem)
        return E_OK;
    return config_report(error, "upstream %s: cannot read the CA file %s: %s",
                         config_quote(server->url, url), config_quote(server->ca_file, path),
                         problem);
}

static int check_upstream(const struct upstream_options *upstream, struct config_error *error)
{
    char url[CONFIG_QUOTE_SIZE];

    if (upstream->server_count == 0)
        return config_report(error, "upstream: no servers");
    for (uint32_t i = 0; i < upstream->bootstrap_count; i++) {
        const struct upstream_server_options *server = &upstream->bootstrap[i];

        if (*server->endpoint.host)
            return config_report(error,
                                 "upstream.bootstrap: %s is given by name, but who looks up names "
                                 "must be given by address, as in tls://9.9.9.9#dns.quad9.net",
                                 config_quote(server->url, url));
        if (check_ca_file(server, error) != E_OK)
            return E_INVALID;
    }
    for (uint32_t i = 0; i < upstream->server_count; i++) {
        const struct upstream_server_options *server = &upstream->servers[i];

        if (*server->endpoint.host && upstream->bootstrap_count == 0)
            return config_report(error,
                                 "upstream.servers: %s is given by name, but upstream.bootstrap "
                                 "has no server to look it up",
                                 config_quote(server->url, url));
        if (check_ca_file(server, error) != E_OK)
            return E_INVALID;
    }
    return E_OK;
}

static int check_cookies(const struct policy_cookie_options *cookies, struct config_error *error)
{
    struct policy_cookie_secrets secrets;

    if (!cookies->enabled || !*cookies->secret_file)
        return E_OK;
    return secrets_read(secrets.keys, POLICY_COOKIE_SECRETS_MAX, &secrets.count,
                        "cookies.secret-file", cookies->secret_file, error);
}

int config_check(const struct config *config, struct config_error *error)
{
    if (check_listeners(&config->listener, error) != E_OK)
        return E_INVALID;
    if (check_cookies(&config->engine.policy.cookies, error) != E_OK)
        return E_INVALID;
    if (check_cache(&config->engine.cache, error) != E_OK)
        return E_INVALID;
    return check_upstream(&config->upstream, error);
}
