// Going through the blocks of a file (sqlite_block.h) and looking which rows a filter means.
#pragma once

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "querylog/sqlite_block.h"
#include "querylog/store.h"

// A name or client has a number here: its id, counted from 1 for the lowest that there is. 0: none.
struct sqlite_numbers {
    int64_t first, last; // ids
};

// Numbers that are meant: one, or a bit each.
struct sqlite_ids {
    bool all;
    uint32_t only; // 0: see bits
    uint8_t *bits;
    uint64_t end; // of the bits
};

// A question, and the block that it is at.
struct sqlite_scan {
    sqlite3 *db;
    const struct store_filter *filter;
    usec_t deadline;
    struct sqlite_numbers name_numbers, client_numbers;
    struct sqlite_ids names, clients;
    uint8_t kinds[256]; // whether those are meant
    sqlite3_stmt *blocks, *column;
    // The block.
    int64_t block; // 0: the tail
    int64_t base;
    uint32_t count, first; // rows before `first` are deleted
    uint64_t oldest, newest;
    int64_t names_from, clients_from;
    unsigned loaded; // columns, a bit each
    struct sqlite_tail tail;
    uint32_t time[SQLITE_BLOCK_ROWS], latency[SQLITE_BLOCK_ROWS];
    uint32_t name[SQLITE_BLOCK_ROWS], client[SQLITE_BLOCK_ROWS]; // numbers
    uint16_t type[SQLITE_BLOCK_ROWS], rcode[SQLITE_BLOCK_ROWS], upstream[SQLITE_BLOCK_ROWS];
    uint8_t kind[SQLITE_BLOCK_ROWS];
    uint8_t match[SQLITE_BLOCK_ROWS]; // 1: this row is meant
};

// The number of an id; 0 if there is none.
static inline uint32_t sqlite_number_of(const struct sqlite_numbers *numbers, int64_t id)
{
    return id >= numbers->first && id <= numbers->last ? (uint32_t)(id - numbers->first + 1) : 0;
}

// What is done with a block in which at least one row is meant. An SQLite code; SQLITE_DONE:
// enough.
typedef int sqlite_scan_fn(void *context, struct sqlite_scan *scan);

// Begins a question: a transaction in which the file stays as it is. `scan` is not cleared as a
// whole, for it is large. An SQLite code; in any case it must be ended.
NONNULL NODISCARD int sqlite_scan_begin(struct sqlite_scan *scan, sqlite3 *db,
                                        const struct store_filter *filter, usec_t deadline);
NONNULL void sqlite_scan_end(struct sqlite_scan *scan);

// Blocks with ids from `from` to `to`, the newest or the oldest first. An SQLite code;
// SQLITE_INTERRUPT: the deadline has passed.
NODISCARD int sqlite_scan_run(struct sqlite_scan *scan, bool newest_first, int64_t from, int64_t to,
                              sqlite_scan_fn *each, void *context);

// Makes sure that columns of this block are in their arrays. An SQLite code.
NONNULL NODISCARD int sqlite_scan_load(struct sqlite_scan *scan, unsigned columns);
