// A stream connection, plain TCP or TLS over it, towards an upstream or from a client.
//
// Life: CONNECTING or PREAMBLE (if awaited), HANDSHAKE (with TLS), OPEN, then closed once: by
// stream_close(), or by the stream itself, which then calls `closed`. Its memory is its owner's,
// embedded, and is in use until `released` is called.
//
// Output of one turn is collected and sent at the turn's end (or when a block is full), through TLS
// in as few records as can be. Buffers are borrowed from the loop: an idle stream holds none. One
// thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/compiler.h"
#include "net/loop.h"
#include "net/tls.h"

enum stream_state {
    STREAM_CONNECTING,
    STREAM_PREAMBLE,
    STREAM_HANDSHAKE,
    STREAM_OPEN,
    STREAM_CLOSED,
};

// In which phase it ended, and why.
enum stream_phase { PHASE_CONNECT, PHASE_HANDSHAKE, PHASE_VERIFY, PHASE_READ, PHASE_WRITE };

struct stream;

struct stream_ops {
    // The stream is OPEN. Not called for an accepted plain connection, which is so from the start.
    void (*opened)(struct stream *stream);
    // Octets that came in before everything else, after stream_await_preamble(): says in `used` how
    // many of them are the preamble's. E_OK: the rest is the session; E_AGAIN: all are used, and
    // more of it must follow; else the call has closed the stream. May be NULL where none is
    // awaited.
    int (*preamble)(struct stream *stream, const uint8_t *bytes, size_t size, size_t *used);
    // Octets that came in; valid during the call, which may close the stream.
    void (*received)(struct stream *stream, const uint8_t *bytes, size_t size);
    // The peer will send no more (after a TLS close_notify too); it may still read.
    void (*ended)(struct stream *stream);
    // All output is with the kernel again, after it had not taken all, or while the stream is
    // paused. May be NULL.
    void (*drained)(struct stream *stream);
    // Something failed, `reason` says what in words (valid during the call). The stream is closed.
    void (*failed)(struct stream *stream, enum stream_phase phase, const char *reason);
    // The memory is free again; always the last call.
    void (*released)(struct stream *stream);
};

// A peer that has this much to read is given, and asked, no more until it has read some.
#define STREAM_PENDING_ENOUGH ((size_t)64 * 1024)

struct outbuf {
    uint8_t *bytes;
    size_t start, end, capacity;
};

struct stream {
    struct loop *loop;
    const struct stream_ops *ops;
    struct watcher watcher;
    struct task flush;
    struct tls *tls;
    int fd;
    enum stream_state state;
    bool accepted;
    bool paused;                      // the owner wants no more input
    bool ended;                       // the peer's end was seen
    bool blocked;                     // the kernel takes no more for now
    bool finishing;                   // we send no more than is pending
    bool finished;                    // and have sent our end behind it
    enum handshake_failure handshake; // why it failed, if it was in the handshake that it did
    size_t out_limit;
    struct outbuf plain; // with TLS: not yet encrypted
    struct outbuf wire;  // as the network sees it
};

// Begins to connect. With `tls` (owned from now on, also on failure) a TLS session follows.
// `user_timeout` bounds how long sent data may stay unacknowledged (TCP_USER_TIMEOUT). E_SYSTEM
// with errno if the attempt fails at once: nothing is called then and the memory is free.
NONNULL NODISCARD int stream_connect(struct stream *stream, struct loop *loop,
                                     const struct stream_ops *ops, const struct address *address,
                                     usec_t user_timeout);

// Before anything has happened: the session that is to be spoken. It must have been made with
// stream_tls_push and this stream as its owner, and belongs to the stream from now on.
NONNULL void stream_set_tls(struct stream *stream, struct tls *tls);
tls_push_fn stream_tls_push;

// Takes over an accepted connection, plain or (with `tls`, see stream_set_tls()) to be encrypted:
// then the handshake comes first. A worker does a few steps of such handshakes a turn, so that
// those who are connected are not kept waiting by those who come. E_SYSTEM if it cannot be watched;
// descriptor and session are then gone.
NODISCARD int stream_accept(struct stream *stream, struct loop *loop, const struct stream_ops *ops,
                            int fd, struct tls *tls);

// Before anything has come on an accepted connection: octets in the clear come first, for
// `preamble`. Only then the handshake begins, or the stream is OPEN.
NONNULL void stream_await_preamble(struct stream *stream);

// Room for `size` octets of output, or NULL when more than the stream's limit would wait, or out of
// memory. stream_commit() then says how much was written there.
NONNULL NODISCARD uint8_t *stream_reserve(struct stream *stream, size_t size);
NONNULL void stream_commit(struct stream *stream, size_t size);

// Octets that the peer has not yet taken.
NONNULL size_t stream_pending(const struct stream *stream);

// Reads once what has come by now, as if the loop had seen it.
NONNULL void stream_read_now(struct stream *stream);

// Sends what is pending, and then our end (with TLS close_notify before it): nothing may be sent
// after it, but the stream still reads.
NONNULL void stream_finish(struct stream *stream);

// Stops or goes on reading.
NONNULL void stream_pause(struct stream *stream, bool paused);

// Sends what is pending as far as the kernel takes it, with TLS close_notify, and closes. Neither
// `failed` nor anything but `released` is called afterwards. A closed stream stays closed.
NONNULL void stream_close(struct stream *stream);

// As stream_close(), but with a reset: the peer is told nothing and the kernel keeps nothing.
NONNULL void stream_abort(struct stream *stream);
