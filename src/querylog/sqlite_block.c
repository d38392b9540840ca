#include "querylog/sqlite_block.h"

#include <string.h>

unsigned sqlite_column_width(enum sqlite_column column)
{
    static const uint8_t widths[] = {
#define X(name, width) width,
        SQLITE_COLUMN_LIST(X)
#undef X
    };

    return widths[column];
}

void sqlite_tail_clear(struct sqlite_tail *tail, int64_t base)
{
    tail->base = base;
    tail->count = tail->slowest = tail->kinds = 0;
    tail->oldest = UINT64_MAX;
    tail->newest = 0;
    tail->names_from = tail->clients_from = INT64_MAX;
}

bool sqlite_tail_takes(const struct sqlite_tail *tail, uint64_t time)
{
    if (tail->count == SQLITE_BLOCK_ROWS)
        return false;
    return tail->newest == 0 ||
           MAX(time, tail->newest) - MIN(time, tail->oldest) <= SQLITE_BLOCK_SPAN_US;
}

void sqlite_tail_add(struct sqlite_tail *tail, const struct sqlite_row *row)
{
    uint32_t i = tail->count++;

    require(i < SQLITE_BLOCK_ROWS);
    tail->time[i] = row->time;
    tail->latency[i] = row->latency;
    tail->name[i] = row->name;
    tail->client[i] = row->client;
    tail->type[i] = row->type;
    tail->rcode[i] = row->rcode;
    tail->upstream[i] = row->upstream;
    tail->kind[i] = row->kind;
    if (row->kind == SQLITE_KIND_HOLE)
        return;
    tail->oldest = MIN(tail->oldest, row->time);
    tail->newest = MAX(tail->newest, row->time);
    tail->slowest = MAX(tail->slowest, row->latency);
    if (row->name != 0)
        tail->names_from = MIN(tail->names_from, row->name);
    if (row->client != 0)
        tail->clients_from = MIN(tail->clients_from, row->client);
    tail->kinds |= UINT32_C(1) << (row->kind & 0xf) | UINT32_C(0x10000) << (row->kind >> 4);
}

int sqlite_tail_load(struct sqlite_tail *tail, sqlite3 *db, int64_t from)
{
    static const char sql[] =
        "SELECT id, time, latency, name, client, type, rcode, upstream, outcome, transport "
        "FROM query WHERE id >= ? ORDER BY id LIMIT ?";
    static const struct sqlite_row hole = {.kind = SQLITE_KIND_HOLE};
    sqlite3_stmt *rows;
    int code = sqlite3_prepare_v2(db, sql, -1, &rows, NULL);

    sqlite_tail_clear(tail, from);
    if (code != SQLITE_OK)
        return code;
    sqlite3_bind_int64(rows, 1, from);
    sqlite3_bind_int64(rows, 2, SQLITE_BLOCK_ROWS);
    while ((code = sqlite3_step(rows)) == SQLITE_ROW) {
        int64_t id = sqlite3_column_int64(rows, 0);
        struct sqlite_row row = {
            .time = (uint64_t)sqlite3_column_int64(rows, 1),
            .latency = (uint32_t)sqlite3_column_int64(rows, 2),
            .name = sqlite3_column_int64(rows, 3),
            .client = sqlite3_column_int64(rows, 4),
            .type = (uint16_t)sqlite3_column_int(rows, 5),
            .rcode = (uint16_t)sqlite3_column_int(rows, 6),
            .upstream = (uint16_t)sqlite3_column_int(rows, 7),
            .kind = sqlite_kind((unsigned)sqlite3_column_int(rows, 8),
                                (unsigned)sqlite3_column_int(rows, 9)),
        };

        if (tail->count == 0)
            tail->base = id;
        if (id >= tail->base + SQLITE_BLOCK_ROWS || !sqlite_tail_takes(tail, row.time))
            break;
        while (tail->base + tail->count < id)
            sqlite_tail_add(tail, &hole);
        sqlite_tail_add(tail, &row);
    }
    sqlite3_finalize(rows);
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

static void put(uint8_t *to, uint32_t value, unsigned width)
{
    for (unsigned i = 0; i < width; i++)
        to[i] = (uint8_t)(value >> 8 * i);
}

static uint32_t number_of(int64_t id, int64_t from)
{
    return id != 0 ? (uint32_t)(id - from + 1) : 0;
}

size_t sqlite_tail_column(const struct sqlite_tail *tail, enum sqlite_column column,
                          uint8_t to[SQLITE_BLOCK_ROWS * 4])
{
    unsigned width = sqlite_column_width(column);

    for (uint32_t i = 0; i < tail->count; i++) {
        switch (column) {
        case SQLITE_COLUMN_TIME:
            put(to + (size_t)4 * i, (uint32_t)(tail->time[i] - tail->oldest), 4);
            break;
        case SQLITE_COLUMN_LATENCY:
            put(to + (size_t)4 * i, tail->latency[i], 4);
            break;
        case SQLITE_COLUMN_NAME:
            put(to + (size_t)4 * i, number_of(tail->name[i], tail->names_from), 4);
            break;
        case SQLITE_COLUMN_CLIENT:
            put(to + (size_t)4 * i, number_of(tail->client[i], tail->clients_from), 4);
            break;
        case SQLITE_COLUMN_TYPE:
            put(to + (size_t)2 * i, tail->type[i], 2);
            break;
        case SQLITE_COLUMN_RCODE:
            put(to + (size_t)2 * i, tail->rcode[i], 2);
            break;
        case SQLITE_COLUMN_UPSTREAM:
            put(to + (size_t)2 * i, tail->upstream[i], 2);
            break;
        default:
            to[i] = tail->kind[i];
        }
    }
    return (size_t)width * tail->count;
}
