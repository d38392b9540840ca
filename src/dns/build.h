// The messages that we originate: queries to an upstream, replies of our own, and an upstream's
// reply made ready for a client.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "dns/edns.h"
#include "dns/message.h"

// Writes a query: header (with `flags`, of which only RD, AD and CD are used), the wire question,
// and the OPT record. Returns its size, or 0 if `size` is too small.
NONNULL NODISCARD size_t dns_query_build(uint8_t *to, size_t size, uint16_t id, uint16_t flags,
                                         const uint8_t *question, size_t question_size,
                                         const struct dns_opt *opt);

// What a reply to a client must say besides its content.
struct dns_reply_to {
    uint16_t id;
    uint16_t flags;          // of the client's query: opcode, RD and CD are copied from it
    const uint8_t *question; // as the client wrote it, letter case included; NULL for none
    size_t question_size;
    const struct dns_opt *opt; // NULL: the client knows no EDNS
    size_t limit;              // most octets that the client takes: 512 to DNS_MESSAGE_MAX
    bool bound_ttls;           // those of an upstream's records, as follows
    uint32_t ttl_min, ttl_max;
};

// A reply of our own without records: header, question if there is one, OPT. `rcode` may exceed 15
// only if there is an OPT. Needs at most DNS_HEADER_SIZE + DNS_QUESTION_MAX + the OPT.
// Returns its size, or 0 if `size` or the limit is too small.
NONNULL NODISCARD size_t dns_reply_build_empty(uint8_t *to, size_t size,
                                               const struct dns_reply_to *reply, uint16_t rcode);

// The same with TC: the answer is to be had over TCP.
NONNULL NODISCARD size_t dns_reply_build_truncated(uint8_t *to, size_t size,
                                                   const struct dns_reply_to *reply);

// A record of our own, for dns_reply_build_local(). `owner` is a wire name, or NULL for the
// question's name.
struct dns_local_record {
    const uint8_t *owner;
    uint16_t type;
    uint16_t class;
    uint32_t ttl;
    const uint8_t *rdata;
    uint16_t rdata_size;
    enum dns_section section; // records must come in the order of sections
};

// A reply of our own with records; sets AA (we are the authority for what we answer locally).
// Without the records and with TC if they do not fit the limit. Returns as above.
NONNULL NODISCARD size_t dns_reply_build_local(uint8_t *to, size_t size,
                                               const struct dns_reply_to *reply, uint16_t rcode,
                                               const struct dns_local_record *records,
                                               size_t record_count);

// Makes an upstream's reply (parsed, its question equal to the client's but for letter case) into
// the reply for a client (EDNS is hop by hop, RFC 6891 section 6.1.1):
// - ID, opcode, RD and CD as the client sent them, QR and RA set, AA and TC as in `from`, Z clear,
//   AD only if `from` has it and `keep_ad`;
// - the question in the client's letter case (compressed names that point to it follow);
// - the upstream's OPT removed; ours added if the client knows EDNS. Records behind the upstream's
//   OPT, which nobody needs (RFC 2181 section 9), go with it, since names in them may be
//   compressed across it;
// - an extended rcode in our OPT, or SERVFAIL for a client without EDNS;
// - a TTL with the top bit set is 0 (RFC 2181 section 8); others come between the bounds, if there
//   are any, but a 0 stays;
// - if the whole is larger than the limit: header, question and OPT only, with TC
//   (RFC 2181 section 9).
// Returns its size, or 0 if `size` is too small, or if the questions differ in size.
NONNULL NODISCARD size_t dns_reply_build(uint8_t *to, size_t size, const struct dns_reply_to *reply,
                                         const struct dns_message *from, bool keep_ad);
