#include "listener/tcp_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"

static void free_if_done(struct tcp_client *client)
{
    if (!client->released || client->in_flight > 0)
        return;
    client->protocol->deinit(client);
    listener_terms_unref(client->terms);
    free(client->header);
    free(client);
}

// Out of the listener's lists. What is in flight is still counted, and answered to nobody.
static void detach(struct tcp_client *client)
{
    struct listener *listener = client->listener;

    if (list_linked(&client->node)) {
        list_remove(&client->node);
        listener->client_count--;
        client->terms->client_count--;
        if (client->protocol->closed)
            client->protocol->closed(client);
    }
    loop_disarm(listener->loop, &client->timer);
    list_remove(&client->resume.node);
    list_remove(&client->idle);
    list_remove(&client->idle_here);
}

static void close_client(struct tcp_client *client)
{
    detach(client);
    stream_close(&client->stream);
}

void tcp_client_abort(struct tcp_client *client, enum counter counter)
{
    counter_inc(client->listener->counters, counter);
    detach(client);
    stream_abort(&client->stream);
}

static void refuse_header(struct tcp_client *client)
{
    listener_refuse_header(client->listener, &client->client.peer);
    detach(client);
    stream_abort(&client->stream);
}

// Nothing more can come of it: it sent all, and was answered all (RFC 7766 section 6.2.4).
static void close_if_done(struct tcp_client *client)
{
    if ((client->ended || client->retiring) && !client->stream.blocked &&
        (client->lingering || (client->in_flight == 0 && !client->protocol->waiting(client))))
        close_client(client);
}

static void update_idle(struct tcp_client *client)
{
    list_remove(&client->idle);
    list_remove(&client->idle_here);
    if (client->in_flight > 0)
        return;
    list_append(&client->listener->idle, &client->idle);
    list_append(&client->terms->idle, &client->idle_here);
}

// After something was read or answered: what is left, and whether to read on.
static void settle(struct tcp_client *client, int err)
{
    if (tcp_client_is_closed(client))
        return;
    if (err != E_OK) {
        tcp_client_abort(client, COUNTER_tcp_closed_invalid);
        return;
    }
    stream_pause(&client->stream, !client->lingering && !client->protocol->may_read(client));
    update_idle(client);
    close_if_done(client);
}

static void on_resume(struct task *task)
{
    struct tcp_client *client = container_of(task, struct tcp_client, resume);

    settle(client, client->lingering ? E_OK : client->protocol->resume(client));
}

void tcp_client_asked(struct tcp_client *client)
{
    client->in_flight++;
    client->asked = true;
    client->active = loop_now(client->listener->loop);
}

bool tcp_client_answered(struct tcp_client *client)
{
    client->in_flight--;
    if (tcp_client_is_closed(client)) {
        free_if_done(client);
        return false;
    }
    client->active = loop_now(client->listener->loop);
    return true;
}

void tcp_client_resume(struct tcp_client *client)
{
    loop_at_turn_end(client->listener->loop, &client->resume);
}

void tcp_client_linger(struct tcp_client *client)
{
    if (client->lingering || tcp_client_is_closed(client))
        return;
    client->lingering = true;
    client->lingering_since = loop_now(client->listener->loop);
    stream_finish(&client->stream);
    tcp_client_resume(client);
}

static int on_preamble(struct stream *stream, const uint8_t *bytes, size_t size, size_t *used)
{
    struct tcp_client *client = container_of(stream, struct tcp_client, stream);
    struct listener *listener = client->listener;
    struct proxy_header header;
    int err = proxy_header_feed(client->header, &header, bytes, size, used);

    if (err == E_AGAIN)
        return err;
    if (err != E_OK) {
        refuse_header(client);
        return err;
    }
    counter_inc(listener->counters, COUNTER_proxy_headers);
    if (header.proxied)
        client->client.source = header.source;
    free(client->header);
    client->header = NULL;
    return E_OK;
}

static void on_received(struct stream *stream, const uint8_t *bytes, size_t size)
{
    struct tcp_client *client = container_of(stream, struct tcp_client, stream);

    if (!client->lingering)
        settle(client, client->protocol->received(client, bytes, size));
}

static void on_ended(struct stream *stream)
{
    struct tcp_client *client = container_of(stream, struct tcp_client, stream);

    if (stream->state == STREAM_PREAMBLE) {
        refuse_header(client);
        return;
    }
    client->ended = true;
    close_if_done(client);
}

static void on_drained(struct stream *stream)
{
    struct tcp_client *client = container_of(stream, struct tcp_client, stream);

    client->blocked_since = USEC_NEVER;
    tcp_client_resume(client);
}

// When an open connection is first looked at.
static usec_t first_look(const struct listener_limits *limits)
{
    return MIN(limits->tcp_idle_timeout, limits->tcp_message_timeout);
}

static void on_opened(struct stream *stream)
{
    struct tcp_client *client = container_of(stream, struct tcp_client, stream);
    struct listener *listener = client->listener;

    counter_inc(listener->counters, COUNTER_tls_handshakes);
    if (tls_resumed(stream->tls))
        counter_inc(listener->counters, COUNTER_tls_handshakes_resumed);
    client->active = loop_now(listener->loop);
    loop_arm(listener->loop, &client->timer, client->active + first_look(&client->terms->limits));
}

// Scanners and crawlers fail all day long; but whoever sets up a browser wants to know.
static void log_refusal(struct tcp_client *client, const char *reason)
{
    struct listener *listener = client->listener;
    char peer[ADDRESS_TEXT_MAX], more[40] = "";
    uint32_t suppressed;

    if (!log_limit_pass(&listener->handshake_log, loop_now(listener->loop), &suppressed))
        return;
    if (suppressed > 0)
        snprintf(more, sizeof(more), " (%u more like this before)", suppressed);
    log_info(listener->log, "listener", "TLS with %s failed: %s%s",
             address_to_text(&client->client.source, peer), reason, more);
}

static void on_failed(struct stream *stream, enum stream_phase phase, const char *reason)
{
    struct tcp_client *client = container_of(stream, struct tcp_client, stream);
    bool handshake = phase == PHASE_HANDSHAKE || phase == PHASE_VERIFY;

    if (client->header)
        listener_refuse_header(client->listener, &client->client.peer);
    else if (handshake)
        counter_inc(client->listener->counters, COUNTER_tls_handshakes_failed);
    // With TLS 1.3 a client says only after the handshake that it does not trust us.
    if (handshake || (client->encrypted && !client->header && !client->asked))
        log_refusal(client, reason);
    detach(client);
}

static void on_released(struct stream *stream)
{
    struct tcp_client *client = container_of(stream, struct tcp_client, stream);

    client->released = true;
    free_if_done(client);
}

// Whether it keeps us waiting for longer than it may.
static bool is_slow(const struct tcp_client *client, usec_t now)
{
    const struct listener_limits *limits = &client->terms->limits;
    const struct tcp_protocol *protocol = client->protocol;
    usec_t partial = protocol->partial_since(client);
    usec_t unsent = protocol->unsent_since ? protocol->unsent_since(client) : USEC_NEVER;

    return (partial != USEC_NEVER && now >= partial + limits->tcp_message_timeout) ||
           (unsent != USEC_NEVER && now >= unsent + limits->tcp_idle_timeout) ||
           (client->blocked_since != USEC_NEVER &&
            now >= client->blocked_since + limits->tcp_idle_timeout);
}

// When to look at it again.
static usec_t next_look(const struct tcp_client *client, usec_t now)
{
    const struct listener_limits *limits = &client->terms->limits;
    usec_t partial = client->protocol->partial_since(client);
    usec_t next = now + MIN(limits->tcp_message_timeout, limits->tcp_idle_timeout);

    if (client->in_flight == 0)
        next = MIN(next, MAX(client->active + limits->tcp_idle_timeout, now + USEC_MSEC));
    if (partial != USEC_NEVER)
        next = MIN(next, partial + limits->tcp_message_timeout);
    return next;
}

// When the client's patience with us, or ours with it, is over.
static void on_timer(struct wheel_timer *timer)
{
    struct tcp_client *client = container_of(timer, struct tcp_client, timer);
    struct listener *listener = client->listener;
    const struct listener_limits *limits = &client->terms->limits;
    usec_t now = loop_now(listener->loop);

    if (client->stream.state == STREAM_PREAMBLE) {
        counter_inc(listener->counters, COUNTER_tcp_closed_slow);
        refuse_header(client);
        return;
    }
    if (client->stream.state == STREAM_HANDSHAKE) {
        counter_inc(listener->counters, COUNTER_tls_handshakes_slow);
        tcp_client_abort(client, COUNTER_tcp_closed_slow);
        return;
    }
    if (client->lingering) {
        if (now >= client->lingering_since + limits->tcp_message_timeout) {
            close_client(client);
            return;
        }
        loop_arm(listener->loop, timer, client->lingering_since + limits->tcp_message_timeout);
        return;
    }
    if (client->stream.blocked && client->blocked_since == USEC_NEVER)
        client->blocked_since = now;
    if (is_slow(client, now)) {
        tcp_client_abort(client, COUNTER_tcp_closed_slow);
        return;
    }
    if (client->in_flight == 0 && client->blocked_since == USEC_NEVER &&
        now >= client->active + limits->tcp_idle_timeout) {
        counter_inc(listener->counters, COUNTER_tcp_closed_idle);
        if (client->protocol->retire)
            client->protocol->retire(client);
        if (!tcp_client_is_closed(client))
            close_client(client);
        return;
    }
    loop_arm(listener->loop, timer, next_look(client, now));
}

void tcp_client_start(const struct tcp_listener *tcp, int fd, const struct address *peer)
{
    static const struct stream_ops ops = {
        .opened = on_opened,
        .preamble = on_preamble,
        .received = on_received,
        .ended = on_ended,
        .drained = on_drained,
        .failed = on_failed,
        .released = on_released,
    };
    struct listener *listener = tcp->listener;
    const struct listener_limits *limits = &tcp->terms->limits;
    const struct tcp_protocol *protocol = tcp->protocol;
    struct tcp_client *client = calloc(1, protocol->size);
    struct proxy_header_reader *header = NULL;
    bool by_proxy = listener_is_proxy(&tcp->proxies, peer);
    struct tls *tls = NULL;
    usec_t now = loop_now(listener->loop);

    if (client && by_proxy)
        header = calloc(1, sizeof(*header));
    if (client && tcp->tls)
        tls = tls_server_session(tcp->tls, stream_tls_push, &client->stream);
    if (!client || (tcp->tls && !tls) || (by_proxy && !header)) {
        close(fd);
        tls_free(tls);
        free(header);
        free(client);
        return;
    }
    if (stream_accept(&client->stream, listener->loop, &ops, fd, tls) != E_OK) {
        free(header);
        free(client);
        return;
    }
    if (by_proxy)
        stream_await_preamble(&client->stream);
    client->protocol = protocol;
    client->by_proxy = by_proxy;
    client->header = header;
    client->listener = listener;
    client->terms = listener_terms_ref(tcp->terms);
    client->address = tcp->address;
    client->transport = tcp->transport;
    client->active = now;
    client->encrypted = tls;
    client->blocked_since = USEC_NEVER;
    client->client = (struct engine_client){
        .ops = protocol->client_ops,
        .owner = client,
        .transport = tls ? protocol->encrypted : protocol->plain,
        .udp_max_size = (uint16_t)limits->udp_max_size,
        .keepalive = (uint16_t)MIN(limits->tcp_idle_timeout / (100 * USEC_MSEC), UINT16_MAX),
        .source = *peer,
        .peer = *peer,
        .local = {.family = AF_UNSPEC},
    };
    task_init(&client->resume, on_resume);
    wheel_timer_init(&client->timer, on_timer);
    list_init(&client->idle);
    list_init(&client->idle_here);
    list_append(&listener->clients, &client->node);
    update_idle(client);
    listener->client_count++;
    client->terms->client_count++;
    protocol->init(client, tcp);
    loop_arm(listener->loop, &client->timer,
             now + (tls ? limits->tls_handshake_timeout : first_look(limits)));
}

bool tcp_client_evict(struct listener *listener, struct listener_terms *terms)
{
    if (list_empty(terms ? &terms->idle : &listener->idle))
        return false;
    counter_inc(listener->counters, COUNTER_tcp_closed_evicted);
    close_client(terms ? list_first(&terms->idle, struct tcp_client, idle_here)
                       : list_first(&listener->idle, struct tcp_client, idle));
    return true;
}

void tcp_clients_close_all(struct listener *listener)
{
    while (!list_empty(&listener->clients))
        close_client(list_first(&listener->clients, struct tcp_client, node));
}

static void retire(struct tcp_client *client)
{
    stream_read_now(&client->stream); // what was asked by now is answered
    if (tcp_client_is_closed(client))
        return;
    client->retiring = true;
    if (client->protocol->retire)
        client->protocol->retire(client);
    settle(client, E_OK);
}

static bool came_by(const struct tcp_client *client, const struct address *address,
                    uint32_t transports)
{
    return (transports & client->transport) && address_equal(&client->address, address);
}

void tcp_clients_retire(struct listener *listener, const struct address *address,
                        uint32_t transports)
{
    list_for_each(node, &listener->clients) {
        struct tcp_client *client = list_entry(node, struct tcp_client, node);

        if (came_by(client, address ? address : &client->address, transports))
            retire(client);
    }
}

void tcp_clients_retire_proxies(const struct tcp_listener *tcp,
                                const struct listener_proxies *proxies)
{
    list_for_each(node, &tcp->listener->clients) {
        struct tcp_client *client = list_entry(node, struct tcp_client, node);

        if (came_by(client, &tcp->address, tcp->transport) &&
            client->by_proxy != listener_is_proxy(proxies, &client->client.peer))
            retire(client);
    }
}
