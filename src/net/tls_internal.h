// Shared by src/net/tls*.c only.
#pragma once

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdatomic.h>

#include "net/tls_client.h"

// TLS 1.3 and 1.2 with forward secrecy and AEAD only; X25519 and AES-GCM first, since they cost
// least.
#define TLS_PRIORITY                                                                               \
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"                                                   \
    ":-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305"                                    \
    ":-KX-ALL:+ECDHE-ECDSA:+ECDHE-RSA:-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1"

#define TLS_AUTH_NAME_SIZE 256
#define TLS_PINS_MAX 8

struct tls_context {
    atomic_uint refs;
    gnutls_certificate_credentials_t credentials;
    gnutls_priority_t priority;
    uint8_t authorities[32]; // SHA-256 over the trusted certificates
    char auth_name[TLS_AUTH_NAME_SIZE];
    uint8_t pins[TLS_PINS_MAX][TLS_PIN_SIZE];
    unsigned pin_count;
    bool has_name;
    bool opportunistic;
};

struct tls_credentials;

extern const gnutls_datum_t tls_alpn_dot;

struct tls {
    gnutls_session_t session;
    struct tls_context *context;         // of a client
    struct address address;              // of a client: the server's
    struct tls_credentials *credentials; // of a server
    tls_push_fn *push;
    void *owner;
    const uint8_t *in;
    size_t in_left;
    bool in_eof;
    bool established;
    bool verified;
    bool ticket_taken;
    bool verify_failed;
    unsigned warnings;
    unsigned empties; // records without content since the last that had some
    time_t leaf_expires;
    enum handshake_failure failure;
    char reason[TLS_REASON_SIZE];
};

// GnuTLS's verify function: 0 to go on, else the handshake ends.
int tls_verify_peer(gnutls_session_t session);

// What clients' and servers' sessions have in common. NULL out of memory.
NODISCARD struct tls *tls_session_new(unsigned flags, gnutls_certificate_credentials_t credentials,
                                      gnutls_priority_t priority, tls_push_fn *push, void *owner);

// To a client whose handshake is done.
NONNULL void tls_server_send_ticket(struct tls *tls);
