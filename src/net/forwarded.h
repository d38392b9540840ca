// For whom an HTTP proxy asks, as it says in a header field: Forwarded (RFC 7239) or
// X-Forwarded-For. Text in, addresses out.
#pragma once

#include "base/address.h"
#include "net/http.h"

enum forwarded_kind {
    FORWARDED,       // for=192.0.2.1;by=…, for="[2001:db8::1]:4711"
    X_FORWARDED_FOR, // 192.0.2.1, 2001:db8::1
};

enum forwarded_node {
    FORWARDED_END,     // there are no more
    FORWARDED_ADDRESS, // a node with an address
    FORWARDED_UNKNOWN, // one without: unknown, _hidden, no for=, or not understood
};

// Takes the next element off the front of a field's value. With FORWARDED_ADDRESS `address` is the
// node's, with its port or 0; an IPv4-mapped address stays what it is. Otherwise it is left alone.
// Empty elements are skipped; behind FORWARDED_UNKNOWN further ones may follow. A quoted string
// without an end makes what is left one element that is FORWARDED_UNKNOWN. So is an address with a
// scope, an IPv6 address without brackets in FORWARDED, and a second for= in an element.
NONNULL NODISCARD enum forwarded_node forwarded_next(struct http_text *value,
                                                     enum forwarded_kind kind,
                                                     struct address *address);
