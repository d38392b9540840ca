// A UDP socket that is read and written in batches (recvmmsg, sendmmsg): replies of one turn go out
// together at its end, or when the batch is full. One thread.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/compiler.h"
#include "net/loop.h"

struct udp_socket;

struct udp_ops {
    // A datagram; the bytes and addresses are valid during the call. `local` is the address it was
    // sent to on a wildcard socket, else of the family AF_UNSPEC.
    void (*received)(struct udp_socket *socket, const struct address *peer,
                     const struct address *local, const uint8_t *bytes, size_t size);
    // Datagrams that could not be sent.
    void (*send_failed)(struct udp_socket *socket, unsigned count);
    // The memory is free again, after udp_close().
    void (*released)(struct udp_socket *socket);
};

struct udp_receiver;
struct udp_sender;

// Room to receive a batch in; the sockets of one loop share it. NULL out of memory.
NODISCARD struct udp_receiver *udp_receiver_new(void);
void udp_receiver_free(struct udp_receiver *receiver);

struct udp_socket {
    const struct udp_ops *ops;
    struct loop *loop;
    struct watcher watcher;
    struct task flush;
    struct udp_receiver *receiver;
    struct udp_sender *sender; // made when the first reply is sent
    size_t max_size;           // of a reply
    int fd;
    bool wildcard;
    bool blocked;
    bool stopped; // reads no more
};

// Takes over the descriptor, bound to `address`; on failure (E_SYSTEM) it is still the caller's.
// `max_size` is the largest reply that will be sent.
NONNULL NODISCARD int udp_open(struct udp_socket *socket, struct loop *loop,
                               const struct udp_ops *ops, struct udp_receiver *receiver, int fd,
                               const struct address *address, size_t max_size);

// Queues a reply of up to `max_size` octets, from `local` as it was received.
NONNULL void udp_send(struct udp_socket *socket, const struct address *peer,
                      const struct address *local, const uint8_t *bytes, size_t size);

// Takes what has come in until now, and reads no more; replies still go out.
NONNULL void udp_stop_reading(struct udp_socket *socket);

// Sends what is queued, and closes the descriptor.
NONNULL void udp_close(struct udp_socket *socket);
