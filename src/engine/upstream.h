// What the engine asks of the upstreams: one answer to one question. src/upstream/ implements it;
// the engine knows no more of it than this.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/compiler.h"
#include "base/time.h"
#include "dns/message.h"
#include "dns/tables.h"

struct upstream_request;

// Whether another upstream might do better (RFC 9520 section 2), and a stale answer would:
// SERVFAIL, REFUSED, NOTIMP, FORMERR, BADVERS and other rcodes that no zone's content explains, or
// TC, which means nothing over a stream.
NONNULL static inline bool upstream_reply_is_failure(const struct dns_message *reply)
{
    uint16_t rcode = dns_message_rcode(reply);

    // YXDOMAIN comes with a DNAME that leads to a name too long (RFC 6672 section 2.2).
    return (reply->flags & DNS_FLAG_TC) ||
           (rcode != DNS_RCODE_NOERROR && rcode != DNS_RCODE_NXDOMAIN &&
            rcode != DNS_RCODE_YXDOMAIN);
}

// How an answer was had; for the query log.
struct upstream_via {
    const char *url;        // of the server that answered, as configured; NULL: none did
    struct address address; // and its address
    usec_t latency;         // from the query that was answered
    uint8_t attempts;       // queries sent, or tried to be
    uint8_t tls_version;    // 12, 13
    bool resumed;           // the TLS session
};

struct upstream_result {
    // The upstream's reply, checked to be one to this question, or NULL. Valid during the call.
    const struct dns_message *reply;
    // Without a reply: why, for the client (RFC 8914).
    enum dns_ede ede;
    const char *reason;
    bool timed_out; // nothing was wrong but that it took too long
    struct upstream_via via;
};

// Embedded in what the asker keeps about the question. The asker fills in the first part; all of it
// must stay as it is until `done` is called.
struct upstream_request {
    const uint8_t *question; // wire form, as it is to be sent
    size_t question_size;
    uint16_t flags; // RD, AD, CD
    bool dnssec_ok;
    // Called exactly once, perhaps before resolve() returns.
    void (*done)(struct upstream_request *request, const struct upstream_result *result);

    void *exchange; // the upstreams' own
};

struct upstream_ops {
    // Takes the request and sees to it that `done` is called within the configured time.
    void (*resolve)(void *upstreams, struct upstream_request *request);
};
