// TLS towards servers: who they must be, and sessions with them.
//
// A `tls_context` is what a server must prove and how: immutable, shared by all threads.
#pragma once

#include "base/address.h"
#include "net/tls.h"

#define TLS_PIN_SIZE 32

struct tls_context;
struct tls_ticket;

struct tls_client_options {
    const char *ca_file;   // PEM; "": the system's authorities
    const char *auth_name; // "": the certificate must have the server's IP address
    const uint8_t (*pins)[TLS_PIN_SIZE];
    unsigned pin_count;
    bool has_name;      // auth_name or the address must verify; false only where pins stand alone
    bool opportunistic; // go on, unverified, where verification fails
};

// Who a server must be (RFC 8310 section 6.2, RFC 7858 section 4.2):
// - with a name (or IP address): the chain must lead to an authority and be valid now, and the leaf
//   have that name among its subject alternative names (the common name is not looked at);
// - with pins and no name: the leaf's public key must be pinned;
// - with both: both must hold, and the pin may be of the leaf or of any certificate above it that
//   the signatures lead to.
//
// Returns NULL with the reason in words. The options are copied.
NONNULL NODISCARD struct tls_context *tls_context_new(const struct tls_client_options *options,
                                                      char reason[TLS_REASON_SIZE]);

// Any thread.
NONNULL struct tls_context *tls_context_ref(struct tls_context *context);
void tls_context_unref(struct tls_context *context);

// Whether both trust the same authorities' certificates: false when the file changed between.
NONNULL bool tls_context_same_authorities(const struct tls_context *a, const struct tls_context *b);

// A client session. `context` is referenced, `address` copied. A ticket is tried if given, and
// consumed. NULL if out of memory.
NODISCARD struct tls *tls_new(struct tls_context *context, const struct address *address,
                              struct tls_ticket *ticket, tls_push_fn *push, void *owner);

// The means to resume this session, once the server has sent them: the first call after that
// returns it and gives up ownership, every other call NULL.
NONNULL NODISCARD struct tls_ticket *tls_ticket_take(struct tls *tls);
void tls_ticket_free(struct tls_ticket *ticket);
