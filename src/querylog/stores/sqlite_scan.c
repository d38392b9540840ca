#include "querylog/stores/sqlite_scan.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "querylog/sqlite_words.h"

#define BIT(column) (1U << SQLITE_COLUMN_##column)

// ---- Names and clients

static int ids_add(struct sqlite_ids *ids, uint32_t id)
{
    if (id == 0)
        return SQLITE_OK;
    if (id >= ids->end) {
        uint64_t end = MAX((uint64_t)id + 1, ids->end * 2);
        uint8_t *bits = realloc(ids->bits, end / 8 + 1);

        if (!bits)
            return SQLITE_NOMEM;
        memset(bits + (ids->bits ? ids->end / 8 + 1 : 0), 0,
               end / 8 - (ids->bits ? ids->end / 8 + 1 : 0) + 1);
        ids->bits = bits;
        ids->end = end;
    }
    ids->bits[id / 8] |= (uint8_t)(1 << id % 8);
    return SQLITE_OK;
}

static bool ids_have(const struct sqlite_ids *ids, uint32_t id)
{
    return id < ids->end && ids->bits[id / 8] & 1 << id % 8;
}

// Whether a dot is one between labels: before it is an even number of backslashes.
static bool is_bare(const char *text, const char *dot)
{
    const char *at = dot;

    while (at > text && at[-1] == '\\')
        at--;
    return (dot - at) % 2 == 0;
}

static bool is_name(const struct store_filter *filter, const char *text, size_t length)
{
    size_t wanted = strlen(filter->name);
    const char *end = text + length - wanted;

    if (length < wanted || memcmp(end, filter->name, wanted) != 0)
        return false;
    if (!filter->name_below)
        return length == wanted;
    return length > wanted + 1 && end[-1] == '.' && is_bare(text, end - 1);
}

static int take_name(void *context, int64_t id, const char *text, size_t length)
{
    struct sqlite_scan *scan = context;
    const struct store_filter *filter = scan->filter;

    if (*filter->name && !is_name(filter, text, length))
        return SQLITE_OK;
    if (*filter->text && !memmem(text, length, filter->text, strlen(filter->text)))
        return SQLITE_OK;
    return ids_add(&scan->names, sqlite_number_of(&scan->name_numbers, id));
}

static int find_names(struct sqlite_scan *scan)
{
    if (!*scan->filter->name && !*scan->filter->text)
        return SQLITE_OK;
    scan->names.all = false;
    return sqlite_words_walk(scan->db, SQLITE_NAMES, take_name, scan);
}

static unsigned hex_value(char digit)
{
    return digit <= '9' ? (unsigned)(digit - '0') : (unsigned)(digit - 'a') + 10;
}

static bool in_prefix(const struct policy_prefix *prefix, const char *key, size_t length)
{
    size_t digits = prefix->kind == POLICY_PREFIX_IPV4 ? 8 : 32;
    unsigned known = (unsigned)digits * 4;

    if (length < 1 + digits || *key != (prefix->kind == POLICY_PREFIX_IPV4 ? '4' : '6'))
        return false;
    if (length > 1 + digits) { // of one that is shown truncated, no more is known
        known = 0;
        for (size_t i = digits + 2; i < length; i++)
            known = known * 10 + (unsigned)(key[i] - '0');
    }
    if (known < prefix->length)
        return false;
    for (unsigned bit = 0; bit < prefix->length; bit += 4) {
        unsigned other =
            hex_value(key[1 + bit / 4]) ^ (prefix->address[bit / 8] >> (bit % 8 ? 0 : 4) & 0xf);

        if (other >> (prefix->length - bit < 4 ? 4 - (prefix->length - bit) : 0) != 0)
            return false;
    }
    return true;
}

static int take_client(void *context, int64_t id, const char *text, size_t length)
{
    struct sqlite_scan *scan = context;
    const struct store_filter *filter = scan->filter;

    if (*filter->client_text) {
        if (length != 17 || *text != 'k' || memcmp(text + 1, filter->client_text + 4, 16) != 0)
            return SQLITE_OK;
    } else if (!in_prefix(&filter->client, text, length)) {
        return SQLITE_OK;
    }
    return ids_add(&scan->clients, sqlite_number_of(&scan->client_numbers, id));
}

static int find_clients(struct sqlite_scan *scan)
{
    if (!scan->filter->has_client)
        return SQLITE_OK;
    scan->clients.all = false;
    return sqlite_words_walk(scan->db, SQLITE_CLIENTS, take_client, scan);
}

static bool finds_nothing(const struct sqlite_ids *ids)
{
    return !ids->all && ids->only == 0 && !ids->bits;
}

// One id is compared faster than many are looked up.
static void ids_simplify(struct sqlite_ids *ids)
{
    uint32_t only = 0;

    if (ids->all || !ids->bits)
        return;
    for (uint64_t i = 0; i <= ids->end / 8; i++) {
        if (ids->bits[i] == 0)
            continue;
        if (only != 0 || (ids->bits[i] & (ids->bits[i] - 1)) != 0)
            return;
        only = (uint32_t)(i * 8) + (uint32_t)__builtin_ctz(ids->bits[i]);
    }
    free(ids->bits);
    ids->bits = NULL;
    ids->only = only;
}

// ---- The question

static int deadline_passed(void *context)
{
    const struct sqlite_scan *scan = context;

    return store_now() > scan->deadline;
}

int sqlite_scan_begin(struct sqlite_scan *scan, sqlite3 *db, const struct store_filter *filter,
                      usec_t deadline)
{
    int code;

    scan->db = db;
    scan->filter = filter;
    scan->deadline = deadline;
    scan->names = scan->clients = (struct sqlite_ids){.all = true};
    scan->blocks = scan->column = NULL;
    for (unsigned kind = 0; kind < 256; kind++) {
        unsigned outcome = kind & 0xf, transport = kind >> 4;

        scan->kinds[kind] = kind != SQLITE_KIND_HOLE &&
                            (!filter->outcomes || filter->outcomes >> outcome & 1) &&
                            (!filter->transports || filter->transports >> transport & 1);
    }
    sqlite3_progress_handler(db, 10000, deadline_passed, scan);
    code = sqlite3_exec(db, "BEGIN", NULL, NULL, NULL);
    if (code == SQLITE_OK)
        code = sqlite_words_range(db, SQLITE_NAMES, &scan->name_numbers.first,
                                  &scan->name_numbers.last);
    if (code == SQLITE_OK)
        code = sqlite_words_range(db, SQLITE_CLIENTS, &scan->client_numbers.first,
                                  &scan->client_numbers.last);
    if (code == SQLITE_OK)
        code = find_names(scan);
    if (code == SQLITE_OK)
        code = find_clients(scan);
    ids_simplify(&scan->names);
    ids_simplify(&scan->clients);
    if (code == SQLITE_OK)
        code = sqlite3_prepare_v2(db, "SELECT data FROM block_column WHERE id = ?", -1,
                                  &scan->column, NULL);
    return code;
}

void sqlite_scan_end(struct sqlite_scan *scan)
{
    sqlite3_finalize(scan->blocks);
    sqlite3_finalize(scan->column);
    free(scan->names.bits);
    free(scan->clients.bits);
    sqlite3_progress_handler(scan->db, 0, NULL, NULL);
    if (!sqlite3_get_autocommit(scan->db))
        sqlite3_exec(scan->db, "ROLLBACK", NULL, NULL, NULL);
}

// ---- Columns

static void *array_of(struct sqlite_scan *scan, enum sqlite_column column)
{
    switch (column) {
    case SQLITE_COLUMN_TIME:
        return scan->time;
    case SQLITE_COLUMN_LATENCY:
        return scan->latency;
    case SQLITE_COLUMN_NAME:
        return scan->name;
    case SQLITE_COLUMN_CLIENT:
        return scan->client;
    case SQLITE_COLUMN_TYPE:
        return scan->type;
    case SQLITE_COLUMN_RCODE:
        return scan->rcode;
    case SQLITE_COLUMN_UPSTREAM:
        return scan->upstream;
    default:
        return scan->kind;
    }
}

static void to_host(void *array, unsigned width, uint32_t count)
{
    for (uint32_t i = 0; i < count && width == 4; i++)
        ((uint32_t *)array)[i] = le32toh(((uint32_t *)array)[i]);
    for (uint32_t i = 0; i < count && width == 2; i++)
        ((uint16_t *)array)[i] = le16toh(((uint16_t *)array)[i]);
}

// From what is in a block to numbers.
static void to_numbers(uint32_t *array, uint32_t count, int64_t from,
                       const struct sqlite_numbers *numbers)
{
    for (uint32_t i = 0; i < count; i++)
        if (array[i] != 0)
            array[i] = sqlite_number_of(numbers, from + array[i] - 1);
}

static int load(struct sqlite_scan *scan, enum sqlite_column column)
{
    unsigned width = sqlite_column_width(column);
    void *array = array_of(scan, column);
    int code;

    if (scan->block == 0) {
        sqlite_tail_column(&scan->tail, column, array);
        to_host(array, width, scan->count);
        return SQLITE_OK;
    }
    sqlite3_bind_int64(scan->column, 1, scan->block * SQLITE_COLUMNS_FACTOR + column);
    code = sqlite3_step(scan->column);
    if (code == SQLITE_ROW) {
        const void *data = sqlite3_column_blob(scan->column, 0);

        code = SQLITE_CORRUPT;
        if (data && (size_t)sqlite3_column_bytes(scan->column, 0) == (size_t)scan->count * width) {
            memcpy(array, data, (size_t)scan->count * width);
            to_host(array, width, scan->count);
            code = SQLITE_OK;
        }
    } else if (code == SQLITE_DONE) {
        code = SQLITE_CORRUPT;
    }
    sqlite3_reset(scan->column);
    return code;
}

int sqlite_scan_load(struct sqlite_scan *scan, unsigned columns)
{
    for (unsigned column = 0; column < SQLITE_COLUMNS; column++) {
        int code;

        if (!(columns & ~scan->loaded & 1U << column))
            continue;
        code = load(scan, column);
        if (code != SQLITE_OK)
            return code;
        if (column == SQLITE_COLUMN_NAME)
            to_numbers(scan->name, scan->count, scan->names_from, &scan->name_numbers);
        if (column == SQLITE_COLUMN_CLIENT)
            to_numbers(scan->client, scan->count, scan->clients_from, &scan->client_numbers);
        scan->loaded |= 1U << column;
    }
    return SQLITE_OK;
}

// ---- Matching

static int match_ids(struct sqlite_scan *scan, enum sqlite_column column,
                     const struct sqlite_ids *ids)
{
    const uint32_t *array = array_of(scan, column);
    int code;

    if (ids->all)
        return SQLITE_OK;
    code = sqlite_scan_load(scan, 1U << column);
    if (code != SQLITE_OK)
        return code;
    if (ids->only != 0)
        for (uint32_t i = 0; i < scan->count; i++)
            scan->match[i] &= array[i] == ids->only;
    else
        for (uint32_t i = 0; i < scan->count; i++)
            scan->match[i] = scan->match[i] && ids_have(ids, array[i]);
    return SQLITE_OK;
}

static int match_times(struct sqlite_scan *scan)
{
    const struct store_filter *filter = scan->filter;
    uint64_t since = filter->since > scan->oldest ? filter->since - scan->oldest : 0;
    uint64_t until = filter->until ? filter->until - MIN(filter->until, scan->oldest) : UINT64_MAX;
    int code;

    if (since == 0 && (filter->until == 0 || scan->newest < filter->until))
        return SQLITE_OK;
    code = sqlite_scan_load(scan, BIT(TIME));
    for (uint32_t i = 0; i < scan->count && code == SQLITE_OK; i++)
        scan->match[i] &= scan->time[i] >= since && scan->time[i] < until;
    return code;
}

// Sets match[]. `*any`: whether a row is meant.
static int match(struct sqlite_scan *scan, bool *any)
{
    const struct store_filter *filter = scan->filter;
    int code = sqlite_scan_load(scan, BIT(KIND) | (filter->slow ? BIT(LATENCY) : 0) |
                                          (filter->type >= 0 ? BIT(TYPE) : 0) |
                                          (filter->rcode >= 0 ? BIT(RCODE) : 0));
    uint8_t found = 0;

    if (code != SQLITE_OK)
        return code;
    for (uint32_t i = 0; i < scan->count; i++)
        scan->match[i] = scan->kinds[scan->kind[i]];
    memset(scan->match, 0, MIN(scan->first, scan->count));
    for (uint32_t i = 0; i < scan->count && filter->slow; i++)
        scan->match[i] &= scan->latency[i] >= filter->slow;
    for (uint32_t i = 0; i < scan->count && filter->type >= 0; i++)
        scan->match[i] &= scan->type[i] == filter->type;
    for (uint32_t i = 0; i < scan->count && filter->rcode >= 0; i++)
        scan->match[i] &= scan->rcode[i] == filter->rcode;
    code = match_times(scan);
    if (code == SQLITE_OK)
        code = match_ids(scan, SQLITE_COLUMN_NAME, &scan->names);
    if (code == SQLITE_OK)
        code = match_ids(scan, SQLITE_COLUMN_CLIENT, &scan->clients);
    for (uint32_t i = 0; i < scan->count; i++)
        found |= scan->match[i];
    *any = found != 0;
    return code;
}

// Whether there can be a row in a block of these kinds.
static bool has_kinds(const struct store_filter *filter, uint32_t kinds)
{
    return (!filter->outcomes || (filter->outcomes & kinds & 0xffff)) &&
           (!filter->transports || (filter->transports & kinds >> 16));
}

static int look(struct sqlite_scan *scan, sqlite_scan_fn *each, void *context)
{
    bool any = false;
    int code;

    if (store_now() > scan->deadline)
        return SQLITE_INTERRUPT;
    code = match(scan, &any);
    return code == SQLITE_OK && any ? each(context, scan) : code;
}

static int look_at_tail(struct sqlite_scan *scan, int64_t from, int64_t to, sqlite_scan_fn *each,
                        void *context)
{
    int64_t begin = 0;
    int code = SQLITE_OK;
    sqlite3_stmt *last;

    code = sqlite3_prepare_v2(scan->db, "SELECT coalesce(max(last), 0) + 1 FROM block", -1, &last,
                              NULL);
    if (code != SQLITE_OK)
        return code;
    if (sqlite3_step(last) == SQLITE_ROW)
        begin = sqlite3_column_int64(last, 0);
    code = sqlite3_finalize(last);
    if (code != SQLITE_OK || begin > to)
        return code;
    code = sqlite_tail_load(&scan->tail, scan->db, MAX(begin, from));
    if (code != SQLITE_OK || scan->tail.count == 0 || scan->tail.newest < scan->filter->since ||
        scan->tail.base > to)
        return code;
    scan->block = 0;
    scan->base = scan->tail.base;
    scan->count = scan->tail.count;
    scan->first = 0;
    scan->oldest = scan->tail.oldest;
    scan->newest = scan->tail.newest;
    scan->names_from = scan->tail.names_from;
    scan->clients_from = scan->tail.clients_from;
    scan->loaded = 0;
    return look(scan, each, context);
}

static int look_at_blocks(struct sqlite_scan *scan, bool newest_first, int64_t from, int64_t to,
                          sqlite_scan_fn *each, void *context)
{
    static const char *const sql[] = {
        "SELECT id, base, first, last, oldest, newest, kinds, names_from, clients_from"
        " FROM block WHERE last >= ?1 AND base <= ?2 AND newest >= ?3 AND oldest < ?4 AND slowest "
        ">= ?5"
        " ORDER BY id",
        "SELECT id, base, first, last, oldest, newest, kinds, names_from, clients_from"
        " FROM block WHERE last >= ?1 AND base <= ?2 AND newest >= ?3 AND oldest < ?4 AND slowest "
        ">= ?5"
        " ORDER BY id DESC",
    };
    const struct store_filter *filter = scan->filter;
    int code = sqlite3_prepare_v2(scan->db, sql[newest_first], -1, &scan->blocks, NULL);

    if (code != SQLITE_OK)
        return code;
    sqlite3_bind_int64(scan->blocks, 1, from);
    sqlite3_bind_int64(scan->blocks, 2, to);
    sqlite3_bind_int64(scan->blocks, 3, (int64_t)filter->since);
    sqlite3_bind_int64(scan->blocks, 4, filter->until ? (int64_t)filter->until : INT64_MAX);
    sqlite3_bind_int64(scan->blocks, 5, filter->slow);
    while ((code = sqlite3_step(scan->blocks)) == SQLITE_ROW) {
        int64_t last = sqlite3_column_int64(scan->blocks, 3);

        scan->block = sqlite3_column_int64(scan->blocks, 0);
        scan->base = sqlite3_column_int64(scan->blocks, 1);
        if (scan->block <= 0 || last < scan->base || last - scan->base >= SQLITE_BLOCK_ROWS)
            return SQLITE_CORRUPT;
        scan->count = (uint32_t)(last - scan->base + 1);
        scan->first = (uint32_t)(sqlite3_column_int64(scan->blocks, 2) - scan->base);
        scan->oldest = (uint64_t)sqlite3_column_int64(scan->blocks, 4);
        scan->newest = (uint64_t)sqlite3_column_int64(scan->blocks, 5);
        scan->names_from = sqlite3_column_int64(scan->blocks, 7);
        scan->clients_from = sqlite3_column_int64(scan->blocks, 8);
        scan->loaded = 0;
        if (!has_kinds(filter, (uint32_t)sqlite3_column_int64(scan->blocks, 6)))
            continue;
        code = look(scan, each, context);
        if (code != SQLITE_OK)
            return code;
    }
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

int sqlite_scan_run(struct sqlite_scan *scan, bool newest_first, int64_t from, int64_t to,
                    sqlite_scan_fn *each, void *context)
{
    int code = SQLITE_OK;

    sqlite3_finalize(scan->blocks);
    scan->blocks = NULL;
    if (finds_nothing(&scan->names) || finds_nothing(&scan->clients))
        return SQLITE_OK;
    if (newest_first)
        code = look_at_tail(scan, from, to, each, context);
    if (code == SQLITE_OK)
        code = look_at_blocks(scan, newest_first, from, to, each, context);
    if (code == SQLITE_OK && !newest_first)
        code = look_at_tail(scan, from, to, each, context);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}
