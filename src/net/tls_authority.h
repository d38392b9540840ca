// A private certificate authority, and the certificates of servers that it issues (RFC 5280). No
// files: PEM texts go in and out. Keys are ECDSA over P-256, which every client has, signatures
// SHA-256.
//
// The authority is a root that issues servers' certificates only (path length 0). It has no name
// constraints: they would stand for its life, and a new name or another IPv6 prefix of the network
// would take a new authority, to be trusted anew on every device.
#pragma once

#include <stddef.h>
#include <time.h>

#include "base/compiler.h"
#include "net/tls.h"
#include "net/tls_name.h"

struct tls_authority;

// A certificate and its private key (PKCS #8) as PEM, ending with a NUL.
struct tls_pair {
    char *certificate;
    char *key;
    time_t expires;
};

struct tls_issue_options {
    const struct tls_name *names; // its subject alternative names
    unsigned count;               // at least one
    time_t now;
    unsigned days; // it is valid for, but not beyond the authority's end
};

// A new one, with a new key, valid for `days`. NULL with the reason.
NONNULL NODISCARD struct tls_authority *tls_authority_new(const char *common_name, time_t now,
                                                          unsigned days,
                                                          char reason[TLS_REASON_SIZE]);

// From its certificate and key in PEM. NULL with the reason, which names neither file, if they
// cannot be read, do not belong together, or are not those of a root that may issue now.
NONNULL NODISCARD struct tls_authority *tls_authority_load(const char *certificate, const char *key,
                                                           time_t now,
                                                           char reason[TLS_REASON_SIZE]);
void tls_authority_free(struct tls_authority *authority);

// Its own certificate and key. The pair is the caller's, to be cleared. E_TLS with the reason.
NONNULL NODISCARD int tls_authority_export(const struct tls_authority *authority,
                                           struct tls_pair *pair, char reason[TLS_REASON_SIZE]);

// A new key with a certificate for a TLS server: only the leaf, since whoever trusts the authority
// has its certificate. Valid from a day ago, for clients whose clock is behind. The pair is the
// caller's, to be cleared. E_TLS with the reason.
NONNULL NODISCARD int tls_authority_issue(const struct tls_authority *authority,
                                          const struct tls_issue_options *options,
                                          struct tls_pair *pair, char reason[TLS_REASON_SIZE]);

// Wipes the key.
NONNULL void tls_pair_clear(struct tls_pair *pair);

// The one certificate in `pem`, which must be an authority's and valid now, as base64 of its DER
// form: the caller's, to be freed. NULL with the reason.
NONNULL NODISCARD char *tls_authority_to_base64(const char *pem, time_t now,
                                                char reason[TLS_REASON_SIZE]);
