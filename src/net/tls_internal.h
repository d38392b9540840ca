// Shared by tls.c and tls_verify.c only.
#pragma once

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdatomic.h>

#include "net/tls.h"

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

struct tls {
    gnutls_session_t session;
    struct tls_context *context;
    struct address address;
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
    time_t leaf_expires;
    char reason[TLS_REASON_SIZE];
};

// GnuTLS's verify function: 0 to go on, else the handshake ends.
int tls_verify_peer(gnutls_session_t session);
