// Which queries are answered at all. One rule for all transports.
#pragma once

#include <stdint.h>

#include "base/compiler.h"
#include "dns/message.h"

// The rcode with which a well-formed message is turned away, or DNS_RCODE_NOERROR to go on:
// - an opcode other than QUERY: NOTIMP;
// - AXFR and IXFR: NOTIMP, since a forwarder has no zones (RFC 5936, RFC 1995);
// - the other types that are none of data, from 249 to 254 (TKEY, TSIG, MAILB, MAILA), and OPT:
//   REFUSED; ANY is a question like any other;
// - the classes NONE and ANY (RFC 2136), which are for updates: REFUSED;
// - records in the answer or authority section, which no query has: FORMERR;
// - an EDNS version over 0: BADVERS (RFC 6891 section 6.1.3).
NONNULL uint16_t policy_admit(const struct dns_message *query);
