// A client's connection over TCP, plain or with TLS (RFC 7858): many queries at once, each answered
// when its answer is there (RFC 7766, RFC 9210), within bounds on everything that the client
// controls.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cursor.h"
#include "base/error.h"
#include "listener/internal.h"

// A client that has this much to read is not read from until it does.
#define OUTPUT_ENOUGH ((size_t)64 * 1024)

struct tcp_client {
    struct list node; // in the listener's clients
    struct list idle; // in the listener's idle ones, when nothing is in flight
    struct listener *listener;
    struct stream stream;
    struct frame_reader frames;
    struct proxy_header_reader *header; // while a PROXY header is awaited; else NULL
    struct task resume;                 // messages that wait are read on at the turn's end
    struct wheel_timer timer;
    struct engine_client client; // what the engine is told of it
    struct address address;      // the listening address that it came by
    uint32_t transport;          // LISTENER_TCP or LISTENER_TLS
    unsigned in_flight;
    bool by_proxy;        // it had to begin with a PROXY header
    bool waiting;         // messages were read that may not be handled yet
    bool asked;           // something, once
    bool ended;           // the client sends no more
    bool retiring;        // and shall not be heard any more
    bool released;        // the stream is gone; the memory goes with the last answer
    usec_t active;        // the last query or answer
    usec_t partial_since; // a message is not whole since then; USEC_NEVER: none
    usec_t blocked_since; // it does not read since then; USEC_NEVER: it does
};

static void free_if_done(struct tcp_client *client)
{
    if (!client->released || client->in_flight > 0)
        return;
    frame_deinit(&client->frames);
    free(client->header);
    free(client);
}

// Out of the listener's lists. What is in flight is still counted, and answered to nobody.
static void detach(struct tcp_client *client)
{
    struct listener *listener = client->listener;

    loop_disarm(listener->loop, &client->timer);
    list_remove(&client->resume.node);
    list_remove(&client->idle);
    if (list_linked(&client->node)) {
        list_remove(&client->node);
        listener->client_count--;
    }
}

static void close_client(struct tcp_client *client)
{
    detach(client);
    stream_close(&client->stream);
}

static void abort_client(struct tcp_client *client, enum counter counter)
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

static bool is_closed(const struct tcp_client *client)
{
    return client->stream.state == STREAM_CLOSED;
}

// Nothing more can come of it: it sent all, and was answered all (RFC 7766 section 6.2.4).
static void close_if_done(struct tcp_client *client)
{
    if ((client->ended || client->retiring) && client->in_flight == 0 && !client->waiting &&
        !client->stream.blocked)
        close_client(client);
}

static bool may_handle(const struct tcp_client *client)
{
    return client->in_flight < client->listener->limits.tcp_max_in_flight &&
           stream_pending(&client->stream) < OUTPUT_ENOUGH;
}

static void update_idle(struct tcp_client *client)
{
    list_remove(&client->idle);
    if (client->in_flight == 0)
        list_append(&client->listener->idle, &client->idle);
}

static bool on_message(void *context, const uint8_t *message, size_t size)
{
    struct tcp_client *client = context;

    client->in_flight++;
    client->asked = true;
    client->active = loop_now(client->listener->loop);
    engine_query(client->listener->engine, &client->client, message, size);
    return !is_closed(client) && may_handle(client);
}

// After messages were handled: what is left, and whether to read on.
static void settle(struct tcp_client *client, int err)
{
    usec_t now = loop_now(client->listener->loop);

    if (is_closed(client))
        return;
    if (err == E_MALFORMED || err == E_NOMEM) {
        abort_client(client, COUNTER_tcp_closed_invalid);
        return;
    }
    client->waiting = err == E_AGAIN && frame_partial(&client->frames);
    if (client->waiting || !frame_partial(&client->frames))
        client->partial_since = USEC_NEVER;
    else if (client->partial_since == USEC_NEVER)
        client->partial_since = now;
    stream_pause(&client->stream, client->waiting || client->retiring || !may_handle(client));
    update_idle(client);
    close_if_done(client);
}

static void on_resume(struct task *task)
{
    struct tcp_client *client = container_of(task, struct tcp_client, resume);

    if (!may_handle(client))
        return;
    settle(client, client->waiting ? frame_resume(&client->frames, on_message, client) : E_OK);
}

static void on_answer(const struct engine_client *engine_client, const uint8_t *message,
                      size_t size)
{
    struct tcp_client *client = engine_client->owner;
    uint8_t *frame;

    client->in_flight--;
    if (is_closed(client)) {
        free_if_done(client);
        return;
    }
    client->active = loop_now(client->listener->loop);
    if (message) {
        frame = stream_reserve(&client->stream, 2 + size);
        if (!frame) {
            // Too much that it does not read; or the connection broke just now.
            if (!is_closed(client))
                abort_client(client, COUNTER_tcp_closed_slow);
            return;
        }
        put_u16(frame, (uint16_t)size);
        memcpy(frame + 2, message, size);
        stream_commit(&client->stream, 2 + size);
    }
    loop_at_turn_end(client->listener->loop, &client->resume);
}

static const struct engine_client_ops client_ops = {.answer = on_answer};

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

    settle(client, frame_feed(&client->frames, bytes, size, on_message, client));
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
    loop_at_turn_end(client->listener->loop, &client->resume);
}

// When an open connection is first looked at.
static usec_t first_look(const struct listener *listener)
{
    return MIN(listener->limits.tcp_idle_timeout, listener->limits.tcp_message_timeout);
}

static void on_opened(struct stream *stream)
{
    struct tcp_client *client = container_of(stream, struct tcp_client, stream);
    struct listener *listener = client->listener;

    counter_inc(listener->counters, COUNTER_tls_handshakes);
    if (tls_resumed(stream->tls))
        counter_inc(listener->counters, COUNTER_tls_handshakes_resumed);
    client->active = loop_now(listener->loop);
    loop_arm(listener->loop, &client->timer, client->active + first_look(listener));
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
    if (handshake || (client->transport == LISTENER_TLS && !client->header && !client->asked))
        log_refusal(client, reason);
    detach(client);
}

static void on_released(struct stream *stream)
{
    struct tcp_client *client = container_of(stream, struct tcp_client, stream);

    client->released = true;
    free_if_done(client);
}

// When the client's patience with us, or ours with it, is over.
static void on_timer(struct wheel_timer *timer)
{
    struct tcp_client *client = container_of(timer, struct tcp_client, timer);
    struct listener *listener = client->listener;
    usec_t now = loop_now(listener->loop);

    if (client->stream.state == STREAM_PREAMBLE) {
        counter_inc(listener->counters, COUNTER_tcp_closed_slow);
        refuse_header(client);
        return;
    }
    if (client->stream.state == STREAM_HANDSHAKE) {
        counter_inc(listener->counters, COUNTER_tls_handshakes_slow);
        abort_client(client, COUNTER_tcp_closed_slow);
        return;
    }

    usec_t next =
        now + MIN(listener->limits.tcp_message_timeout, listener->limits.tcp_idle_timeout);

    if (client->stream.blocked && client->blocked_since == USEC_NEVER)
        client->blocked_since = now;
    if ((client->blocked_since != USEC_NEVER &&
         now >= client->blocked_since + listener->limits.tcp_idle_timeout) ||
        (client->partial_since != USEC_NEVER &&
         now >= client->partial_since + listener->limits.tcp_message_timeout)) {
        abort_client(client, COUNTER_tcp_closed_slow);
        return;
    }
    if (client->in_flight == 0 && client->blocked_since == USEC_NEVER &&
        now >= client->active + listener->limits.tcp_idle_timeout) {
        counter_inc(listener->counters, COUNTER_tcp_closed_idle);
        close_client(client);
        return;
    }
    if (client->in_flight == 0)
        next = MIN(next, MAX(client->active + listener->limits.tcp_idle_timeout, now + USEC_MSEC));
    if (client->partial_since != USEC_NEVER)
        next = MIN(next, client->partial_since + listener->limits.tcp_message_timeout);
    loop_arm(listener->loop, timer, next);
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
    const struct listener_limits *limits = &listener->limits;
    struct tcp_client *client = calloc(1, sizeof(*client));
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
    client->by_proxy = by_proxy;
    client->header = header;
    client->listener = listener;
    client->address = tcp->address;
    client->transport = tcp_listener_transport(tcp);
    client->active = now;
    client->partial_since = client->blocked_since = USEC_NEVER;
    client->client = (struct engine_client){
        .ops = &client_ops,
        .owner = client,
        .transport = tcp->tls ? ENGINE_TLS : ENGINE_TCP,
        .udp_max_size = (uint16_t)limits->udp_max_size,
        .keepalive = (uint16_t)MIN(limits->tcp_idle_timeout / (100 * USEC_MSEC), UINT16_MAX),
        .source = *peer,
        .peer = *peer,
        .local = {.family = AF_UNSPEC},
    };
    task_init(&client->resume, on_resume);
    wheel_timer_init(&client->timer, on_timer);
    list_init(&client->idle);
    list_append(&listener->clients, &client->node);
    list_append(&listener->idle, &client->idle);
    listener->client_count++;
    loop_arm(listener->loop, &client->timer,
             now + (tls ? limits->tls_handshake_timeout : first_look(listener)));
}

bool tcp_client_evict(struct listener *listener)
{
    if (list_empty(&listener->idle))
        return false;
    counter_inc(listener->counters, COUNTER_tcp_closed_evicted);
    close_client(list_first(&listener->idle, struct tcp_client, idle));
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
    if (is_closed(client))
        return;
    client->retiring = true;
    stream_pause(&client->stream, true);
    close_if_done(client);
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

void tcp_clients_retire_proxies(struct listener *listener, const struct address *address,
                                uint32_t transports, const struct listener_proxies *proxies)
{
    list_for_each(node, &listener->clients) {
        struct tcp_client *client = list_entry(node, struct tcp_client, node);

        if (came_by(client, address, transports) &&
            client->by_proxy != listener_is_proxy(proxies, &client->client.peer))
            retire(client);
    }
}
