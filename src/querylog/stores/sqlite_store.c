#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/reason.h"
#include "querylog/sqlite_file.h"
#include "querylog/stores/sqlite_scan.h"
#include "querylog/stores/sqlite_top.h"

struct sqlite_store {
    char path[QUERYLOG_URL_SIZE];
    sqlite3 *db;
    sqlite3_stmt *row;
    struct sqlite_scan scan;
};

// ---- Opening

static const char row_sql[] =
    "SELECT q.id, q.time, coalesce(q.asked, n.name, ''), coalesce(c.client, ''), q.client_port,"
    " q.type, q.class, q.transport, q.outcome, q.rcode, q.ede, q.flags, q.latency,"
    " coalesce(u.url, ''), coalesce(u.address, ''), q.upstream_latency, q.attempts, q.tls_version,"
    " q.query_size, q.reply_size, q.message_id"
    " FROM query q LEFT JOIN name n ON n.id = q.name LEFT JOIN client c ON c.id = q.client"
    " LEFT JOIN upstream u ON u.id = q.upstream WHERE q.id = ?";

static void disconnect(struct sqlite_store *store)
{
    sqlite3_finalize(store->row);
    sqlite3_close(store->db);
    store->row = NULL;
    store->db = NULL;
}

static int connect_to_file(struct sqlite_store *store, char reason[STORE_REASON_SIZE])
{
    int error = sqlite_file_open_to_read(&store->db, store->path, reason);

    if (error != E_OK)
        return E_SYSTEM;
    if (sqlite3_prepare_v2(store->db, row_sql, -1, &store->row, NULL) == SQLITE_OK)
        return E_OK;
    error = reason_give(E_SYSTEM, reason, STORE_REASON_SIZE, "%.180s: %.100s", store->path,
                        sqlite3_errmsg(store->db));
    disconnect(store);
    return error;
}

static void *open_store(const char *url, const char *password_file, char reason[STORE_REASON_SIZE])
{
    struct sqlite_store *store = calloc(1, sizeof(*store));

    if (!store) {
        reason_give(E_NOMEM, reason, STORE_REASON_SIZE, "%s", error_text(E_NOMEM));
        return NULL;
    }
    if (sqlite_file_path(url, store->path, reason) == E_OK &&
        connect_to_file(store, reason) == E_OK)
        return store;
    free(store);
    return NULL;
}

static void close_store(void *state)
{
    struct sqlite_store *store = state;

    disconnect(store);
    free(store);
}

// ---- Questions in common

static int begin(struct sqlite_store *store, const struct store_filter *filter, usec_t deadline,
                 char *reason)
{
    int moved = 0;

    // One that was removed or replaced is asked no longer.
    if (store->db &&
        sqlite3_file_control(store->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK &&
        moved)
        disconnect(store);
    if (!store->db && connect_to_file(store, reason) != E_OK)
        return SQLITE_CANTOPEN;
    return store->db ? sqlite_scan_begin(&store->scan, store->db, filter, deadline)
                     : SQLITE_CANTOPEN;
}

// The end of a question, whatever became of it.
static int end(struct sqlite_store *store, int code, char *reason)
{
    int error = E_SYSTEM;

    if (!store->db)
        return error; // and the reason is given
    if (code == SQLITE_OK)
        error = E_OK;
    else if (code == SQLITE_INTERRUPT)
        error = reason_give(E_AGAIN, reason, STORE_REASON_SIZE,
                            "%.180s: the question took too long: ask about less time", store->path);
    else if (code == SQLITE_NOMEM)
        reason_give(E_SYSTEM, reason, STORE_REASON_SIZE, "%s", error_text(E_NOMEM));
    else
        reason_give(E_SYSTEM, reason, STORE_REASON_SIZE, "%.180s: %.100s", store->path,
                    sqlite3_errstr(code));
    sqlite_scan_end(&store->scan);
    return error;
}

// ---- Rows

struct rows {
    struct sqlite_store *store;
    const struct store_page *page;
    store_row_fn *each;
    void *context;
    uint32_t left;
};

static const char *text_of(sqlite3_stmt *row, int column)
{
    const char *text = (const char *)sqlite3_column_text(row, column);

    return text ? text : "";
}

static int number_of(sqlite3_stmt *row, int column)
{
    return sqlite3_column_int(row, column);
}

// SQLITE_DONE: no more are wanted.
static int give_row(struct rows *rows, int64_t id)
{
    sqlite3_stmt *row = rows->store->row;
    bool more = true;
    int code;

    sqlite3_bind_int64(row, 1, id);
    code = sqlite3_step(row);
    if (code == SQLITE_ROW) {
        more = rows->each(rows->context,
                          &(struct store_row){
                              .id = (uint64_t)sqlite3_column_int64(row, 0),
                              .time = (uint64_t)sqlite3_column_int64(row, 1),
                              .name = text_of(row, 2),
                              .client = text_of(row, 3),
                              .client_port = (uint16_t)number_of(row, 4),
                              .type = (uint16_t)number_of(row, 5),
                              .class = (uint16_t)number_of(row, 6),
                              .transport = (uint8_t)number_of(row, 7),
                              .outcome = (uint8_t)number_of(row, 8),
                              .rcode = (uint16_t)number_of(row, 9),
                              .ede = sqlite3_column_type(row, 10) == SQLITE_NULL
                                         ? QUERYLOG_NO_EDE
                                         : (int16_t)number_of(row, 10),
                              .flags = (uint16_t)number_of(row, 11),
                              .latency = (uint32_t)sqlite3_column_int64(row, 12),
                              .upstream = text_of(row, 13),
                              .upstream_address = text_of(row, 14),
                              .upstream_latency = (uint32_t)sqlite3_column_int64(row, 15),
                              .attempts = (uint8_t)number_of(row, 16),
                              .tls_version = (uint8_t)number_of(row, 17),
                              .query_size = (uint16_t)number_of(row, 18),
                              .reply_size = (uint16_t)number_of(row, 19),
                              .message_id = (uint16_t)number_of(row, 20),
                              .instance = "",
                          });
        rows->left--;
    }
    sqlite3_reset(row);
    if (code != SQLITE_ROW && code != SQLITE_DONE) // DONE: somebody deleted it
        return code;
    return more && rows->left > 0 ? SQLITE_OK : SQLITE_DONE;
}

static int rows_of_block(void *context, struct sqlite_scan *scan)
{
    struct rows *rows = context;
    const struct store_page *page = rows->page;
    int code = SQLITE_OK;

    for (uint32_t i = 0; i < scan->count && code == SQLITE_OK; i++) {
        uint32_t at = page->forward ? i : scan->count - 1 - i;
        uint64_t id = (uint64_t)(scan->base + at);

        if (!scan->match[at] ||
            (page->forward ? id <= page->after : page->before && id >= page->before))
            continue;
        if (store_now() > scan->deadline)
            return SQLITE_INTERRUPT;
        code = give_row(rows, (int64_t)id);
    }
    return code;
}

static int ask_rows(void *state, const struct store_filter *filter, const struct store_page *page,
                    usec_t deadline, store_row_fn *each, void *context,
                    char reason[STORE_REASON_SIZE])
{
    struct rows rows = {state, page, each, context, page->limit};
    int64_t from = page->forward ? (int64_t)page->after + 1 : 0;
    int64_t to = !page->forward && page->before ? (int64_t)page->before - 1 : INT64_MAX;
    int code;

    if (page->limit == 0)
        return E_OK;
    code = begin(state, filter, deadline, reason);
    if (code == SQLITE_OK)
        code = sqlite_scan_run(&rows.store->scan, !page->forward, from, to, rows_of_block, &rows);
    return end(state, code, reason);
}

static int ask_newest(void *state, uint64_t *id, usec_t deadline, char reason[STORE_REASON_SIZE])
{
    struct sqlite_store *store = state;
    struct store_filter filter;
    int64_t newest = 0;
    int code;

    store_filter_init(&filter);
    code = begin(store, &filter, deadline, reason);
    if (code == SQLITE_OK)
        code = sqlite_file_run(store->db, "SELECT coalesce(max(id), 0) FROM query", &newest);
    *id = (uint64_t)newest;
    return end(store, code, reason);
}

// ---- The most frequent

// NOLINTNEXTLINE(readability-function-size): the parameters are the interface's
static int ask_top(void *state, const struct store_filter *filter, enum store_top_kind kind,
                   uint32_t limit, usec_t deadline, store_top_fn *each, void *context,
                   uint64_t *distinct, char reason[STORE_REASON_SIZE])
{
    struct sqlite_store *store = state;
    int code = begin(store, filter, deadline, reason);

    *distinct = 0;
    if (code == SQLITE_OK)
        code = sqlite_top(&store->scan, kind, limit, each, context, distinct);
    return end(store, code, reason);
}

// ---- Figures

// Sixteen steps between two powers of two: the middle of one is at most 3.2 % from what is in it.
#define STEPS_LOG2 4
#define STEPS (1U << STEPS_LOG2)
#define SLOTS ((32 - STEPS_LOG2 + 1) * STEPS)

static unsigned slot_of(uint32_t latency)
{
    unsigned power;

    if (latency < STEPS)
        return latency;
    power = 31U - (unsigned)__builtin_clz(latency);
    return (power - STEPS_LOG2 + 1) * STEPS + (latency >> (power - STEPS_LOG2) & (STEPS - 1));
}

static uint32_t slot_middle(unsigned slot)
{
    unsigned power = slot / STEPS;

    if (power == 0)
        return slot;
    return ((STEPS + slot % STEPS) << (power - 1)) + (1U << (power - 1)) / 2;
}

// What figures are made of.
struct tally {
    uint32_t slots[SLOTS];
    uint64_t outcomes[16];
    uint64_t count;
    uint32_t max;
};

static uint32_t percentile(const struct tally *tally, unsigned percent)
{
    uint64_t wanted = (tally->count * percent + 99) / 100, seen = 0;

    for (unsigned slot = 0; slot < SLOTS && tally->count > 0; slot++) {
        seen += tally->slots[slot];
        if (seen >= wanted)
            return MIN(slot_middle(slot), tally->max);
    }
    return 0;
}

static void figure(struct store_figures *figures, const struct tally *tally)
{
    memset(figures, 0, sizeof(*figures));
    figures->count = tally->count;
    for (unsigned i = 0; i < QUERYLOG_OUTCOMES; i++)
        figures->outcomes[i] = tally->outcomes[i];
    figures->p50 = percentile(tally, 50);
    figures->p95 = percentile(tally, 95);
    figures->p99 = percentile(tally, 99);
    figures->max = tally->max;
}

struct counting {
    const struct store_series *series;
    struct tally *tallies;
    uint64_t oldest, newest;
};

static inline void tally_row(struct tally *tally, const struct sqlite_scan *scan, uint32_t i)
{
    uint32_t latency = scan->latency[i];

    tally->slots[slot_of(latency)]++;
    tally->outcomes[scan->kind[i] & 0xf]++;
    tally->count++;
    tally->max = MAX(tally->max, latency);
}

static int tally_block(void *context, struct sqlite_scan *scan)
{
    struct counting *counting = context;
    const struct store_series *series = counting->series;
    uint64_t first = (scan->oldest - MIN(scan->oldest, series->start)) / series->width;
    uint64_t last = (scan->newest - MIN(scan->newest, series->start)) / series->width;
    bool alike = first == last && scan->oldest >= series->start;
    int code = sqlite_scan_load(scan, 1U << SQLITE_COLUMN_TIME | 1U << SQLITE_COLUMN_LATENCY);

    if (code != SQLITE_OK || (alike && first >= series->count))
        return code;
    for (uint32_t i = 0; i < scan->count; i++) {
        uint64_t time = scan->oldest + scan->time[i], at = first;

        if (!scan->match[i])
            continue;
        if (!alike) {
            if (time < series->start ||
                (at = (time - series->start) / series->width) >= series->count)
                continue;
        }
        tally_row(&counting->tallies[at], scan, i);
        counting->oldest = MIN(counting->oldest, time);
        counting->newest = MAX(counting->newest, time);
    }
    return code;
}

static int count_figures(struct sqlite_store *store, const struct store_filter *filter,
                         struct counting *counting, usec_t deadline, struct store_figures *figures,
                         char *reason)
{
    int code;

    counting->tallies = calloc(MAX(counting->series->count, 1), sizeof(*counting->tallies));
    counting->oldest = UINT64_MAX;
    counting->newest = 0;
    if (!counting->tallies)
        return reason_give(E_SYSTEM, reason, STORE_REASON_SIZE, "%s", error_text(E_NOMEM));
    code = begin(store, filter, deadline, reason);
    if (code == SQLITE_OK)
        code = sqlite_scan_run(&store->scan, true, 0, INT64_MAX, tally_block, counting);
    code = end(store, code, reason);
    for (uint32_t i = 0; i < counting->series->count; i++)
        figure(&figures[i], &counting->tallies[i]);
    free(counting->tallies);
    return code;
}

static int ask_series(void *state, const struct store_filter *filter,
                      const struct store_series *series, usec_t deadline,
                      struct store_figures *figures, char reason[STORE_REASON_SIZE])
{
    uint64_t end_time = series->start + series->count * series->width;
    struct store_filter narrow = *filter;
    struct counting counting = {.series = series};

    narrow.since = MAX(narrow.since, series->start);
    narrow.until = narrow.until ? MIN(narrow.until, end_time) : end_time;
    return count_figures(state, &narrow, &counting, deadline, figures, reason);
}

static int ask_totals(void *state, const struct store_filter *filter, usec_t deadline,
                      struct store_totals *totals, char reason[STORE_REASON_SIZE])
{
    const struct store_series all = {.start = 0, .width = UINT64_MAX, .count = 1};
    struct counting counting = {.series = &all};
    int error = count_figures(state, filter, &counting, deadline, &totals->figures, reason);

    totals->oldest = totals->figures.count > 0 ? counting.oldest : 0;
    totals->newest = counting.newest;
    return error;
}

const struct store_ops store_sqlite = {
    .scheme = "sqlite",
    .open = open_store,
    .close = close_store,
    .rows = ask_rows,
    .newest = ask_newest,
    .top = ask_top,
    .series = ask_series,
    .totals = ask_totals,
};
