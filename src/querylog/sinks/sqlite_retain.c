// Deleting what is too old or too much, in small transactions: rows block by block, and the names
// and clients that no row has any more.
#include <time.h>

#include "base/error.h"
#include "querylog/sinks/sqlite.h"

// Rows, names or clients of one transaction: some milliseconds.
#define STEP 4096

// How long one call may go on, beyond what it is told to do.
#define CALL_US 50000

// Pages given back to the file system at once: 1 MiB.
#define VACUUM "PRAGMA incremental_vacuum(256)"

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

// Names and clients that no row has any more: all below the lowest number that one has. Up to STEP
// of them.
static int delete_words(struct sqlite_sink *sink, struct sqlite_dictionary *dictionary,
                        int64_t tail_from, uint64_t *done)
{
    bool names = dictionary->kind == SQLITE_NAMES;
    enum sqlite_sink_statement words = names ? SQL_DELETE_NAMES : SQL_DELETE_CLIENTS;
    enum sqlite_sink_statement blocks = names ? SQL_DELETE_NAME_BLOCKS : SQL_DELETE_CLIENT_BLOCKS;
    int64_t from = INT64_MAX, first = 0, last = -1, until;
    int code = sqlite_sink_run(sink, names ? SQL_NAMES_FROM : SQL_CLIENTS_FROM, &from);

    if (code == SQLITE_OK)
        code = sqlite_words_range(sink->db, dictionary->kind, &first, &last);
    // What is in no block yet stays: memory has it as well.
    from = MIN(MIN(from, tail_from), dictionary->tail.first);
    until = MIN(from, first + STEP);
    if (code != SQLITE_OK || last < 0 || first >= until)
        return code;
    dictionary->valid_from = MAX(dictionary->valid_from, from);
    *done += (uint64_t)(until - first);
    sqlite3_bind_int64(sink->statements[words], 1, first);
    sqlite3_bind_int64(sink->statements[words], 2, until);
    code = sqlite_sink_run(sink, words, NULL);
    if (code != SQLITE_OK)
        return code;
    sqlite3_bind_int64(sink->statements[blocks], 1, until);
    return sqlite_sink_run(sink, blocks, NULL);
}

// One step of what is to be done; `*done` is about how much it was, 0: nothing is left.
static int step(struct sqlite_sink *sink, uint64_t *done)
{
    uint64_t words = 0;
    int code = delete_step(sink, done);

    if (*done > 0)
        sink->words_due = true;
    if (code == SQLITE_OK && sink->words_due)
        code = delete_words(sink, &sink->names, sink->tail.names_from, &words);
    if (code == SQLITE_OK && sink->words_due)
        code = delete_words(sink, &sink->clients, sink->tail.clients_from, &words);
    if (code == SQLITE_OK && words == 0)
        sink->words_due = false;
    *done += words;
    return code;
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
