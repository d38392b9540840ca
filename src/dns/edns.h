// EDNS options (RFC 6891 section 6.1.2): reading those of a parsed message, and what we put into an
// OPT record of our own.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/cursor.h"
#include "dns/message.h"

#define DNS_OPTION_COOKIE 10
#define DNS_COOKIE_CLIENT_SIZE 8
#define DNS_COOKIE_SIZE_MIN 16 // with a server cookie: RFC 7873 section 4
#define DNS_COOKIE_SIZE_MAX 40
#define DNS_OPTION_KEEPALIVE 11 // RFC 7828
#define DNS_OPTION_PADDING 12   // RFC 7830
#define DNS_OPTION_EDE 15       // RFC 8914

// The size of an OPT record without options.
#define DNS_OPT_SIZE 11

struct dns_option {
    uint16_t code;
    uint16_t size;
    const uint8_t *data;
};

// The next option; `*pos` starts at 0. False at the end.
NONNULL bool dns_option_next(const struct dns_message *message, size_t *pos,
                             struct dns_option *option);

// The first option of that code. False if there is none.
NONNULL bool dns_option_find(const struct dns_message *message, uint16_t code,
                             struct dns_option *option);

// Most extended errors passed on from one reply, and the most octets of each one's text.
#define DNS_EDE_PASSED 4
#define DNS_EDE_TEXT_MAX 255

// An OPT record to be written.
struct dns_opt {
    uint16_t udp_size;
    uint8_t extended_rcode;
    bool dnssec_ok;
    const uint8_t *cookie; // a client and a server cookie, or NULL
    size_t cookie_size;
    bool keepalive_ask;                 // an empty edns-tcp-keepalive, as a client sends it
    int keepalive;                      // as a server sends it, in units of 100 ms; negative: none
    int ede;                            // an extended error of our own; negative: none
    const char *ede_text;               // or NULL
    const struct dns_message *ede_from; // extended errors of this reply are passed on, or NULL
    size_t padding_block;               // pad the whole message to a multiple of this; 0: none
    size_t padding_exact; // with padding_block 0: the padding option has this size less 1; 0: none
    size_t padding_limit; // the padded message is not larger than this; 0: no such limit
};

// No options, no padding.
static inline struct dns_opt dns_opt_plain(uint16_t udp_size, bool dnssec_ok)
{
    return (struct dns_opt){
        .udp_size = udp_size, .dnssec_ok = dnssec_ok, .keepalive = -1, .ede = -1};
}

// Appends the record to the message that `w` has held from its beginning, padding last. Where
// padding does not fit into `padding_limit` (or the writer), as much is added as fits; an EDE whose
// text does not fit is sent without text. An option that does not fit is left out: the writer fails
// only if DNS_OPT_SIZE octets do not fit. Does not count the record in the header.
NONNULL void dns_opt_write(struct writer *w, const struct dns_opt *opt);
