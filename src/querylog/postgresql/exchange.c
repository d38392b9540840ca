#include "querylog/postgresql/exchange.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/error.h"

usec_t postgresql_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (usec_t)now.tv_sec * USEC_SEC + (usec_t)now.tv_nsec / 1000;
}

// ---- Problems

// libpq and the server write several lines, and "ERROR:  " before them.
static void copy_flat(char *to, size_t room, const char *text)
{
    size_t used = 0;

    for (; *text && used + 1 < room; text++) {
        if (*text == '\n')
            to[used++] = text[1] ? ';' : '\0';
        else if (*text != ' ' || used == 0 || (to[used - 1] != ' '))
            to[used++] = *text == '\t' ? ' ' : *text;
    }
    to[used] = '\0';
}

void postgresql_problem_of(const PGconn *conn, const PGresult *result,
                           struct postgresql_problem *problem)
{
    const char *code = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    const char *text = result ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : NULL;

    snprintf(problem->sqlstate, sizeof(problem->sqlstate), "%s", code ? code : "");
    if (!text || !*text)
        text = PQerrorMessage(conn);
    copy_flat(problem->text, sizeof(problem->text), *text ? text : "the connection is lost");
}

void postgresql_problem_say(struct postgresql_problem *problem, const char *format, ...)
{
    va_list args;

    *problem->sqlstate = '\0';
    va_start(args, format);
    vsnprintf(problem->text, sizeof(problem->text), format, args);
    va_end(args);
}

// ---- Waiting

int postgresql_await(PGconn *conn, usec_t deadline)
{
    for (;;) {
        int unsent = PQflush(conn);

        if (unsent < 0 || PQconsumeInput(conn) == 0)
            return E_CLOSED;
        if (unsent == 0 && !PQisBusy(conn))
            return E_OK;
        usec_t now = postgresql_now();
        if (now >= deadline)
            return E_AGAIN;
        struct pollfd fd = {
            .fd = PQsocket(conn),
            .events = (short)(POLLIN | (unsent ? POLLOUT : 0)),
        };
        if (fd.fd < 0)
            return E_CLOSED;
        if (poll(&fd, 1, (int)((deadline - now) / USEC_MSEC) + 1) < 0 && errno != EINTR)
            return E_CLOSED;
    }
}

PGresult *postgresql_run(PGconn *conn, const char *sql, usec_t limit,
                         struct postgresql_problem *problem)
{
    usec_t deadline = postgresql_now() + limit;
    PGresult *last = NULL;
    bool failed = false;

    if (!PQsendQuery(conn, sql)) {
        postgresql_problem_of(conn, NULL, problem);
        return NULL;
    }
    for (;;) {
        int rc = postgresql_await(conn, deadline);
        if (rc == E_AGAIN)
            postgresql_problem_say(problem, "no answer within %u s", (unsigned)(limit / USEC_SEC));
        else if (rc != E_OK && !failed)
            postgresql_problem_of(conn, NULL, problem);
        if (rc != E_OK)
            break;
        PGresult *result = PQgetResult(conn);
        if (!result && last && !failed)
            return last;
        if (!result)
            break;
        ExecStatusType status = PQresultStatus(result);
        if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && !failed) {
            postgresql_problem_of(conn, result, problem);
            failed = true;
        }
        PQclear(last);
        last = result;
    }
    PQclear(last);
    return NULL;
}

int postgresql_do(PGconn *conn, const char *sql, usec_t limit, struct postgresql_problem *problem)
{
    PGresult *result = postgresql_run(conn, sql, limit, problem);

    PQclear(result);
    return result ? E_OK : E_SYSTEM;
}
