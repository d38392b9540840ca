#include <inttypes.h>
#include <string.h>

#include "admin/status.h"
#include "admin/units.h"

#define COLUMNS_MAX 8
// The longest is a URL.
#define CELL_SIZE STATUS_URL_SIZE

struct row {
    char cells[COLUMNS_MAX][CELL_SIZE]; // an empty one and all that follow it: left out
    char note[4 * STATUS_REASON_SIZE];  // below the row; "": none
};

// A table is a function that fills in its rows, called twice: to measure and to print.
struct table {
    const char *titles[COLUMNS_MAX + 1]; // ends with NULL
    unsigned words;                      // columns of words, which come first; then numbers
    unsigned rows;
    void (*fill)(const void *context, unsigned number, struct row *row);
    const void *context;
};

static void fill_row(const struct table *table, unsigned number, struct row *row)
{
    row->note[0] = '\0';
    for (unsigned c = 0; c < COLUMNS_MAX; c++)
        row->cells[c][0] = '\0';
    table->fill(table->context, number, row);
}

// Words stand at the left, numbers at the right.
static void print_cell(FILE *out, const struct table *table, unsigned column, int width,
                       const char *text, bool last)
{
    if (column < table->words)
        width = last ? 0 : -width;
    fprintf(out, "%s%*s", column > 0 ? "  " : "", width, text);
}

static void print_table(FILE *out, const struct table *table)
{
    int widths[COLUMNS_MAX] = {0};
    unsigned columns = 0;
    struct row row;

    for (; table->titles[columns]; columns++)
        widths[columns] = (int)strlen(table->titles[columns]);
    for (unsigned r = 0; r < table->rows; r++) {
        fill_row(table, r, &row);
        for (unsigned c = 0; c < columns; c++)
            widths[c] = MAX(widths[c], (int)strlen(row.cells[c]));
    }
    putc('\n', out);
    for (unsigned c = 0; c < columns; c++)
        print_cell(out, table, c, widths[c], table->titles[c], !table->titles[c + 1]);
    putc('\n', out);
    for (unsigned r = 0; r < table->rows; r++) {
        fill_row(table, r, &row);
        for (unsigned c = 0; c < columns && *row.cells[c]; c++)
            print_cell(out, table, c, widths[c], row.cells[c],
                       c + 1 == columns || !*row.cells[c + 1]);
        putc('\n', out);
        if (*row.note)
            fprintf(out, "    %s\n", row.note);
    }
}

static void set_number(char cell[CELL_SIZE], uint64_t number)
{
    snprintf(cell, CELL_SIZE, "%" PRIu64, number);
}

// A terminal obeys control characters, and a peer may have sent some.
static void copy_harmless(char *to, size_t size, const char *text)
{
    size_t used = 0;

    for (; *text && used + 5 < size; text++) {
        unsigned char c = (unsigned char)*text;

        if (c >= 0x20 && c < 0x7f)
            to[used++] = *text;
        else
            used += (size_t)snprintf(to + used, size - used, "\\x%02x", c);
    }
    to[used] = '\0';
}

struct upstreams {
    unsigned count;
    struct status_upstream_sum sums[STATUS_UPSTREAMS_MAX];
};

static void set_state(char cell[CELL_SIZE], const struct status_upstream_sum *sum)
{
    char text[UNITS_TEXT_SIZE];

    if (sum->state == STATUS_UPSTREAM_DOWN)
        snprintf(cell, CELL_SIZE, "down for %s", units_duration(sum->down_for, text));
    else if (sum->workers_down > 0)
        snprintf(cell, CELL_SIZE, "down in %u of %u workers", sum->workers_down, sum->workers);
    else
        strcpy(cell, status_upstream_state_name(sum->state));
}

static void fill_upstream(const void *context, unsigned number, struct row *row)
{
    const struct upstreams *upstreams = context;
    const struct status_upstream_sum *sum = &upstreams->sums[number];

    copy_harmless(row->cells[0], CELL_SIZE, sum->url);
    set_state(row->cells[1], sum);
    strcpy(row->cells[2], "-");
    if (sum->load.rtt > 0)
        units_latency(sum->load.rtt, row->cells[2]);
    set_number(row->cells[3], sum->load.connections);
    set_number(row->cells[4], sum->load.in_flight + sum->load.waiting);
    set_number(row->cells[5], sum->load.queries);
    set_number(row->cells[6], sum->load.replies);
    copy_harmless(row->note, sizeof(row->note), sum->reason);
}

static void fill_worker(const void *context, unsigned number, struct row *row)
{
    const struct status *status = context;
    const struct status_worker *worker = &status->workers[number];

    set_number(row->cells[0], number);
    if (!worker->answered) {
        strcpy(row->note, "did not answer in time: it is overloaded, or stuck");
        return;
    }
    set_number(row->cells[1], worker->queries_udp);
    set_number(row->cells[2], worker->queries_tcp);
    set_number(row->cells[3], worker->queries_tls);
    set_number(row->cells[4], worker->queries_https);
    set_number(row->cells[5], worker->in_flight);
    set_number(row->cells[6], worker->tcp_clients);
}

static void fill_certificate(const void *context, unsigned number, struct row *row)
{
    const struct status *status = context;
    const struct status_certificate *certificate = &status->certificates[number];
    int64_t days = certificate->seconds_left / 86400;

    copy_harmless(row->cells[0], CELL_SIZE, certificate->listener);
    copy_harmless(row->cells[1], CELL_SIZE, *certificate->name ? certificate->name : "-");
    if (certificate->seconds_left <= 0)
        strcpy(row->cells[2], "it has ended");
    else
        snprintf(row->cells[2], CELL_SIZE, "%" PRId64 " day%s", days, days == 1 ? "" : "s");
}

static void fill_queries(const void *context, unsigned number, struct row *row)
{
    const uint64_t *counters = ((const struct status *)context)->counters;

    set_number(row->cells[0], counters[COUNTER_queries_udp] + counters[COUNTER_queries_tcp] +
                                  counters[COUNTER_queries_tls] + counters[COUNTER_queries_https]);
    set_number(row->cells[1], counters[COUNTER_cache_hits]);
    set_number(row->cells[2], counters[COUNTER_cache_stale]);
    set_number(row->cells[3], counters[COUNTER_queries_forwarded]);
    set_number(row->cells[4], counters[COUNTER_queries_local]);
    set_number(row->cells[5], counters[COUNTER_queries_failed]);
}

static void fill_cache(const void *context, unsigned number, struct row *row)
{
    const struct status *status = context;
    double ratio = status_hit_ratio(status);

    if (status->cache.size == 0) {
        strcpy(row->cells[0], "off");
        return;
    }
    units_size(status->cache.size, row->cells[0]);
    units_size(status->cache.bytes, row->cells[1]);
    set_number(row->cells[2], status->cache.entries);
    set_number(row->cells[3], status->counters[COUNTER_cache_hits]);
    set_number(row->cells[4], status->counters[COUNTER_cache_misses]);
    strcpy(row->cells[5], "-");
    if (ratio >= 0)
        snprintf(row->cells[5], CELL_SIZE, "%.1f %%", ratio * 100);
}

void status_print_table(const struct status *status, FILE *out)
{
    struct upstreams upstreams;
    char uptime[UNITS_TEXT_SIZE];

    upstreams.count = status_sum_upstreams(status, upstreams.sums);
    fprintf(out, "sotto %s, process %d, up for %s\n", SOTTO_VERSION, (int)status->pid,
            units_duration(status->uptime, uptime));
    print_table(out, &(struct table){{"UPSTREAM", "STATE", "RTT", "CONNECTIONS", "IN FLIGHT",
                                      "QUERIES", "REPLIES"},
                                     2,
                                     upstreams.count,
                                     fill_upstream,
                                     &upstreams});
    print_table(out, &(struct table){{"WORKER", "UDP QUERIES", "TCP QUERIES", "TLS QUERIES",
                                      "HTTPS QUERIES", "IN FLIGHT", "TCP CLIENTS"},
                                     1,
                                     status->worker_count,
                                     fill_worker,
                                     status});
    if (status->certificate_count > 0)
        print_table(out, &(struct table){{"LISTENER", "CERTIFICATE", "ENDS IN"},
                                         3,
                                         status->certificate_count,
                                         fill_certificate,
                                         status});
    print_table(out,
                &(struct table){{"QUERIES", "FROM CACHE", "STALE", "FORWARDED", "LOCAL", "FAILED"},
                                0,
                                1,
                                fill_queries,
                                status});
    print_table(
        out,
        &(struct table){
            {"CACHE", "USED", "ENTRIES", "HITS", "MISSES", "HIT RATIO"}, 0, 1, fill_cache, status});
}
