// The sink "sqlite", for its own files: sqlite.c writes, sqlite_retain.c deletes.
#pragma once

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "querylog/sink.h"
#include "querylog/sqlite_block.h"
#include "querylog/sqlite_dictionary.h"
#include "querylog/sqlite_file.h"

#define ADD_QUERY_TEXT "INSERT INTO query VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"

#define NOT_OLD_TEXT                                                                               \
    "SELECT id FROM query WHERE id >= ?1 AND id <= ?2 AND time >= ?3 ORDER BY id LIMIT 1"

#define SQLITE_SINK_STATEMENTS(X)                                                                  \
    X(BEGIN, "BEGIN IMMEDIATE")                                                                    \
    X(COMMIT, "COMMIT")                                                                            \
    X(DATA_VERSION, "PRAGMA data_version")                                                         \
    X(ADD_QUERY, ADD_QUERY_TEXT)                                                                   \
    X(FIND_UPSTREAM, "SELECT id FROM upstream WHERE url = ?1 AND address = ?2")                    \
    X(ADD_UPSTREAM, "INSERT INTO upstream(url, address) VALUES(?1, ?2)")                           \
    X(ADD_BLOCK, "INSERT INTO block VALUES(?1,?2,?2,?3,?4,?5,?6,?7,?8,?9)")                        \
    X(ADD_COLUMN, "INSERT INTO block_column VALUES(?1,?2)")                                        \
    X(SET_COUNTER, "INSERT OR REPLACE INTO counter VALUES('next_id', ?1)")                         \
    X(PAGES, "SELECT page_count FROM pragma_page_count")                                           \
    X(FREE_PAGES, "SELECT freelist_count FROM pragma_freelist_count")                              \
    X(OLD_BLOCK, "SELECT id, first, last FROM block WHERE newest < ?1 ORDER BY id LIMIT 1")        \
    X(AGEING_BLOCK, "SELECT id, first, last FROM block WHERE oldest < ?1 ORDER BY id LIMIT 1")     \
    X(FIRST_BLOCK, "SELECT id, first, last FROM block ORDER BY id LIMIT 1")                        \
    X(NOT_OLD, NOT_OLD_TEXT)                                                                       \
    X(DELETE_ROWS, "DELETE FROM query WHERE id >= ?1 AND id <= ?2")                                \
    X(SET_FIRST, "UPDATE block SET first = ?2 WHERE id = ?1")                                      \
    X(DELETE_BLOCK, "DELETE FROM block WHERE id = ?1")                                             \
    X(DELETE_COLUMNS, "DELETE FROM block_column WHERE id >= ?1 * 16 AND id < ?1 * 16 + 16")        \
    X(NAMES_FROM, "SELECT coalesce(min(names_from), 9223372036854775807) FROM block")              \
    X(CLIENTS_FROM, "SELECT coalesce(min(clients_from), 9223372036854775807) FROM block")          \
    X(DELETE_NAMES, "DELETE FROM name WHERE id >= ?1 AND id < ?2")                                 \
    X(DELETE_NAME_BLOCKS, "DELETE FROM name_block WHERE last < ?1")                                \
    X(DELETE_CLIENTS, "DELETE FROM client WHERE id >= ?1 AND id < ?2")                             \
    X(DELETE_CLIENT_BLOCKS, "DELETE FROM client_block WHERE last < ?1")

enum sqlite_sink_statement {
#define X(name, sql) SQL_##name,
    SQLITE_SINK_STATEMENTS(X)
#undef X
        SQL_STATEMENTS,
};

// Upstreams are few: configured.
#define SQLITE_UPSTREAMS_KEPT 64

struct sqlite_upstream {
    char url[QUERYLOG_URL_SIZE];
    char address[QUERYLOG_CLIENT_TEXT_SIZE];
    uint16_t id;
};

struct sqlite_sink {
    char path[QUERYLOG_URL_SIZE];
    const struct querylog_sink_options *options;
    struct log *log;
    sqlite3 *db; // NULL: could not be opened
    sqlite3_stmt *statements[SQL_STATEMENTS];
    bool failing; // and that was logged
    bool retention_failing;
    // What follows is as in the file, unless it is stale.
    bool stale;
    int64_t data_version;
    int64_t next_id, next_block;
    struct sqlite_tail tail;
    usec_t block_began; // monotonic: since when the tail waits; 0: not looked at yet
    struct sqlite_dictionary names, clients;
    struct sqlite_upstream upstreams[SQLITE_UPSTREAMS_KEPT];
    unsigned upstream_count;
    bool words_due; // rows were deleted: names and clients may be
    uint8_t column[SQLITE_BLOCK_ROWS * 4];
};

// All of these return SQLite codes.

// Runs a statement whose values are bound, to its first row: SQLITE_ROW (then it must be reset), or
// SQLITE_OK.
int sqlite_sink_step(struct sqlite_sink *sink, enum sqlite_sink_statement statement);
// The same for one without a row, or with one number.
int sqlite_sink_run(struct sqlite_sink *sink, enum sqlite_sink_statement statement, int64_t *value);

// Begins a transaction, in which the sink is as in the file.
int sqlite_sink_begin(struct sqlite_sink *sink);
// Commits if `code` is SQLITE_OK; else, or if that fails, takes all back.
int sqlite_sink_end(struct sqlite_sink *sink, int code);

// Makes a block of the tail, if there is something in it. Within a transaction.
int sqlite_sink_close_block(struct sqlite_sink *sink);

// Deletes what is to be deleted, for at most some milliseconds beyond `budget` rows.
int sqlite_sink_retain(struct sqlite_sink *sink, uint32_t budget);
