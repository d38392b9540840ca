// A TLS session, with a server or a client, as a transform of bytes: no socket, no event loop.
// GnuTLS stays inside tls*.c.
//
// Ciphertext goes in by tls_feed(), comes out through a push function. Who makes one: tls_client.h,
// tls_server.h.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

#define TLS_REASON_SIZE 256

struct tls;

// Takes ciphertext that is to be sent, in order. Returns false if there is no room, which ends the
// session.
typedef bool tls_push_fn(void *owner, const uint8_t *bytes, size_t size);

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

// Of a session that stands. The protocol that was agreed on by ALPN, "" if none was.
#define TLS_PROTOCOL_SIZE 16
NONNULL const char *tls_protocol(const struct tls *tls, char name[TLS_PROTOCOL_SIZE]);
NONNULL const char *tls_version(const struct tls *tls);
NONNULL uint8_t tls_version_number(const struct tls *tls); // 12, 13
NONNULL bool tls_resumed(const struct tls *tls);
NONNULL bool tls_verified(const struct tls *tls);
