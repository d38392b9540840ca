// Socket addresses: IPv4 and IPv6 with a port.
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/compiler.h"

struct address {
    union {
        sa_family_t family; // AF_INET, AF_INET6, or AF_UNSPEC for none
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    };
};

// "[", an IPv6 address, "%", a scope of up to 16, "]:65535" and the NUL.
#define ADDRESS_TEXT_MAX 80

// Reads "192.0.2.1", "192.0.2.1:53", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:53", scopes
// ("%eth0") included. E_INVALID if it is none of these.
NONNULL NODISCARD int address_parse(struct address *address, const char *text,
                                    uint16_t default_port);

// "192.0.2.1:53" or "[2001:db8::1]:53". Returns `text`.
NONNULL const char *address_to_text(const struct address *address, char text[ADDRESS_TEXT_MAX]);

// As address_to_text(), without brackets and port.
NONNULL const char *address_ip_to_text(const struct address *address, char text[ADDRESS_TEXT_MAX]);

NONNULL socklen_t address_size(const struct address *address);
NONNULL uint16_t address_port(const struct address *address);
NONNULL void address_set_port(struct address *address, uint16_t port);

// Same family, address, scope and port.
NONNULL bool address_equal(const struct address *a, const struct address *b);

// The octets of the IP address, in network order, and how many: 4 or 16, or 0 for AF_UNSPEC. An
// IPv4-mapped IPv6 address is the IPv4 address that it stands for. Part of `address`.
NONNULL const uint8_t *address_octets(const struct address *address, size_t *size);

// 0.0.0.0 or ::
NONNULL bool address_is_wildcard(const struct address *address);
