#include "listener/options.h"

#include <string.h>

void listener_tls_options(const struct listener_options *options, uint32_t place,
                          struct tls_server_options *tls)
{
    *tls = options->places[place].tls;
    if (tls->certificate_count == 0) {
        tls->certificate_count = options->tls.certificate_count;
        memcpy(tls->certificates, options->tls.certificates, sizeof(tls->certificates));
    }
    if (!*tls->client_ca_file)
        memcpy(tls->client_ca_file, options->tls.client_ca_file, sizeof(tls->client_ca_file));
}

struct listener_limits listener_limits_of(const struct listener_limits *general,
                                          const struct listener_limits *own)
{
    struct listener_limits limits = *general;

    if (own->tcp_idle_timeout)
        limits.tcp_idle_timeout = own->tcp_idle_timeout;
    if (own->tcp_message_timeout)
        limits.tcp_message_timeout = own->tcp_message_timeout;
    if (own->tcp_max_connections)
        limits.tcp_max_connections = own->tcp_max_connections;
    if (own->tcp_max_in_flight)
        limits.tcp_max_in_flight = own->tcp_max_in_flight;
    if (own->tls_handshake_timeout)
        limits.tls_handshake_timeout = own->tls_handshake_timeout;
    return limits;
}

bool listener_limits_equal(const struct listener_limits *a, const struct listener_limits *b)
{
    return a->udp_max_size == b->udp_max_size && a->tcp_idle_timeout == b->tcp_idle_timeout &&
           a->tcp_message_timeout == b->tcp_message_timeout &&
           a->tcp_max_connections == b->tcp_max_connections &&
           a->tcp_max_in_flight == b->tcp_max_in_flight &&
           a->tls_handshake_timeout == b->tls_handshake_timeout;
}

bool listener_proxies_are_all(const struct listener_proxies *proxies)
{
    for (uint32_t i = 0; i < proxies->count; i++)
        if (proxies->prefixes[i].kind != POLICY_PREFIX_PRIVATE && proxies->prefixes[i].length == 0)
            return true;
    return false;
}

bool listener_proxies_equal(const struct listener_proxies *a, const struct listener_proxies *b)
{
    return a->count == b->count &&
           memcmp(a->prefixes, b->prefixes, a->count * sizeof(a->prefixes[0])) == 0;
}

const struct listener_place *listener_place_at(const struct listener_options *options,
                                               const struct address *address, uint32_t transports)
{
    for (uint32_t i = 0; i < options->place_count; i++) {
        const struct listener_place *place = &options->places[i];

        if ((place->at.transports & transports) && address_equal(&place->at.address, address))
            return place;
    }
    return NULL;
}
