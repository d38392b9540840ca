// TLS towards clients: certificates, and sessions made with them.
//
// `tls_credentials` are what was read from files at one time: immutable. A `tls_server` is what a
// listener shows: credentials that may be exchanged while it runs. Sessions keep those that they
// began with.
#pragma once

#include <time.h>

#include "net/tls.h"
#include "net/tls_options.h"

struct tls_credentials;
struct tls_server;

// Reads the files. NULL with the reason in words, and what to do. The options are copied as far as
// they matter.
NONNULL NODISCARD struct tls_credentials *tls_credentials_new(
    const struct tls_server_options *options, char reason[TLS_REASON_SIZE]);

// Any thread.
NONNULL struct tls_credentials *tls_credentials_ref(struct tls_credentials *credentials);
void tls_credentials_unref(struct tls_credentials *credentials);

// When the first of the certificates ends (wall clock).
NONNULL time_t tls_credentials_expire(const struct tls_credentials *credentials);

// The first name in the first certificate that is no pattern, or "" if it has none.
NONNULL const char *tls_credentials_name(const struct tls_credentials *credentials);

// References the credentials. NULL out of memory.
NONNULL NODISCARD struct tls_server *tls_server_new(struct tls_credentials *credentials,
                                                    enum tls_protocols protocols);

// Any thread.
NONNULL struct tls_server *tls_server_ref(struct tls_server *server);
void tls_server_unref(struct tls_server *server);

// Any thread: sessions that begin from now on use these credentials (referenced).
NONNULL void tls_server_renew(struct tls_server *server, struct tls_credentials *credentials);

// Any thread: a session with a client that connected; see tls_push_fn. NULL out of memory.
//
// It speaks TLS 1.3 and 1.2 and, where the client names protocols (ALPN), one of its own. It is
// resumed by tickets, which every worker's sessions understand: their key is the server's, and new
// ones are made of it as time goes on.
NONNULL NODISCARD struct tls *tls_server_session(struct tls_server *server, tls_push_fn *push,
                                                 void *owner);
