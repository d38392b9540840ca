// What can be configured about TLS towards clients; plain values, see upstream/options.h.
#pragma once

#include <stdint.h>

// As long a path as anybody keeps certificates under.
#define TLS_PATH_SIZE 256

// Certificates of one listener, told apart by the name that the client asks for (SNI).
#define TLS_CERTIFICATES_MAX 8

// What is spoken inside TLS, as clients may ask by ALPN.
enum tls_protocols {
    TLS_PROTOCOLS_DOT,  // dot (RFC 7858)
    TLS_PROTOCOLS_HTTP, // h2, http/1.1
};

struct tls_certificate_files {
    char cert[TLS_PATH_SIZE]; // PEM: the certificate, then what leads to its authority
    char key[TLS_PATH_SIZE];  // PEM; "": in the same file
};

struct tls_server_options {
    uint32_t certificate_count;
    struct tls_certificate_files certificates[TLS_CERTIFICATES_MAX];
    char client_ca_file[TLS_PATH_SIZE]; // "": clients need no certificate
};
