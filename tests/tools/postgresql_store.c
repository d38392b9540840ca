// Asks what was kept in PostgreSQL, for integration tests: one question a line on stdin; the answer
// on stdout is lines of values with tabs between, and then "= CODE MILLISECONDS REASON".
//
//   postgresql_store URL PASSWORD-FILE        (the file may be "")
//
//   filter KEY VALUE         one more condition for all that follows; "filter" alone: none
//   limit MICROSECONDS       how long each question may take
//   rows LIMIT BEFORE        newest first; BEFORE 0: from the newest
//   follow LIMIT AFTER
//   first COUNT              as "rows 1000 0", but no more are wanted after so many
//   newest
//   top KIND LIMIT           then a line with the number of different ones
//   series START WIDTH COUNT
//   totals
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "querylog/postgresql/exchange.h"
#include "querylog/store.h"

static const struct store_ops *const ops = &store_postgresql;
static struct store_filter filter;
static usec_t limit = STORE_LIMIT_DEFAULT;
static uint32_t wanted;

static bool print_row(void *context, const struct store_row *row)
{
    printf("%" PRIu64 "\t%" PRIu64 "\t%" PRIu32 "\t%" PRIu32 "\t%s\t%s\t%u\t%s\t%s\t%s", row->id,
           row->time, row->latency, row->upstream_latency, row->name, row->client, row->client_port,
           row->upstream, row->upstream_address, row->instance);
    printf("\t%u\t%u\t%u\t%u\t%d\t%u\t%u\t%u\t%s\t%s\t%u\t%u\n", row->type, row->class,
           row->message_id, row->rcode, row->ede, row->flags, row->query_size, row->reply_size,
           querylog_transport_name(row->transport), querylog_outcome_name(row->outcome),
           row->attempts, row->tls_version);
    return wanted == 0 || --wanted > 0;
}

static bool print_top(void *context, const struct store_top *top)
{
    printf("%s\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\n", top->text, top->count, top->errors,
           top->mean_latency);
    return true;
}

static void print_figures(const struct store_figures *figures)
{
    printf("%" PRIu64, figures->count);
    for (unsigned i = 0; i < QUERYLOG_OUTCOMES; i++)
        printf("\t%" PRIu64, figures->outcomes[i]);
    printf("\t%" PRIu32 "\t%" PRIu32 "\t%" PRIu32 "\t%" PRIu32 "\n", figures->p50, figures->p95,
           figures->p99, figures->max);
}

static int ask_series(void *store, const struct store_series *series, usec_t deadline, char *reason)
{
    static struct store_figures figures[STORE_SERIES_MAX];
    int rc = ops->series(store, &filter, series, deadline, figures, reason);

    for (uint32_t i = 0; i < series->count; i++)
        print_figures(&figures[i]);
    return rc;
}

static int take_condition(char *line, char *reason)
{
    char *value = strchr(line, ' ');

    if (!value) {
        store_filter_init(&filter);
        return E_OK;
    }
    *value++ = '\0';
    for (unsigned key = 0; key < STORE_FILTER_KEYS; key++)
        if (strcmp(store_filter_key_name(key), line) == 0)
            return store_filter_take(&filter, key, value, (uint64_t)time(NULL) * USEC_SEC, reason);
    return E_INVALID;
}

static int ask(void *store, char *line, char *reason)
{
    static const char *const kinds[] = {
#define X(name, text) text,
        STORE_TOP_LIST(X)
#undef X
    };
    usec_t deadline = postgresql_now() + limit;
    struct store_series series;
    struct store_page page = {.limit = 1000};
    struct store_totals totals;
    char word[16];
    uint64_t value = 0;
    int rc;

    if (strncmp(line, "filter", 6) == 0)
        return take_condition(line + 6 + (line[6] == ' '), reason);
    if (sscanf(line, "limit %" SCNu64, &limit) == 1)
        return E_OK;
    page.forward = strncmp(line, "follow", 6) == 0;
    wanted = 0;
    if (sscanf(line, "rows %" SCNu32 " %" SCNu64, &page.limit, &page.before) == 2 ||
        sscanf(line, "follow %" SCNu32 " %" SCNu64, &page.limit, &page.after) == 2 ||
        sscanf(line, "first %" SCNu32, &wanted) == 1)
        return ops->rows(store, &filter, &page, deadline, print_row, NULL, reason);
    if (sscanf(line, "top %15s %" SCNu32, word, &page.limit) == 2) {
        unsigned kind = 0;

        while (strcmp(kinds[kind], word) != 0)
            require(++kind < STORE_TOP_KINDS);
        rc = ops->top(store, &filter, kind, page.limit, deadline, print_top, NULL, &value, reason);
        printf("%" PRIu64 "\n", value);
        return rc;
    }
    if (sscanf(line, "series %" SCNu64 " %" SCNu64 " %" SCNu32, &series.start, &series.width,
               &series.count) == 3)
        return ask_series(store, &series, deadline, reason);
    if (strcmp(line, "newest") == 0) {
        rc = ops->newest(store, &value, deadline, reason);
        printf("%" PRIu64 "\n", value);
        return rc;
    }
    require(strcmp(line, "totals") == 0);
    rc = ops->totals(store, &filter, deadline, &totals, reason);
    print_figures(&totals.figures);
    printf("%" PRIu64 "\t%" PRIu64 "\n", totals.oldest, totals.newest);
    return rc;
}

int main(int argc, char **argv)
{
    char reason[STORE_REASON_SIZE] = "", line[4096];
    void *store;

    require(argc == 3);
    store_filter_init(&filter);
    store = ops->open(argv[1], *argv[2] ? argv[2] : NULL, reason);
    printf("= %d 0 %s\n", store ? E_OK : E_SYSTEM, reason);
    fflush(stdout);
    while (store && fgets(line, sizeof(line), stdin)) {
        usec_t begin = postgresql_now();

        line[strcspn(line, "\n")] = '\0';
        *reason = '\0';
        int rc = ask(store, line, reason);
        printf("= %d %u %s\n", rc, (unsigned)((postgresql_now() - begin) / USEC_MSEC), reason);
        fflush(stdout);
    }
    if (store)
        ops->close(store);
    return 0;
}
