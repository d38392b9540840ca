#include "querylog/postgresql/schema.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"

// Another instance may be in the middle of a migration of large tables.
#define PREPARE_LIMIT (600 * USEC_SEC)

// These are done by a thread that somebody waits for.
#define CHANGE_LIMIT (4 * USEC_SEC)

#define STRING_OF(x) #x
#define STRING(x) STRING_OF(x)
#define LOCK_TABLES                                                                                \
    "SELECT pg_advisory_xact_lock(" STRING(POSTGRESQL_LOCK) ", " STRING(POSTGRESQL_LOCK_TABLES) ");"

// What leads from each version to the next. What once was released is never changed: whoever has it
// gets what is new by a new one.
static const char *const migrations[] = {
    // 1. Names are kept as asked for, and as the key by which domains stand together. The order of
    // columns wastes no room. NULL: there is none.
    "CREATE TABLE sotto.writers ("
    " run uuid PRIMARY KEY,"
    " instance text NOT NULL,"
    " batch bigint NOT NULL,"
    " since timestamptz NOT NULL DEFAULT now(),"
    " seen timestamptz NOT NULL DEFAULT now()"
    ") WITH (fillfactor = 50);" // each batch changes its row
    "CREATE SEQUENCE sotto.queries_id;"
    "CREATE TABLE sotto.queries ("
    " id bigint NOT NULL DEFAULT nextval('sotto.queries_id'),"
    " time timestamptz NOT NULL,"
    " client_key bigint,"
    " latency integer NOT NULL,"
    " upstream_latency integer NOT NULL,"
    " type integer NOT NULL,"
    " class integer NOT NULL,"
    " message_id integer NOT NULL,"
    " flags integer NOT NULL,"
    " client_port integer NOT NULL,"
    " upstream_port integer NOT NULL,"
    " query_size integer NOT NULL,"
    " reply_size integer NOT NULL,"
    " rcode smallint NOT NULL,"
    " ede smallint,"
    " attempts smallint NOT NULL,"
    " tls_version smallint NOT NULL,"
    " outcome text COLLATE \"C\" NOT NULL,"
    " transport text COLLATE \"C\" NOT NULL,"
    " client inet,"
    " upstream_address inet,"
    " name text COLLATE \"C\" NOT NULL,"
    " name_key text COLLATE \"C\" NOT NULL,"
    " upstream text COLLATE \"C\","
    " instance text COLLATE \"C\" NOT NULL"
    ") PARTITION BY RANGE (time);"
    // For the planner, should somebody ANALYZE the whole: questions are about intervals and classes
    // of
    // these, not about each of their values, and it is to expect as many groups as there will be.
    "ALTER TABLE sotto.queries ALTER COLUMN time SET (n_distinct_inherited = 500),"
    " ALTER COLUMN latency SET (n_distinct_inherited = 500);"
    "CREATE INDEX queries_id_index ON sotto.queries (id);"
    "CREATE INDEX queries_time_index ON sotto.queries"
    " USING brin (time) WITH (pages_per_range = 32, autosummarize = on);"
    "CREATE INDEX queries_name_index ON sotto.queries (name_key);"
    "CREATE INDEX queries_client_index ON sotto.queries (client);",
};

_Static_assert(ARRAY_LEN(migrations) == POSTGRESQL_SCHEMA_VERSION, "a migration for each version");

// ---- Migration

// Whether sotto has such a table. Not to_regclass(): that believes what the session has seen
// before, and does not see what others made while it waited for a lock.
#define EXISTS(table)                                                                              \
    "EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"                 \
    " WHERE n.nspname = 'sotto' AND c.relname = '" table "')"

// -1: the problem. 0: there are no tables.
static int read_version(PGconn *conn, struct postgresql_problem *problem)
{
    PGresult *result =
        postgresql_run(conn, "SELECT NOT " EXISTS("schema_version"), PREPARE_LIMIT, problem);
    int version = -1;

    if (result && strcmp(PQgetvalue(result, 0, 0), "t") == 0)
        version = 0;
    PQclear(result);
    if (!result || version == 0)
        return version;
    result =
        postgresql_run(conn, "SELECT version FROM sotto.schema_version", PREPARE_LIMIT, problem);
    if (result)
        version = PQntuples(result) == 1 ? (int)strtol(PQgetvalue(result, 0, 0), NULL, 10) : 0;
    PQclear(result);
    return version;
}

static int judge_version(int version, struct postgresql_problem *problem)
{
    if (version < 0)
        return E_SYSTEM;
    if (version <= POSTGRESQL_SCHEMA_VERSION)
        return E_OK;
    postgresql_problem_say(problem,
                           "the tables there are of version %d, this program knows those up to %d: "
                           "a newer one has been here, run that",
                           version, POSTGRESQL_SCHEMA_VERSION);
    return E_INVALID;
}

// In a transaction, whose lock nobody else has.
static int migrate(PGconn *conn, struct postgresql_problem *problem)
{
    char sql[160];
    int version, rc;

    if (postgresql_do(conn, LOCK_TABLES, PREPARE_LIMIT, problem) != E_OK)
        return E_SYSTEM;
    version = read_version(conn, problem);
    if ((rc = judge_version(version, problem)) != E_OK)
        return rc;
    // The schema may be there already: made by who may, for who may not make one.
    if (version == 0 &&
        postgresql_do(
            conn,
            "DO $$BEGIN IF NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'sotto') THEN"
            " CREATE SCHEMA sotto; END IF; END$$;"
            "CREATE TABLE IF NOT EXISTS sotto.schema_version (version integer NOT NULL);"
            "INSERT INTO sotto.schema_version VALUES (0)",
            PREPARE_LIMIT, problem) != E_OK)
        return E_SYSTEM;
    for (; version < POSTGRESQL_SCHEMA_VERSION; version++)
        if (postgresql_do(conn, migrations[version], PREPARE_LIMIT, problem) != E_OK)
            return E_SYSTEM;
    snprintf(sql, sizeof(sql), "UPDATE sotto.schema_version SET version = %d; COMMIT",
             POSTGRESQL_SCHEMA_VERSION);
    return postgresql_do(conn, sql, PREPARE_LIMIT, problem);
}

int postgresql_schema_prepare(PGconn *conn, struct postgresql_problem *problem)
{
    int version = read_version(conn, problem);
    int rc = judge_version(version, problem);

    if (rc != E_OK || version == POSTGRESQL_SCHEMA_VERSION)
        return rc;
    // The connection's own time-outs are for small things.
    if (postgresql_do(conn,
                      "BEGIN; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0;"
                      "SET LOCAL client_min_messages = error",
                      CHANGE_LIMIT, problem) != E_OK)
        return E_SYSTEM;
    rc = migrate(conn, problem);
    if (rc != E_OK) {
        struct postgresql_problem later;

        if (postgresql_do(conn, "ROLLBACK", CHANGE_LIMIT, &later) != E_OK)
            return rc; // the caller closes the connection, which does it too
    }
    return rc;
}

// ---- Days

// "2026-01-31".
#define DATE_SIZE 24

static void write_date(char text[DATE_SIZE], uint32_t day)
{
    time_t seconds = (time_t)day * 86400;
    struct tm tm;

    gmtime_r(&seconds, &tm);
    strftime(text, DATE_SIZE, "%Y-%m-%d", &tm);
}

int postgresql_schema_add_day(PGconn *conn, uint32_t day, struct postgresql_problem *problem)
{
    char name[48], from[DATE_SIZE], to[DATE_SIZE], sql[1200];

    write_date(from, day);
    write_date(to, day + 1);
    snprintf(name, sizeof(name), "queries_%.4s%.2s%.2s", from, from + 5, from + 8);
    // Attached, not created in place, as that would wait for all who read, and have others wait.
    snprintf(sql, sizeof(sql),
             "DO $$BEGIN"
             " IF NOT " EXISTS(
                 "%s") " THEN"
                       "  PERFORM pg_advisory_xact_lock(%d, %d);"
                       "  IF NOT " EXISTS(
                           "%s") " THEN"
                                 "   CREATE TABLE sotto.%s (LIKE sotto.queries INCLUDING DEFAULTS);"
                                 "   ALTER TABLE sotto.queries ATTACH PARTITION sotto.%s"
                                 "    FOR VALUES FROM ('%s 00:00:00+00') TO ('%s 00:00:00+00');"
                                 "  END IF;"
                                 " END IF;"
                                 "END$$",
             name, POSTGRESQL_LOCK, POSTGRESQL_LOCK_TABLES, name, name, name, from, to);
    return postgresql_do(conn, sql, CHANGE_LIMIT, problem);
}

// ---- Retention

// Bounds the time that one step takes.
#define ROWS_A_STEP 20000

// The oldest day that is over, or else NULL. Bounds are read from names, which only we give.
#define OLDEST_DAY                                                                                 \
    "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"                    \
    " WHERE i.inhparent = 'sotto.queries'::regclass AND c.relname ~ '^queries_[0-9]{8}$'"

int postgresql_schema_expire(PGconn *conn, usec_t max_age, bool *more,
                             struct postgresql_problem *problem)
{
    char sql[1800];
    PGresult *result;
    bool by_rows = max_age < 2 * POSTGRESQL_DAY;
    uint64_t seconds = MIN(max_age / USEC_SEC, UINT64_C(100000000000));

    *more = false;
    // A day is dropped when its end is older. That waits for who reads, and others wait for it:
    // neither for long.
    snprintf(sql, sizeof(sql),
             "BEGIN; SET LOCAL lock_timeout = '1s';"
             "SELECT set_config('sotto.more', 'no', true);"
             "DO $$DECLARE"
             " cutoff timestamptz := now() - interval '%" PRIu64 " s';"
             " day text; done bigint := 0; "
             "BEGIN"
             " IF NOT pg_try_advisory_xact_lock(%d, %d) THEN RETURN; END IF;"
             " DELETE FROM sotto.writers WHERE seen < now() - interval '30 days';"
             " PERFORM pg_advisory_xact_lock(%d, %d);"
             " FOR day IN " OLDEST_DAY
             "  AND (to_date(right(c.relname, 8), 'YYYYMMDD') + 1)::timestamp AT TIME ZONE 'UTC'"
             "   <= cutoff ORDER BY 1 LIMIT 1"
             " LOOP"
             "  EXECUTE format('DROP TABLE sotto.%%I', day);"
             "  PERFORM set_config('sotto.more', 'yes', true);"
             "  RETURN;"
             " END LOOP;"
             " IF %s THEN"
             "  FOR day IN " OLDEST_DAY " ORDER BY 1 LIMIT 2"
             "  LOOP"
             "   EXECUTE format('DELETE FROM sotto.%%I WHERE ctid = ANY (ARRAY("
             "SELECT ctid FROM sotto.%%I WHERE time < $1 LIMIT %d))', day, day) USING cutoff;"
             "   GET DIAGNOSTICS done = ROW_COUNT;"
             "   IF done > 0 THEN PERFORM set_config('sotto.more', 'yes', true); RETURN; END IF;"
             "  END LOOP;"
             " END IF;"
             "END$$;"
             "SELECT current_setting('sotto.more')",
             seconds, POSTGRESQL_LOCK, POSTGRESQL_LOCK_RETENTION, POSTGRESQL_LOCK,
             POSTGRESQL_LOCK_TABLES, by_rows ? "true" : "false", ROWS_A_STEP);
    result = postgresql_run(conn, sql, CHANGE_LIMIT, problem);
    if (!result)
        return E_SYSTEM;
    *more = strcmp(PQgetvalue(result, 0, 0), "yes") == 0;
    PQclear(result);
    return postgresql_do(conn, "COMMIT", CHANGE_LIMIT, problem);
}
