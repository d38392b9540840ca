// UDP: a datagram, a query; a reply, a datagram.
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"
#include "listener/internal.h"

static void close_if_done(struct udp_listener *udp)
{
    if (udp->closing && udp->in_flight == 0)
        udp_close(&udp->socket);
}

static void on_answer(const struct engine_client *client, const uint8_t *message, size_t size)
{
    struct udp_listener *udp = client->owner;

    if (message)
        udp_send(&udp->socket, &client->peer, &client->local, message, size);
    udp->in_flight--;
    close_if_done(udp);
}

static const struct engine_client_ops client_ops = {.answer = on_answer};

static inline void ask(struct udp_listener *udp, const struct address *source,
                       const struct address *peer, const struct address *local,
                       const uint8_t *bytes, size_t size)
{
    const struct engine_client client = {
        .ops = &client_ops,
        .owner = udp,
        .transport = ENGINE_UDP,
        .udp_max_size = (uint16_t)MIN(udp->listener->limits.udp_max_size, udp->socket.max_size),
        .keepalive = 0, // every field: then none is zeroed first
        .source = *source,
        .peer = *peer,
        .local = *local,
    };

    udp->in_flight++;
    engine_query(udp->listener->engine, udp->policy, &client, bytes, size);
}

// Where there are proxies. Out of line: most listeners have none.
__attribute__((noinline)) static void ask_beside_proxies(struct udp_listener *udp,
                                                         const struct address *peer,
                                                         const struct address *local,
                                                         const uint8_t *bytes, size_t size)
{
    struct proxy_header header;

    if (!listener_is_proxy(&udp->proxies, peer)) {
        ask(udp, peer, peer, local, bytes, size);
        return;
    }
    if (proxy_header_parse(&header, bytes, size) != E_OK) {
        listener_refuse_header(udp->listener, peer);
        return;
    }
    counter_inc(udp->listener->counters, COUNTER_proxy_headers);
    ask(udp, header.proxied ? &header.source : peer, peer, local, bytes + header.size,
        size - header.size);
}

static void on_received(struct udp_socket *socket, const struct address *peer,
                        const struct address *local, const uint8_t *bytes, size_t size)
{
    struct udp_listener *udp = container_of(socket, struct udp_listener, socket);

    // There is nobody at port 0 to be answered.
    if (UNLIKELY(address_port(peer) == 0)) {
        counter_inc(udp->listener->counters, COUNTER_udp_source_refused);
        return;
    }
    if (UNLIKELY(udp->proxies.count > 0))
        ask_beside_proxies(udp, peer, local, bytes, size);
    else
        ask(udp, peer, peer, local, bytes, size);
}

static void on_send_failed(struct udp_socket *socket, unsigned count)
{
    struct udp_listener *udp = container_of(socket, struct udp_listener, socket);

    counter_add(udp->listener->counters, COUNTER_udp_send_errors, count);
}

static void on_released(struct udp_socket *socket)
{
    struct udp_listener *udp = container_of(socket, struct udp_listener, socket);

    list_remove(&udp->node);
    policy_rules_unref(udp->policy);
    free(udp);
}

int udp_listener_open(struct listener *listener, const struct address *address, int fd)
{
    static const struct udp_ops ops = {
        .received = on_received,
        .send_failed = on_send_failed,
        .released = on_released,
    };
    struct udp_listener *udp = calloc(1, sizeof(*udp));

    if (!udp) {
        close(fd);
        return E_NOMEM;
    }
    udp->listener = listener;
    udp->address = *address;
    if (udp_open(&udp->socket, listener->loop, &ops, listener->receiver, fd, address,
                 listener->limits.udp_max_size) != E_OK) {
        close(fd);
        free(udp);
        return E_SYSTEM;
    }
    list_append(&listener->udp, &udp->node);
    return E_OK;
}

void udp_listener_set_rules(struct udp_listener *udp, const struct listener_rules *rules,
                            struct policy_rules *policy)
{
    udp->proxies = rules->proxies;
    policy_rules_ref(policy);
    policy_rules_unref(udp->policy);
    udp->policy = policy;
}

void udp_listener_close(struct udp_listener *udp)
{
    udp_stop_reading(&udp->socket);
    udp->closing = true;
    close_if_done(udp);
}
