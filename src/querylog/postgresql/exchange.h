// Statements and their results, within a bounded time, on a connection that does not block.
#pragma once

#include <libpq-fe.h>

#include "base/compiler.h"
#include "base/time.h"

// What went wrong, in one line; with the server's code for it (its manual, appendix A), or "".
struct postgresql_problem {
    char sqlstate[6];
    char text[320];
};

// The monotonic clock.
usec_t postgresql_now(void);

// Sends what waits to be sent, and reads until the next result is there. E_OK; E_AGAIN: not until
// `deadline`, go on later; E_CLOSED: the connection is lost.
NONNULL NODISCARD int postgresql_await(PGconn *conn, usec_t deadline);

// The result of the last of these statements, to be freed with PQclear(). NULL with the problem if
// any of them failed, or took longer than `limit` altogether: what became of them is unknown then,
// and the connection is to be closed.
NONNULL NODISCARD PGresult *postgresql_run(PGconn *conn, const char *sql, usec_t limit,
                                           struct postgresql_problem *problem);
// For who needs no result.
NONNULL NODISCARD int postgresql_do(PGconn *conn, const char *sql, usec_t limit,
                                    struct postgresql_problem *problem);

// Writes the problem that a result tells, or the connection if that is NULL.
__attribute__((nonnull(1, 3))) void postgresql_problem_of(const PGconn *conn,
                                                          const PGresult *result,
                                                          struct postgresql_problem *problem);
// In words of ours.
PRINTF(2, 3)
NONNULL void postgresql_problem_say(struct postgresql_problem *problem, const char *format, ...);
