// A client's connection over TCP, plain or encrypted, whatever is spoken on it: how it begins and
// ends, who waits for whom and for how long. What is spoken is a tcp_protocol: DNS messages
// (tcp_messages.c) or HTTP (http.c).
#pragma once

#include "listener/internal.h"

struct tcp_protocol {
    size_t size; // of the structure that has struct tcp_client as its first member, named `client`
    enum engine_transport plain, encrypted;     // what the engine is told
    const struct engine_client_ops *client_ops; // with the structure as the owner

    // The structure is filled in but for what is the protocol's, which is zero.
    void (*init)(struct tcp_client *client, const struct tcp_listener *tcp);
    // Octets that came in. E_OK; E_MALFORMED, E_NOMEM: the connection is aborted.
    int (*received)(struct tcp_client *client, const uint8_t *bytes, size_t size);
    // At the end of a turn in which something was answered or sent: goes on with what waits.
    int (*resume)(struct tcp_client *client);
    // Something was read that is still to be handled.
    bool (*waiting)(const struct tcp_client *client);
    // More may be read.
    bool (*may_read)(const struct tcp_client *client);
    // Since when it is in the middle of a query; USEC_NEVER: it is not.
    usec_t (*partial_since)(const struct tcp_client *client);
    // Since when it has not taken an answer that it must allow to be sent; USEC_NEVER: all is sent,
    // or with the kernel. May be NULL.
    usec_t (*unsent_since)(const struct tcp_client *client);
    // The connection shall end: says so, if it can be said, and what is asked from now on is not
    // heard. May be NULL: it is just not read from any more.
    void (*retire)(struct tcp_client *client);
    // The connection is about to be closed: nothing is sent any more. May be NULL.
    void (*closed)(struct tcp_client *client);
    // Frees what the structure holds.
    void (*deinit)(struct tcp_client *client);
};

struct tcp_client {
    struct list node;      // in the listener's clients
    struct list idle;      // in the listener's idle ones, when nothing is in flight
    struct list idle_here; // and in those of its terms
    const struct tcp_protocol *protocol;
    struct listener *listener;
    struct listener_terms *terms;
    struct stream stream;
    struct proxy_header_reader *header; // while a PROXY header is awaited; else NULL
    struct task resume;                 // what waits is gone on with at the turn's end
    struct wheel_timer timer;
    struct engine_client client; // what the engine is told of it
    struct address address;      // the listening address that it came by
    uint32_t transport;          // one of enum listener_transports
    unsigned in_flight;
    bool encrypted;
    bool by_proxy;          // it had to begin with a PROXY header
    bool asked;             // something, once
    bool ended;             // the client sends no more
    bool retiring;          // and shall not be heard any more
    bool lingering;         // all is said; what still comes is thrown away
    bool released;          // the stream is gone; the memory goes with the last answer
    usec_t active;          // the last query or answer
    usec_t blocked_since;   // it does not read since then; USEC_NEVER: it does
    usec_t lingering_since; // if it is
};

static inline bool tcp_client_is_closed(const struct tcp_client *client)
{
    return client->stream.state == STREAM_CLOSED;
}

// A query is in flight: until tcp_client_answered() the structure stays.
NONNULL void tcp_client_asked(struct tcp_client *client);
// It is no more. False: the connection is closed, and the structure perhaps gone.
NONNULL bool tcp_client_answered(struct tcp_client *client);

// Has `resume` called at the end of this turn; after what was given to the stream meanwhile.
NONNULL void tcp_client_resume(struct tcp_client *client);

// Resets the connection.
NONNULL void tcp_client_abort(struct tcp_client *client, enum counter counter);

// All is said: sends what is pending and that no more follows. What the client still sends is
// thrown away, for a while, so that what was said is not lost by a reset.
NONNULL void tcp_client_linger(struct tcp_client *client);
