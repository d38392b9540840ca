#include "listener/listener.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"
#include "listener/internal.h"
#include "policy/acl.h"

struct listener *listener_new(struct loop *loop, struct log *log, struct counters *counters,
                              struct engine *engine, const struct listener_limits *limits)
{
    struct listener *listener = calloc(1, sizeof(*listener));

    if (!listener)
        return NULL;
    listener->receiver = udp_receiver_new();
    if (!listener->receiver) {
        free(listener);
        return NULL;
    }
    listener->loop = loop;
    listener->log = log;
    listener->counters = counters;
    listener->engine = engine;
    list_init(&listener->udp);
    list_init(&listener->tcp);
    list_init(&listener->clients);
    list_init(&listener->idle);
    slab_init(&listener->exchanges, http_exchange_size(), SIZE_MAX);
    listener->limits = *limits;
    return listener;
}

void listener_configure(struct listener *listener, const struct listener_limits *limits)
{
    listener->limits = *limits;
}

int listener_add(struct listener *listener, const struct listener_address *at, int udp, int tcp,
                 struct tls_server *tls)
{
    int err = E_OK;

    if (udp >= 0)
        err = udp_listener_open(listener, &at->address, udp);
    if (tcp >= 0 && err == E_OK)
        return tcp_listener_open(listener, at, tcp, tls);
    if (tcp >= 0)
        close(tcp);
    return err;
}

void listener_set_rules(struct listener *listener, const struct listener_address *at,
                        const struct listener_rules *rules, struct policy_rules *policy)
{
    struct listener_limits limits = listener_limits_of(&listener->limits, &rules->limits);

    list_for_each(node, &listener->udp) {
        struct udp_listener *udp = list_entry(node, struct udp_listener, node);

        if ((at->transports & LISTENER_UDP) && address_equal(&udp->address, &at->address))
            udp_listener_set_rules(udp, rules, policy);
    }
    list_for_each(tcp_node, &listener->tcp) {
        struct tcp_listener *tcp = list_entry(tcp_node, struct tcp_listener, node);

        if ((at->transports & tcp->transport) && address_equal(&tcp->address, &at->address)) {
            listener_terms_set(tcp->terms, &limits, policy);
            tcp_listener_set_rules(tcp, at->path, rules);
        }
    }
}

bool listener_is_proxy(const struct listener_proxies *proxies, const struct address *peer)
{
    return policy_prefixes_have(proxies->prefixes, proxies->count, peer);
}

void listener_refuse_header(struct listener *listener, const struct address *peer)
{
    char text[ADDRESS_TEXT_MAX], more[40] = "";
    uint32_t suppressed;

    counter_inc(listener->counters, COUNTER_proxy_headers_refused);
    if (!log_limit_pass(&listener->proxy_log, loop_now(listener->loop), &suppressed))
        return;
    if (suppressed > 0)
        snprintf(more, sizeof(more), " (%u more like this before)", suppressed);
    log_info(listener->log, "listener",
             "no right PROXY header (version 2) from %s, of which proxy-from wants one%s",
             address_to_text(peer, text), more);
}

void listener_remove(struct listener *listener, const struct address *address, uint32_t transports)
{
    list_for_each(node, &listener->udp) {
        struct udp_listener *udp = list_entry(node, struct udp_listener, node);

        if ((transports & LISTENER_UDP) && address_equal(&udp->address, address))
            udp_listener_close(udp);
    }
    list_for_each(tcp_node, &listener->tcp) {
        struct tcp_listener *tcp = list_entry(tcp_node, struct tcp_listener, node);

        if (!(transports & tcp->transport) || !address_equal(&tcp->address, address))
            continue;
        tcp_listener_pause(tcp);
        tcp_listener_close(tcp);
    }
    tcp_clients_retire(listener, address, transports);
}

uint32_t listener_client_count(const struct listener *listener)
{
    return listener->client_count;
}

void listener_pause(struct listener *listener)
{
    list_for_each(node, &listener->udp)
        udp_stop_reading(&list_entry(node, struct udp_listener, node)->socket);
    list_for_each(tcp_node, &listener->tcp)
        tcp_listener_pause(list_entry(tcp_node, struct tcp_listener, node));
    tcp_clients_retire(listener, NULL, LISTENER_STREAM);
}

void listener_stop(struct listener *listener)
{
    list_for_each(node, &listener->udp)
        udp_listener_close(list_entry(node, struct udp_listener, node));
    list_for_each(tcp_node, &listener->tcp)
        tcp_listener_close(list_entry(tcp_node, struct tcp_listener, node));
    tcp_clients_close_all(listener);
}

void listener_free(struct listener *listener)
{
    if (!listener)
        return;
    udp_receiver_free(listener->receiver);
    slab_deinit(&listener->exchanges);
    free(listener);
}
