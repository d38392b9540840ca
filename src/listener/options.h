// What can be configured about listeners; plain values, see upstream/options.h.
#pragma once

#include <stdint.h>

#include "base/address.h"
#include "base/time.h"

// An office router has a few dozen addresses; this is a bound, not a goal.
#define LISTENER_ADDRESSES_MAX 512

// Bits: dns:// is UDP and TCP.
enum listener_transports {
    LISTENER_UDP = 1,
    LISTENER_TCP = 2,
    LISTENER_DNS = LISTENER_UDP | LISTENER_TCP,
};

struct listener_address {
    struct address address;
    uint32_t transports; // enum listener_transports
};

struct listener_options {
    uint32_t address_count;
    struct listener_address addresses[LISTENER_ADDRESSES_MAX];

    uint32_t udp_max_size; // largest UDP reply, 512 to 4096

    usec_t tcp_idle_timeout;      // a client's connection without anything in flight
    usec_t tcp_message_timeout;   // from a message's first octet to its last
    uint32_t tcp_max_connections; // of one worker
    uint32_t tcp_max_in_flight;   // queries of one connection; it is not read from beyond
};
