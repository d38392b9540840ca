// Listening sockets. Each worker has its own on the shared address (SO_REUSEPORT), and the kernel
// spreads the clients over them.
#pragma once

#include <stdbool.h>

#include "base/address.h"
#include "base/compiler.h"

// Opens a UDP socket bound to the address, ready to be read. On a wildcard address it tells which
// address was asked. `only_v6` keeps [::] from taking IPv4 too. Returns the descriptor, or E_SYSTEM
// with errno.
NONNULL NODISCARD int socket_open_udp(const struct address *address, bool only_v6);

// Opens a TCP socket that listens.
NONNULL NODISCARD int socket_open_tcp(const struct address *address, bool only_v6);

// The address that a socket is bound to: the kernel's choice where the port was 0. E_SYSTEM with
// errno.
NONNULL NODISCARD int socket_local_address(int fd, struct address *address);

// For a UDP socket that came from elsewhere (socket activation): what socket_open_udp() sets.
void socket_prepare_udp(int fd, const struct address *address);
