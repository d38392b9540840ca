// Records from workers' rings to a file of JSON lines.
#include "querylog/querylog.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"
#include "querylog/batch.h"
#include "querylog/outlet.h"
#include "querylog/privacy.h"
#include "querylog/ring.h"

static const uint8_t name[] = "\3WWW\7example\4test";
static struct log *log_lines;
static char folder[64], path[96], url[128];

static int setup(void **state)
{
    const struct log_options options = {.level = LOG_ERROR, .format = LOG_TEXT};

    log_lines = log_new(&options);
    strcpy(folder, "/tmp/sotto-test-querylog-XXXXXX");
    if (!log_lines || !mkdtemp(folder))
        return -1;
    snprintf(path, sizeof(path), "%s/queries.json", folder);
    snprintf(url, sizeof(url), "json://%s", path);
    return 0;
}

static int teardown(void **state)
{
    unlink(path);
    rmdir(folder);
    log_free(log_lines);
    return 0;
}

static struct querylog_entry entry_of(uint16_t id)
{
    return (struct querylog_entry){
        .record = {.id = id,
                   .ede = QUERYLOG_NO_EDE,
                   .type = 1,
                   .class = 1,
                   .client = {.family = AF_INET, .port = 4711, .octets = {192, 0, 2, 77}}},
        .name = name,
        .name_size = sizeof(name),
    };
}

static struct querylog_options options_of(void)
{
    struct querylog_options options = {
        .sink_count = 1,
        .sample = 1,
        .ring_size = 1 << 20,
        .queue_size = 1 << 24,
        .key = {1, 2},
    };

    strcpy(options.sinks[0].url, url);
    return options;
}

// The lines of the file that have this in them.
static unsigned count_lines(const char *part)
{
    FILE *file = fopen(path, "r");
    char line[4096];
    unsigned count = 0;

    assert_non_null(file);
    while (fgets(line, sizeof(line), file))
        count += strstr(line, part) != NULL;
    fclose(file);
    return count;
}

static void test_all_of_all_workers(void **state)
{
    enum { WORKERS = 3, EACH = 5000 };
    struct querylog_options options = options_of();
    char reason[QUERYLOG_REASON_SIZE];
    struct querylog *querylog = querylog_new(&options, WORKERS, log_lines, reason);
    struct querylog_status status;

    assert_non_null(querylog);
    assert_int_equal(querylog_start(querylog), E_OK);
    for (unsigned worker = 0; worker < WORKERS; worker++) {
        struct querylog_ring *ring = querylog_ring_of(querylog, worker);

        for (uint16_t i = 0; i < EACH; i++) {
            const struct querylog_entry entry = entry_of(i);

            while (!querylog_ring_put(ring, &entry))
                usleep(1000);
        }
    }
    querylog_status(querylog, &status);
    assert_int_equal(status.sink_count, 1);
    assert_string_equal(status.sinks[0].url, url);
    // The end waits for what is under way.
    querylog_free(querylog);
    assert_int_equal(count_lines("\"client\":\"192.0.2.77\",\"port\":4711"), WORKERS * EACH);
    assert_int_equal(count_lines("\"name\":\"WWW.example.test\""), WORKERS * EACH);
    unlink(path);
}

static void test_what_is_hidden_gets_nowhere(void **state)
{
    struct querylog_options options = options_of();
    char reason[QUERYLOG_REASON_SIZE];
    struct querylog *querylog;
    const struct querylog_entry entry = entry_of(1);

    options.clients = QUERYLOG_CLIENTS_TRUNCATE;
    options.names = QUERYLOG_NAMES_NONE;
    querylog = querylog_new(&options, 1, log_lines, reason);
    assert_non_null(querylog);
    assert_int_equal(querylog_start(querylog), E_OK);
    assert_true(querylog_ring_put(querylog_ring_of(querylog, 0), &entry));
    querylog_free(querylog);
    assert_int_equal(count_lines("192.0.2.0"), 1);
    assert_int_equal(count_lines("192.0.2.77"), 0);
    assert_int_equal(count_lines("4711"), 0);
    assert_int_equal(count_lines("xample"), 0);
    unlink(path);
}

static void test_privacy(void **state)
{
    static const struct siphash_key key = {3, 4}, other = {3, 5};
    static const uint8_t lower[] = "\3www\7example\4test";
    struct querylog_entry entry = entry_of(1), again = entry_of(2);

    querylog_hide(&entry, QUERYLOG_CLIENTS_FULL, QUERYLOG_NAMES_FULL, &key);
    assert_int_equal(entry.record.client.octets[3], 77);
    assert_int_equal(entry.name_size, sizeof(name));

    querylog_hide(&entry, QUERYLOG_CLIENTS_TRUNCATE, QUERYLOG_NAMES_FULL, &key);
    assert_int_equal(entry.record.client.octets[2], 2);
    assert_int_equal(entry.record.client.octets[3], 0);
    assert_int_equal(entry.record.client.length, 24);
    assert_int_equal(entry.record.client.port, 0);

    // The same client and name: the same pseudonyms, whatever port and letters; with another key
    // others.
    entry = entry_of(1);
    again.record.client.port = 1;
    again.name = lower;
    querylog_hide(&entry, QUERYLOG_CLIENTS_KEYED, QUERYLOG_NAMES_HASH, &key);
    querylog_hide(&again, QUERYLOG_CLIENTS_KEYED, QUERYLOG_NAMES_HASH, &key);
    assert_int_equal(entry.record.client.family, AF_UNSPEC);
    assert_int_equal(entry.name_size, 0);
    assert_true(entry.client_key != 0 && entry.name_hash != 0);
    assert_int_equal(entry.client_key, again.client_key);
    assert_int_equal(entry.name_hash, again.name_hash);
    again = entry_of(1);
    querylog_hide(&again, QUERYLOG_CLIENTS_KEYED, QUERYLOG_NAMES_HASH, &other);
    assert_int_not_equal(entry.client_key, again.client_key);
    assert_int_not_equal(entry.name_hash, again.name_hash);

    entry = entry_of(1);
    entry.record.client =
        (struct querylog_address){.family = AF_INET6, .octets = {0x20, 1, 0xd, 0xb8, 1, 2, 3, 4}};
    querylog_hide(&entry, QUERYLOG_CLIENTS_TRUNCATE, QUERYLOG_NAMES_FULL, &key);
    assert_int_equal(entry.record.client.length, 48);
    assert_int_equal(entry.record.client.octets[5], 2);
    assert_int_equal(entry.record.client.octets[6], 0);

    // A reply has the name in it.
    entry = entry_of(1);
    entry.reply = name;
    entry.reply_message_size = sizeof(name);
    querylog_hide(&entry, QUERYLOG_CLIENTS_NONE, QUERYLOG_NAMES_NONE, &key);
    assert_int_equal(entry.record.client.family, AF_UNSPEC);
    assert_int_equal(entry.client_key, 0);
    assert_int_equal(entry.reply_message_size, 0);
}

// What waits for a store that is gone takes the room that is counted: hours of it, a few at a time.
static void test_a_batch_takes_no_more_than_it_needs(void **state)
{
    struct querylog_builder *builder = querylog_builder_new();
    const struct querylog_entry entry = entry_of(7), *entries;
    struct querylog_batch *batch;
    size_t count, added = 0;

    assert_true(querylog_builder_add(builder, &entry));
    batch = querylog_builder_take(builder);
    assert_int_equal(querylog_builder_count(builder), 0);
    assert_in_range(querylog_batch_size(batch), sizeof(entry), sizeof(entry) + 128);
    // It has its own copy of all.
    while (querylog_builder_add(builder, &entry))
        added++;
    entries = querylog_batch_entries(batch, &count);
    assert_int_equal(count, 1);
    assert_int_equal(entries[0].record.id, 7);
    assert_int_equal(entries[0].name_size, sizeof(name));
    assert_memory_equal(entries[0].name, name, sizeof(name));
    assert_in_range(added, 1000, 10000);
    querylog_batch_unref(batch);
    querylog_builder_free(builder);
}

static void test_what_cannot_be_opened(void **state)
{
    struct querylog_options options = options_of();
    char reason[QUERYLOG_REASON_SIZE] = "";

    strcpy(options.sinks[0].url, "json:///nonexistent/queries.json");
    assert_null(querylog_new(&options, 1, log_lines, reason));
    assert_non_null(strstr(reason, "/nonexistent/queries.json"));
}

static void test_schemes(void **state)
{
    assert_ptr_equal(querylog_sink_find("json:-"), &querylog_json);
    assert_ptr_equal(querylog_sink_find("sqlite:///a"), &querylog_sqlite);
    assert_null(querylog_sink_find("sqlite3:///a"));
    assert_null(querylog_sink_find("mysql://a"));
    assert_null(querylog_sink_find(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_of_all_workers),
        cmocka_unit_test(test_what_is_hidden_gets_nowhere),
        cmocka_unit_test(test_privacy),
        cmocka_unit_test(test_a_batch_takes_no_more_than_it_needs),
        cmocka_unit_test(test_what_cannot_be_opened),
        cmocka_unit_test(test_schemes),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
