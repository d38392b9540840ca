// Why a TLS handshake failed, on either side, as few words as there are things to be done about it.
#pragma once

#define HANDSHAKE_FAILURE_LIST(X)                                                                  \
    X(CLOSED, "closed")           /* the peer went away */                                         \
    X(ALERT, "alert")             /* the peer does not want us: a TLS alert */                     \
    X(NO_TLS, "no_tls")           /* what the peer speaks is no TLS */                             \
    X(CERTIFICATE, "certificate") /* we do not want the peer: its certificate was refused */       \
    X(TIMEOUT, "timeout")                                                                          \
    X(OTHER, "other")

enum handshake_failure {
#define X(name, text) HANDSHAKE_##name,
    HANDSHAKE_FAILURE_LIST(X)
#undef X
        HANDSHAKE_FAILURES,
};

const char *handshake_failure_name(unsigned failure);
