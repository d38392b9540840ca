// A view of a DNS message: where its parts are, with every bound checked.
//
// dns_message_parse() is the one gate for bytes from a peer: what it accepts may be walked without
// further checks. A view borrows the bytes and is valid as long as they are.
//
// Glossary (RFC 9499): *question*: name, type and class asked; *section*: answer, authority,
// additional; *OPT*: the EDNS pseudo record (RFC 6891).
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/cursor.h"

#define DNS_HEADER_SIZE 12
#define DNS_MESSAGE_MAX 65535

// Bits of the second 16-bit word of the header.
#define DNS_FLAG_QR 0x8000
#define DNS_FLAG_AA 0x0400
#define DNS_FLAG_TC 0x0200
#define DNS_FLAG_RD 0x0100
#define DNS_FLAG_RA 0x0080
#define DNS_FLAG_AD 0x0020
#define DNS_FLAG_CD 0x0010
#define DNS_OPCODE(flags) ((flags) >> 11 & 0xf)
#define DNS_RCODE(flags) ((flags)&0xf)

// A question in wire form: uncompressed name, type, class.
#define DNS_QUESTION_MAX (255 + 4)

enum dns_section { DNS_ANSWER, DNS_AUTHORITY, DNS_ADDITIONAL, DNS_SECTIONS };

struct dns_message {
    const uint8_t *wire;
    size_t size;
    uint16_t id;
    uint16_t flags;
    uint16_t question_count;
    uint16_t count[DNS_SECTIONS];

    // The question; all 0 unless question_count is 1. It starts at octet 12.
    size_t question_size; // name, type and class
    uint16_t type;
    uint16_t class;

    size_t section[DNS_SECTIONS]; // where each begins
    bool ttl_invalid;             // a record other than OPT has a TTL over 2^31 - 1
    size_t end;                   // behind the last record; 0 if parsing failed

    // The OPT record, if there is one.
    bool has_opt;
    size_t opt_start; // its owner name
    size_t opt_end;
    uint16_t opt_records_behind; // records of the additional section that follow it
    uint16_t udp_size;           // as sent, unclamped
    uint8_t extended_rcode;      // upper 8 bits of the 12-bit rcode
    uint8_t edns_version;
    bool dnssec_ok;
    const uint8_t *options;
    size_t options_size;
};

// Fills the view. On failure the view holds what was read before the fault: always the header
// fields unless E_SHORT, and the question if question_size is not 0. Returns
// E_SHORT      fewer than 12 octets;
// E_MALFORMED  a name, count or length that goes wrong, trailing octets, or a question whose
//              section count is other than 0 or 1 (the view then has question_size 0);
//              in a response also RDATA that is not what its type says, for the types of RFC 1035
//              that hold domain names; all other RDATA is opaque;
// E_BADEDNS    two OPT records, one outside the additional section, one whose owner is not the
//              single octet 0, or options that do not end where it does.
// Work is linear in `size`. A message that is no QUERY is read by the same rules; what another
// opcode's own form makes of them (DSO has no records, RFC 8490) is for the caller: the header
// fields are there to see.
NONNULL NODISCARD int dns_message_parse(struct dns_message *message, const uint8_t *wire,
                                        size_t size);

// The wire question: `question_size` octets.
static inline const uint8_t *dns_message_question(const struct dns_message *message)
{
    return message->wire + DNS_HEADER_SIZE;
}

// The whole rcode, with EDNS's upper bits.
static inline uint16_t dns_message_rcode(const struct dns_message *message)
{
    return (uint16_t)(message->extended_rcode << 4 | DNS_RCODE(message->flags));
}

// A record, as found by dns_record_next(). `owner` is the position of its owner name.
struct dns_record {
    size_t owner;
    uint16_t type;
    uint16_t class;
    uint32_t ttl;
    size_t ttl_pos;
    const uint8_t *rdata;
    uint16_t rdata_size;
};

// Where the names in a record's RDATA are that may be compressed (RFC 3597 section 4): `*pos` is
// that of the first, they follow each other. Returns how many there are.
NONNULL unsigned dns_record_names(const struct dns_message *message,
                                  const struct dns_record *record, size_t *pos);

// Steps over the record at `*pos` of a parsed message and returns true, or false at the end. The
// first `*pos` is message->section[...]; a record belongs to the section that it began in.
NONNULL bool dns_record_next(const struct dns_message *message, size_t *pos,
                             struct dns_record *record);
