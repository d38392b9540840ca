// Deleting what is too old or too much. Rows go block by block, in small transactions; then names
// and clients that no row has any more: those that are used are marked, from the columns of the
// blocks, and the others deleted in the order of their keys.
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "querylog/sinks/sqlite.h"

// Rows, names or clients of one transaction: some milliseconds.
#define STEP 4096

// How long one call may go on, beyond what it is told to do.
#define CALL_US 50000

// Pages given back to the file system at once: 1 MiB.
#define VACUUM "PRAGMA incremental_vacuum(256)"

// Names are looked for once one row in eight was deleted, and not for a few.
#define SWEEP_MIN UINT64_C(65536)
#define SWEEP_PART 8

static uint64_t clock_us(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * USEC_SEC + (uint64_t)now.tv_nsec / 1000;
}

struct block {
    int64_t id, first, last; // id 0: none
};

static int find_block(struct sqlite_sink *sink, enum sqlite_sink_statement statement,
                      struct block *block)
{
    sqlite3_stmt *find = sink->statements[statement];
    int code = sqlite_sink_step(sink, statement);

    block->id = 0;
    if (code != SQLITE_ROW)
        return code;
    block->id = sqlite3_column_int64(find, 0);
    block->first = sqlite3_column_int64(find, 1);
    block->last = sqlite3_column_int64(find, 2);
    return sqlite3_reset(find);
}

// Deletes the rows of a block up to `last`; with the last of them the block.
static int delete_rows(struct sqlite_sink *sink, const struct block *block, int64_t last)
{
    sqlite3_stmt *rows = sink->statements[SQL_DELETE_ROWS];
    bool all = last >= block->last;
    int code;

    sqlite3_bind_int64(rows, 1, block->first);
    sqlite3_bind_int64(rows, 2, last);
    code = sqlite_sink_run(sink, SQL_DELETE_ROWS, NULL);
    if (!all && code == SQLITE_OK) {
        sqlite3_bind_int64(sink->statements[SQL_SET_FIRST], 1, block->id);
        sqlite3_bind_int64(sink->statements[SQL_SET_FIRST], 2, last + 1);
        code = sqlite_sink_run(sink, SQL_SET_FIRST, NULL);
    }
    if (all && code == SQLITE_OK) {
        sqlite3_bind_int64(sink->statements[SQL_DELETE_BLOCK], 1, block->id);
        code = sqlite_sink_run(sink, SQL_DELETE_BLOCK, NULL);
    }
    if (all && code == SQLITE_OK) {
        sqlite3_bind_int64(sink->statements[SQL_DELETE_COLUMNS], 1, block->id);
        code = sqlite_sink_run(sink, SQL_DELETE_COLUMNS, NULL);
    }
    if (all && code == SQLITE_OK) {
        // No id is given twice, whoever remembers one.
        sqlite3_bind_int64(sink->statements[SQL_SET_COUNTER], 1, sink->next_id);
        code = sqlite_sink_run(sink, SQL_SET_COUNTER, NULL);
    }
    sink->sweep.deleted += (uint64_t)(last - block->first + 1);
    return code;
}

// How far the rows of a block are too old.
static int find_old_rows(struct sqlite_sink *sink, const struct block *block, int64_t last,
                         int64_t cutoff, int64_t *old)
{
    sqlite3_stmt *find = sink->statements[SQL_NOT_OLD];
    int64_t kept = last + 1;
    int code;

    sqlite3_bind_int64(find, 1, block->first);
    sqlite3_bind_int64(find, 2, last);
    sqlite3_bind_int64(find, 3, cutoff);
    code = sqlite_sink_run(sink, SQL_NOT_OLD, &kept);
    *old = kept - 1;
    return code;
}

static int used_bytes(struct sqlite_sink *sink, uint64_t *bytes)
{
    int64_t pages = 0, unused = 0, size = 0;
    int code = sqlite_sink_run(sink, SQL_PAGES, &pages);

    if (code == SQLITE_OK)
        code = sqlite_sink_run(sink, SQL_FREE_PAGES, &unused);
    if (code == SQLITE_OK)
        code = sqlite_file_run(sink->db, "PRAGMA page_size", &size);
    *bytes = (uint64_t)(pages - unused) * (uint64_t)size;
    return code;
}

// A tail that holds what is too old, or that waits for long, becomes a block before it is full.
static int close_early(struct sqlite_sink *sink, uint64_t cutoff)
{
    uint64_t now = clock_us(CLOCK_MONOTONIC);

    if (sink->tail.count == 0)
        return SQLITE_OK;
    if (sink->block_began == 0)
        sink->block_began = now;
    if (sink->tail.oldest >= cutoff && now - sink->block_began < SQLITE_BLOCK_SPAN_US)
        return SQLITE_OK;
    return sqlite_sink_close_block(sink);
}

// Deletes up to STEP rows that are too old or too much. `*done`: how many.
static int delete_step(struct sqlite_sink *sink, uint64_t *done)
{
    const struct querylog_sink_options *options = sink->options;
    uint64_t now = clock_us(CLOCK_REALTIME), used = 0;
    uint64_t cutoff = options->max_age > 0 && options->max_age < now ? now - options->max_age : 0;
    // The bound is of the file: what a transaction needs until pages come free is left out.
    uint64_t size = options->max_size - options->max_size / 16;
    struct block block = {.id = 0};
    int code = close_early(sink, cutoff);
    int64_t last = 0;

    *done = 0;
    if (cutoff > 0 && code == SQLITE_OK) {
        sqlite3_bind_int64(sink->statements[SQL_OLD_BLOCK], 1, (int64_t)cutoff);
        code = find_block(sink, SQL_OLD_BLOCK, &block);
        last = MIN(block.last, block.first + STEP - 1);
    }
    if (cutoff > 0 && code == SQLITE_OK && block.id == 0) {
        sqlite3_bind_int64(sink->statements[SQL_AGEING_BLOCK], 1, (int64_t)cutoff);
        code = find_block(sink, SQL_AGEING_BLOCK, &block);
        last = MIN(block.last, block.first + STEP - 1);
        if (code == SQLITE_OK && block.id != 0)
            code = find_old_rows(sink, &block, last, (int64_t)cutoff, &last);
        if (last < block.first)
            block.id = 0;
    }
    if (options->max_size > 0 && code == SQLITE_OK && block.id == 0) {
        code = used_bytes(sink, &used);
        if (code == SQLITE_OK && used > size) {
            code = find_block(sink, SQL_FIRST_BLOCK, &block);
            if (code == SQLITE_OK && block.id == 0) {
                code = sqlite_sink_close_block(sink);
                if (code == SQLITE_OK)
                    code = find_block(sink, SQL_FIRST_BLOCK, &block);
            }
            last = MIN(block.last, block.first + STEP - 1);
        }
    }
    if (code != SQLITE_OK || block.id == 0)
        return code;
    *done = (uint64_t)(last - block.first + 1);
    return delete_rows(sink, &block, last);
}

// ---- Names and clients

static uint64_t live_rows(const struct sqlite_sink *sink, int64_t first)
{
    return sink->next_id > first ? (uint64_t)(sink->next_id - first) : 0;
}

static int start_sweep(struct sqlite_sink *sink)
{
    struct block first;
    int code = find_block(sink, SQL_FIRST_BLOCK, &first);

    if (code != SQLITE_OK ||
        sink->sweep.deleted <
            SWEEP_MIN + live_rows(sink, first.id ? first.first : sink->next_id) / SWEEP_PART)
        return code;
    if (sqlite_dictionary_start_marking(&sink->names) != E_OK ||
        sqlite_dictionary_start_marking(&sink->clients) != E_OK)
        return SQLITE_NOMEM;
    for (uint32_t i = 0; i < sink->tail.count; i++) {
        sqlite_dictionary_mark(&sink->names, sink->tail.name[i]);
        sqlite_dictionary_mark(&sink->clients, sink->tail.client[i]);
    }
    sink->sweep.deleted = 0;
    sink->sweep.block = 0;
    sink->sweep.phase = SQLITE_SWEEP_MARK;
    return code;
}

static int mark_column(struct sqlite_sink *sink, int64_t block, enum sqlite_column column,
                       struct sqlite_dictionary *dictionary)
{
    sqlite3_stmt *get = sink->statements[SQL_COLUMN];
    int code;

    sqlite3_bind_int64(get, 1, block * SQLITE_COLUMNS_FACTOR + column);
    code = sqlite_sink_step(sink, SQL_COLUMN);
    if (code != SQLITE_ROW)
        return code;

    const uint8_t *data = sqlite3_column_blob(get, 0);
    size_t size = (size_t)sqlite3_column_bytes(get, 0);

    for (size_t i = 0; i + 4 <= size; i += 4)
        sqlite_dictionary_mark(dictionary, (uint32_t)data[i] | (uint32_t)data[i + 1] << 8 |
                                               (uint32_t)data[i + 2] << 16 |
                                               (uint32_t)data[i + 3] << 24);
    return sqlite3_reset(get);
}

// One block. Those made since are of rows that were marked when they came.
static int mark_step(struct sqlite_sink *sink)
{
    int64_t block = 0;
    int code;

    sqlite3_bind_int64(sink->statements[SQL_NEXT_BLOCK], 1, sink->sweep.block);
    code = sqlite_sink_run(sink, SQL_NEXT_BLOCK, &block);
    if (code == SQLITE_OK && block == 0) {
        sink->sweep.phase = SQLITE_SWEEP_NAMES;
        sink->sweep.key[0] = '\0';
        return code;
    }
    if (code == SQLITE_OK)
        code = mark_column(sink, block, SQLITE_COLUMN_NAME, &sink->names);
    if (code == SQLITE_OK)
        code = mark_column(sink, block, SQLITE_COLUMN_CLIENT, &sink->clients);
    sink->sweep.block = block;
    return code;
}

static int delete_word(struct sqlite_sink *sink, bool names, const char *key, int64_t id)
{
    enum sqlite_sink_statement text = names ? SQL_DELETE_NAME : SQL_DELETE_CLIENT;
    enum sqlite_sink_statement by_key = names ? SQL_DELETE_NAME_KEY : SQL_DELETE_CLIENT_KEY;
    int code;

    sqlite3_bind_int64(sink->statements[text], 1, id);
    code = sqlite_sink_run(sink, text, NULL);
    if (code != SQLITE_OK)
        return code;
    sqlite3_bind_text(sink->statements[by_key], 1, key, -1, SQLITE_STATIC);
    return sqlite_sink_run(sink, by_key, NULL);
}

// Up to STEP names or clients.
static int sweep_step(struct sqlite_sink *sink)
{
    bool names = sink->sweep.phase == SQLITE_SWEEP_NAMES;
    enum sqlite_sink_statement statement = names ? SQL_NEXT_NAMES : SQL_NEXT_CLIENTS;
    struct sqlite_dictionary *dictionary = names ? &sink->names : &sink->clients;
    sqlite3_stmt *next = sink->statements[statement];
    char from[QUERYLOG_NAME_TEXT_SIZE];
    unsigned seen = 0;
    int code;

    memcpy(from, sink->sweep.key, sizeof(from));
    sqlite3_bind_text(next, 1, from, -1, SQLITE_STATIC);
    sqlite3_bind_int(next, 2, STEP);
    while ((code = sqlite_sink_step(sink, statement)) == SQLITE_ROW) {
        int64_t id = sqlite3_column_int64(next, 1);

        snprintf(sink->sweep.key, sizeof(sink->sweep.key), "%s",
                 (const char *)sqlite3_column_text(next, 0));
        seen++;
        if (!sqlite_dictionary_is_unused(dictionary, (uint64_t)id))
            continue;
        code = delete_word(sink, names, sink->sweep.key, id);
        if (code != SQLITE_OK)
            break;
    }
    sqlite3_reset(next);
    if (code != SQLITE_OK || seen == STEP)
        return code;
    sqlite_dictionary_stop_marking(dictionary);
    sink->sweep.key[0] = '\0';
    sink->sweep.phase = names ? SQLITE_SWEEP_CLIENTS : SQLITE_SWEEP_NONE;
    return code;
}

// One step of what is to be done; `*done` is about how much it was, 0: nothing is left.
static int step(struct sqlite_sink *sink, uint64_t *done)
{
    int code = delete_step(sink, done);

    if (code == SQLITE_OK && sink->sweep.phase == SQLITE_SWEEP_NONE)
        code = start_sweep(sink);
    if (code != SQLITE_OK || sink->sweep.phase == SQLITE_SWEEP_NONE)
        return code;
    *done += STEP;
    return sink->sweep.phase == SQLITE_SWEEP_MARK ? mark_step(sink) : sweep_step(sink);
}

// Pages that are free in numbers are given back: after the bounds were made narrower, or a flood.
static int vacuum(struct sqlite_sink *sink, uint64_t until)
{
    int64_t pages = 0, unused = 0;
    int code = SQLITE_OK;

    do {
        code = sqlite_sink_run(sink, SQL_PAGES, &pages);
        if (code == SQLITE_OK)
            code = sqlite_sink_run(sink, SQL_FREE_PAGES, &unused);
        if (code != SQLITE_OK || unused < 256 || unused < pages / 8)
            return code;
        code = sqlite_file_run(sink->db, VACUUM, NULL);
    } while (code == SQLITE_OK && clock_us(CLOCK_MONOTONIC) < until);
    return code;
}

int sqlite_sink_retain(struct sqlite_sink *sink, uint32_t budget)
{
    uint64_t until = clock_us(CLOCK_MONOTONIC) + CALL_US;
    uint64_t total = 0, done = 0;
    int code;

    do {
        code = sqlite_sink_begin(sink);
        if (code != SQLITE_OK)
            return code;
        code = sqlite_sink_end(sink, step(sink, &done));
        total += done;
    } while (code == SQLITE_OK && done > 0 && total < budget && clock_us(CLOCK_MONOTONIC) < until);
    if (code == SQLITE_OK)
        code = vacuum(sink, until);
    return code;
}
