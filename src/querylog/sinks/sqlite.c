#include "querylog/sinks/sqlite.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "base/reason.h"

#define AREA "querylog"

// How often there is something to do without records: often enough for retention to keep up.
#define TICK_INTERVAL USEC_SEC

// A tick deletes no more rows than take about 50 ms.
#define TICK_ROWS 100000

static const char *const statement_texts[SQL_STATEMENTS] = {
#define X(name, sql) sql,
    SQLITE_SINK_STATEMENTS(X)
#undef X
};

// ---- Statements

int sqlite_sink_step(struct sqlite_sink *sink, enum sqlite_sink_statement statement)
{
    int code = sqlite3_step(sink->statements[statement]);

    if (code == SQLITE_ROW)
        return code;
    sqlite3_reset(sink->statements[statement]);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

int sqlite_sink_run(struct sqlite_sink *sink, enum sqlite_sink_statement statement, int64_t *value)
{
    int code = sqlite_sink_step(sink, statement);

    if (code != SQLITE_ROW)
        return code;
    if (value)
        *value = sqlite3_column_int64(sink->statements[statement], 0);
    return sqlite3_reset(sink->statements[statement]);
}

// ---- The connection

static void disconnect(struct sqlite_sink *sink)
{
    for (unsigned i = 0; i < SQL_STATEMENTS; i++) {
        sqlite3_finalize(sink->statements[i]);
        sink->statements[i] = NULL;
    }
    sqlite_dictionary_detach(&sink->names);
    sqlite_dictionary_detach(&sink->clients);
    sqlite3_close(sink->db);
    sink->db = NULL;
}

static int prepare(struct sqlite_sink *sink)
{
    int code = sqlite_dictionary_attach(&sink->names, sink->db);

    if (code == SQLITE_OK)
        code = sqlite_dictionary_attach(&sink->clients, sink->db);
    for (unsigned i = 0; i < SQL_STATEMENTS && code == SQLITE_OK; i++)
        code = sqlite3_prepare_v3(sink->db, statement_texts[i], -1, SQLITE_PREPARE_PERSISTENT,
                                  &sink->statements[i], NULL);
    return code;
}

// A file that is broken makes room for a new one, and stays to be looked at.
static bool move_aside(struct sqlite_sink *sink, const char *reason)
{
    char aside[QUERYLOG_URL_SIZE + 32];

    if (sqlite_file_move_aside(sink->path, aside) != E_OK) {
        log_error(sink->log, AREA, "%s; and it cannot be moved away: %s", reason, strerror(errno));
        return false;
    }
    log_error(
        sink->log, AREA,
        "%s; it was moved to %s, and a new one begun: \"sqlite3 FILE .recover\" gets out of it "
        "what is left",
        reason, aside);
    return true;
}

// E_OK, or why not as sqlite_file_open() says.
static int connect_to_file(struct sqlite_sink *sink, char reason[QUERYLOG_REASON_SIZE])
{
    int error = sqlite_file_open(&sink->db, sink->path, reason);

    if (error == E_MALFORMED && move_aside(sink, reason))
        error = sqlite_file_open(&sink->db, sink->path, reason);
    if (error != E_OK || !sink->db)
        return error;
    sink->stale = true;
    if (prepare(sink) != SQLITE_OK) {
        error = reason_give(E_AGAIN, reason, QUERYLOG_REASON_SIZE, "%.180s: %.100s", sink->path,
                            sqlite3_errmsg(sink->db));
        disconnect(sink);
    }
    return error;
}

// Says once that records wait, and why.
static void fail(struct sqlite_sink *sink, const char *reason)
{
    if (!sink->failing)
        log_error(sink->log, AREA,
                  "%s: records wait in memory as long as there is room, and are dropped then",
                  reason);
    sink->failing = true;
}

// Whether the file under our path is still the one that we have open. One that was removed or
// replaced is let go, and what it leaves with it.
static bool is_in_place(struct sqlite_sink *sink)
{
    char beside[QUERYLOG_URL_SIZE + 8];
    int moved = 0;

    if (sqlite3_file_control(sink->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) != SQLITE_OK ||
        !moved)
        return true;
    disconnect(sink);
    if (access(sink->path, F_OK) != 0) {
        // Of no file now; the next one of that name would take them for its own.
        for (unsigned i = 0; i < 2; i++) {
            snprintf(beside, sizeof(beside), "%s%s", sink->path, i == 0 ? "-wal" : "-shm");
            unlink(beside);
        }
    }
    log_warning(sink->log, AREA,
                "%s was removed or replaced: going on with what is there now, or "
                "with a new one",
                sink->path);
    return false;
}

static bool is_ready(struct sqlite_sink *sink)
{
    char reason[QUERYLOG_REASON_SIZE];

    if (sink->db && is_in_place(sink))
        return true;
    if (connect_to_file(sink, reason) == E_OK)
        return true;
    fail(sink, reason);
    return false;
}

// ---- Transactions

// Reads from the file what is thought to be in it.
static int reload(struct sqlite_sink *sink)
{
    static const char next_id[] =
        "SELECT max((SELECT coalesce(max(id), 0) + 1 FROM query),"
        " (SELECT coalesce(max(last), 0) + 1 FROM block),"
        " coalesce((SELECT value FROM counter WHERE name = 'next_id'), 1))";
    int64_t from = 0;
    int code = sqlite_dictionary_reload(&sink->names, sink->db);

    sink->upstream_count = 0;
    if (code == SQLITE_OK)
        code = sqlite_dictionary_reload(&sink->clients, sink->db);
    if (code == SQLITE_OK)
        code = sqlite_file_run(sink->db, next_id, &sink->next_id);
    if (code == SQLITE_OK)
        code = sqlite_file_run(sink->db, "SELECT coalesce(max(id), 0) + 1 FROM block",
                               &sink->next_block);
    if (code == SQLITE_OK)
        code = sqlite_file_run(sink->db, "SELECT coalesce(max(last), 0) + 1 FROM block", &from);
    while (code == SQLITE_OK) {
        code = sqlite_tail_load(&sink->tail, sink->db, from);
        from = sink->tail.base + sink->tail.count;
        // Rows that were deleted by another hand leave holes: new ones begin behind them.
        if (code != SQLITE_OK || sink->tail.count == 0 || from == sink->next_id)
            break;
        code = sqlite_sink_close_block(sink);
    }
    if (sink->tail.count == 0)
        sqlite_tail_clear(&sink->tail, sink->next_id);
    if (code == SQLITE_OK)
        sink->stale = false;
    return code;
}

int sqlite_sink_begin(struct sqlite_sink *sink)
{
    int64_t version = 0;
    int code = sqlite_sink_run(sink, SQL_BEGIN, NULL);

    if (code != SQLITE_OK)
        return code;
    code = sqlite_sink_run(sink, SQL_DATA_VERSION, &version);
    if (version != sink->data_version)
        sink->stale = true; // somebody else has written to it
    sink->data_version = version;
    if (code == SQLITE_OK && sink->stale)
        code = reload(sink);
    return code == SQLITE_OK ? code : sqlite_sink_end(sink, code);
}

int sqlite_sink_end(struct sqlite_sink *sink, int code)
{
    if (code == SQLITE_OK)
        code = sqlite_sink_run(sink, SQL_COMMIT, NULL);
    if (code == SQLITE_OK)
        return code;
    sink->stale = true;
    if (!sqlite3_get_autocommit(sink->db))
        sqlite3_exec(sink->db, "ROLLBACK", NULL, NULL, NULL);
    return code;
}

int sqlite_sink_close_block(struct sqlite_sink *sink)
{
    struct sqlite_tail *tail = &sink->tail;
    sqlite3_stmt *add = sink->statements[SQL_ADD_BLOCK];
    int64_t next = tail->base + tail->count;
    int code;

    if (tail->count == 0)
        return SQLITE_OK;
    sqlite3_bind_int64(add, 1, sink->next_block);
    sqlite3_bind_int64(add, 2, tail->base);
    sqlite3_bind_int64(add, 3, next - 1);
    sqlite3_bind_int64(add, 4, (int64_t)tail->oldest);
    sqlite3_bind_int64(add, 5, (int64_t)tail->newest);
    sqlite3_bind_int64(add, 6, tail->slowest);
    sqlite3_bind_int64(add, 7, tail->kinds);
    sqlite3_bind_int64(add, 8, tail->names_from);
    sqlite3_bind_int64(add, 9, tail->clients_from);
    code = sqlite_sink_run(sink, SQL_ADD_BLOCK, NULL);
    add = sink->statements[SQL_ADD_COLUMN];
    for (unsigned column = 0; column < SQLITE_COLUMNS && code == SQLITE_OK; column++) {
        size_t size = sqlite_tail_column(tail, column, sink->column);

        sqlite3_bind_int64(add, 1, sink->next_block * SQLITE_COLUMNS_FACTOR + column);
        sqlite3_bind_blob64(add, 2, sink->column, size, SQLITE_STATIC);
        code = sqlite_sink_run(sink, SQL_ADD_COLUMN, NULL);
    }
    if (code == SQLITE_OK) {
        sink->next_block++;
        sink->block_began = 0;
        sqlite_tail_clear(tail, next);
    }
    return code;
}

// ---- Records

static int upstream_id(struct sqlite_sink *sink, const struct querylog_entry *entry, uint16_t *id)
{
    size_t size = MIN((size_t)entry->upstream_url_size, (size_t)QUERYLOG_URL_SIZE - 1);
    char address[QUERYLOG_CLIENT_TEXT_SIZE];
    struct sqlite_upstream *known;
    sqlite3_stmt *find;
    int64_t found = 0;
    int code;

    *id = 0;
    if (size == 0)
        return SQLITE_OK;
    querylog_endpoint_text(&entry->record.upstream, address);
    for (unsigned i = 0; i < sink->upstream_count; i++) {
        known = &sink->upstreams[i];
        if (memcmp(known->url, entry->upstream_url, size) == 0 && known->url[size] == '\0' &&
            strcmp(known->address, address) == 0) {
            *id = known->id;
            return SQLITE_OK;
        }
    }
    if (sink->upstream_count == SQLITE_UPSTREAMS_KEPT)
        sink->upstream_count = 0;
    known = &sink->upstreams[sink->upstream_count];
    memcpy(known->url, entry->upstream_url, size);
    known->url[size] = '\0';
    memcpy(known->address, address, sizeof(address));
    find = sink->statements[SQL_FIND_UPSTREAM];
    sqlite3_bind_text(find, 1, known->url, -1, SQLITE_STATIC);
    sqlite3_bind_text(find, 2, known->address, -1, SQLITE_STATIC);
    code = sqlite_sink_run(sink, SQL_FIND_UPSTREAM, &found);
    if (code == SQLITE_OK && found == 0) {
        sqlite3_stmt *add = sink->statements[SQL_ADD_UPSTREAM];

        sqlite3_bind_text(add, 1, known->url, -1, SQLITE_STATIC);
        sqlite3_bind_text(add, 2, known->address, -1, SQLITE_STATIC);
        code = sqlite_sink_run(sink, SQL_ADD_UPSTREAM, NULL);
        found = sqlite3_last_insert_rowid(sink->db);
    }
    if (code != SQLITE_OK || found > UINT16_MAX)
        return code;
    *id = known->id = (uint16_t)found;
    sink->upstream_count++;
    return SQLITE_OK;
}

static void bind_or_null(sqlite3_stmt *statement, int at, int64_t value, bool null)
{
    if (null)
        sqlite3_bind_null(statement, at);
    else
        sqlite3_bind_int64(statement, at, value);
}

// The name in the letters of the query, where no other column has it.
static void bind_asked(sqlite3_stmt *statement, int at, const struct querylog_entry *entry,
                       bool has_id, char text[QUERYLOG_NAME_TEXT_SIZE])
{
    uint8_t lower[DNS_NAME_MAX];
    size_t size = MIN(entry->name_size, sizeof(lower));

    if (size > 0 && entry->name) {
        dns_name_lower(lower, entry->name, size);
        has_id = has_id && memcmp(lower, entry->name, size) == 0;
    }
    size = has_id ? 0 : querylog_name_text(entry, text);
    if (size > 0)
        sqlite3_bind_text(statement, at, text, (int)size, SQLITE_STATIC);
    else
        sqlite3_bind_null(statement, at);
}

static int add_query(struct sqlite_sink *sink, const struct querylog_entry *entry,
                     const struct sqlite_row *row)
{
    const struct querylog_record *record = &entry->record;
    sqlite3_stmt *add = sink->statements[SQL_ADD_QUERY];
    char asked[QUERYLOG_NAME_TEXT_SIZE];

    sqlite3_bind_int64(add, 1, sink->next_id);
    sqlite3_bind_int64(add, 2, (int64_t)record->time);
    bind_or_null(add, 3, row->name, row->name == 0);
    bind_asked(add, 4, entry, row->name != 0, asked);
    bind_or_null(add, 5, row->client, row->client == 0);
    bind_or_null(add, 6, record->client.port, record->client.port == 0);
    sqlite3_bind_int(add, 7, record->type);
    sqlite3_bind_int(add, 8, record->class);
    sqlite3_bind_int(add, 9, record->transport);
    sqlite3_bind_int(add, 10, record->outcome);
    sqlite3_bind_int(add, 11, record->rcode);
    bind_or_null(add, 12, record->ede, record->ede == QUERYLOG_NO_EDE);
    sqlite3_bind_int(add, 13, record->flags);
    sqlite3_bind_int64(add, 14, record->latency);
    bind_or_null(add, 15, row->upstream, row->upstream == 0);
    bind_or_null(add, 16, record->upstream_latency, record->upstream_latency == 0);
    sqlite3_bind_int(add, 17, record->attempts);
    bind_or_null(add, 18, record->tls_version, record->tls_version == 0);
    sqlite3_bind_int(add, 19, record->query_size);
    sqlite3_bind_int(add, 20, record->reply_size);
    sqlite3_bind_int(add, 21, record->id);
    return sqlite_sink_run(sink, SQL_ADD_QUERY, NULL);
}

static int add_entry(struct sqlite_sink *sink, const struct querylog_entry *entry)
{
    struct sqlite_row row = {
        .time = entry->record.time,
        .latency = entry->record.latency,
        .type = entry->record.type,
        .rcode = entry->record.rcode,
        .kind = sqlite_kind(entry->record.outcome, entry->record.transport),
    };
    int code = SQLITE_OK;

    if (!sqlite_tail_takes(&sink->tail, row.time))
        code = sqlite_sink_close_block(sink);
    if (code == SQLITE_OK)
        code = sqlite_dictionary_id(&sink->names, entry, sink->next_block, &row.name);
    if (code == SQLITE_OK)
        code = sqlite_dictionary_id(&sink->clients, entry, sink->next_block, &row.client);
    if (code == SQLITE_OK)
        code = upstream_id(sink, entry, &row.upstream);
    if (code == SQLITE_OK)
        code = add_query(sink, entry, &row);
    if (code != SQLITE_OK)
        return code;
    sink->next_id++;
    sqlite_tail_add(&sink->tail, &row);
    return SQLITE_OK;
}

// A transaction did not succeed: what to do about it.
static int give_up(struct sqlite_sink *sink, int code)
{
    int error = sqlite_file_error(code);
    char reason[QUERYLOG_REASON_SIZE];

    reason_give(error, reason, sizeof(reason), "%.180s: %.100s", sink->path,
                sqlite3_errmsg(sink->db));
    if (error == E_MALFORMED) {
        disconnect(sink);
        return move_aside(sink, reason) ? E_AGAIN : E_SYSTEM;
    }
    fail(sink, reason);
    // A new connection may find what this one has lost: the file system, the right to write.
    if ((code & 0xff) != SQLITE_BUSY && (code & 0xff) != SQLITE_FULL)
        disconnect(sink);
    return error;
}

static void retain(struct sqlite_sink *sink, uint32_t budget)
{
    int code = sqlite_sink_retain(sink, budget);

    if (code != SQLITE_OK && !sink->retention_failing && !sink->failing)
        log_warning(sink->log, AREA, "%s: old records cannot be deleted now: %s", sink->path,
                    sqlite3_errmsg(sink->db));
    sink->retention_failing = code != SQLITE_OK;
}

// ---- What a sink does

static void sink_free(struct sqlite_sink *sink)
{
    disconnect(sink);
    sqlite_dictionary_deinit(&sink->names);
    sqlite_dictionary_deinit(&sink->clients);
    free(sink);
}

static void *sink_open(const struct querylog_sink_setup *setup, char reason[QUERYLOG_REASON_SIZE])
{
    struct sqlite_sink *sink = calloc(1, sizeof(*sink));
    int error = E_NOMEM;

    if (!sink || sqlite_dictionary_init(&sink->names, SQLITE_NAMES) != E_OK ||
        sqlite_dictionary_init(&sink->clients, SQLITE_CLIENTS) != E_OK) {
        reason_give(error, reason, QUERYLOG_REASON_SIZE, "%s", error_text(error));
        goto fail;
    }
    sink->options = setup->options;
    sink->log = setup->log;
    error = sqlite_file_path(setup->options->url, sink->path, reason);
    if (error == E_OK)
        error = connect_to_file(sink, reason);
    // What another program holds now it will let go.
    if (error == E_AGAIN && access(sink->path, R_OK | W_OK) == 0) {
        fail(sink, reason);
        error = E_OK;
    }
    if (error == E_OK)
        return sink;
fail:
    if (sink)
        sink_free(sink);
    return NULL;
}

static int sink_write(void *state, const struct querylog_entry *entries, size_t count)
{
    struct sqlite_sink *sink = state;
    int code;

    if (!is_ready(sink))
        return E_AGAIN;
    code = sqlite_sink_begin(sink);
    if (code == SQLITE_OK) {
        for (size_t i = 0; i < count && code == SQLITE_OK; i++)
            code = add_entry(sink, &entries[i]);
        code = sqlite_sink_end(sink, code);
    }
    if (code != SQLITE_OK)
        return give_up(sink, code);
    if (sink->failing)
        log_info(sink->log, AREA, "%s: records are written again", sink->path);
    sink->failing = false;
    // Twice what came in: so it never grows beyond its bounds for long.
    retain(sink, (uint32_t)MIN(2 * count, TICK_ROWS));
    return E_OK;
}

static void sink_tick(void *state)
{
    struct sqlite_sink *sink = state;

    if (is_ready(sink))
        retain(sink, TICK_ROWS);
}

static void sink_reopen(void *state)
{
    struct sqlite_sink *sink = state;

    // Whether the file was moved is seen at each write. Here only one is tried anew that failed.
    if (!sink->db)
        is_ready(sink);
}

static void sink_close(void *state)
{
    sink_free(state);
}

const struct querylog_sink_ops querylog_sqlite = {
    .scheme = "sqlite",
    .tick_interval = TICK_INTERVAL,
    .open = sink_open,
    .write = sink_write,
    .tick = sink_tick,
    .reopen = sink_reopen,
    .close = sink_close,
};
