// Drives the sink of PostgreSQL by hand, for integration tests: one command a line on stdin, one
// answer a line on stdout; the log goes to stderr.
//
//   postgresql_sink URL PASSWORD-FILE INSTANCE MAX-AGE   (seconds; the file may be "")
//
//   write TIME FIRST COUNT [SIZE]   one write() of these numbered entries: "CODE MILLISECONDS"
//   fill TIME FIRST COUNT SIZE      writes of SIZE until all are kept: "CODE MILLISECONDS"
//   names TIME HEX...               one write() of entries with these wire names; "-" is none
//   tick                            "0 MILLISECONDS"
//
// TIME is that of the first entry, in microseconds since 1970; the next ones are a millisecond
// later each.
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "base/reason.h"
#include "querylog/postgresql/exchange.h"
#include "querylog/sink.h"

#define ENTRIES_MAX 100000

static const struct querylog_sink_ops *const ops = &querylog_postgresql;
static struct querylog_entry entries[ENTRIES_MAX];
static uint8_t names[ENTRIES_MAX][256];

// All values differ from number to number, so that a test can tell them.
static void make_entry(struct querylog_entry *entry, uint8_t *name, uint64_t time, uint32_t number)
{
    static const char url[] = "tls://192.0.2.53:853#dot.test";
    char label[12];
    int length = snprintf(label, sizeof(label), "N%" PRIu32, number);
    struct querylog_record *record = &entry->record;

    memset(entry, 0, sizeof(*entry));
    *record = (struct querylog_record){
        .time = time,
        .latency = number % 100000,
        .upstream_latency = number % 50000,
        .client = {.family = AF_INET, .port = (uint16_t)(number % 60000)},
        .type = number % 2 ? 28 : 1,
        .class = 1,
        .id = (uint16_t)number,
        .rcode = number % 10 ? 0 : 3,
        .ede = number % 7 ? QUERYLOG_NO_EDE : 22,
        .flags = (uint16_t)(number % 1024),
        .query_size = (uint16_t)(number % 512),
        .reply_size = (uint16_t)(number % 1232),
        .transport = (uint8_t)(number % QUERYLOG_TRANSPORTS),
        .outcome = (uint8_t)(number % QUERYLOG_OUTCOMES),
        .attempts = (uint8_t)(number % 4),
        .tls_version = 13,
    };
    if (number % 3 == 0) {
        record->client = (struct querylog_address){.family = AF_INET6, .length = 48};
        memcpy(record->client.octets, "\x20\x01\x0d\xb8\x00\x01", 6);
    } else if (number % 3 == 1) {
        memcpy(record->client.octets, "\xc0\x00\x02", 3);
        record->client.octets[3] = (uint8_t)(number % 250);
    } else {
        record->client = (struct querylog_address){.family = AF_UNSPEC};
        entry->client_key = UINT64_C(0xfedcba9800000000) | number;
    }
    if (number % 5) {
        record->upstream = (struct querylog_address){.family = AF_INET, .port = 853};
        memcpy(record->upstream.octets, "\xc0\x00\x02\x35", 4);
        entry->upstream_url = url;
        entry->upstream_url_size = sizeof(url) - 1;
    }
    name[0] = (uint8_t)length;
    memcpy(name + 1, label, (size_t)length);
    memcpy(name + 1 + length,
           "\x07"
           "Example\x03"
           "com",
           13);
    entry->name = name;
    entry->name_size = (uint16_t)(length + 14);
}

static int timed_write(void *sink, size_t count, unsigned *milliseconds)
{
    usec_t begin = postgresql_now();
    int rc = ops->write(sink, entries, count);

    *milliseconds = (unsigned)((postgresql_now() - begin) / USEC_MSEC);
    return rc;
}

static void answer(int code, unsigned milliseconds)
{
    printf("%d %u\n", code, milliseconds);
    fflush(stdout);
}

static void command_write(void *sink, uint64_t time, uint32_t first, uint32_t count)
{
    unsigned milliseconds;
    int rc;

    for (uint32_t i = 0; i < count; i++)
        make_entry(&entries[i], names[i], time + (uint64_t)i * 1000, first + i);
    rc = timed_write(sink, count, &milliseconds);
    answer(rc, milliseconds);
}

// As the collector does. Making the entries is no part of the time.
static void command_fill(void *sink, uint64_t time, uint32_t first, uint32_t count, uint32_t size)
{
    unsigned total = 0, milliseconds;
    int rc = E_OK;

    for (uint32_t done = 0; done < count && rc == E_OK; done += size) {
        size = MIN(size, count - done);
        for (uint32_t i = 0; i < size; i++)
            make_entry(&entries[i], names[i], time + (uint64_t)(done + i) * 1000, first + done + i);
        while ((rc = timed_write(sink, size, &milliseconds)) == E_AGAIN)
            usleep(100000);
        total += milliseconds;
    }
    answer(rc, total);
}

static void command_names(void *sink, uint64_t time, char *words)
{
    unsigned milliseconds;
    uint32_t count = 0;
    int rc;

    for (char *word; (word = strsep(&words, " ")) && count < ENTRIES_MAX; count++) {
        struct querylog_entry *entry = &entries[count];

        make_entry(entry, names[count], time + count, count);
        entry->name_size = 0;
        for (const char *hex = word; *hex && *hex != '-'; hex += 2) {
            unsigned octet;

            require(entry->name_size < 255 && sscanf(hex, "%2x", &octet) == 1);
            names[count][entry->name_size++] = (uint8_t)octet;
        }
    }
    rc = timed_write(sink, count, &milliseconds);
    answer(rc, milliseconds);
}

static void command_tick(void *sink)
{
    usec_t begin = postgresql_now();

    ops->tick(sink);
    answer(0, (unsigned)((postgresql_now() - begin) / USEC_MSEC));
}

static void run(void *sink)
{
    static char line[1 << 20];
    uint32_t first, count, size;
    uint64_t time;
    int end = 0;

    while (fgets(line, sizeof(line), stdin)) {
        line[strcspn(line, "\n")] = '\0';
        if (sscanf(line, "write %" SCNu64 " %" SCNu32 " %" SCNu32, &time, &first, &count) == 3 &&
            count <= ENTRIES_MAX)
            command_write(sink, time, first, count);
        else if (sscanf(line, "fill %" SCNu64 " %" SCNu32 " %" SCNu32 " %" SCNu32, &time, &first,
                        &count, &size) == 4 &&
                 size <= ENTRIES_MAX)
            command_fill(sink, time, first, count, size);
        else if (sscanf(line, "names %" SCNu64 " %n", &time, &end) == 1 && end > 0)
            command_names(sink, time, line + end);
        else if (strcmp(line, "tick") == 0)
            command_tick(sink);
        else
            require(!"a command");
    }
}

int main(int argc, char **argv)
{
    static struct querylog_sink_options options;
    const struct log_options log_options = {.level = LOG_DEBUG, .format = LOG_TEXT};
    struct querylog_sink_setup setup = {.options = &options};
    char reason[QUERYLOG_REASON_SIZE] = "";
    void *sink;

    require(argc == 5);
    signal(SIGPIPE, SIG_IGN); // as the daemon does
    snprintf(options.url, sizeof(options.url), "%s", argv[1]);
    snprintf(options.password_file, sizeof(options.password_file), "%s", argv[2]);
    setup.instance = argv[3];
    options.max_age = strtoull(argv[4], NULL, 10) * USEC_SEC;
    setup.log = log_new(&log_options);
    require(setup.log != NULL);
    sink = ops->open(&setup, reason);
    if (sink) {
        puts("open");
        fflush(stdout);
        run(sink);
        ops->close(sink);
    } else {
        printf("%s\n", reason);
    }
    log_free(setup.log);
    return sink ? 0 : 1;
}
