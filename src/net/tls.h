// TLS client sessions, as a transform of bytes: no socket, no event loop. GnuTLS stays inside
// tls*.c.
//
// A `tls_context` is what a server must prove and how: immutable, shared by all threads. A `tls` is
// one session: ciphertext goes in by tls_feed(), comes out through a push function.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/address.h"
#include "base/compiler.h"

#define TLS_PIN_SIZE 32
#define TLS_REASON_SIZE 256

struct tls_context;
struct tls;
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

// Takes ciphertext that is to be sent, in order. Returns false if there is no room, which ends the
// session.
typedef bool tls_push_fn(void *owner, const uint8_t *bytes, size_t size);

// A client session. `context` is referenced, `address` copied. A ticket is tried if given, and
// consumed. NULL if out of memory.
NODISCARD struct tls *tls_new(struct tls_context *context, const struct address *address,
                              struct tls_ticket *ticket, tls_push_fn *push, void *owner);
void tls_free(struct tls *tls);

// Lends ciphertext that was received; tls_handshake() and tls_read() use it up. It must stay valid
// until they return E_AGAIN. `eof` says that the peer has closed its side.
NONNULL void tls_feed(struct tls *tls, const uint8_t *bytes, size_t size, bool eof);

// E_OK when the session stands (and the peer is verified), E_AGAIN to be called after more was fed,
// E_VERIFY or E_TLS with tls_reason() when it failed, E_CLOSED at the peer's end.
NONNULL NODISCARD int tls_handshake(struct tls *tls);

// Decrypts: writes up to `size` octets and their number. E_OK, E_AGAIN when all that was fed is
// used up, E_CLOSED after the peer's close_notify or end, E_TLS.
NONNULL NODISCARD int tls_read(struct tls *tls, uint8_t *to, size_t size, size_t *got);

// Encrypts all of it into as few records as can be. E_OK or E_TLS.
NONNULL NODISCARD int tls_write(struct tls *tls, const uint8_t *bytes, size_t size);

// Sends close_notify.
NONNULL void tls_close_notify(struct tls *tls);

// What went wrong, in words.
NONNULL const char *tls_reason(const struct tls *tls);

// Of a session that stands. `tls_identity`: what was verified, or why it wasn't (opportunistic).
NONNULL const char *tls_version(const struct tls *tls);
NONNULL bool tls_resumed(const struct tls *tls);
NONNULL bool tls_verified(const struct tls *tls);

// The means to resume this session, once the server has sent them: the first call after that
// returns it and gives up ownership, every other call NULL.
NONNULL NODISCARD struct tls_ticket *tls_ticket_take(struct tls *tls);
void tls_ticket_free(struct tls_ticket *ticket);
