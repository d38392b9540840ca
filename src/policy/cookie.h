// DNS cookies, as a server (RFC 7873): who can show one that we made for its address does not forge
// that address. Made so that servers that share a secret know each other's (RFC 9018): version 1,
// the time, and SipHash-2-4 over both, the client's part and its address.
//
// Nobody is turned away for a bad one: it is as good as none.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/compiler.h"
#include "policy/options.h"

// The client's part, and ours behind it.
#define POLICY_COOKIE_SIZE 24

enum policy_cookie_state {
    POLICY_COOKIE_NONE,
    POLICY_COOKIE_MALFORMED, // of a length that no cookie has (RFC 7873 section 5.2.2)
    POLICY_COOKIE_NEW,       // the client has none of ours yet
    POLICY_COOKIE_BAD,       // forged, of somebody else or for somebody else, or too old
    POLICY_COOKIE_VALID,     // the client got it at the address that it asks from
};

struct policy_cookie {
    enum policy_cookie_state state;
    uint8_t reply[POLICY_COOKIE_SIZE]; // what the client is given, unless NONE or MALFORMED
};

// What the option's content says of the client. `now`: seconds of the wall clock.
NONNULL void policy_cookie_read(struct policy_cookie *cookie,
                                const struct policy_cookie_secrets *secrets,
                                const struct address *client, const uint8_t *content, size_t size,
                                uint32_t now);
