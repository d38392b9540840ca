// What a certificate can be for: a DNS name or an IP address (RFC 5280 section 4.2.1.6, RFC 9525).
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "net/tls.h"

// 253 characters (RFC 1035 section 3.1, without the final dot) and the NUL; no address is longer.
#define TLS_NAME_SIZE 254

struct tls_name {
    char text[TLS_NAME_SIZE]; // a DNS name in lower case, or an address in its usual form
    uint8_t address[16];      // in network order
    size_t address_size;      // 4 or 16; 0: it is a DNS name
    bool wildcard;            // "*.home.arpa"
};

// Reads a host name of letters, digits, hyphens and underscores, perhaps with a final dot, which is
// dropped, or with "*" as its leftmost label; or an address of a machine, without scope or port.
// E_INVALID with the reason, which goes after the name and says what to write instead.
NONNULL NODISCARD int tls_name_parse(struct tls_name *name, const char *text,
                                     char reason[TLS_REASON_SIZE]);

// Whether both are the same name or address.
NONNULL bool tls_name_equal(const struct tls_name *a, const struct tls_name *b);
