#include "net/stream.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"

// What may wait for a peer that reads slowly, beyond the kernel's own buffers: some of the largest
// messages.
#define OUT_LIMIT ((size_t)1024 * 1024)

static void outbuf_release(struct outbuf *out, struct loop *loop)
{
    if (out->bytes && out->capacity == LOOP_BLOCK_SIZE)
        loop_block_give(loop, out->bytes);
    else
        free(out->bytes);
    *out = (struct outbuf){0};
}

// Makes room for `size` more octets.
static bool outbuf_make_room(struct outbuf *out, struct loop *loop, size_t size, size_t limit)
{
    if (out->capacity - out->end >= size && out->bytes)
        return true;
    if (!out->bytes && size <= LOOP_BLOCK_SIZE) {
        out->bytes = loop_block_take(loop);
        out->capacity = out->bytes ? LOOP_BLOCK_SIZE : 0;
        return out->bytes != NULL;
    }

    size_t used = out->end - out->start;
    size_t capacity = MAX(out->capacity, LOOP_BLOCK_SIZE);

    if (used + size > limit)
        return false;
    if (out->bytes && out->start > 0 && out->capacity - used >= size) {
        memmove(out->bytes, out->bytes + out->start, used);
    } else {
        while (capacity < used + size || capacity == LOOP_BLOCK_SIZE)
            capacity *= 2;

        uint8_t *bytes = malloc(capacity);

        if (!bytes)
            return false;
        if (out->bytes)
            memcpy(bytes, out->bytes + out->start, used);
        outbuf_release(out, loop);
        out->bytes = bytes;
        out->capacity = capacity;
    }
    out->start = 0;
    out->end = used;
    return true;
}

static bool outbuf_empty(const struct outbuf *out)
{
    return out->start == out->end;
}

static void on_watcher_closed(struct watcher *watcher)
{
    struct stream *stream = container_of(watcher, struct stream, watcher);

    stream->ops->released(stream);
}

static void release(struct stream *stream)
{
    stream->state = STREAM_CLOSED;
    if (list_linked(&stream->flush.node))
        list_remove(&stream->flush.node);
    outbuf_release(&stream->plain, stream->loop);
    outbuf_release(&stream->wire, stream->loop);
    tls_free(stream->tls);
    stream->tls = NULL;
    watcher_close(&stream->watcher, on_watcher_closed);
    close(stream->fd);
    stream->fd = -1;
}

static void fail(struct stream *stream, enum stream_phase phase, const char *reason)
{
    // The reason may be the session's, which must outlive the call.
    struct tls *tls = stream->tls;

    stream->tls = NULL;
    release(stream);
    stream->ops->failed(stream, phase, reason);
    tls_free(tls);
}

static void fail_errno(struct stream *stream, enum stream_phase phase, int error)
{
    fail(stream, phase, strerror(error));
}

static void update_interest(struct stream *stream)
{
    watcher_want(&stream->watcher, !stream->paused && !stream->ended,
                 stream->blocked || stream->state == STREAM_CONNECTING);
}

bool stream_tls_push(void *owner, const uint8_t *bytes, size_t size)
{
    struct stream *stream = owner;

    // Twice the limit of what is not yet encrypted: a record is little larger than its content.
    if (!outbuf_make_room(&stream->wire, stream->loop, size, 2 * stream->out_limit))
        return false;
    memcpy(stream->wire.bytes + stream->wire.end, bytes, size);
    stream->wire.end += size;
    loop_at_turn_end(stream->loop, &stream->flush);
    return true;
}

// Gives the kernel what it takes. E_OK, E_AGAIN when something is left, E_SYSTEM with errno.
static int send_wire(struct stream *stream)
{
    struct outbuf *wire = &stream->wire;

    while (!outbuf_empty(wire)) {
        ssize_t sent =
            send(stream->fd, wire->bytes + wire->start, wire->end - wire->start, MSG_NOSIGNAL);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return errno == EAGAIN ? E_AGAIN : E_SYSTEM;
        wire->start += (size_t)sent;
    }
    if (wire->bytes)
        outbuf_release(wire, stream->loop);
    return E_OK;
}

static int encrypt(struct stream *stream)
{
    struct outbuf *plain = &stream->plain;
    int err;

    if (!stream->tls || outbuf_empty(plain) || stream->state != STREAM_OPEN)
        return E_OK;
    err = tls_write(stream->tls, plain->bytes + plain->start, plain->end - plain->start);
    if (err == E_OK)
        outbuf_release(plain, stream->loop);
    return err;
}

// All else is with the kernel.
static void send_end(struct stream *stream)
{
    stream->finished = true;
    if (stream->tls)
        tls_close_notify(stream->tls);
    // It is a few octets: if there is no room for them, the end itself has to do.
    send_wire(stream);
    shutdown(stream->fd, SHUT_WR);
}

// Encrypts and sends. On failure the stream is closed and its owner told.
static void flush(struct stream *stream)
{
    bool was_blocked = stream->blocked;
    int err = E_OK;

    // While the kernel takes no more, plaintext stays plaintext.
    if (!outbuf_empty(&stream->wire))
        err = send_wire(stream);
    if (err == E_OK) {
        if (encrypt(stream) != E_OK) {
            fail(stream, PHASE_WRITE, tls_reason(stream->tls));
            return;
        }
        err = send_wire(stream);
    }
    if (err == E_SYSTEM) {
        fail_errno(stream, PHASE_WRITE, errno);
        return;
    }
    stream->blocked = err == E_AGAIN;
    if (stream->finishing && !stream->blocked && !stream->finished)
        send_end(stream);
    if (stream->blocked != was_blocked)
        update_interest(stream);
    // Who paused because of what was pending is told as well, though the kernel took it at once.
    if ((was_blocked || stream->paused) && !stream->blocked && stream->ops->drained)
        stream->ops->drained(stream);
}

static void on_flush(struct task *task)
{
    struct stream *stream = container_of(task, struct stream, flush);

    if (stream->state != STREAM_CONNECTING)
        flush(stream);
}

static void see_end(struct stream *stream)
{
    if (stream->ended)
        return;
    stream->ended = true;
    update_interest(stream);
    stream->ops->ended(stream);
}

// Goes on with the handshake; true when the stream is open and reading may go on.
static bool shake_hands(struct stream *stream)
{
    int err = tls_handshake(stream->tls);

    if (err == E_AGAIN)
        return false;
    if (err != E_OK) {
        stream->handshake = tls_failure(stream->tls);
        // The alert that says why is still to be sent.
        send_wire(stream);
        fail(stream, err == E_VERIFY ? PHASE_VERIFY : PHASE_HANDSHAKE, tls_reason(stream->tls));
        return false;
    }
    stream->state = STREAM_OPEN;
    stream->ops->opened(stream);
    return stream->state == STREAM_OPEN;
}

static void read_tls(struct stream *stream, const uint8_t *bytes, size_t size, bool eof)
{
    struct loop *loop = stream->loop;

    tls_feed(stream->tls, bytes, size, eof);
    if (stream->state == STREAM_HANDSHAKE && !shake_hands(stream))
        return;
    while (stream->state == STREAM_OPEN) {
        size_t got;
        int err = tls_read(stream->tls, loop->decrypted, LOOP_RECORD_SIZE, &got);

        if (err == E_OK) {
            stream->ops->received(stream, loop->decrypted, got);
            continue;
        }
        if (err == E_CLOSED)
            see_end(stream);
        else if (err != E_AGAIN)
            fail(stream, PHASE_READ, tls_reason(stream->tls));
        return;
    }
}

// The octets of the preamble that are among these; true when it is over and others are left.
static bool read_preamble(struct stream *stream, const uint8_t *bytes, size_t size, size_t *used)
{
    if (stream->ops->preamble(stream, bytes, size, used) != E_OK)
        return false;
    stream->state = stream->tls ? STREAM_HANDSHAKE : STREAM_OPEN;
    return *used < size;
}

// Whether what comes next may be a step of a client's handshake.
static bool is_shaking_hands(const struct stream *stream)
{
    return stream->accepted &&
           (stream->state == STREAM_HANDSHAKE || (stream->state == STREAM_PREAMBLE && stream->tls));
}

static void on_readable(struct stream *stream)
{
    const uint8_t *bytes = stream->loop->received;
    size_t used = 0;
    ssize_t got;

    // It stays readable: the loop comes back to it.
    if (is_shaking_hands(stream) && !loop_handshake_admit(stream->loop))
        return;
    do
        got = recv(stream->fd, stream->loop->received, LOOP_BLOCK_SIZE, 0);
    while (got < 0 && errno == EINTR);
    if (got < 0) {
        if (errno != EAGAIN)
            fail_errno(stream, stream->state == STREAM_HANDSHAKE ? PHASE_HANDSHAKE : PHASE_READ,
                       errno);
        return;
    }
    if (stream->state == STREAM_PREAMBLE && got > 0 &&
        !read_preamble(stream, bytes, (size_t)got, &used))
        return;
    if (stream->tls && stream->state != STREAM_PREAMBLE)
        read_tls(stream, bytes + used, (size_t)got - used, got == 0);
    else if (got == 0)
        see_end(stream);
    else
        stream->ops->received(stream, bytes + used, (size_t)got - used);
}

static void on_connected(struct stream *stream)
{
    int error = 0;
    socklen_t size = sizeof(error);

    if (getsockopt(stream->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
        error = errno;
    if (error != 0) {
        fail_errno(stream, PHASE_CONNECT, error);
        return;
    }
    stream->state = stream->tls ? STREAM_HANDSHAKE : STREAM_OPEN;
    update_interest(stream);
    if (stream->tls) {
        tls_feed(stream->tls, stream->loop->received, 0, false);
        shake_hands(stream);
    } else {
        stream->ops->opened(stream);
    }
}

static void on_ready(struct watcher *watcher, bool readable, bool writable)
{
    struct stream *stream = container_of(watcher, struct stream, watcher);

    if (stream->state == STREAM_CONNECTING) {
        on_connected(stream);
        return;
    }
    if (writable)
        flush(stream);
    if (readable && stream->state != STREAM_CLOSED && !stream->paused && !stream->ended)
        on_readable(stream);
}

static int start(struct stream *stream, struct loop *loop, const struct stream_ops *ops, int fd,
                 enum stream_state state)
{
    const int on = 1;

    *stream =
        (struct stream){.loop = loop, .ops = ops, .fd = fd, .state = state, .out_limit = OUT_LIMIT};
    task_init(&stream->flush, on_flush);
    if (watcher_init(&stream->watcher, loop, fd, on_ready) != E_OK)
        return E_SYSTEM;
    // We collect a turn's output ourselves.
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    update_interest(stream);
    return E_OK;
}

int stream_connect(struct stream *stream, struct loop *loop, const struct stream_ops *ops,
                   const struct address *address, usec_t user_timeout)
{
    int fd = socket(address->family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
    unsigned timeout = (unsigned)(user_timeout / USEC_MSEC);

    if (fd < 0)
        return E_SYSTEM;
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof(timeout));
    if ((connect(fd, &address->any, address_size(address)) == 0 || errno == EINPROGRESS) &&
        start(stream, loop, ops, fd, STREAM_CONNECTING) == E_OK)
        return E_OK;

    int error = errno;

    close(fd);
    errno = error;
    return E_SYSTEM;
}

void stream_set_tls(struct stream *stream, struct tls *tls)
{
    stream->tls = tls;
}

int stream_accept(struct stream *stream, struct loop *loop, const struct stream_ops *ops, int fd,
                  struct tls *tls)
{
    if (start(stream, loop, ops, fd, tls ? STREAM_HANDSHAKE : STREAM_OPEN) == E_OK) {
        stream->accepted = true;
        stream->tls = tls;
        return E_OK;
    }
    close(fd);
    tls_free(tls);
    return E_SYSTEM;
}

void stream_await_preamble(struct stream *stream)
{
    stream->state = STREAM_PREAMBLE;
}

uint8_t *stream_reserve(struct stream *stream, size_t size)
{
    struct outbuf *out = stream->tls ? &stream->plain : &stream->wire;

    if (stream->state == STREAM_CLOSED)
        return NULL;
    if (out->bytes && out->capacity - out->end < size && stream->state == STREAM_OPEN &&
        !stream->blocked) {
        flush(stream);
        if (stream->state == STREAM_CLOSED)
            return NULL;
    }
    if (!outbuf_make_room(out, stream->loop, size, stream->out_limit))
        return NULL;
    return out->bytes + out->end;
}

void stream_commit(struct stream *stream, size_t size)
{
    struct outbuf *out = stream->tls ? &stream->plain : &stream->wire;

    out->end += size;
    if (!stream->blocked)
        loop_at_turn_end(stream->loop, &stream->flush);
}

size_t stream_pending(const struct stream *stream)
{
    return stream->plain.end - stream->plain.start + stream->wire.end - stream->wire.start;
}

void stream_read_now(struct stream *stream)
{
    if (stream->state != STREAM_CLOSED && stream->state != STREAM_CONNECTING && !stream->paused &&
        !stream->ended)
        on_readable(stream);
}

void stream_finish(struct stream *stream)
{
    if (stream->state != STREAM_OPEN)
        return;
    stream->finishing = true;
    if (!stream->blocked)
        loop_at_turn_end(stream->loop, &stream->flush);
}

void stream_pause(struct stream *stream, bool paused)
{
    if (stream->state == STREAM_CLOSED || stream->paused == paused)
        return;
    stream->paused = paused;
    update_interest(stream);
}

void stream_close(struct stream *stream)
{
    if (stream->state == STREAM_CLOSED)
        return;
    if (stream->state == STREAM_OPEN && !stream->blocked && encrypt(stream) == E_OK) {
        if (stream->tls)
            tls_close_notify(stream->tls);
        send_wire(stream);
    }
    release(stream);
}

void stream_abort(struct stream *stream)
{
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};

    if (stream->state == STREAM_CLOSED)
        return;
    setsockopt(stream->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    release(stream);
}
