// Records as COPY wants them: in PostgreSQL's binary format (its manual, COPY, "Binary Format"),
// since the server then has no texts to parse: that is most of its work otherwise.
#pragma once

#include <libpq-fe.h>

#include "base/compiler.h"
#include "querylog/record.h"

// The columns, in the order in which they are written.
#define POSTGRESQL_COLUMNS                                                                         \
    "time, client_key, latency, upstream_latency, type, class, message_id, flags, client_port,"    \
    " upstream_port, query_size, reply_size, rcode, ede, attempts, tls_version, outcome,"          \
    " transport, client, upstream_address, name, name_key, upstream, instance"

// The last point in time that is kept; later ones become it: 9999-12-31 UTC, in microseconds since
// 1970.
#define POSTGRESQL_TIME_MAX UINT64_C(253402300799999999)

// A text that any server takes: what is not printable UTF-8 becomes a question mark. Cut to `room`.
NONNULL void postgresql_text(char *to, size_t room, const char *text, size_t length);

// Hands all entries to a connection that is in COPY, and ends the data. `instance` as of
// postgresql_text(). E_OK; E_NOMEM; E_CLOSED.
NONNULL NODISCARD int postgresql_rows_put(PGconn *conn, const struct querylog_entry *entries,
                                          size_t count, const char *instance);
