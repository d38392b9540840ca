// DNS messages on a connection, plain or with TLS (RFC 7858): many queries at once, each answered
// when its answer is there (RFC 7766, RFC 9210), within bounds on everything that the client
// controls.
#include <string.h>

#include "base/cursor.h"
#include "base/error.h"
#include "listener/tcp_client.h"
#include "net/frame.h"

struct messages_client {
    struct tcp_client client;
    struct frame_reader frames;
    bool waiting;         // messages were read that may not be handled yet
    usec_t partial_since; // a message is not whole since then; USEC_NEVER: none
};

static struct messages_client *of(const struct tcp_client *client)
{
    return container_of(client, struct messages_client, client);
}

static bool may_handle(const struct tcp_client *client)
{
    return client->in_flight < client->terms->limits.tcp_max_in_flight &&
           stream_pending(&client->stream) < STREAM_PENDING_ENOUGH;
}

static bool on_message(void *context, const uint8_t *message, size_t size)
{
    struct tcp_client *client = context;

    tcp_client_asked(client);
    engine_query(client->listener->engine, client->terms->policy, &client->client, message, size);
    return !tcp_client_is_closed(client) && may_handle(client);
}

// After messages were handled.
static int settle(struct messages_client *messages, int err)
{
    struct tcp_client *client = &messages->client;

    if (err != E_OK && err != E_AGAIN)
        return err;
    messages->waiting = err == E_AGAIN && frame_partial(&messages->frames);
    if (messages->waiting || !frame_partial(&messages->frames))
        messages->partial_since = USEC_NEVER;
    else if (messages->partial_since == USEC_NEVER)
        messages->partial_since = loop_now(client->listener->loop);
    return E_OK;
}

static void init(struct tcp_client *client, const struct tcp_listener *tcp)
{
    (void)tcp;
    of(client)->partial_since = USEC_NEVER;
}

static int received(struct tcp_client *client, const uint8_t *bytes, size_t size)
{
    struct messages_client *messages = of(client);

    return settle(messages, frame_feed(&messages->frames, bytes, size, on_message, client));
}

static int resume(struct tcp_client *client)
{
    struct messages_client *messages = of(client);

    if (!messages->waiting || !may_handle(client))
        return E_OK;
    return settle(messages, frame_resume(&messages->frames, on_message, client));
}

// False: the connection is closed.
static bool send_message(struct tcp_client *client, const uint8_t *message, size_t size)
{
    uint8_t *frame = stream_reserve(&client->stream, 2 + size);

    if (!frame) {
        // Too much that it does not read; or the connection broke just now.
        if (!tcp_client_is_closed(client))
            tcp_client_abort(client, COUNTER_tcp_closed_slow);
        return false;
    }
    put_u16(frame, (uint16_t)size);
    memcpy(frame + 2, message, size);
    stream_commit(&client->stream, 2 + size);
    return true;
}

static void on_answer(const struct engine_client *engine_client, const uint8_t *message,
                      size_t size)
{
    struct tcp_client *client = engine_client->owner;

    if (!tcp_client_answered(client))
        return;
    if (!message || send_message(client, message, size))
        tcp_client_resume(client);
}

static bool waiting(const struct tcp_client *client)
{
    return of(client)->waiting;
}

static bool may_read(const struct tcp_client *client)
{
    return !of(client)->waiting && !client->retiring && may_handle(client);
}

static usec_t partial_since(const struct tcp_client *client)
{
    return of(client)->partial_since;
}

static void deinit(struct tcp_client *client)
{
    frame_deinit(&of(client)->frames);
}

static const struct engine_client_ops client_ops = {.answer = on_answer};

const struct tcp_protocol tcp_messages = {
    .size = sizeof(struct messages_client),
    .plain = ENGINE_TCP,
    .encrypted = ENGINE_TLS,
    .client_ops = &client_ops,
    .init = init,
    .received = received,
    .resume = resume,
    .waiting = waiting,
    .may_read = may_read,
    .partial_since = partial_since,
    .deinit = deinit,
};
