// Rows are counted by number first; then numbers that have the same text are put together, the best
// chosen, and errors and latencies summed up of these alone.
#include "querylog/stores/sqlite_top.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "base/siphash.h"
#include "dns/tables.h"
#include "querylog/sqlite_words.h"

// Words are put together in so many parts, each small enough for the processor's cache.
#define PARTS_LOG2 8
#define PARTS (1U << PARTS_LOG2)

// A name or client that was counted.
struct word {
    uint64_t hash; // of its text
    uint32_t number, count;
};

struct best {
    uint64_t count, hash;
    uint64_t errors, latency;
    uint32_t number;
};

struct top {
    struct sqlite_scan *scan;
    enum store_top_kind kind;
    enum sqlite_column column;
    const struct sqlite_numbers *numbers; // of a name or client; else NULL
    uint32_t end;                         // numbers are below it
    uint32_t *counts; // by number; in the second pass: the place among the best + 1, or 0
    uint32_t *groups; // of upstreams: the first with the same URL; else NULL
    struct siphash_key secret;
    struct word *words;
    uint32_t word_count;
    struct best best[STORE_TOP_MAX]; // while it is filled: a heap with the worst on top
    uint32_t limit, used;
    uint64_t distinct;
};

// ---- Passes over the rows

// The number that a row counts for.
static inline uint32_t number_of(const struct top *top, const struct sqlite_scan *scan, uint32_t i)
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

    for (uint32_t i = 0; i < scan->count && code == SQLITE_OK; i++)
        top->counts[number_of(top, scan, i)] += scan->match[i];
    return code;
}

static int sum_block(void *context, struct sqlite_scan *scan)
{
    struct top *top = context;
    int code = sqlite_scan_load(scan, 1U << top->column | 1U << SQLITE_COLUMN_LATENCY);

    for (uint32_t i = 0; i < scan->count && code == SQLITE_OK; i++) {
        uint32_t place = scan->match[i] ? top->counts[number_of(top, scan, i)] : 0;
        struct best *best;

        if (place == 0)
            continue;
        best = &top->best[place - 1];
        best->errors += (scan->kind[i] & 0xf) == QUERYLOG_ERROR;
        best->latency += scan->latency[i];
    }
    return code;
}

// ---- The same text

static int collect_word(void *context, int64_t id, const char *text, size_t length)
{
    struct top *top = context;
    uint32_t number = sqlite_number_of(top->numbers, id);

    // With 64 bits and a secret key, two texts that share a hash are nothing to be reckoned with.
    if (number != 0 && number < top->end && top->counts[number] != 0)
        top->words[top->word_count++] = (struct word){
            .hash = siphash(&top->secret, (const uint8_t *)text, length),
            .number = number,
            .count = top->counts[number],
        };
    return SQLITE_OK;
}

// Those of one part: the first of each text gets the counts of all, the others none.
static void merge_part(struct word *words, uint32_t count, uint32_t *slots, uint32_t size)
{
    memset(slots, 0, size * sizeof(*slots));
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = (uint32_t)words[i].hash & (size - 1);

        while (slots[at] != 0 && words[slots[at] - 1].hash != words[i].hash)
            at = (at + 1) & (size - 1);
        if (slots[at] == 0) {
            slots[at] = i + 1;
        } else {
            words[slots[at] - 1].count += words[i].count;
            words[i].count = 0;
        }
    }
}

// Puts words into the order of the parts, and each part together.
static int merge(struct top *top)
{
    struct word *sorted = calloc((size_t)top->word_count + 1, sizeof(*sorted));
    uint32_t starts[PARTS + 1] = {0}, ends[PARTS];
    uint32_t largest = 0, size = 16;
    uint32_t *slots;

    if (!sorted)
        return SQLITE_NOMEM;
    for (uint32_t i = 0; i < top->word_count; i++)
        starts[(top->words[i].hash >> (64 - PARTS_LOG2)) + 1]++;
    for (unsigned part = 0; part < PARTS; part++) {
        largest = MAX(largest, starts[part + 1]);
        starts[part + 1] += starts[part];
        ends[part] = starts[part];
    }
    for (uint32_t i = 0; i < top->word_count; i++)
        sorted[ends[top->words[i].hash >> (64 - PARTS_LOG2)]++] = top->words[i];
    free(top->words);
    top->words = sorted;
    while (size < 2 * largest)
        size *= 2;
    slots = malloc(size * sizeof(*slots));
    if (!slots)
        return SQLITE_NOMEM;
    for (unsigned part = 0; part < PARTS; part++)
        merge_part(sorted + starts[part], ends[part] - starts[part], slots, size);
    free(slots);
    return SQLITE_OK;
}

static int collect_words(struct top *top)
{
    uint32_t counted = 0;
    struct random random;
    int code;

    random_init(&random);
    top->secret.k0 = (uint64_t)random_u32(&random) << 32 | random_u32(&random);
    top->secret.k1 = (uint64_t)random_u32(&random) << 32 | random_u32(&random);
    for (uint32_t number = 1; number < top->end; number++)
        counted += top->counts[number] != 0;
    top->words = malloc(((size_t)counted + 1) * sizeof(*top->words));
    if (!top->words)
        return SQLITE_NOMEM;
    code = sqlite_words_walk(top->scan->db,
                             top->kind == STORE_TOP_NAMES ? SQLITE_NAMES : SQLITE_CLIENTS,
                             collect_word, top);
    return code == SQLITE_OK ? merge(top) : code;
}

// ---- The best

// Whether a comes before b: the more frequent, then the older.
static bool is_better(const struct best *a, const struct best *b)
{
    return a->count > b->count || (a->count == b->count && a->number < b->number);
}

static int compare_best(const void *a, const void *b)
{
    return is_better(a, b) ? -1 : 1;
}

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

static void offer(struct top *top, uint32_t number, uint32_t count, uint64_t hash)
{
    struct best candidate = {.count = count, .number = number, .hash = hash};

    if (count == 0)
        return;
    top->distinct++;
    if (top->used < top->limit) {
        top->best[top->used++] = candidate;
        for (uint32_t i = top->used; top->used == top->limit && i-- > 0;)
            sink_down(top, i);
    } else if (top->limit > 0 && is_better(&candidate, &top->best[0])) {
        top->best[0] = candidate;
        sink_down(top, 0);
    }
}

// Writes to counts[] the places of those words that are among the best.
static void place_words(struct top *top)
{
    enum { SLOTS = 4096 }; // STORE_TOP_MAX and room
    uint16_t slots[SLOTS] = {0};

    for (uint32_t i = 0; i < top->used; i++) {
        uint32_t at = top->best[i].hash % SLOTS;

        while (slots[at] != 0)
            at = (at + 1) % SLOTS;
        slots[at] = (uint16_t)(i + 1);
    }
    for (uint32_t i = 0; i < top->word_count; i++) {
        uint32_t at = top->words[i].hash % SLOTS;

        while (slots[at] != 0 && top->best[slots[at] - 1].hash != top->words[i].hash)
            at = (at + 1) % SLOTS;
        top->counts[top->words[i].number] = slots[at];
    }
}

static int choose_best(struct top *top)
{
    uint32_t none = top->counts[0];
    int code = SQLITE_OK;

    if (top->numbers)
        code = collect_words(top);
    for (uint32_t i = 0; i < top->word_count; i++)
        offer(top, top->words[i].number, top->words[i].count, top->words[i].hash);
    if (top->numbers)
        offer(top, 0, none, 0);
    for (uint32_t number = 0; number < top->end && !top->numbers; number++)
        offer(top, number, top->counts[number], 0);
    qsort(top->best, top->used, sizeof(top->best[0]), compare_best);
    memset(top->counts, 0, top->end * sizeof(*top->counts));
    if (top->numbers)
        place_words(top);
    for (uint32_t i = 0; i < top->used; i++)
        top->counts[top->best[i].number] = i + 1;
    return code;
}

// ---- The whole

static int group_upstreams(struct top *top)
{
    sqlite3_stmt *rows;
    int code;

    top->groups = calloc(top->end, sizeof(*top->groups));
    if (!top->groups)
        return SQLITE_NOMEM;
    code = sqlite3_prepare_v2(
        top->scan->db, "SELECT id, min(id) OVER (PARTITION BY url) FROM upstream", -1, &rows, NULL);
    if (code != SQLITE_OK)
        return code;
    while (sqlite3_step(rows) == SQLITE_ROW)
        top->groups[sqlite3_column_int64(rows, 0) & UINT16_MAX] =
            (uint32_t)sqlite3_column_int64(rows, 1) & UINT16_MAX;
    return sqlite3_finalize(rows);
}

static int prepare(struct top *top)
{
    static const struct {
        enum sqlite_column column;
        uint32_t end; // 0: as many as there are
    } kinds[STORE_TOP_KINDS] = {
        [STORE_TOP_NAMES] = {SQLITE_COLUMN_NAME, 0},
        [STORE_TOP_CLIENTS] = {SQLITE_COLUMN_CLIENT, 0},
        [STORE_TOP_TYPES] = {SQLITE_COLUMN_TYPE, UINT16_MAX + 1},
        [STORE_TOP_OUTCOMES] = {SQLITE_COLUMN_KIND, 256},
        [STORE_TOP_UPSTREAMS] = {SQLITE_COLUMN_UPSTREAM, UINT16_MAX + 1},
        [STORE_TOP_RCODES] = {SQLITE_COLUMN_RCODE, UINT16_MAX + 1},
        [STORE_TOP_TRANSPORTS] = {SQLITE_COLUMN_KIND, 256},
    };

    top->column = kinds[top->kind].column;
    top->end = kinds[top->kind].end;
    if (top->kind == STORE_TOP_NAMES)
        top->numbers = &top->scan->name_numbers;
    if (top->kind == STORE_TOP_CLIENTS)
        top->numbers = &top->scan->client_numbers;
    if (top->numbers && top->numbers->last - top->numbers->first > INT32_MAX)
        return SQLITE_TOOBIG;
    if (top->numbers)
        top->end = (uint32_t)(top->numbers->last - top->numbers->first + 2);
    top->counts = calloc(top->end, sizeof(*top->counts));
    if (!top->counts)
        return SQLITE_NOMEM;
    return top->kind == STORE_TOP_UPSTREAMS ? group_upstreams(top) : SQLITE_OK;
}

// Reads what a number stands for; "" if there is nothing.
static int read_text(struct top *top, const char *sql, int64_t id,
                     char text[QUERYLOG_NAME_TEXT_SIZE])
{
    sqlite3_stmt *row;
    int code = sqlite3_prepare_v2(top->scan->db, sql, -1, &row, NULL);

    if (code != SQLITE_OK)
        return code;
    sqlite3_bind_int64(row, 1, id);
    if (sqlite3_step(row) == SQLITE_ROW && sqlite3_column_text(row, 0))
        snprintf(text, QUERYLOG_NAME_TEXT_SIZE, "%s", (const char *)sqlite3_column_text(row, 0));
    return sqlite3_finalize(row);
}

static int text_of(struct top *top, uint32_t number, char text[QUERYLOG_NAME_TEXT_SIZE])
{
    char buffer[DNS_NUMBER_TEXT_MAX];
    const char *known = NULL;

    *text = '\0';
    switch (top->kind) {
    case STORE_TOP_TYPES:
        known = dns_type_text((uint16_t)number, buffer);
        break;
    case STORE_TOP_RCODES:
        snprintf(buffer, sizeof(buffer), "RCODE%" PRIu32, number);
        known = dns_rcode_name((uint16_t)number);
        known = known ? known : buffer;
        break;
    case STORE_TOP_OUTCOMES:
        known = querylog_outcome_name(number);
        break;
    case STORE_TOP_TRANSPORTS:
        known = querylog_transport_name(number);
        break;
    default:
        break;
    }
    if (known)
        snprintf(text, QUERYLOG_NAME_TEXT_SIZE, "%s", known);
    if (known || number == 0)
        return SQLITE_OK;
    if (top->kind == STORE_TOP_UPSTREAMS)
        return read_text(top, "SELECT url FROM upstream WHERE id = ?", number, text);
    return read_text(top,
                     top->kind == STORE_TOP_NAMES ? "SELECT name FROM name WHERE id = ?"
                                                  : "SELECT client FROM client WHERE id = ?",
                     top->numbers->first + number - 1, text);
}

static int give(struct top *top, store_top_fn *each, void *context)
{
    char text[QUERYLOG_NAME_TEXT_SIZE];
    bool more = true;

    for (uint32_t i = 0; i < top->used && more; i++) {
        const struct best *best = &top->best[i];
        int code = text_of(top, best->number, text);

        if (code != SQLITE_OK)
            return code;
        more = each(context, &(struct store_top){
                                 .text = text,
                                 .count = best->count,
                                 .errors = best->errors,
                                 .mean_latency = best->latency / best->count,
                             });
    }
    return SQLITE_OK;
}

int sqlite_top(struct sqlite_scan *scan, enum store_top_kind kind, uint32_t limit,
               store_top_fn *each, void *context, uint64_t *distinct)
{
    struct top *top = calloc(1, sizeof(*top));
    int code;

    if (!top)
        return SQLITE_NOMEM;
    top->scan = scan;
    top->kind = kind;
    top->limit = limit;
    code = prepare(top);
    if (code == SQLITE_OK)
        code = sqlite_scan_run(scan, true, 0, INT64_MAX, count_block, top);
    if (code == SQLITE_OK)
        code = choose_best(top);
    if (code == SQLITE_OK)
        code = sqlite_scan_run(scan, true, 0, INT64_MAX, sum_block, top);
    if (code == SQLITE_OK)
        code = give(top, each, context);
    *distinct = top->distinct;
    free(top->counts);
    free(top->groups);
    free(top->words);
    free(top);
    return code;
}
