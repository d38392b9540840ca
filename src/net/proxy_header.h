// The header of the PROXY protocol, version 2 (HAProxy's proxy-protocol.txt), that a load balancer
// puts before what it passes on, to say who really asked. Bytes in, addresses out; no I/O.
//
// What counts is the source. The transport that a header names is how the client reached the
// balancer, and says nothing of how the balancer reaches us. Of TLVs only the form is looked at;
// the optional checksum among them is not, since UDP, TCP and TLS have their own.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/compiler.h"

// Signature, version and command, family, length.
#define PROXY_HEADER_MIN 16

// Addresses and TLVs: with the 16 octets before them what fits one segment on any path (an MSS of
// 536 and some), which senders are asked to stay within. The largest addresses are of 216 octets.
#define PROXY_HEADER_PAYLOAD_MAX 536

#define PROXY_HEADER_MAX (PROXY_HEADER_MIN + PROXY_HEADER_PAYLOAD_MAX)

struct proxy_header {
    size_t size;           // in octets: what was passed on begins behind it
    bool proxied;          // false (LOCAL): the sender speaks for itself
    struct address source; // who asked, if proxied
};

// Reads the header that `bytes` begin with. E_OK; E_AGAIN: so far right, but not whole; E_MALFORMED
// as soon as no octets that may follow can make it one: another signature (version 1 has), version
// or command, a length over the bound, or with the command PROXY
// - a family without IP addresses (UNSPEC, UNIX), so that nobody could be told who asked, or a
//   combination that is not in the specification;
// - a length that does not hold the addresses, or TLVs that do not end where it does.
// The command LOCAL has its family and payload skipped, whatever they are.
NONNULL NODISCARD int proxy_header_parse(struct proxy_header *header, const uint8_t *bytes,
                                         size_t size);

// For a stream, on which it may come in pieces. Starts out as zeros.
struct proxy_header_reader {
    size_t size;
    uint8_t bytes[PROXY_HEADER_MAX];
};

// Takes the next octets, and says in `used` how many of them are the header's. E_OK: it is whole;
// else as proxy_header_parse(), with E_AGAIN all are used.
NONNULL NODISCARD int proxy_header_feed(struct proxy_header_reader *reader,
                                        struct proxy_header *header, const uint8_t *bytes,
                                        size_t size, size_t *used);
