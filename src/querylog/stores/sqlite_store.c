#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/reason.h"
#include "dns/tables.h"
#include "querylog/sqlite_file.h"
#include "querylog/stores/sqlite_scan.h"

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
    int moved = 0, code;

    // One that was removed or replaced is asked no longer.
    if (store->db &&
        sqlite3_file_control(store->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK &&
        moved)
        disconnect(store);
    if (!store->db && connect_to_file(store, reason) != E_OK)
        return SQLITE_CANTOPEN;
    code = sqlite_scan_begin(&store->scan, store->db, filter, deadline);
    return code;
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

struct top {
    enum store_top_kind kind;
    enum sqlite_column column;
    uint32_t *counts; // by number; in the second pass: the place among the best + 1
    uint32_t end;
    uint32_t *groups; // of upstreams: the number of the first with the same URL; NULL: each its own
    struct best {
        uint32_t count, number;
        uint64_t errors, latency;
    } best[STORE_TOP_MAX];
    uint32_t limit, used;
};

// The number that a row counts for.
static inline uint32_t top_number(const struct top *top, const struct sqlite_scan *scan, uint32_t i)
{
    switch (top->kind) {
    case STORE_TOP_NAMES:
        return scan->name[i];
    case STORE_TOP_CLIENTS:
        return scan->client[i];
    case STORE_TOP_TYPES:
        return scan->type[i];
    case STORE_TOP_RCODES:
        return scan->rcode[i];
    case STORE_TOP_OUTCOMES:
        return scan->kind[i] & 0xf;
    case STORE_TOP_TRANSPORTS:
        return scan->kind[i] >> 4;
    default:
        return top->groups[scan->upstream[i]];
    }
}

static int count_block(void *context, struct sqlite_scan *scan)
{
    struct top *top = context;
    int code = sqlite_scan_load(scan, 1U << top->column);

    for (uint32_t i = 0; i < scan->count && code == SQLITE_OK; i++) {
        uint32_t number = top_number(top, scan, i);

        if (number < top->end)
            top->counts[number] += scan->match[i];
    }
    return code;
}

static int sum_block(void *context, struct sqlite_scan *scan)
{
    struct top *top = context;
    int code = sqlite_scan_load(scan, 1U << top->column | 1U << SQLITE_COLUMN_LATENCY);

    for (uint32_t i = 0; i < scan->count && code == SQLITE_OK; i++) {
        uint32_t number = top_number(top, scan, i);
        struct best *best;

        if (!scan->match[i] || number >= top->end || top->counts[number] == 0)
            continue;
        best = &top->best[top->counts[number] - 1];
        best->errors += (scan->kind[i] & 0xf) == QUERYLOG_ERROR;
        best->latency += scan->latency[i];
    }
    return code;
}

// Whether a comes before b: the more frequent, then the older.
static bool is_better(const struct best *a, const struct best *b)
{
    return a->count > b->count || (a->count == b->count && a->number < b->number);
}

static int compare_best(const void *a, const void *b)
{
    return is_better(a, b) ? -1 : 1;
}

// `best` is a heap with the worst on top.
static void sink_down(struct top *top, uint32_t at)
{
    for (;;) {
        uint32_t child = 2 * at + 1;
        struct best moved = top->best[at];

        if (child >= top->used)
            return;
        if (child + 1 < top->used && is_better(&top->best[child], &top->best[child + 1]))
            child++;
        if (!is_better(&moved, &top->best[child]))
            return;
        top->best[at] = top->best[child];
        top->best[child] = moved;
        at = child;
    }
}

// Takes the best of all counts, and leaves their places there.
static uint64_t choose_best(struct top *top)
{
    uint64_t distinct = 0;

    for (uint32_t number = 0; number < top->end; number++) {
        struct best candidate = {.count = top->counts[number], .number = number};

        if (candidate.count == 0)
            continue;
        distinct++;
        if (top->used < top->limit) {
            top->best[top->used++] = candidate;
            if (top->used == top->limit)
                for (uint32_t i = top->used; i-- > 0;)
                    sink_down(top, i);
        } else if (top->limit > 0 && is_better(&candidate, &top->best[0])) {
            top->best[0] = candidate;
            sink_down(top, 0);
        }
    }
    qsort(top->best, top->used, sizeof(top->best[0]), compare_best);
    memset(top->counts, 0, top->end * sizeof(*top->counts));
    for (uint32_t i = 0; i < top->used; i++)
        top->counts[top->best[i].number] = i + 1;
    return distinct;
}

static int prepare_top(struct top *top, struct sqlite_store *store)
{
    static const struct {
        enum sqlite_column column;
        uint32_t end;
        const char *last;
    } kinds[STORE_TOP_KINDS] = {
        [STORE_TOP_NAMES] = {SQLITE_COLUMN_NAME, 0, "SELECT max(id) FROM name"},
        [STORE_TOP_CLIENTS] = {SQLITE_COLUMN_CLIENT, 0, "SELECT max(id) FROM client"},
        [STORE_TOP_TYPES] = {SQLITE_COLUMN_TYPE, UINT16_MAX + 1, NULL},
        [STORE_TOP_OUTCOMES] = {SQLITE_COLUMN_KIND, 16, NULL},
        [STORE_TOP_UPSTREAMS] = {SQLITE_COLUMN_UPSTREAM, UINT16_MAX + 1, NULL},
        [STORE_TOP_RCODES] = {SQLITE_COLUMN_RCODE, UINT16_MAX + 1, NULL},
        [STORE_TOP_TRANSPORTS] = {SQLITE_COLUMN_KIND, 16, NULL},
    };
    int64_t last = 0;
    int code = SQLITE_OK;

    top->column = kinds[top->kind].column;
    top->end = kinds[top->kind].end;
    if (kinds[top->kind].last) {
        code = sqlite_file_run(store->db, kinds[top->kind].last, &last);
        top->end = (uint32_t)MIN(last + 1, (int64_t)UINT32_MAX);
    }
    top->counts = calloc(top->end, sizeof(*top->counts));
    if (!top->counts)
        return SQLITE_NOMEM;
    if (top->kind == STORE_TOP_UPSTREAMS && code == SQLITE_OK) {
        sqlite3_stmt *rows;

        top->groups = calloc(top->end, sizeof(*top->groups));
        if (!top->groups)
            return SQLITE_NOMEM;
        code = sqlite3_prepare_v2(
            store->db, "SELECT id, min(id) OVER (PARTITION BY url) FROM upstream", -1, &rows, NULL);
        while (code == SQLITE_OK && sqlite3_step(rows) == SQLITE_ROW)
            top->groups[sqlite3_column_int64(rows, 0) & UINT16_MAX] =
                (uint32_t)sqlite3_column_int64(rows, 1) & UINT16_MAX;
        sqlite3_finalize(rows);
    }
    return code;
}

// The text of a number; "" if there is none.
static int text_of_number(struct sqlite_store *store, enum store_top_kind kind, uint32_t number,
                          char text[QUERYLOG_NAME_TEXT_SIZE])
{
    const char *sql = kind == STORE_TOP_NAMES     ? "SELECT name FROM name WHERE id = ?"
                      : kind == STORE_TOP_CLIENTS ? "SELECT client FROM client WHERE id = ?"
                                                  : "SELECT url FROM upstream WHERE id = ?";
    const char *known = dns_rcode_name((uint16_t)number);
    sqlite3_stmt *row;
    int code;

    *text = '\0';
    switch (kind) {
    case STORE_TOP_TYPES:
        snprintf(text, QUERYLOG_NAME_TEXT_SIZE, "%s",
                 dns_type_text((uint16_t)number, (char[DNS_NUMBER_TEXT_MAX]){0}));
        return SQLITE_OK;
    case STORE_TOP_RCODES:
        if (known)
            snprintf(text, QUERYLOG_NAME_TEXT_SIZE, "%s", known);
        else
            snprintf(text, QUERYLOG_NAME_TEXT_SIZE, "RCODE%" PRIu32, number);
        return SQLITE_OK;
    case STORE_TOP_OUTCOMES:
        snprintf(text, QUERYLOG_NAME_TEXT_SIZE, "%s", querylog_outcome_name(number));
        return SQLITE_OK;
    case STORE_TOP_TRANSPORTS:
        snprintf(text, QUERYLOG_NAME_TEXT_SIZE, "%s", querylog_transport_name(number));
        return SQLITE_OK;
    default:
        break;
    }
    code = sqlite3_prepare_v2(store->db, sql, -1, &row, NULL);
    if (code != SQLITE_OK)
        return code;
    sqlite3_bind_int64(row, 1, number);
    if (sqlite3_step(row) == SQLITE_ROW)
        snprintf(text, QUERYLOG_NAME_TEXT_SIZE, "%s", text_of(row, 0));
    return sqlite3_finalize(row);
}

static int ask_top(void *state, const struct store_filter *filter, enum store_top_kind kind,
                   uint32_t limit, usec_t deadline, store_top_fn *each, void *context,
                   uint64_t *distinct, char reason[STORE_REASON_SIZE])
{
    struct sqlite_store *store = state;
    struct top *top = calloc(1, sizeof(*top));
    char text[QUERYLOG_NAME_TEXT_SIZE];
    bool more = true;
    int code;

    *distinct = 0;
    if (!top)
        return reason_give(E_SYSTEM, reason, STORE_REASON_SIZE, "%s", error_text(E_NOMEM));
    top->kind = kind;
    top->limit = limit;
    code = begin(store, filter, deadline, reason);
    if (code == SQLITE_OK)
        code = prepare_top(top, store);
    if (code == SQLITE_OK)
        code = sqlite_scan_run(&store->scan, true, 0, INT64_MAX, count_block, top);
    if (code == SQLITE_OK) {
        *distinct = choose_best(top);
        code = sqlite_scan_run(&store->scan, true, 0, INT64_MAX, sum_block, top);
    }
    for (uint32_t i = 0; i < top->used && more && code == SQLITE_OK; i++) {
        const struct best *best = &top->best[i];

        code = text_of_number(store, kind, best->number, text);
        if (code == SQLITE_OK)
            more = each(context, &(struct store_top){
                                     .text = text,
                                     .count = best->count,
                                     .errors = best->errors,
                                     .mean_latency = best->latency / best->count,
                                 });
    }
    code = end(store, code, reason);
    free(top->counts);
    free(top->groups);
    free(top);
    return code;
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
