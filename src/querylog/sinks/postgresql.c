// Records into PostgreSQL, by COPY.
//
// Each batch is one transaction, so that it is there whole or not at all. If the connection is lost
// while it is being committed, nobody can tell us which; so the transaction also sets the number of
// the batch in our row of sotto.writers, and does nothing if that was done before. Whoever repeats
// a batch thus repeats its number, and what is doubtful becomes certain. The row goes where the
// data goes: into backups, and to a standby that takes over (pg_xact_status(), the other way to
// ask, would not). A transaction that the server has not yet given up holds the row, and the one
// that repeats it waits for its end.
//
// write() goes on where the last one, with the same entries, had to stop: a slow line makes it
// return often, not start again.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/error.h"
#include "base/random.h"
#include "base/reason.h"
#include "querylog/postgresql/connector.h"
#include "querylog/postgresql/rows.h"
#include "querylog/postgresql/schema.h"
#include "querylog/sink.h"

// What write() and tick() may take, apart from single statements that have limits of their own.
#define CALL_LIMIT (2 * USEC_SEC)

// What a batch may take from its first write() on. The server's own limit is the same.
#define BATCH_LIMIT (60 * USEC_SEC)

// Between attempts to connect: doubled from the first to the second, and up to half of it less,
// lest a fleet come back at the same moment.
#define BACKOFF_MIN USEC_SEC
#define BACKOFF_MAX (30 * USEC_SEC)

// How often old records are looked for.
#define RETENTION_INTERVAL (600 * USEC_SEC)

// When nothing comes, a lost connection is noticed so soon.
#define TICK_INTERVAL (5 * USEC_SEC)

// A day's partition is made so long before its first record may come.
#define AHEAD (USEC_SEC * 3600)

// Days whose partition is known to be there. A batch is of one, or at midnight two; a clock that is
// set may bring more.
#define DAYS_KNOWN 8

// Troubles that differ from the last one are told so often.
#define TELL_INTERVAL (60 * USEC_SEC)

#define AREA "querylog"

// What the connection does for the batch. In the order in which it happens.
enum phase {
    PHASE_IDLE,
    PHASE_BEGINNING, // asked for a transaction, its number and COPY
    PHASE_SENDING,   // the rows
    PHASE_COMMITTING,
};

struct sink {
    struct log *log;
    struct postgresql_target target;
    usec_t max_age;
    struct random random;
    char run[37];
    char *instance, *instance_literal; // printable; and quoted for SQL
    uint64_t batch;                    // the number of the one that is or will be written

    struct postgresql_connector *connector;
    PGconn *conn;
    usec_t backoff, retry_at;

    enum phase phase;
    bool pending;        // the last write() did not succeed
    bool written_before; // this batch
    bool half_done;      // the phase's result was good, its end is awaited
    usec_t batch_until;
    uint32_t days[DAYS_KNOWN]; // plus 1; 0: none
    unsigned days_next;
    uint64_t newest; // time of a record
    usec_t retention_at;

    bool failing, retention_failing;
    usec_t failing_since, told_at;
    struct postgresql_problem told;
};

// ---- What is told

static void tell_trouble(struct sink *sink, const struct postgresql_problem *problem,
                         const char *hint)
{
    usec_t now = postgresql_now();
    bool first = !sink->failing;

    if (first)
        sink->failing_since = now;
    sink->failing = true;
    // The password may have been mended, and now it is the database that does not exist.
    if (!first &&
        (strcmp(problem->text, sink->told.text) == 0 || now - sink->told_at < TELL_INTERVAL))
        return;
    sink->told = *problem;
    sink->told_at = now;
    log_warning(sink->log, AREA, "%s: %s%s; records wait, and are dropped beyond queue-size",
                sink->target.shown, problem->text, hint);
}

static void be_well(struct sink *sink)
{
    sink->backoff = BACKOFF_MIN;
    if (!sink->failing)
        return;
    sink->failing = false;
    log_info(sink->log, AREA, "%s: records are kept again, after %u s", sink->target.shown,
             (unsigned)((postgresql_now() - sink->failing_since) / USEC_SEC));
}

// By the server's code.
static const char *hint_of(const struct postgresql_problem *problem)
{
    static const struct {
        const char *sqlstate, *hint;
    } hints[] = {
        {"42501", "; grant this user CREATE on the database, or make a schema sotto that is his"},
        {"25006", "; it is a standby: name the primary, or all hosts with commas between"},
        {"53100", "; make room there"},
    };

    for (size_t i = 0; i < ARRAY_LEN(hints); i++)
        if (strcmp(hints[i].sqlstate, problem->sqlstate) == 0)
            return hints[i].hint;
    return "";
}

// ---- Connection

static void back_off(struct sink *sink)
{
    usec_t spread = sink->backoff / 2 * random_u16(&sink->random) / UINT16_MAX;

    sink->retry_at = postgresql_now() + sink->backoff - spread;
    sink->backoff = MIN(sink->backoff * 2, BACKOFF_MAX);
}

static void disconnect(struct sink *sink)
{
    PQfinish(sink->conn);
    sink->conn = NULL;
    sink->phase = PHASE_IDLE;
    memset(sink->days, 0, sizeof(sink->days)); // somebody may have dropped all
}

// Whatever went wrong, a new connection begins where all is known. That is cheap enough for what
// should not happen.
static void give_up(struct sink *sink, const struct postgresql_problem *problem)
{
    tell_trouble(sink, problem, hint_of(problem));
    disconnect(sink);
    back_off(sink);
}

static void tell_no_connection(struct sink *sink, const struct postgresql_connected *connected)
{
    char hint[QUERYLOG_PATH_SIZE + 80] = "";

    if (connected->wants_password)
        snprintf(hint, sizeof(hint), "; write it into a file, and name that as password-file");
    else if (connected->used_password && *sink->target.password_file)
        snprintf(hint, sizeof(hint), "; look at the user, and at the password in %s",
                 sink->target.password_file);
    else
        snprintf(hint, sizeof(hint), "%s", hint_of(&connected->problem));
    tell_trouble(sink, &connected->problem, hint);
}

// Whether there is a connection, or there is one before the deadline.
static bool is_connected(struct sink *sink, usec_t deadline)
{
    struct postgresql_connected connected;

    if (sink->conn)
        return true;
    if (!sink->connector) {
        if (postgresql_now() < sink->retry_at)
            return false;
        postgresql_target_refresh(&sink->target);
        sink->connector = postgresql_connector_start(&sink->target);
        if (!sink->connector) {
            back_off(sink);
            return false;
        }
    }
    if (!postgresql_connector_wait(sink->connector, deadline, &connected))
        return false;
    sink->connector = NULL;
    sink->conn = connected.conn;
    if (sink->conn)
        return true;
    tell_no_connection(sink, &connected);
    back_off(sink);
    return false;
}

// ---- A batch

static int add_day(struct sink *sink, uint32_t day, struct postgresql_problem *problem)
{
    for (unsigned i = 0; i < DAYS_KNOWN; i++)
        if (sink->days[i] == day + 1)
            return E_OK;
    if (postgresql_schema_add_day(sink->conn, day, problem) != E_OK)
        return E_SYSTEM;
    sink->days[sink->days_next++ % DAYS_KNOWN] = day + 1;
    return E_OK;
}

static int add_days(struct sink *sink, const struct querylog_entry *entries, size_t count,
                    struct postgresql_problem *problem)
{
    uint32_t last = UINT32_MAX;

    for (size_t i = 0; i < count; i++) {
        uint64_t time = MIN(entries[i].record.time, POSTGRESQL_TIME_MAX);
        uint32_t day = (uint32_t)(time / POSTGRESQL_DAY);

        sink->newest = time;
        if (day != last && add_day(sink, day, problem) != E_OK)
            return E_SYSTEM;
        last = day;
    }
    return E_OK;
}

static int begin(struct sink *sink, const struct querylog_entry *entries, size_t count,
                 struct postgresql_problem *problem)
{
    char sql[1600];

    if (add_days(sink, entries, count, problem) != E_OK)
        return E_SYSTEM;
    snprintf(sql, sizeof(sql),
             "BEGIN ISOLATION LEVEL READ COMMITTED;"
             "SELECT pg_advisory_xact_lock_shared(%d,"
             " ((last_value & 4294967295) - 2147483648)::integer) FROM sotto.queries_id;"
             "INSERT INTO sotto.writers (run, instance, batch) VALUES ('%s', %s, %" PRIu64 ")"
             " ON CONFLICT (run) DO UPDATE SET batch = excluded.batch, seen = now()"
             " WHERE writers.batch < excluded.batch RETURNING batch;"
             "COPY sotto.queries (" POSTGRESQL_COLUMNS ") FROM STDIN (FORMAT binary)",
             POSTGRESQL_LOCK_WRITING, sink->run, sink->instance_literal, sink->batch);
    sink->written_before = sink->half_done = false;
    sink->batch_until = postgresql_now() + BATCH_LIMIT;
    if (!PQsendQuery(sink->conn, sql)) {
        postgresql_problem_of(sink->conn, NULL, problem);
        return E_SYSTEM;
    }
    sink->phase = PHASE_BEGINNING;
    return E_OK;
}

// A result of the transaction's beginning.
static int take_beginning(struct sink *sink, PGresult *result, const struct querylog_entry *entries,
                          size_t count, struct postgresql_problem *problem)
{
    switch (PQresultStatus(result)) {
    case PGRES_COMMAND_OK:
        return E_OK;
    case PGRES_TUPLES_OK:
        if (strcmp(PQfname(result, 0), "batch") == 0 && PQntuples(result) == 0)
            sink->written_before = true;
        return E_OK;
    case PGRES_COPY_IN:
        if (sink->written_before) { // the way out of COPY is an error: a new connection is simpler
            disconnect(sink);
            return E_OK;
        }
        sink->phase = PHASE_SENDING;
        if (postgresql_rows_put(sink->conn, entries, count, sink->instance) == E_OK)
            return E_OK;
        postgresql_problem_of(sink->conn, NULL, problem);
        return E_SYSTEM;
    default:
        postgresql_problem_of(sink->conn, result, problem);
        return E_SYSTEM;
    }
}

// A result of COPY or COMMIT, or NULL at its end.
static int take_end(struct sink *sink, const PGresult *result, struct postgresql_problem *problem)
{
    bool copying = sink->phase == PHASE_SENDING;

    if (result) {
        sink->half_done = PQresultStatus(result) == PGRES_COMMAND_OK &&
                          (copying || strcmp(PQcmdStatus((PGresult *)result), "COMMIT") == 0);
        if (!sink->half_done)
            postgresql_problem_of(sink->conn, result, problem);
        return sink->half_done ? E_OK : E_SYSTEM;
    }
    if (!sink->half_done || (copying && !PQsendQuery(sink->conn, "COMMIT"))) {
        postgresql_problem_of(sink->conn, NULL, problem);
        return E_SYSTEM;
    }
    sink->half_done = false;
    sink->phase = copying ? PHASE_COMMITTING : PHASE_IDLE;
    return E_OK;
}

// Goes on with the batch. E_OK: done; E_AGAIN: not before the deadline; E_SYSTEM.
static int proceed(struct sink *sink, const struct querylog_entry *entries, size_t count,
                   usec_t deadline, struct postgresql_problem *problem)
{
    int rc = sink->phase == PHASE_IDLE ? begin(sink, entries, count, problem) : E_OK;

    while (rc == E_OK && sink->phase != PHASE_IDLE) {
        rc = postgresql_await(sink->conn, deadline);
        if (rc == E_AGAIN && postgresql_now() < sink->batch_until)
            return E_AGAIN;
        if (rc == E_AGAIN)
            postgresql_problem_say(problem, "a batch takes longer than %u s",
                                   (unsigned)(BATCH_LIMIT / USEC_SEC));
        else if (rc != E_OK)
            postgresql_problem_of(sink->conn, NULL, problem);
        if (rc != E_OK)
            return E_SYSTEM;
        PGresult *result = PQgetResult(sink->conn);
        if (sink->phase == PHASE_BEGINNING)
            rc = take_beginning(sink, result, entries, count, problem);
        else
            rc = take_end(sink, result, problem);
        PQclear(result);
    }
    return rc;
}

// Whether the server will never take this batch, whoever asks it: data exceptions. We send none
// that we know of; but better to lose a batch than all that come after.
static bool is_about_data(const struct postgresql_problem *problem)
{
    return strncmp(problem->sqlstate, "22", 2) == 0;
}

// ---- Retention

static void expire(struct sink *sink, usec_t deadline)
{
    struct postgresql_problem problem;
    bool more = true;
    int rc = E_OK;

    if (sink->newest % POSTGRESQL_DAY > POSTGRESQL_DAY - AHEAD)
        rc = add_day(sink, (uint32_t)(sink->newest / POSTGRESQL_DAY) + 1, &problem);
    if (postgresql_now() < sink->retention_at && rc == E_OK)
        return;
    sink->retention_at = postgresql_now() + RETENTION_INTERVAL;
    while (rc == E_OK && more && sink->max_age > 0) {
        if (postgresql_now() >= deadline) {
            sink->retention_at = 0; // goes on next time
            return;
        }
        rc = postgresql_schema_expire(sink->conn, sink->max_age, &more, &problem);
    }
    if (rc == E_OK) {
        sink->retention_failing = false;
        return;
    }
    // Somebody may have read for long: that is tried again, as all else is.
    if (!sink->retention_failing)
        log_warning(sink->log, AREA, "%s: old records could not be deleted: %s%s",
                    sink->target.shown, problem.text, hint_of(&problem));
    sink->retention_failing = true;
    disconnect(sink);
}

// ---- The interface

static void sink_free(struct sink *sink)
{
    postgresql_connector_abandon(sink->connector);
    PQfinish(sink->conn);
    postgresql_target_deinit(&sink->target);
    free(sink->instance);
    free(sink->instance_literal);
    free(sink);
}

static void make_run(char run[37])
{
    uint8_t octets[16];
    char *at = run;

    require(getrandom(octets, sizeof(octets), 0) == sizeof(octets));
    for (unsigned i = 0; i < sizeof(octets); i++)
        at += sprintf(at, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", octets[i]);
}

// In quotes, for SQL: without a connection, whose encoding we choose, there is nothing to PQescape
// by. Backslashes mean nothing there.
static char *quote(const char *text)
{
    char *quoted = malloc(2 * strlen(text) + 3), *to = quoted;

    if (!quoted)
        return NULL;
    *to++ = '\'';
    for (; *text; *to++ = *text++)
        if (*text == '\'')
            *to++ = '\'';
    *to++ = '\'';
    *to = '\0';
    return quoted;
}

static void *postgresql_open(const struct querylog_sink_setup *setup,
                             char reason[QUERYLOG_REASON_SIZE])
{
    struct sink *sink = calloc(1, sizeof(*sink));
    char instance[QUERYLOG_INSTANCE_SIZE];

    if (!sink) {
        reason_give(E_NOMEM, reason, QUERYLOG_REASON_SIZE, "%s", error_text(E_NOMEM));
        return NULL;
    }
    sink->log = setup->log;
    sink->max_age = setup->options->max_age;
    sink->backoff = BACKOFF_MIN;
    sink->batch = 1;
    random_init(&sink->random);
    make_run(sink->run);
    postgresql_text(instance, sizeof(instance), setup->instance, strlen(setup->instance));
    sink->instance = strdup(instance);
    sink->instance_literal = quote(instance);
    if (!sink->instance || !sink->instance_literal) {
        reason_give(E_NOMEM, reason, QUERYLOG_REASON_SIZE, "%s", error_text(E_NOMEM));
        sink_free(sink);
        return NULL;
    }
    if (postgresql_target_init(&sink->target, setup->options, reason) != E_OK) {
        sink_free(sink);
        return NULL;
    }
    if (postgresql_target_exposed(&sink->target))
        log_warning(sink->log, AREA,
                    "%s: nobody verifies who this server is: whoever gets in between can read and "
                    "change what is sent; write sslmode=verify-full into the URL (and "
                    "sslrootcert=FILE, if its authority is your own)",
                    sink->target.shown);
    return sink;
}

static int postgresql_write(void *arg, const struct querylog_entry *entries, size_t count)
{
    struct sink *sink = arg;
    usec_t deadline = postgresql_now() + CALL_LIMIT;
    struct postgresql_problem problem = {.text = ""};
    int rc;

    if (count == 0)
        return E_OK;
    sink->pending = true;
    if (!is_connected(sink, deadline))
        return E_AGAIN;
    rc = proceed(sink, entries, count, deadline, &problem);
    if (rc == E_AGAIN)
        return E_AGAIN;
    sink->pending = false;
    if (rc == E_OK) {
        sink->batch++;
        be_well(sink);
        if (sink->conn)
            expire(sink, deadline);
        return E_OK;
    }
    if (is_about_data(&problem)) {
        log_error(sink->log, AREA, "%s: the server refuses %zu records, which are lost: %s",
                  sink->target.shown, count, problem.text);
        sink->batch++;
        disconnect(sink);
        return E_SYSTEM;
    }
    sink->pending = true;
    give_up(sink, &problem);
    return E_AGAIN;
}

static void postgresql_tick(void *arg)
{
    struct sink *sink = arg;
    usec_t deadline = postgresql_now() + CALL_LIMIT;
    struct postgresql_problem problem;

    if (sink->phase != PHASE_IDLE)
        return; // write() comes back
    if (sink->conn && (PQconsumeInput(sink->conn) == 0 || PQstatus(sink->conn) != CONNECTION_OK)) {
        postgresql_problem_of(sink->conn, NULL, &problem);
        give_up(sink, &problem);
    }
    if (!is_connected(sink, deadline))
        return;
    if (!sink->pending) // a connection alone does not show that records can be kept
        be_well(sink);
    expire(sink, deadline);
}

static void postgresql_close(void *arg)
{
    sink_free(arg);
}

const struct querylog_sink_ops querylog_postgresql = {
    .scheme = "postgresql",
    .tick_interval = TICK_INTERVAL,
    .open = postgresql_open,
    .write = postgresql_write,
    .tick = postgresql_tick,
    .close = postgresql_close,
};
