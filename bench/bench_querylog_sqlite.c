// What the query log costs in SQLite: how many records a second are written, by one thread, and how
// long the questions of the dashboard take then.
//
// Usage: bench_querylog_sqlite FILE [RECORDS [NAMES]]     NAMES 0: each name is asked for once
//        bench_querylog_sqlite FILE ask                   only the questions, of a file made so
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "../tests/tools/querylog_entries.h"
#include "base/error.h"
#include "querylog/sink.h"
#include "querylog/store.h"

// As a collector hands them on that looks ten times a second, at 50,000 queries a second.
#define BATCH 5000

static double seconds(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double cpu_seconds(void)
{
    return seconds(CLOCK_PROCESS_CPUTIME_ID);
}

static void write_records(const char *url, uint64_t records, uint32_t names)
{
    static struct querylog_entry batch[BATCH];
    static struct entry_room room[BATCH];
    struct querylog_sink_options options = {.max_age = 0};
    struct log *log = log_new(&(struct log_options){.level = LOG_INFO});
    struct querylog_sink_setup setup = {.options = &options, .instance = "bench", .log = log};
    // The last record is of now, the first of 30 days ago.
    struct entries entries = {
        .interval = 30 * 86400 * USEC_SEC / records,
        .names = names,
        .clients = 2000,
        .all_different = names == 0,
    };
    double elapsed = 0, cpu = 0, worst = 0, part_began = 0;
    char reason[QUERYLOG_REASON_SIZE];
    void *sink;

    snprintf(options.url, sizeof(options.url), "%s", url);
    entries.start = (uint64_t)time(NULL) * USEC_SEC - entries.interval * records;
    sink = querylog_sqlite.open(&setup, reason);
    if (!sink) {
        fprintf(stderr, "%s\n", reason);
        exit(1);
    }
    for (uint64_t i = 0; i < records; i += BATCH) {
        double began, took;

        for (unsigned n = 0; n < BATCH; n++)
            entries_make(&entries, i + n, &batch[n], &room[n]);
        began = seconds(CLOCK_MONOTONIC);
        cpu -= cpu_seconds();
        if (querylog_sqlite.write(sink, batch, BATCH) != E_OK)
            abort();
        cpu += cpu_seconds();
        took = seconds(CLOCK_MONOTONIC) - began;
        elapsed += took;
        worst = took > worst ? took : worst;
        if ((i + BATCH) % 1000000 == 0) {
            printf("  %9llu records: the last million at %8.0f/s\n",
                   (unsigned long long)(i + BATCH), 1e6 / (elapsed - part_began));
            fflush(stdout);
            part_began = elapsed;
        }
    }
    printf(
        "written: %llu records at %.0f/s, %.2f us of CPU each; the slowest batch of %d: %.0f ms\n",
        (unsigned long long)records, (double)records / elapsed, cpu * 1e6 / (double)records, BATCH,
        worst * 1e3);
    querylog_sqlite.close(sink);
    log_free(log);
}

static bool count_row(void *context, const struct store_row *row)
{
    ++*(unsigned *)context;
    return true;
}

static bool count_top(void *context, const struct store_top *top)
{
    ++*(unsigned *)context;
    return true;
}

// A question: which records, and what of them.
struct question {
    const char *what;
    enum { ROWS, TOP, SERIES, TOTALS } kind;
    unsigned number; // of TOP: the kind; of SERIES: how many intervals
    struct {
        enum store_filter_key key;
        const char *value;
    } conditions[3]; // to the first without a value
};

static const struct question questions[] = {
    {"the newest 100", ROWS, 0, {{0}}},
    {"the newest 100 of a busy client", ROWS, 0, {{STORE_FILTER_CLIENT, "10.0.0.1"}}},
    {"of a quiet client", ROWS, 0, {{STORE_FILTER_CLIENT, "10.0.7.207"}}},
    {"of a prefix", ROWS, 0, {{STORE_FILTER_CLIENT, "10.0.4.0/22"}}},
    {"of a frequent name", ROWS, 0, {{STORE_FILTER_NAME, "*.site-1.example.com"}}},
    {"of a rare name", ROWS, 0, {{STORE_FILTER_NAME, "*.site-987654.example.net"}}},
    {"of a name that is not there", ROWS, 0, {{STORE_FILTER_NAME, "nothing.example.org"}}},
    {"below net", ROWS, 0, {{STORE_FILTER_NAME, "*.net"}}},
    {"with a rare text in the name", ROWS, 0, {{STORE_FILTER_TEXT, "te-98765"}}},
    {"that were errors", ROWS, 0, {{STORE_FILTER_OUTCOME, "error"}}},
    {"of a type that is not there", ROWS, 0, {{STORE_FILTER_TYPE, "TXT"}}},
    {"that took 93.9 ms or more", ROWS, 0, {{STORE_FILTER_SLOW, "93900us"}}},
    {"errors of a quiet client over HTTPS",
     ROWS,
     0,
     {{STORE_FILTER_CLIENT, "10.0.7.207"},
      {STORE_FILTER_OUTCOME, "error"},
      {STORE_FILTER_TRANSPORT, "https"}}},
    {"top names", TOP, STORE_TOP_NAMES, {{0}}},
    {"top names of the last day", TOP, STORE_TOP_NAMES, {{STORE_FILTER_SINCE, "1d"}}},
    {"top names of a client", TOP, STORE_TOP_NAMES, {{STORE_FILTER_CLIENT, "10.0.0.1"}}},
    {"top names with errors", TOP, STORE_TOP_NAMES, {{STORE_FILTER_OUTCOME, "error"}}},
    {"top clients", TOP, STORE_TOP_CLIENTS, {{0}}},
    {"top clients below net", TOP, STORE_TOP_CLIENTS, {{STORE_FILTER_NAME, "*.net"}}},
    {"top types", TOP, STORE_TOP_TYPES, {{0}}},
    {"top outcomes", TOP, STORE_TOP_OUTCOMES, {{0}}},
    {"top upstreams", TOP, STORE_TOP_UPSTREAMS, {{0}}},
    {"series of 30 days by the hour", SERIES, 720, {{0}}},
    {"series of 30 days of a client", SERIES, 720, {{STORE_FILTER_CLIENT, "10.0.0.1"}}},
    {"series of 30 days, text, 2000 steps", SERIES, 2000, {{STORE_FILTER_TEXT, "99"}}},
    {"totals of the last hour", TOTALS, 0, {{STORE_FILTER_SINCE, "1h"}}},
    {"totals", TOTALS, 0, {{0}}},
};

static double ask(struct store *store, const struct question *question)
{
    static struct store_figures figures[STORE_SERIES_MAX];
    uint64_t now = (uint64_t)time(NULL) * USEC_SEC;
    struct store_page page = {.limit = 100};
    struct store_series series = {.count = question->number};
    struct store_filter filter;
    struct store_totals totals;
    char reason[STORE_REASON_SIZE] = "";
    unsigned given = 0;
    double began, took, cpu;
    int error = E_OK;

    store_filter_init(&filter);
    for (unsigned i = 0; i < 3 && question->conditions[i].value; i++)
        if (store_filter_take(&filter, question->conditions[i].key, question->conditions[i].value,
                              now, reason) != E_OK)
            abort();
    began = seconds(CLOCK_MONOTONIC);
    cpu = cpu_seconds();
    switch (question->kind) {
    case ROWS:
        error = store_rows(store, &filter, &page, count_row, &given, reason);
        break;
    case TOP:
        error = store_top(store, &filter, question->number, 20, count_top, &given, NULL, reason);
        break;
    case SERIES:
        series.start = now - 30 * 86400 * USEC_SEC;
        series.width = 30 * 86400 * USEC_SEC / series.count;
        error = store_series(store, &filter, &series, figures, reason);
        given = series.count;
        break;
    case TOTALS:
        error = store_totals(store, &filter, &totals, reason);
        given = (unsigned)totals.figures.count;
    }
    took = seconds(CLOCK_MONOTONIC) - began;
    cpu = cpu_seconds() - cpu;
    printf("%8.1f ms %8.1f ms CPU  %-38s %8u %s\n", took * 1e3, cpu * 1e3, question->what, given,
           reason);
    if (error != E_OK)
        exit(1);
    return took;
}

static void ask_questions(const char *url)
{
    char reason[STORE_REASON_SIZE];
    struct store *store = store_open(url, NULL, reason);
    double slowest = 0;

    if (!store) {
        fprintf(stderr, "%s\n", reason);
        exit(1);
    }
    for (size_t i = 0; i < ARRAY_LEN(questions); i++) {
        double took = ask(store, &questions[i]);

        slowest = took > slowest ? took : slowest;
    }
    printf("the slowest question: %.0f ms\n", slowest * 1e3);
    store_close(store);
}

int main(int argc, char **argv)
{
    bool ask_only = argc > 2 && strcmp(argv[2], "ask") == 0;
    uint64_t records = argc > 2 && !ask_only ? strtoull(argv[2], NULL, 10) : 10000000;
    uint32_t names = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 1000000;
    char url[QUERYLOG_URL_SIZE];
    struct stat status;

    if (argc < 2 || argv[1][0] != '/') {
        fprintf(stderr, "Usage: bench_querylog_sqlite /FILE [RECORDS [NAMES] | ask]\n");
        return 2;
    }
    snprintf(url, sizeof(url), "sqlite://%s", argv[1]);
    if (!ask_only)
        write_records(url, records, names);
    if (stat(argv[1], &status) == 0)
        printf("file: %.1f MB\n", (double)status.st_size / 1e6);
    ask_questions(url);
    return 0;
}
