// A collector at the other end of a socket.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include "base/address.h"
#include "base/compiler.h"
#include "base/time.h"
#include "querylog/sink.h"

struct dnstap_peer {
    union {
        struct sockaddr any;
        struct sockaddr_un local;
        struct address ip;
    };
    socklen_t size;
};

// Connects, and agrees that data frames may follow, until the deadline at the latest (see
// querylog_now()). Returns the descriptor, which does not block; or a negative code with why in
// words.
NONNULL NODISCARD int dnstap_peer_open(const struct dnstap_peer *peer, usec_t deadline,
                                       char reason[QUERYLOG_REASON_SIZE]);

// Waits until the descriptor is ready for POLLIN or POLLOUT. False: not before the deadline.
bool dnstap_peer_wait(int fd, short events, usec_t deadline);

// False: it has closed the connection, or says something where it should only listen.
bool dnstap_peer_listens(int fd);

// Says that no more will come, waits until it has been understood, and closes; until the deadline.
void dnstap_peer_close(int fd, usec_t deadline);
