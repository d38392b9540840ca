// The certificates of an encrypted listener: read at the start and at a reload, and again when
// their files have changed. Main thread only; the sessions of all workers see the newest.
#pragma once

#include "base/compiler.h"
#include "base/log.h"
#include "base/time.h"
#include "net/tls_server.h"

// How often the files are looked at.
#define CERTIFICATES_INTERVAL (2 * USEC_SEC)

struct certificates;

// Reads them. NULL with the reason in words.
NONNULL NODISCARD struct certificates *certificates_open(const struct tls_server_options *options,
                                                         enum tls_protocols protocols,
                                                         char reason[TLS_REASON_SIZE]);
void certificates_close(struct certificates *certificates);

// What workers make sessions with; lives as long as the certificates, unless referenced.
NONNULL struct tls_server *certificates_server(struct certificates *certificates);

// The name in the certificate that is shown, or is about to be: see tls_credentials_name().
NONNULL const char *certificates_name(const struct certificates *certificates);

// A reload: reads what is to be shown (E_TLS with the reason in words), and then shows it, or does
// not.
NONNULL NODISCARD int certificates_prepare(struct certificates *certificates,
                                           const struct tls_server_options *options,
                                           char reason[TLS_REASON_SIZE]);
NONNULL void certificates_commit(struct certificates *certificates);
NONNULL void certificates_abandon(struct certificates *certificates);

// Looks whether the files have changed. If they have, and are the same as the last time they were
// looked at, they are read: what is wrong with them is logged, and the old certificates stay.
// `where` is the listener, for the log.
NONNULL void certificates_look(struct certificates *certificates, const char *where,
                               struct log *log);

// When the first of those that are shown ends (wall clock).
NONNULL time_t certificates_expire(const struct certificates *certificates);

// Logs which certificate ends soon, or has ended; at most once a day.
NONNULL void certificates_warn(struct certificates *certificates, const char *where,
                               struct log *log);

// Logs which key can no longer be read, now that privileges are given up.
NONNULL void certificates_check_access(const struct certificates *certificates, const char *where,
                                       struct log *log);
