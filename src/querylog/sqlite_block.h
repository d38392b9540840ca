// Blocks: of up to 16384 rows of the table `query`, with ids one after the other, the columns that
// questions are about, as an array each. A question looks at the row of the table `block` first
// (which times, outcomes and latencies are in it), then at no more columns than it needs.
//
// Arrays are in the table `block_column` with the id BLOCK * 16 + COLUMN, least significant octet
// first. The newest rows are in no block yet: the tail, which the sink keeps in memory as well.
#pragma once

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"

// So that a question that finds something in each block is about as fast as one that looks through
// their heads, and a tail is read in some milliseconds.
#define SQLITE_BLOCK_ROWS 16384

// A block's times lie within one hour, so that they fit 32 bits, and nothing waits longer for one.
#define SQLITE_BLOCK_SPAN_US UINT64_C(3600000000)

// Name, octets of an element.
#define SQLITE_COLUMN_LIST(X)                                                                      \
    X(TIME, 4) /* microseconds behind block.oldest */                                              \
    X(LATENCY, 4)                                                                                  \
    X(NAME, 4)   /* 0: none; else the id - block.names_from + 1 */                                 \
    X(CLIENT, 4) /* 0: none; else the id - block.clients_from + 1 */                               \
    X(TYPE, 2)                                                                                     \
    X(RCODE, 2)                                                                                    \
    X(UPSTREAM, 2)                                                                                 \
    X(KIND, 1) /* outcome | transport << 4, or SQLITE_KIND_HOLE */

enum sqlite_column {
#define X(name, width) SQLITE_COLUMN_##name,
    SQLITE_COLUMN_LIST(X)
#undef X
        SQLITE_COLUMNS,
};

#define SQLITE_COLUMNS_FACTOR 16

// There is no row of this id.
#define SQLITE_KIND_HOLE 0xff

static inline uint8_t sqlite_kind(unsigned outcome, unsigned transport)
{
    return (uint8_t)((outcome & 0xf) | (transport & 0x7) << 4);
}

unsigned sqlite_column_width(enum sqlite_column column);

// Rows on their way into a block; row i has the id base + i.
struct sqlite_tail {
    int64_t base;
    uint32_t count;
    uint64_t oldest, newest; // of the times
    uint32_t slowest;        // of the latencies
    uint32_t kinds;          // a bit for each outcome, and from bit 16 on for each transport
    uint64_t time[SQLITE_BLOCK_ROWS];
    int64_t names_from, clients_from; // the lowest ids; INT64_MAX: there are none
    int64_t name[SQLITE_BLOCK_ROWS], client[SQLITE_BLOCK_ROWS];
    uint32_t latency[SQLITE_BLOCK_ROWS];
    uint16_t type[SQLITE_BLOCK_ROWS], rcode[SQLITE_BLOCK_ROWS], upstream[SQLITE_BLOCK_ROWS];
    uint8_t kind[SQLITE_BLOCK_ROWS];
};

// What of a row goes into a block.
struct sqlite_row {
    uint64_t time;
    int64_t name, client; // ids; 0: none
    uint32_t latency;
    uint16_t type, rcode, upstream;
    uint8_t kind;
};

NONNULL void sqlite_tail_clear(struct sqlite_tail *tail, int64_t base);
// Whether the row fits in: there is room, and its time is near enough.
NONNULL bool sqlite_tail_takes(const struct sqlite_tail *tail, uint64_t time);
NONNULL void sqlite_tail_add(struct sqlite_tail *tail, const struct sqlite_row *row);

// Reads rows of the table from the id `from` on, as many as fit. An SQLite code.
NONNULL NODISCARD int sqlite_tail_load(struct sqlite_tail *tail, sqlite3 *db, int64_t from);

// Writes a column as it is kept, and returns its octets.
NONNULL size_t sqlite_tail_column(const struct sqlite_tail *tail, enum sqlite_column column,
                                  uint8_t to[SQLITE_BLOCK_ROWS * 4]);
