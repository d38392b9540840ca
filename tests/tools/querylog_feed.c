// Gives a sink of the query log what stdin says, one command a line, and answers each on stdout (or
// on the descriptor ANSWERS, for a sink that writes to stdout):
//   entry KEY=VALUE...   one more entry of the next batch; names and replies as hexadecimal octets
//   write                the batch: "ok", and it is empty again; "again"; or "lost"
//   tick, reopen         "done"
// At the end of stdin the sink is closed.
//
//   querylog_feed URL INSTANCE [ANSWERS]
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "base/error.h"
#include "querylog/sink.h"

enum { ENTRIES_MAX = 2048 };

static struct querylog_entry entries[ENTRIES_MAX];
static size_t count;

static const struct querylog_sink_ops *const sinks[] = {&querylog_dnstap, &querylog_json};

static _Noreturn void fail(const char *what, const char *detail)
{
    fprintf(stderr, "querylog_feed: %s: %s\n", what, detail);
    exit(2);
}

static const uint8_t *octets_of(const char *hex, size_t *size)
{
    uint8_t *octets = malloc(strlen(hex) / 2 + 1);

    *size = strlen(hex) / 2;
    for (size_t i = 0; octets && i < *size; i++) {
        const char digits[3] = {hex[2 * i], hex[2 * i + 1], 0};

        octets[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return octets;
}

static struct querylog_address address_of(const char *text)
{
    struct querylog_address result = {0};
    struct address address;
    const uint8_t *octets;
    size_t size;

    if (address_parse(&address, text, 0) != E_OK)
        fail("no address", text);
    octets = address_octets(&address, &size);
    memcpy(result.octets, octets, size);
    result.family = (uint8_t)address.family;
    result.port = address_port(&address);
    return result;
}

static void set(struct querylog_entry *entry, const char *key, const char *value)
{
    struct querylog_record *record = &entry->record;
    const uint64_t number = strtoull(value, NULL, 10);
    size_t size;

#define NUMBER(field)                                                                              \
    if (strcmp(key, #field) == 0) {                                                                \
        record->field = (typeof(record->field))number;                                             \
        return;                                                                                    \
    }
    NUMBER(time)
    NUMBER(latency)
    NUMBER(upstream_latency)
    NUMBER(type)
    NUMBER(class)
    NUMBER(id)
    NUMBER(rcode)
    NUMBER(ede)
    NUMBER(flags)
    NUMBER(query_size)
    NUMBER(reply_size)
    NUMBER(transport)
    NUMBER(outcome)
    NUMBER(attempts)
    NUMBER(tls_version)
#undef NUMBER
    if (strcmp(key, "client") == 0) {
        record->client = address_of(value);
    } else if (strcmp(key, "upstream") == 0) {
        record->upstream = address_of(value);
    } else if (strcmp(key, "name") == 0) {
        entry->name = octets_of(value, &size);
        entry->name_size = (uint16_t)size;
    } else if (strcmp(key, "reply") == 0) {
        entry->reply = octets_of(value, &size);
        entry->reply_message_size = (uint16_t)size;
    } else if (strcmp(key, "upstream_url") == 0) {
        entry->upstream_url = (const char *)octets_of(value, &size);
        entry->upstream_url_size = (uint16_t)size;
    } else {
        fail("no such key", key);
    }
}

static void add_entry(char *arguments)
{
    struct querylog_entry *entry = &entries[count++];

    if (count == ENTRIES_MAX)
        fail("too many entries", "write them");
    *entry = (struct querylog_entry){.record.ede = QUERYLOG_NO_EDE};
    for (char *part = strtok(arguments, " "); part; part = strtok(NULL, " ")) {
        char *value = strchr(part, '=');

        if (!value)
            fail("no KEY=VALUE", part);
        *value++ = '\0';
        set(entry, part, value);
    }
}

static void empty_batch(void)
{
    for (size_t i = 0; i < count; i++) {
        free((void *)entries[i].name);
        free((void *)entries[i].reply);
        free((void *)entries[i].upstream_url);
    }
    count = 0;
}

static const char *write_batch(const struct querylog_sink_ops *ops, void *sink)
{
    int err = ops->write(sink, entries, count);

    if (err == E_AGAIN)
        return "again";
    empty_batch();
    return err == E_OK ? "ok" : "lost";
}

static const char *call(void (*function)(void *sink), void *sink)
{
    if (function)
        function(sink);
    return "done";
}

static const struct querylog_sink_ops *ops_of(const char *url)
{
    for (size_t i = 0; i < ARRAY_LEN(sinks); i++)
        if (strncmp(url, sinks[i]->scheme, strlen(sinks[i]->scheme)) == 0)
            return sinks[i];
    fail("no sink", url);
}

static void obey(const struct querylog_sink_ops *ops, void *sink, FILE *answers)
{
    char *line = NULL;
    size_t size = 0;

    while (getline(&line, &size, stdin) > 0) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "entry ", 6) == 0) {
            add_entry(line + 6);
            continue;
        }
        fprintf(answers, "%s\n",
                strcmp(line, "write") == 0    ? write_batch(ops, sink)
                : strcmp(line, "tick") == 0   ? call(ops->tick, sink)
                : strcmp(line, "reopen") == 0 ? call(ops->reopen, sink)
                                              : "what?");
        fflush(answers);
    }
    free(line);
}

int main(int argc, char **argv)
{
    struct querylog_sink_options options = {0};
    const struct querylog_sink_setup setup = {
        &options,
        argc > 2 ? argv[2] : "",
        log_new(&(struct log_options){.level = LOG_INFO}),
    };
    FILE *answers = argc > 3 ? fdopen(atoi(argv[3]), "w") : stdout;
    char reason[QUERYLOG_REASON_SIZE] = "";
    void *sink;

    if (argc < 3 || !setup.log || !answers)
        fail("usage", "querylog_feed URL INSTANCE [ANSWERS]");
    signal(SIGPIPE, SIG_IGN);
    snprintf(options.url, sizeof(options.url), "%s", argv[1]);
    sink = ops_of(options.url)->open(&setup, reason);
    if (!sink)
        fail("cannot open", reason);
    obey(ops_of(options.url), sink, answers);
    ops_of(options.url)->close(sink);
    empty_batch();
    log_free(setup.log);
    return 0;
}
