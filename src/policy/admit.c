#include "policy/admit.h"

#include "dns/tables.h"

uint16_t policy_admit(const struct dns_message *query)
{
    if (DNS_OPCODE(query->flags) != DNS_OPCODE_QUERY)
        return DNS_RCODE_NOTIMP;
    if (query->question_count != 1)
        return DNS_RCODE_FORMERR;
    if (query->has_opt && query->edns_version > 0)
        return DNS_RCODE_BADVERS;
    // Before the sections are looked at: IXFR has an SOA in the authority (RFC 1995 section 3).
    if (query->type == DNS_TYPE_AXFR || query->type == DNS_TYPE_IXFR)
        return DNS_RCODE_NOTIMP;
    if (query->count[DNS_ANSWER] != 0 || query->count[DNS_AUTHORITY] != 0)
        return DNS_RCODE_FORMERR;
    switch (query->type) {
    case DNS_TYPE_OPT:
    case DNS_TYPE_TKEY:
    case DNS_TYPE_TSIG:
    case DNS_TYPE_MAILA:
    case DNS_TYPE_MAILB:
        return DNS_RCODE_REFUSED;
    default:
        break;
    }
    if (query->class == DNS_CLASS_NONE || query->class == DNS_CLASS_ANY)
        return DNS_RCODE_REFUSED;
    return DNS_RCODE_NOERROR;
}
