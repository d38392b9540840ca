#include "querylog/sqlite_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/reason.h"
#include "dns/tables.h"
#include "querylog/record.h"

#define SCHEME "sqlite://"

// How long one call waits for another connection that writes or holds a lock.
#define BUSY_MS 1000

// WAL pages from which on a commit also brings them into the file: 16 MiB, so that at 100,000
// records a second there is about one fsync a second.
#define CHECKPOINT_PAGES "4096"

// What a file is made with, before it has tables.
#define MAKE "PRAGMA auto_vacuum = INCREMENTAL"

// What each connection that writes needs. In WAL mode synchronous = NORMAL loses no more than the
// last commits when the power fails, and corrupts nothing. secure_delete, which Debian has on,
// would write all deleted rows once more. 16 MiB of cache hold the part of the index of names that
// is in use.
#define SET_UP                                                                                     \
    "PRAGMA synchronous = NORMAL;"                                                                 \
    "PRAGMA secure_delete = OFF;"                                                                  \
    "PRAGMA temp_store = MEMORY;"                                                                  \
    "PRAGMA cache_size = -4096;"                                                                   \
    "PRAGMA journal_size_limit = 67108864;"                                                        \
    "PRAGMA wal_autocheckpoint = " CHECKPOINT_PAGES

// Version 1. `name.name` is in lower case; `query.asked` is the name in the letters of the query
// where those are others.
#define TABLES_1                                                                                   \
    "CREATE TABLE name(id INTEGER PRIMARY KEY, name TEXT NOT NULL);"                               \
    "CREATE TABLE name_block(id INTEGER PRIMARY KEY, first INTEGER NOT NULL,"                      \
    " last INTEGER NOT NULL, words BLOB NOT NULL);"                                                \
    "CREATE TABLE client(id INTEGER PRIMARY KEY, client TEXT NOT NULL, key TEXT NOT NULL);"        \
    "CREATE TABLE client_block(id INTEGER PRIMARY KEY, first INTEGER NOT NULL,"                    \
    " last INTEGER NOT NULL, words BLOB NOT NULL);"                                                \
    "CREATE TABLE upstream(id INTEGER PRIMARY KEY, url TEXT NOT NULL, address TEXT NOT NULL,"      \
    " UNIQUE(url, address));"                                                                      \
    "CREATE TABLE query(id INTEGER PRIMARY KEY, time INTEGER NOT NULL, name INTEGER, asked TEXT,"  \
    " client INTEGER, client_port INTEGER, type INTEGER, class INTEGER, transport INTEGER,"        \
    " outcome INTEGER, rcode INTEGER, ede INTEGER, flags INTEGER, latency INTEGER,"                \
    " upstream INTEGER, upstream_latency INTEGER, attempts INTEGER, tls_version INTEGER,"          \
    " query_size INTEGER, reply_size INTEGER, message_id INTEGER);"                                \
    "CREATE TABLE block(id INTEGER PRIMARY KEY, base INTEGER NOT NULL, first INTEGER NOT NULL,"    \
    " last INTEGER NOT NULL, oldest INTEGER NOT NULL, newest INTEGER NOT NULL,"                    \
    " slowest INTEGER NOT NULL, kinds INTEGER NOT NULL, names_from INTEGER NOT NULL,"              \
    " clients_from INTEGER NOT NULL);"                                                             \
    "CREATE TABLE block_column(id INTEGER PRIMARY KEY, data BLOB NOT NULL);"                       \
    "CREATE TABLE counter(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"

// Version 2 has the view, which is made anew for every version: it has the words of its time.
static const char *const migrations[SQLITE_FILE_VERSION] = {TABLES_1, ""};

int sqlite_file_path(const char *url, char path[QUERYLOG_URL_SIZE],
                     char reason[SQLITE_FILE_REASON_SIZE])
{
    const char *rest = url + strlen(SCHEME);

    if (strncmp(url, SCHEME, strlen(SCHEME)) != 0 || *rest != '/' || rest[1] == '\0' ||
        strlen(rest) >= QUERYLOG_URL_SIZE)
        return reason_give(E_INVALID, reason, SQLITE_FILE_REASON_SIZE,
                           "%.200s: write sqlite:///PATH with an absolute path, as in "
                           "sqlite:///var/lib/sotto/queries.db",
                           url);
    memcpy(path, rest, strlen(rest) + 1);
    return E_OK;
}

int sqlite_file_error(int code)
{
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return E_OK;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return E_MALFORMED;
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_TOOBIG:
    case SQLITE_RANGE:
        return E_SYSTEM;
    default:
        return E_AGAIN;
    }
}

int sqlite_file_run(sqlite3 *db, const char *sql, int64_t *value)
{
    int code = SQLITE_OK;

    while (code == SQLITE_OK && *sql) {
        sqlite3_stmt *statement;

        code = sqlite3_prepare_v2(db, sql, -1, &statement, &sql);
        if (code != SQLITE_OK || !statement)
            break;
        while (sqlite3_step(statement) == SQLITE_ROW)
            if (value)
                *value = sqlite3_column_int64(statement, 0);
        code = sqlite3_finalize(statement);
    }
    return code;
}

// ", CASE q.COLUMN WHEN 0 THEN 'udp' … ELSE q.COLUMN END COLUMN"
static void print_case(FILE *out, const char *column, unsigned count, const char *(*name)(unsigned))
{
    fprintf(out, ", CASE q.%s", column);
    for (unsigned i = 0; i < count; i++) {
        const char *text = name(i);

        if (text)
            fprintf(out, " WHEN %u THEN '%s'", i, text);
    }
    fprintf(out, " ELSE q.%s END AS %s", column, column);
}

static const char *type_name(unsigned type)
{
    return dns_type_name((uint16_t)type);
}

static const char *rcode_name(unsigned rcode)
{
    return dns_rcode_name((uint16_t)rcode);
}

static int make_view(sqlite3 *db)
{
    char *sql = NULL;
    size_t size;
    FILE *out = open_memstream(&sql, &size);
    int code;

    if (!out)
        return SQLITE_NOMEM;
    fputs("DROP VIEW IF EXISTS log; CREATE VIEW log AS SELECT q.id AS id,"
          " strftime('%Y-%m-%dT%H:%M:%fZ', q.time / 1000000.0, 'unixepoch') AS time,"
          " c.client AS client, q.client_port AS client_port, coalesce(q.asked, n.name) AS name",
          out);
    print_case(out, "type", UINT16_MAX + 1, type_name);
    print_case(out, "transport", QUERYLOG_TRANSPORTS, querylog_transport_name);
    print_case(out, "outcome", QUERYLOG_OUTCOMES, querylog_outcome_name);
    print_case(out, "rcode", 0x1000, rcode_name);
    fputs(", q.ede AS ede, q.latency / 1000.0 AS latency_ms, u.url AS upstream,"
          " u.address AS upstream_address, q.upstream_latency / 1000.0 AS upstream_latency_ms,"
          " q.attempts AS attempts, q.query_size AS query_size, q.reply_size AS reply_size"
          " FROM query q LEFT JOIN name n ON n.id = q.name LEFT JOIN client c ON c.id = q.client"
          " LEFT JOIN upstream u ON u.id = q.upstream;",
          out);
    if (fclose(out) != 0)
        return SQLITE_NOMEM;
    code = sqlite_file_run(db, sql, NULL);
    free(sql);
    return code;
}

// Within a transaction.
static int migrate(sqlite3 *db, int64_t version)
{
    char sql[96];
    int code = SQLITE_OK;

    for (int64_t i = version; i < SQLITE_FILE_VERSION && code == SQLITE_OK; i++)
        code = sqlite_file_run(db, migrations[i], NULL);
    if (code == SQLITE_OK)
        code = make_view(db);
    snprintf(sql, sizeof(sql), "PRAGMA application_id = %d; PRAGMA user_version = %d",
             SQLITE_FILE_APPLICATION, SQLITE_FILE_VERSION);
    return code == SQLITE_OK ? sqlite_file_run(db, sql, NULL) : code;
}

// Whose it is, and of which version. E_OK, E_INVALID, or an error of reading. `*version` is 0 of an
// empty one.
static int identify(sqlite3 *db, const char *path, int64_t *version, char *reason)
{
    int64_t application = 0, tables = 0;
    int code = sqlite_file_run(db, "PRAGMA application_id", &application);

    if (code == SQLITE_OK)
        code = sqlite_file_run(db, "PRAGMA user_version", version);
    if (code == SQLITE_OK)
        code = sqlite_file_run(db, "SELECT count(*) FROM sqlite_master", &tables);
    if (code == SQLITE_NOTADB)
        return reason_give(E_INVALID, reason, SQLITE_FILE_REASON_SIZE,
                           "%.200s: not an SQLite database: give another path, or move it away",
                           path);
    if (code != SQLITE_OK && (code != SQLITE_CORRUPT || application == SQLITE_FILE_APPLICATION))
        return reason_give(sqlite_file_error(code), reason, SQLITE_FILE_REASON_SIZE,
                           "%.200s: %.100s", path, sqlite3_errmsg(db));
    if (code != SQLITE_OK ||
        (application != SQLITE_FILE_APPLICATION && (application != 0 || tables != 0)))
        return reason_give(E_INVALID, reason, SQLITE_FILE_REASON_SIZE,
                           "%.200s: the database of another program: give another path", path);
    if (*version > SQLITE_FILE_VERSION)
        return reason_give(E_INVALID, reason, SQLITE_FILE_REASON_SIZE,
                           "%.200s: made by a later version of sotto (tables %lld, this one knows "
                           "%d): give another path, or move it away",
                           path, (long long)*version, SQLITE_FILE_VERSION);
    return E_OK;
}

// Makes the file if there is none. E_AGAIN with the reason.
static int make_file(const char *path, char *reason)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0 && errno == EEXIST)
        return E_OK;
    if (fd < 0)
        return reason_give(E_AGAIN, reason, SQLITE_FILE_REASON_SIZE, "%.200s: cannot be made: %s%s",
                           path, strerror(errno),
                           errno == ENOENT ? " (its folder must be there)" : "");
    close(fd);
    return E_OK;
}

static int set_up(sqlite3 *db, const char *path, char *reason)
{
    int64_t version = 0;
    int error, code;

    sqlite3_extended_result_codes(db, 1);
    sqlite3_busy_timeout(db, BUSY_MS);
    error = identify(db, path, &version, reason);
    if (error != E_OK)
        return error;
    if (sqlite3_db_readonly(db, "main"))
        return reason_give(E_AGAIN, reason, SQLITE_FILE_REASON_SIZE,
                           "%.200s: may not be written: change its owner or mode", path);
    code = version == 0 ? sqlite_file_run(db, MAKE, NULL) : SQLITE_OK;
    if (code == SQLITE_OK)
        code = sqlite_file_run(db, "PRAGMA journal_mode = WAL; " SET_UP, NULL);
    if (code == SQLITE_OK && version < SQLITE_FILE_VERSION) {
        code = sqlite_file_run(db, "BEGIN IMMEDIATE; PRAGMA user_version", &version);
        if (code == SQLITE_OK)
            code = migrate(db, version);
        if (code == SQLITE_OK)
            code = sqlite_file_run(db, "COMMIT", NULL);
    }
    if (code != SQLITE_OK)
        return reason_give(sqlite_file_error(code), reason, SQLITE_FILE_REASON_SIZE,
                           "%.200s: %.100s", path, sqlite3_errmsg(db));
    return E_OK;
}

int sqlite_file_open(sqlite3 **db, const char *path, char reason[SQLITE_FILE_REASON_SIZE])
{
    int code, error = make_file(path, reason);

    *db = NULL;
    if (error != E_OK)
        return error;
    code = sqlite3_open_v2(path, db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (code == SQLITE_OK)
        error = set_up(*db, path, reason);
    else
        error =
            reason_give(sqlite_file_error(code), reason, SQLITE_FILE_REASON_SIZE, "%.200s: %.100s",
                        path, *db ? sqlite3_errmsg(*db) : sqlite3_errstr(code));
    if (error != E_OK) {
        sqlite3_close(*db);
        *db = NULL;
    }
    return error;
}

// "file:PATH?mode=ro…"; what means something in a URI is escaped.
static void print_uri(char uri[QUERYLOG_URL_SIZE * 3 + 64], const char *path, const char *more)
{
    size_t used = strlen(strcpy(uri, "file:"));

    for (; *path; path++)
        used += (size_t)sprintf(uri + used, strchr("?#%", *path) ? "%%%02x" : "%c", *path);
    snprintf(uri + used, 64, "?mode=ro%s", more);
}

static int open_read_only(sqlite3 **db, const char *path, const char *more, int64_t *version,
                          char *reason)
{
    char uri[QUERYLOG_URL_SIZE * 3 + 64];
    int code, error;

    print_uri(uri, path, more);
    code = sqlite3_open_v2(uri, db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_URI,
                           NULL);
    if (code != SQLITE_OK)
        error = reason_give(sqlite_file_error(code), reason, SQLITE_FILE_REASON_SIZE,
                            "%.200s: %.100s", path, sqlite3_errmsg(*db));
    else {
        sqlite3_extended_result_codes(*db, 1);
        sqlite3_busy_timeout(*db, BUSY_MS);
        error = identify(*db, path, version, reason);
    }
    if (error != E_OK) {
        sqlite3_close(*db);
        *db = NULL;
    }
    return error;
}

int sqlite_file_open_to_read(sqlite3 **db, const char *path, char reason[SQLITE_FILE_REASON_SIZE])
{
    char journal[QUERYLOG_URL_SIZE + 8];
    int64_t version = 0;
    int error;

    *db = NULL;
    if (access(path, R_OK) != 0)
        return reason_give(E_AGAIN, reason, SQLITE_FILE_REASON_SIZE, "%.200s: %s%s", path,
                           strerror(errno),
                           errno == EACCES ? " (its owner and root may read it)" : "");
    error = open_read_only(db, path, "", &version, reason);
    // Whoever may not write into the folder can read a file in WAL mode only if nobody has it open,
    // and then without a lock.
    snprintf(journal, sizeof(journal), "%s-wal", path);
    if (error == E_AGAIN && access(journal, F_OK) != 0 && errno == ENOENT)
        error = open_read_only(db, path, "&immutable=1", &version, reason);
    if (error == E_OK && version == 0) {
        error = reason_give(E_INVALID, reason, SQLITE_FILE_REASON_SIZE,
                            "%.200s: empty: no query log has been written to it yet", path);
        sqlite3_close(*db);
        *db = NULL;
    }
    return error;
}

int sqlite_file_move_aside(const char *path, char aside[QUERYLOG_URL_SIZE + 32])
{
    char from[QUERYLOG_URL_SIZE + 8], to[QUERYLOG_URL_SIZE + 40], stamp[24];
    time_t now = time(NULL);
    struct tm tm;

    gmtime_r(&now, &tm);
    strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &tm);
    snprintf(aside, QUERYLOG_URL_SIZE + 32, "%s.corrupt-%s", path, stamp);
    if (rename(path, aside) != 0)
        return E_SYSTEM;
    snprintf(from, sizeof(from), "%s-wal", path);
    snprintf(to, sizeof(to), "%s-wal", aside);
    if (rename(from, to) != 0 && errno != ENOENT)
        unlink(from);
    snprintf(from, sizeof(from), "%s-shm", path);
    unlink(from);
    return E_OK;
}
