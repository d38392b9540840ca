// The sink "sqlite" and the store that reads what it wrote, against the records themselves.
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "../tools/querylog_entries.h"
#include "base/error.h"
#include "base/log.h"
#include "querylog/sink.h"
#include "querylog/store.h"

#define BATCH 1000

static char folder[64], path[96], log_path[96];
static struct querylog_sink_options options;
static struct log *messages;
static void *sink;
static char reason[QUERYLOG_REASON_SIZE];
static struct entries entries;

static uint64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * USEC_SEC + (uint64_t)now.tv_nsec / 1000;
}

static void *try_open(void)
{
    const struct querylog_sink_setup setup = {.options = &options, .instance = "", .log = messages};

    *reason = '\0';
    return querylog_sqlite.open(&setup, reason);
}

static void open_sink(void)
{
    sink = try_open();
    if (!sink)
        fail_msg("%s", reason);
}

static void close_sink(void)
{
    if (sink)
        querylog_sqlite.close(sink);
    sink = NULL;
}

// The entries from `from` on.
static int write_entries(uint64_t from, size_t count)
{
    static struct querylog_entry batch[BATCH];
    static struct entry_room room[BATCH];

    assert_true(count <= BATCH);
    for (size_t i = 0; i < count; i++)
        entries_make(&entries, from + i, &batch[i], &room[i]);
    return querylog_sqlite.write(sink, batch, count);
}

static void write_all(uint64_t count)
{
    for (uint64_t i = 0; i < count; i += BATCH)
        assert_int_equal(write_entries(i, MIN(BATCH, count - i)), E_OK);
}

// The number that a statement gives, by a connection of its own.
static int64_t sql_in(const char *file, const char *sql)
{
    int64_t value = -1;
    sqlite3_stmt *statement;
    sqlite3 *db;

    assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 5000);
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    if (sqlite3_step(statement) == SQLITE_ROW)
        value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return value;
}

static int64_t sql(const char *text)
{
    return sql_in(path, text);
}

static struct store *open_store(void)
{
    struct store *store = store_open(options.url, NULL, reason);

    if (!store)
        fail_msg("%s", reason);
    return store;
}

// The files in the folder whose names begin so.
static unsigned files_like(const char *prefix)
{
    DIR *directory = opendir(folder);
    unsigned count = 0;
    struct dirent *file;

    assert_non_null(directory);
    while ((file = readdir(directory)))
        count += strncmp(file->d_name, prefix, strlen(prefix)) == 0;
    closedir(directory);
    return count;
}

// How often a text is in the log; ends it.
static unsigned logged(const char *text)
{
    static char content[65536];
    unsigned count = 0;
    size_t size;
    FILE *file;

    log_free(messages);
    messages = NULL;
    file = fopen(log_path, "r");
    assert_non_null(file);
    size = fread(content, 1, sizeof(content) - 1, file);
    content[size] = '\0';
    fclose(file);
    for (const char *at = content; (at = strstr(at, text)); at++)
        count++;
    return count;
}

static int saved_stderr;

static int set_up(void **state)
{
    int fd;

    strcpy(folder, "/tmp/sotto-test-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/queries.db", folder);
    snprintf(log_path, sizeof(log_path), "%s/stderr", folder);
    memset(&options, 0, sizeof(options));
    snprintf(options.url, sizeof(options.url), "sqlite://%s", path);
    entries = (struct entries){
        .start = now_us() - 40000 * USEC_SEC, .interval = USEC_SEC, .names = 3000, .clients = 300};
    fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    saved_stderr = dup(STDERR_FILENO);
    dup2(fd, STDERR_FILENO);
    close(fd);
    messages = log_new(&(struct log_options){.level = LOG_INFO});
    assert_non_null(messages);
    return 0;
}

static int tear_down(void **state)
{
    char command[128];

    close_sink();
    log_free(messages);
    messages = NULL;
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    snprintf(command, sizeof(command), "rm -rf %s", folder);
    return system(command); // NOLINT: a folder of ours
}

static uint64_t rows_of(const char *client)
{
    struct store *store = open_store();
    struct store_filter filter;
    struct store_totals totals;

    store_filter_init(&filter);
    if (client)
        assert_int_equal(store_filter_take(&filter, STORE_FILTER_CLIENT, client, 1, reason), E_OK);
    assert_int_equal(store_totals(store, &filter, &totals, reason), E_OK);
    store_close(store);
    return totals.figures.count;
}

// The tables and what is made of them agree.
static void assert_consistent(void)
{
    assert_int_equal(rows_of(NULL), sql("SELECT count(*) FROM query"));
    assert_int_equal(sql("SELECT count(*) FROM query q LEFT JOIN name n ON n.id = q.name"
                         " WHERE q.name IS NOT NULL AND n.id IS NULL"),
                     0);
    assert_int_equal(sql("SELECT count(*) FROM query q LEFT JOIN client c ON c.id = q.client"
                         " WHERE q.client IS NOT NULL AND c.id IS NULL"),
                     0);
}

// ---- What is written is there

struct compare {
    uint64_t next;
    uint64_t seen;
};

static bool compare_row(void *context, const struct store_row *row)
{
    struct compare *compare = context;
    char name[QUERYLOG_NAME_TEXT_SIZE], client[QUERYLOG_CLIENT_TEXT_SIZE];
    struct querylog_entry entry;
    struct entry_room room;

    entries_make(&entries, compare->next, &entry, &room);
    assert_int_equal(row->id, compare->next + 1);
    querylog_name_text(&entry, name);
    querylog_client_text(&entry, client);
    assert_string_equal(row->name, name);
    assert_string_equal(row->client, client);
    assert_int_equal(row->client_port, entry.record.client.port);
    assert_int_equal(row->time, entry.record.time);
    assert_int_equal(row->latency, entry.record.latency);
    assert_int_equal(row->upstream_latency, entry.record.upstream_latency);
    assert_int_equal(row->type, entry.record.type);
    assert_int_equal(row->class, entry.record.class);
    assert_int_equal(row->message_id, entry.record.id);
    assert_int_equal(row->rcode, entry.record.rcode);
    assert_int_equal(row->ede, entry.record.ede);
    assert_int_equal(row->flags, entry.record.flags);
    assert_int_equal(row->query_size, entry.record.query_size);
    assert_int_equal(row->reply_size, entry.record.reply_size);
    assert_int_equal(row->transport, entry.record.transport);
    assert_int_equal(row->outcome, entry.record.outcome);
    assert_int_equal(row->attempts, entry.record.attempts);
    assert_int_equal(row->tls_version, entry.record.tls_version);
    assert_int_equal(strlen(row->upstream), entry.upstream_url_size);
    assert_memory_equal(row->upstream, entry.upstream_url ? entry.upstream_url : "",
                        entry.upstream_url_size);
    assert_string_equal(row->upstream_address, entry.upstream_url_size ? "192.0.2.1:853" : "");
    compare->next++;
    compare->seen++;
    return true;
}

// All entries up to `count` are there, once.
static void assert_kept(uint64_t count)
{
    struct store *store = open_store();
    struct compare compare = {.next = 0};
    struct store_page page = {.forward = true, .limit = UINT32_MAX};
    struct store_filter filter;

    store_filter_init(&filter);
    assert_int_equal(store_rows(store, &filter, &page, compare_row, &compare, reason), E_OK);
    assert_int_equal(compare.seen, count);
    store_close(store);
    assert_int_equal(sql("SELECT count(*) FROM query"), count);
    assert_int_equal(sql("SELECT count(*) FROM pragma_integrity_check"
                         " WHERE integrity_check <> 'ok'"),
                     0);
}

static void test_all_are_there_and_none_is_doubled(void **state)
{
    struct stat status;

    open_sink();
    for (uint64_t i = 0; i < 20000; i += 777)
        assert_int_equal(write_entries(i, MIN(777, 20000 - i)), E_OK);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_kept(20000); // while it is open
    close_sink();
    assert_kept(20000);
    open_sink();
    for (uint64_t i = 20000; i < 40000; i += 1000)
        assert_int_equal(write_entries(i, 1000), E_OK);
    close_sink();
    assert_kept(40000);
}

static void test_letters_and_pseudonyms_are_kept(void **state)
{
    static const uint8_t mixed[] = "\3WwW\7ExAmple\3com";
    static const uint8_t hostile[] = "\x9<script>\33\1.\4test";
    struct querylog_entry batch[] = {
        {.record = {.time = 1, .ede = QUERYLOG_NO_EDE}, .name = mixed, .name_size = sizeof(mixed)},
        {.record = {.time = 2, .ede = 0}, .name = hostile, .name_size = sizeof(hostile)},
        {.record = {.time = 3}, .name_hash = 0xabc, .client_key = 0x123},
        {.record = {.time = 4}, .name = (const uint8_t *)"", .name_size = 1},
        {.record = {.time = 5, .client = {.family = AF_INET, .length = 24, .octets = {192, 0, 2}}}},
    };

    open_sink();
    assert_int_equal(querylog_sqlite.write(sink, batch, ARRAY_LEN(batch)), E_OK);
    assert_int_equal(sql("SELECT count(*) FROM log WHERE id = 1 AND name = 'WwW.ExAmple.com'"), 1);
    assert_int_equal(sql("SELECT count(*) FROM name WHERE id = 1 AND name = 'www.example.com'"), 1);
    assert_int_equal(sql("SELECT count(*) FROM log WHERE id = 2 AND ede = 0 AND"
                         " name = '<script>\\027.\\..test'"),
                     1);
    assert_int_equal(sql("SELECT count(*) FROM log WHERE id = 3 AND name = 'hash 0000000000000abc'"
                         " AND client = 'key 0000000000000123'"),
                     1);
    assert_int_equal(sql("SELECT count(*) FROM log WHERE id = 4 AND name = '.' AND client IS NULL"),
                     1);
    assert_int_equal(sql("SELECT count(*) FROM log WHERE id = 5 AND name IS NULL"
                         " AND client = '192.0.2.0/24'"),
                     1);
    assert_int_equal(rows_of("192.0.2.0/24"), 1);
    assert_int_equal(rows_of("192.0.0.0/15"), 1);
    assert_int_equal(rows_of("192.0.2.0/25"), 0); // who knows
    assert_int_equal(rows_of("192.0.2.0"), 0);
    assert_int_equal(rows_of("key 0000000000000123"), 1);
    assert_int_equal(rows_of("key 0000000000000124"), 0);
}

// ---- Questions, against a plain loop over the entries

struct condition {
    enum store_filter_key key;
    const char *value;
};

static bool is_meant(const struct querylog_entry *entry, const struct store_filter *filter)
{
    const struct querylog_record *record = &entry->record;
    char name[QUERYLOG_NAME_TEXT_SIZE], below[QUERYLOG_NAME_TEXT_SIZE + 1];
    size_t length = querylog_name_lower_text(entry, name);
    size_t suffix = (size_t)snprintf(below, sizeof(below), ".%s", filter->name);

    if (filter->since && record->time < filter->since)
        return false;
    if (filter->until && record->time >= filter->until)
        return false;
    if (filter->name_below && (length <= suffix || strcmp(name + length - suffix, below) != 0))
        return false;
    if (*filter->name && !filter->name_below && strcmp(name, filter->name) != 0)
        return false;
    if (*filter->text && !strstr(name, filter->text))
        return false;
    if (filter->has_client) {
        for (unsigned bit = 0; bit < filter->client.length; bit++)
            if ((filter->client.address[bit / 8] ^ record->client.octets[bit / 8]) &
                0x80 >> bit % 8)
                return false;
    }
    return (filter->type < 0 || record->type == filter->type) &&
           (filter->rcode < 0 || record->rcode == filter->rcode) &&
           (!filter->outcomes || filter->outcomes >> record->outcome & 1) &&
           (!filter->transports || filter->transports >> record->transport & 1) &&
           record->latency >= filter->slow;
}

#define ENTRIES 40000

static struct {
    struct querylog_entry entry;
    struct entry_room room;
    bool meant;
} all[ENTRIES];

static uint64_t mark_all(const struct store_filter *filter)
{
    uint64_t count = 0;

    for (uint64_t i = 0; i < ENTRIES; i++) {
        entries_make(&entries, i, &all[i].entry, &all[i].room);
        all[i].meant = is_meant(&all[i].entry, filter);
        count += all[i].meant;
    }
    return count;
}

static bool expect_row(void *context, const struct store_row *row)
{
    uint64_t *before = context;

    // The next that is meant, and no other.
    do
        assert_true(--*before > 0);
    while (!all[*before - 1].meant);
    assert_int_equal(row->id, *before);
    return true;
}

static bool expect_top(void *context, const struct store_top *top)
{
    uint64_t *least = context, count = 0, errors = 0, latency = 0;
    char name[QUERYLOG_NAME_TEXT_SIZE];

    for (uint64_t i = 0; i < ENTRIES; i++) {
        if (!all[i].meant)
            continue;
        querylog_name_lower_text(&all[i].entry, name);
        if (strcmp(name, top->text) != 0)
            continue;
        count++;
        errors += all[i].entry.record.outcome == QUERYLOG_ERROR;
        latency += all[i].entry.record.latency;
    }
    assert_int_equal(top->count, count);
    assert_int_equal(top->errors, errors);
    assert_int_equal(top->mean_latency, latency / count);
    assert_true(top->count <= *least);
    *least = top->count;
    return true;
}

static void assert_answers(struct store *store, const struct condition *conditions)
{
    static struct store_figures figures[100];
    struct store_page page = {.limit = 64};
    struct store_series series = {.count = 100, .width = 400 * USEC_SEC};
    struct store_filter filter;
    struct store_totals totals;
    uint64_t count, before, cursor = ENTRIES + 1, least = UINT64_MAX, sum = 0, wanted = 0, distinct;

    store_filter_init(&filter);
    for (; conditions->value; conditions++)
        assert_int_equal(
            store_filter_take(&filter, conditions->key, conditions->value, now_us(), reason), E_OK);
    count = mark_all(&filter);

    // Page by page: a few, then many.
    do {
        page.before = before = cursor;
        assert_int_equal(store_rows(store, &filter, &page, expect_row, &cursor, reason), E_OK);
        page.limit = 5000;
    } while (cursor != before);
    while (--cursor > 0)
        assert_false(all[cursor - 1].meant);

    assert_int_equal(store_totals(store, &filter, &totals, reason), E_OK);
    assert_int_equal(totals.figures.count, count);
    for (unsigned i = 0; i < QUERYLOG_OUTCOMES; i++)
        sum += totals.figures.outcomes[i];
    assert_int_equal(sum, count);

    assert_int_equal(
        store_top(store, &filter, STORE_TOP_NAMES, 20, expect_top, &least, &distinct, reason),
        E_OK);

    series.start = entries.start;
    assert_int_equal(store_series(store, &filter, &series, figures, reason), E_OK);
    for (unsigned i = 0; i < series.count; i++) {
        wanted = sum = 0;
        for (uint64_t at = (uint64_t)i * 400; at < (uint64_t)(i + 1) * 400; at++) {
            wanted += all[at].meant;
            sum += all[at].meant && all[at].entry.record.outcome == QUERYLOG_HIT;
        }
        assert_int_equal(figures[i].count, wanted);
        assert_int_equal(figures[i].outcomes[QUERYLOG_HIT], sum);
    }
}

static void test_questions_are_answered_as_a_loop_would(void **state)
{
    static const struct condition cases[][4] = {
        {{0}},
        {{STORE_FILTER_SINCE, "3h"}},
        {{STORE_FILTER_UNTIL, "3h"}},
        {{STORE_FILTER_SINCE, "5h"}, {STORE_FILTER_UNTIL, "4h"}, {STORE_FILTER_TYPE, "AAAA"}},
        {{STORE_FILTER_CLIENT, "10.0.0.1"}},
        {{STORE_FILTER_CLIENT, "10.0.0.64/26"}},
        {{STORE_FILTER_CLIENT, "10.0.0.0/23"}, {STORE_FILTER_TRANSPORT, "https"}},
        {{STORE_FILTER_CLIENT, "10.0.1.0/30"}},
        {{STORE_FILTER_CLIENT, "192.0.2.0/24"}},
        {{STORE_FILTER_NAME, "*.net"}},
        {{STORE_FILTER_NAME, "*.site-7.example.com"}},
        {{STORE_FILTER_NAME, "*.ample.com"}}, // half a label
        {{STORE_FILTER_NAME, "nothing.test"}},
        {{STORE_FILTER_TEXT, "TE-99"}},
        {{STORE_FILTER_TEXT, "mail"}, {STORE_FILTER_NAME, "*.example.com"}},
        {{STORE_FILTER_OUTCOME, "error"}},
        {{STORE_FILTER_OUTCOME, "refused,stale"}, {STORE_FILTER_SLOW, "50ms"}},
        {{STORE_FILTER_RCODE, "NXDOMAIN"}, {STORE_FILTER_TYPE, "HTTPS"}},
        {{STORE_FILTER_SLOW, "93900us"}},
    };
    struct store *store;

    open_sink();
    write_all(ENTRIES / 2);
    close_sink();
    open_sink(); // names that were known have two numbers now
    for (uint64_t i = ENTRIES / 2; i < ENTRIES; i += BATCH)
        assert_int_equal(write_entries(i, BATCH), E_OK);
    assert_true(sql("SELECT count(*) - count(DISTINCT name) FROM name") > 100);
    store = open_store();
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_answers(store, cases[i]);
    store_close(store);
}

static bool note_top(void *context, const struct store_top *top)
{
    char *text = context;

    snprintf(text + strlen(text), 200, "%s:%llu ", top->text, (unsigned long long)top->count);
    return true;
}

static void test_top_of_each_kind(void **state)
{
    struct store_filter filter;
    struct store *store;
    uint64_t distinct;

    store_filter_init(&filter);
    open_sink();
    write_all(5000);
    store = open_store();
    for (enum store_top_kind kind = 0; kind < STORE_TOP_KINDS; kind++) {
        char text[4096] = "";

        assert_int_equal(store_top(store, &filter, kind, 3, note_top, text, &distinct, reason),
                         E_OK);
        switch (kind) {
        case STORE_TOP_TYPES:
            assert_int_equal(distinct, 4);
            assert_ptr_equal(strstr(text, "A:"), text);
            break;
        case STORE_TOP_OUTCOMES:
            assert_ptr_equal(strstr(text, "hit:"), text);
            break;
        case STORE_TOP_UPSTREAMS:
            assert_non_null(strstr(text, "tls://dns.example:853:"));
            assert_int_equal(distinct, 2);
            break;
        case STORE_TOP_TRANSPORTS:
            assert_ptr_equal(strstr(text, "udp:"), text);
            break;
        case STORE_TOP_RCODES:
            assert_ptr_equal(strstr(text, "NOERROR:"), text);
            break;
        case STORE_TOP_CLIENTS:
            assert_ptr_equal(strstr(text, "10.0.0.1:"), text);
            break;
        default:
            break;
        }
    }
    store_close(store);
}

static int compare_latency(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

static void test_percentiles_are_near(void **state)
{
    static uint32_t latencies[10000];
    struct store_filter filter;
    struct store_totals totals;
    struct store *store;
    struct querylog_entry entry;
    struct entry_room room;

    open_sink();
    write_all(10000);
    for (uint64_t i = 0; i < 10000; i++) {
        entries_make(&entries, i, &entry, &room);
        latencies[i] = entry.record.latency;
    }
    qsort(latencies, 10000, sizeof(latencies[0]), compare_latency);
    store = open_store();
    store_filter_init(&filter);
    assert_int_equal(store_totals(store, &filter, &totals, reason), E_OK);
    assert_int_equal(totals.oldest, entries.start);
    assert_int_equal(totals.newest, entries.start + 9999 * USEC_SEC);
    assert_int_equal(totals.figures.max, latencies[9999]);
    assert_true(abs((int)totals.figures.p50 - (int)latencies[4999]) * 25 <= (int)latencies[4999]);
    assert_true(abs((int)totals.figures.p95 - (int)latencies[9499]) * 25 <= (int)latencies[9499]);
    assert_true(abs((int)totals.figures.p99 - (int)latencies[9899]) * 25 <= (int)latencies[9899]);
    store_close(store);
}

static bool count_row(void *context, const struct store_row *row)
{
    ++*(uint64_t *)context;
    return true;
}

static void test_questions_end_in_time(void **state)
{
    struct store_page page = {.limit = 10};
    struct store_filter filter;
    struct store_totals totals;
    struct store *store;
    uint64_t rows = 0;

    open_sink();
    write_all(5000);
    store = open_store();
    store_filter_init(&filter);
    store_set_limit(store, 0);
    usleep(2);
    assert_int_equal(store_totals(store, &filter, &totals, reason), E_AGAIN);
    assert_non_null(strstr(reason, "too long"));
    store_set_limit(store, STORE_LIMIT_DEFAULT);
    assert_int_equal(store_rows(store, &filter, &page, count_row, &rows, reason), E_OK);
    assert_int_equal(rows, 10);
    store_close(store);
}

// ---- Files that are not as they should be

static void test_older_tables_are_brought_up_to_date(void **state)
{
    open_sink();
    write_all(3000);
    close_sink();
    sql("DROP VIEW log");
    sql("PRAGMA user_version = 1");
    open_sink();
    assert_int_equal(write_entries(3000, 1000), E_OK);
    assert_int_equal(sql("PRAGMA user_version"), 2);
    assert_int_equal(sql("SELECT count(*) FROM log"), 4000);
    assert_kept(4000);
}

static void test_what_is_not_ours_is_refused(void **state)
{
    FILE *file;

    open_sink();
    close_sink();
    sql("PRAGMA user_version = 99");
    assert_null(try_open());
    assert_non_null(strstr(reason, "later version"));
    assert_int_equal(sql("PRAGMA user_version"), 99);

    unlink(path);
    sql("CREATE TABLE other(x)");
    assert_null(try_open());
    assert_non_null(strstr(reason, "another program"));

    unlink(path);
    file = fopen(path, "w");
    fputs("no database at all, but a text that somebody may want to keep", file);
    fclose(file);
    assert_null(try_open());
    assert_non_null(strstr(reason, "not an SQLite database"));

    snprintf(options.url, sizeof(options.url), "sqlite://relative.db");
    assert_null(try_open());
    assert_non_null(strstr(reason, "absolute"));
    snprintf(options.url, sizeof(options.url), "sqlite://%s/none/queries.db", folder);
    assert_null(try_open());
    assert_non_null(strstr(reason, "folder"));
}

static void test_a_corrupt_file_is_moved_aside(void **state)
{
    static const uint8_t garbage[4096] = {0x55, 0x55};
    int fd;

    open_sink();
    write_all(2000);
    close_sink();
    fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, garbage, 3900, 100 + 96), 3900); // the schema, behind the header
    close(fd);
    open_sink();
    assert_int_equal(files_like("queries.db.corrupt-"), 1);
    assert_int_equal(write_entries(0, 1000), E_OK);
    assert_kept(1000);
    close_sink();
    assert_int_equal(logged("was moved to"), 1);
}

static void test_a_removed_file_is_made_again(void **state)
{
    open_sink();
    write_all(1000);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(write_entries(0, 1000), E_OK);
    assert_kept(1000);
    // As logrotate would.
    assert_int_equal(rename(path, log_path), 0);
    assert_int_equal(write_entries(0, 500), E_OK);
    assert_kept(500);
}

static void test_another_writer_does_no_harm(void **state)
{
    open_sink();
    write_all(20000);
    sql("DELETE FROM query WHERE id > 19500");
    sql("DELETE FROM query WHERE id BETWEEN 17000 AND 17100");
    assert_int_equal(write_entries(0, 1000), E_OK);
    assert_int_equal(rows_of(NULL), 19500 + 1000); // a hole in a block is counted: it is old
    close_sink();
    assert_int_equal(sql("SELECT count(*) FROM query"), 19500 - 101 + 1000);
    open_sink();
    assert_int_equal(write_entries(1000, 1000), E_OK);
    assert_int_equal(sql("SELECT count(*) FROM query"), 19500 - 101 + 2000);
}

static void test_a_locked_file_is_waited_for(void **state)
{
    sqlite3 *other;

    open_sink();
    write_all(1000);
    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(write_entries(1000, 1000), E_AGAIN);
    assert_int_equal(write_entries(1000, 1000), E_AGAIN);
    querylog_sqlite.tick(sink);
    assert_int_equal(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
    assert_int_equal(write_entries(1000, 1000), E_OK);
    assert_kept(2000);
    close_sink();
    assert_int_equal(logged("wait in memory"), 1);
    messages = log_new(&(struct log_options){.level = LOG_INFO});
    assert_int_equal(logged("written again"), 1);
}

static void test_a_full_disk_is_survived(void **state)
{
    char mount_point[80], filler[96];
    uint64_t written = 0;
    static char block[65536];
    int fd, code;

    if (geteuid() != 0 || unshare(CLONE_NEWNS) != 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        print_message("skipped: a file system of its own needs root\n");
        skip();
    }
    snprintf(mount_point, sizeof(mount_point), "%s/small", folder);
    assert_int_equal(mkdir(mount_point, 0700), 0);
    assert_int_equal(mount("tmpfs", mount_point, "tmpfs", 0, "size=4m"), 0);
    snprintf(path, sizeof(path), "%s/queries.db", mount_point);
    snprintf(options.url, sizeof(options.url), "sqlite://%s", path);
    open_sink();
    while ((code = write_entries(written, 1000)) == E_OK)
        assert_true((written += 1000) < 1000000);
    assert_int_equal(code, E_AGAIN);
    assert_true(written >= 5000);
    assert_int_equal(write_entries(written, 1000), E_AGAIN);
    assert_int_equal(mount("tmpfs", mount_point, "tmpfs", MS_REMOUNT, "size=16m"), 0);
    for (uint64_t end = written + 5000; written < end; written += 1000)
        assert_int_equal(write_entries(written, 1000), E_OK);
    assert_kept(written);

    // And if something else fills it.
    snprintf(filler, sizeof(filler), "%s/filler", mount_point);
    fd = open(filler, O_WRONLY | O_CREAT, 0600);
    while (write(fd, block, sizeof(block)) == (ssize_t)sizeof(block))
        ;
    close(fd);
    while ((code = write_entries(written, 1000)) == E_OK)
        assert_true((written += 1000) < 1000000);
    unlink(filler);
    assert_int_equal(write_entries(written, 1000), E_OK);
    written += 1000;
    assert_kept(written);
    close_sink();
    assert_kept(written);
    assert_int_equal(umount(mount_point), 0);
    assert_int_equal(logged("wait in memory"), 2);
}

static void test_killed_it_loses_the_last_batch_at_most(void **state)
{
    for (unsigned round = 0; round < 3; round++) {
        uint64_t kept, done = 0, value;
        int pipe_ends[2];
        pid_t child;

        unlink(path);
        assert_int_equal(pipe(pipe_ends), 0);
        child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            close(pipe_ends[0]);
            sink = try_open();
            for (uint64_t i = 0; sink && write_entries(i, 500) == E_OK; i += 500)
                if (write(pipe_ends[1], &i, sizeof(i)) != sizeof(i))
                    break;
            _exit(1);
        }
        close(pipe_ends[1]);
        while (done < 20000 + round * 3000) {
            assert_int_equal(read(pipe_ends[0], &value, sizeof(value)), sizeof(value));
            done = value + 500;
        }
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        while (read(pipe_ends[0], &value, sizeof(value)) == sizeof(value))
            done = value + 500;
        close(pipe_ends[0]);
        kept = (uint64_t)sql("SELECT count(*) FROM query");
        assert_true(kept == done || kept == done + 500);
        assert_kept(kept);
        open_sink();
        assert_int_equal(write_entries(kept, 500), E_OK);
        close_sink();
        assert_kept(kept + 500);
    }
}

// ---- Retention

static void tick_until_quiet(void)
{
    for (unsigned i = 0; i < 50; i++)
        querylog_sqlite.tick(sink);
}

static void test_the_old_are_deleted(void **state)
{
    uint64_t cutoff;

    options.max_age = 20000 * USEC_SEC;
    open_sink();
    for (uint64_t i = 0; i < ENTRIES; i += BATCH)
        assert_int_equal(write_entries(i, BATCH), E_OK);
    tick_until_quiet();
    cutoff = now_us() - options.max_age;
    assert_true((uint64_t)sql("SELECT min(time) FROM query") >= cutoff - 5 * USEC_SEC);
    assert_true((uint64_t)sql("SELECT min(time) FROM query") <= cutoff + 5 * USEC_SEC);
    assert_true(sql("SELECT count(*) FROM query") > 19900);
    assert_consistent();
    assert_int_equal(sql("SELECT max(id) FROM query"), ENTRIES);
    // All of them.
    close_sink();
    options.max_age = 1;
    open_sink();
    tick_until_quiet();
    assert_int_equal(sql("SELECT count(*) FROM query"), 0);
    assert_int_equal(sql("SELECT count(*) FROM block"), 0);
    close_sink();
    options.max_age = 0;
    open_sink();
    assert_int_equal(write_entries(0, 10), E_OK);
    assert_int_equal(sql("SELECT min(id) FROM query"), ENTRIES + 1); // no id comes twice
}

static void test_the_size_stays_within_its_bound(void **state)
{
    struct stat status;
    int64_t names;

    options.max_size = 8 << 20;
    entries.all_different = true;
    open_sink();
    for (uint64_t i = 0; i < 200000; i += BATCH) {
        assert_int_equal(write_entries(i, BATCH), E_OK);
        assert_int_equal(stat(path, &status), 0);
        assert_true((uint64_t)status.st_size <= options.max_size);
    }
    names = sql("SELECT count(*) FROM name");
    assert_true(sql("SELECT count(*) FROM query") > 20000);
    assert_true(names < 2 * sql("SELECT count(*) FROM query"));
    assert_consistent();
    assert_int_equal(sql("SELECT max(id) FROM query"), 200000);
    // A narrower bound gives room back to the file system.
    close_sink();
    options.max_size = 2 << 20;
    open_sink();
    tick_until_quiet();
    close_sink();
    assert_int_equal(stat(path, &status), 0);
    assert_true((uint64_t)status.st_size <= 3 << 20);
    assert_true(sql("SELECT count(*) FROM query") > 4000);
}

static void test_names_come_back(void **state)
{
    options.max_age = 3600 * USEC_SEC;
    entries.all_different = true;
    open_sink();
    write_all(10000); // all too old
    tick_until_quiet();
    assert_true(sql("SELECT count(*) FROM query") < 3600);
    assert_true(sql("SELECT count(*) FROM name") < 10000);
    entries.start = now_us();
    entries.interval = 1;
    write_all(10000);
    assert_consistent();
    assert_int_equal(sql("SELECT count(*) FROM query WHERE name IS NULL"), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_all_are_there_and_none_is_doubled),
        TEST(test_letters_and_pseudonyms_are_kept),
        TEST(test_questions_are_answered_as_a_loop_would),
        TEST(test_top_of_each_kind),
        TEST(test_percentiles_are_near),
        TEST(test_questions_end_in_time),
        TEST(test_older_tables_are_brought_up_to_date),
        TEST(test_what_is_not_ours_is_refused),
        TEST(test_a_corrupt_file_is_moved_aside),
        TEST(test_a_removed_file_is_made_again),
        TEST(test_another_writer_does_no_harm),
        TEST(test_a_locked_file_is_waited_for),
        TEST(test_a_full_disk_is_survived),
        TEST(test_killed_it_loses_the_last_batch_at_most),
        TEST(test_the_old_are_deleted),
        TEST(test_the_size_stays_within_its_bound),
        TEST(test_names_come_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
