// Numbers and names of the DNS parameters that we use or show (IANA registries; RFC 9499 for the
// terms). Each list is one X-macro: constant, number, text.
#pragma once

#include <stdint.h>

#define DNS_TYPE_LIST(X)                                                                           \
    X(A, 1)                                                                                        \
    X(NS, 2)                                                                                       \
    X(MD, 3)                                                                                       \
    X(MF, 4)                                                                                       \
    X(CNAME, 5)                                                                                    \
    X(SOA, 6)                                                                                      \
    X(MB, 7)                                                                                       \
    X(MG, 8)                                                                                       \
    X(MR, 9)                                                                                       \
    X(PTR, 12)                                                                                     \
    X(HINFO, 13)                                                                                   \
    X(MINFO, 14)                                                                                   \
    X(MX, 15)                                                                                      \
    X(TXT, 16)                                                                                     \
    X(RP, 17)                                                                                      \
    X(AFSDB, 18)                                                                                   \
    X(SIG, 24)                                                                                     \
    X(KEY, 25)                                                                                     \
    X(AAAA, 28)                                                                                    \
    X(LOC, 29)                                                                                     \
    X(SRV, 33)                                                                                     \
    X(NAPTR, 35)                                                                                   \
    X(KX, 36)                                                                                      \
    X(CERT, 37)                                                                                    \
    X(DNAME, 39)                                                                                   \
    X(OPT, 41)                                                                                     \
    X(DS, 43)                                                                                      \
    X(SSHFP, 44)                                                                                   \
    X(RRSIG, 46)                                                                                   \
    X(NSEC, 47)                                                                                    \
    X(DNSKEY, 48)                                                                                  \
    X(NSEC3, 50)                                                                                   \
    X(NSEC3PARAM, 51)                                                                              \
    X(TLSA, 52)                                                                                    \
    X(SMIMEA, 53)                                                                                  \
    X(CDS, 59)                                                                                     \
    X(CDNSKEY, 60)                                                                                 \
    X(OPENPGPKEY, 61)                                                                              \
    X(CSYNC, 62)                                                                                   \
    X(ZONEMD, 63)                                                                                  \
    X(SVCB, 64)                                                                                    \
    X(HTTPS, 65)                                                                                   \
    X(SPF, 99)                                                                                     \
    X(TKEY, 249)                                                                                   \
    X(TSIG, 250)                                                                                   \
    X(IXFR, 251)                                                                                   \
    X(AXFR, 252)                                                                                   \
    X(MAILB, 253)                                                                                  \
    X(MAILA, 254)                                                                                  \
    X(ANY, 255)                                                                                    \
    X(URI, 256)                                                                                    \
    X(CAA, 257)

#define DNS_CLASS_LIST(X)                                                                          \
    X(IN, 1)                                                                                       \
    X(CH, 3)                                                                                       \
    X(HS, 4)                                                                                       \
    X(NONE, 254)                                                                                   \
    X(ANY, 255)

#define DNS_RCODE_LIST(X)                                                                          \
    X(NOERROR, 0)                                                                                  \
    X(FORMERR, 1)                                                                                  \
    X(SERVFAIL, 2)                                                                                 \
    X(NXDOMAIN, 3)                                                                                 \
    X(NOTIMP, 4)                                                                                   \
    X(REFUSED, 5)                                                                                  \
    X(YXDOMAIN, 6)                                                                                 \
    X(YXRRSET, 7)                                                                                  \
    X(NXRRSET, 8)                                                                                  \
    X(NOTAUTH, 9)                                                                                  \
    X(NOTZONE, 10)                                                                                 \
    X(BADVERS, 16)                                                                                 \
    X(BADCOOKIE, 23)

// Extended DNS errors (RFC 8914 section 5.2, and what was registered since).
#define DNS_EDE_LIST(X)                                                                            \
    X(OTHER, 0, "Other Error")                                                                     \
    X(UNSUPPORTED_DNSKEY_ALGORITHM, 1, "Unsupported DNSKEY Algorithm")                             \
    X(UNSUPPORTED_DS_DIGEST_TYPE, 2, "Unsupported DS Digest Type")                                 \
    X(STALE_ANSWER, 3, "Stale Answer")                                                             \
    X(FORGED_ANSWER, 4, "Forged Answer")                                                           \
    X(DNSSEC_INDETERMINATE, 5, "DNSSEC Indeterminate")                                             \
    X(DNSSEC_BOGUS, 6, "DNSSEC Bogus")                                                             \
    X(SIGNATURE_EXPIRED, 7, "Signature Expired")                                                   \
    X(SIGNATURE_NOT_YET_VALID, 8, "Signature Not Yet Valid")                                       \
    X(DNSKEY_MISSING, 9, "DNSKEY Missing")                                                         \
    X(RRSIGS_MISSING, 10, "RRSIGs Missing")                                                        \
    X(NO_ZONE_KEY_BIT_SET, 11, "No Zone Key Bit Set")                                              \
    X(NSEC_MISSING, 12, "NSEC Missing")                                                            \
    X(CACHED_ERROR, 13, "Cached Error")                                                            \
    X(NOT_READY, 14, "Not Ready")                                                                  \
    X(BLOCKED, 15, "Blocked")                                                                      \
    X(CENSORED, 16, "Censored")                                                                    \
    X(FILTERED, 17, "Filtered")                                                                    \
    X(PROHIBITED, 18, "Prohibited")                                                                \
    X(STALE_NXDOMAIN_ANSWER, 19, "Stale NXDOMAIN Answer")                                          \
    X(NOT_AUTHORITATIVE, 20, "Not Authoritative")                                                  \
    X(NOT_SUPPORTED, 21, "Not Supported")                                                          \
    X(NO_REACHABLE_AUTHORITY, 22, "No Reachable Authority")                                        \
    X(NETWORK_ERROR, 23, "Network Error")                                                          \
    X(INVALID_DATA, 24, "Invalid Data")                                                            \
    X(SIGNATURE_EXPIRED_BEFORE_VALID, 25, "Signature Expired before Valid")                        \
    X(TOO_EARLY, 26, "Too Early")                                                                  \
    X(UNSUPPORTED_NSEC3_ITERATIONS, 27, "Unsupported NSEC3 Iterations Value")                      \
    X(UNABLE_TO_CONFORM_TO_POLICY, 28, "Unable to conform to policy")                              \
    X(SYNTHESIZED, 29, "Synthesized")                                                              \
    X(INVALID_QUERY_TYPE, 30, "Invalid Query Type")

enum dns_type {
#define X(name, number) DNS_TYPE_##name = number,
    DNS_TYPE_LIST(X)
#undef X
};

enum dns_class {
#define X(name, number) DNS_CLASS_##name = number,
    DNS_CLASS_LIST(X)
#undef X
};

enum dns_rcode {
#define X(name, number) DNS_RCODE_##name = number,
    DNS_RCODE_LIST(X)
#undef X
};

enum dns_ede {
#define X(name, number, text) DNS_EDE_##name = number,
    DNS_EDE_LIST(X)
#undef X
};

enum dns_opcode { DNS_OPCODE_QUERY = 0 };

// The name of a number, or NULL for one that is not listed.
const char *dns_type_name(uint16_t type);
const char *dns_class_name(uint16_t class);
const char *dns_rcode_name(uint16_t rcode);
const char *dns_ede_name(uint16_t code); // "Stale Answer"

// "TYPE65280", "CLASS65280" (RFC 3597) and "RCODE4095" need this much room.
#define DNS_NUMBER_TEXT_MAX 16

// The name, or the form with the number written to `text`.
const char *dns_type_text(uint16_t type, char text[DNS_NUMBER_TEXT_MAX]);
const char *dns_class_text(uint16_t class, char text[DNS_NUMBER_TEXT_MAX]);
const char *dns_rcode_text(uint16_t rcode, char text[DNS_NUMBER_TEXT_MAX]);
