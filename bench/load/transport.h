// Clients' sockets: UDP, in batches, or TCP, pipelined. All are connected to one port of 127.0.0.1.
//
// Messages are queued, sent by a flush, and replies handed over while waiting for them. A failure
// that leaves nothing to measure ends the program with a message.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct transport;

struct transport_events {
    void (*received)(void *context, unsigned connection, const uint8_t *message, size_t size);
    // The server has closed it; it has been opened again, what was in flight gets no answer.
    void (*lost)(void *context, unsigned connection);
    void *context;
};

// `idle` further TCP connections are opened, and never used.
struct transport *transport_open(bool tcp, uint16_t port, unsigned connections, unsigned idle,
                                 struct transport_events events);

// Over TCP a message may be dropped when the server has stopped reading.
void transport_queue(struct transport *transport, unsigned connection, const uint8_t *message,
                     size_t size);
void transport_flush(struct transport *transport);

// Hands over what has come; if there is nothing, waits for it, at most so many nanoseconds.
void transport_wait(struct transport *transport, uint64_t at_most);
