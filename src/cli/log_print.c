#include "cli/log_print.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/utf8.h"
#include "dns/tables.h"

#define RESET "\33[0m"
#define DIM "\33[2m"

// Texts of a store are printable ASCII; but it is only a file that says so.
static void print_plain(FILE *out, const char *text, int width)
{
    int used = 0;

    for (; *text; text++) {
        if (*text >= ' ' && *text <= '~')
            used += fprintf(out, "%c", *text);
        else
            used += fprintf(out, "\\%03u", (unsigned char)*text);
    }
    if (used < width)
        fprintf(out, "%*s", width - used, "");
}

// ---- JSON: an object a line

static void print_json_text(FILE *out, const char *text)
{
    fputc('"', out);
    while (*text) {
        size_t length = utf8_printable_length(text);

        if (length > 1)
            fwrite(text, 1, length, out);
        else if (length == 0)
            fprintf(out, (unsigned char)*text < 0x80 ? "\\u%04x" : "\\ufffd", (unsigned char)*text);
        else if (strchr("\"\\", *text))
            fprintf(out, "\\%c", *text);
        else if (strchr("<>&'", *text)) // so that it is no markup, wherever it is pasted
            fprintf(out, "\\u%04x", *text);
        else
            fputc(*text, out);
        text += MAX(length, 1);
    }
    fputc('"', out);
}

static void json_member(FILE *out, const char *key, const char *text)
{
    if (!*text)
        return;
    fprintf(out, ",\"%s\":", key);
    print_json_text(out, text);
}

// ---- CSV (RFC 4180)

static void csv_text(FILE *out, const char *text)
{
    fputs(",\"", out);
    // Spreadsheets would take it for a formula.
    if (*text && strchr("=+-@", *text))
        fputc('\'', out);
    for (; *text; text++) {
        if (*text == '"')
            fputc('"', out);
        if (*text >= ' ' && *text <= '~')
            fputc(*text, out);
        else
            fprintf(out, "\\%03u", (unsigned char)*text);
    }
    fputc('"', out);
}

// ---- Values

// "2026-01-31T12:00:00.000000Z"
static void print_utc(FILE *out, uint64_t time)
{
    time_t seconds = (time_t)(time / USEC_SEC);
    struct tm tm = {.tm_year = 0};
    char text[32];

    gmtime_r(&seconds, &tm);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
    fprintf(out, "%s.%06" PRIu64 "Z", text, time % USEC_SEC);
}

static void print_local(FILE *out, uint64_t time)
{
    time_t seconds = (time_t)(time / USEC_SEC);
    struct tm tm = {.tm_year = 0};
    char text[32];

    localtime_r(&seconds, &tm);
    strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm);
    fprintf(out, "%s.%03" PRIu64, text, time % USEC_SEC / USEC_MSEC);
}

#define LATENCY_TEXT_SIZE 24

static const char *latency_text(uint64_t latency, char text[LATENCY_TEXT_SIZE])
{
    if (latency < 1000)
        snprintf(text, LATENCY_TEXT_SIZE, "%" PRIu64 " us", latency);
    else if (latency < 1000000)
        snprintf(text, LATENCY_TEXT_SIZE, "%.1f ms", (double)latency / 1e3);
    else
        snprintf(text, LATENCY_TEXT_SIZE, "%.2f s", (double)latency / 1e6);
    return text;
}

static const char *rcode_text(uint16_t rcode, char text[DNS_NUMBER_TEXT_MAX])
{
    const char *name = dns_rcode_name(rcode);

    if (name)
        return name;
    snprintf(text, DNS_NUMBER_TEXT_MAX, "RCODE%u", rcode);
    return text;
}

static const char *class_text(uint16_t class, char text[DNS_NUMBER_TEXT_MAX])
{
    const char *name = dns_class_name(class);

    if (name)
        return name;
    snprintf(text, DNS_NUMBER_TEXT_MAX, "CLASS%u", class);
    return text;
}

static const char *outcome_colour(unsigned outcome)
{
    switch (outcome) {
    case QUERYLOG_HIT:
        return "\33[32m"; // green
    case QUERYLOG_STALE:
        return "\33[33m"; // yellow
    case QUERYLOG_REFUSED:
    case QUERYLOG_LIMITED:
        return "\33[35m"; // magenta
    case QUERYLOG_ERROR:
        return "\33[1;31m"; // bold red
    default:
        return "";
    }
}

// ---- Rows

static const struct {
    uint16_t flag;
    const char *text;
} flags[] = {
    {QUERYLOG_RD, "rd"},           {QUERYLOG_CD, "cd"},
    {QUERYLOG_DO, "do"},           {QUERYLOG_EDNS, "edns"},
    {QUERYLOG_PADDED, "padded"},   {QUERYLOG_AD, "ad"},
    {QUERYLOG_TC, "tc"},           {QUERYLOG_SILENCE, "silence"},
    {QUERYLOG_RESUMED, "resumed"}, {QUERYLOG_QUERY_AD, "query_ad"},
};

static void row_as_json(FILE *out, const struct store_row *row)
{
    char type[DNS_NUMBER_TEXT_MAX], rcode[DNS_NUMBER_TEXT_MAX], class[DNS_NUMBER_TEXT_MAX];
    bool comma = false;

    fprintf(out, "{\"id\":%" PRIu64 ",\"time\":\"", row->id);
    print_utc(out, row->time);
    fputc('"', out);
    json_member(out, "instance", row->instance);
    json_member(out, "client", row->client);
    if (row->client_port != 0)
        fprintf(out, ",\"client_port\":%u", row->client_port);
    json_member(out, "transport", querylog_transport_name(row->transport));
    fputs(",\"name\":", out);
    print_json_text(out, row->name);
    json_member(out, "type", dns_type_text(row->type, type));
    json_member(out, "class", class_text(row->class, class));
    json_member(out, "outcome", querylog_outcome_name(row->outcome));
    json_member(out, "rcode", rcode_text(row->rcode, rcode));
    if (row->ede != QUERYLOG_NO_EDE)
        fprintf(out, ",\"ede\":%d", row->ede);
    fprintf(out, ",\"latency_us\":%" PRIu32, row->latency);
    json_member(out, "upstream", row->upstream);
    json_member(out, "upstream_address", row->upstream_address);
    if (*row->upstream)
        fprintf(out, ",\"upstream_latency_us\":%" PRIu32, row->upstream_latency);
    fprintf(out, ",\"attempts\":%u,\"query_size\":%u,\"reply_size\":%u,\"message_id\":%u",
            row->attempts, row->query_size, row->reply_size, row->message_id);
    if (row->tls_version != 0)
        fprintf(out, ",\"tls_version\":\"1.%u\"", row->tls_version % 10U);
    fputs(",\"flags\":[", out);
    for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
        if (!(row->flags & flags[i].flag))
            continue;
        fprintf(out, "%s\"%s\"", comma ? "," : "", flags[i].text);
        comma = true;
    }
    fputs("]}\n", out);
}

static void row_as_csv(FILE *out, const struct store_row *row)
{
    char text[DNS_NUMBER_TEXT_MAX];

    fprintf(out, "%" PRIu64 ",", row->id);
    print_utc(out, row->time);
    csv_text(out, row->instance);
    csv_text(out, row->client);
    fprintf(out, ",%u", row->client_port);
    csv_text(out, querylog_transport_name(row->transport));
    csv_text(out, row->name);
    csv_text(out, dns_type_text(row->type, text));
    csv_text(out, querylog_outcome_name(row->outcome));
    csv_text(out, rcode_text(row->rcode, text));
    fputc(',', out);
    if (row->ede != QUERYLOG_NO_EDE)
        fprintf(out, "%d", row->ede);
    fprintf(out, ",%" PRIu32, row->latency);
    csv_text(out, row->upstream);
    csv_text(out, row->upstream_address);
    fprintf(out, ",%" PRIu32 ",%u,%u,%u\r\n", row->upstream_latency, row->attempts, row->query_size,
            row->reply_size);
}

static void row_as_table(const struct log_print *print, const struct store_row *row)
{
    char type[DNS_NUMBER_TEXT_MAX], rcode[DNS_NUMBER_TEXT_MAX], latency[LATENCY_TEXT_SIZE];
    const char *colour = print->colour ? outcome_colour(row->outcome) : "";
    FILE *out = print->out;

    fputs(print->colour ? DIM : "", out);
    print_local(out, row->time);
    fputs(print->colour ? RESET "  " : "  ", out);
    print_plain(out, *row->client ? row->client : "-", 15);
    fprintf(out, "  %-5s  %-8s  %s%-7s  %-8s%s  %8s  ", querylog_transport_name(row->transport),
            dns_type_text(row->type, type), colour, querylog_outcome_name(row->outcome),
            rcode_text(row->rcode, rcode), *colour ? RESET : "",
            latency_text(row->latency, latency));
    print_plain(out, *row->name ? row->name : "-", 0);
    if (*row->upstream) {
        fputs(print->colour ? DIM "  via " : "  via ", out);
        print_plain(out, row->upstream, 0);
        fputs(print->colour ? RESET : "", out);
    }
    fputc('\n', out);
}

void log_print_row_header(const struct log_print *print)
{
    if (print->format == LOG_PRINT_CSV)
        fputs("id,time,instance,client,client_port,transport,name,type,outcome,rcode,ede,"
              "latency_us,upstream,upstream_address,upstream_latency_us,attempts,query_size,"
              "reply_size\r\n",
              print->out);
    if (print->format == LOG_PRINT_TABLE)
        fprintf(print->out, "%-23s  %-15s  %-5s  %-8s  %-7s  %-8s  %8s  %s\n", "TIME", "CLIENT",
                "OVER", "TYPE", "OUTCOME", "RCODE", "LATENCY", "NAME");
}

void log_print_row(const struct log_print *print, const struct store_row *row)
{
    if (print->format == LOG_PRINT_JSON)
        row_as_json(print->out, row);
    else if (print->format == LOG_PRINT_CSV)
        row_as_csv(print->out, row);
    else
        row_as_table(print, row);
}

// ---- The most frequent

void log_print_top_header(const struct log_print *print, enum store_top_kind kind)
{
    if (print->format == LOG_PRINT_CSV)
        fputs("count,errors,mean_latency_us,text\r\n", print->out);
    if (print->format == LOG_PRINT_TABLE)
        fprintf(print->out, "%12s  %6s  %12s  %8s  %s\n", "QUERIES", "SHARE", "ERRORS", "MEAN",
                store_top_kind_name(kind));
}

void log_print_top(const struct log_print *print, const struct store_top *top, uint64_t total)
{
    char latency[LATENCY_TEXT_SIZE];
    FILE *out = print->out;

    if (print->format == LOG_PRINT_JSON) {
        fputs("{\"text\":", out);
        print_json_text(out, top->text);
        fprintf(out,
                ",\"count\":%" PRIu64 ",\"errors\":%" PRIu64 ",\"mean_latency_us\":%" PRIu64 "}\n",
                top->count, top->errors, top->mean_latency);
    } else if (print->format == LOG_PRINT_CSV) {
        fprintf(out, "%" PRIu64 ",%" PRIu64 ",%" PRIu64, top->count, top->errors,
                top->mean_latency);
        csv_text(out, top->text);
        fputs("\r\n", out);
    } else {
        fprintf(out, "%12" PRIu64 "  %5.1f%%  %12" PRIu64 "  %8s  ", top->count,
                total > 0 ? 100.0 * (double)top->count / (double)total : 0.0, top->errors,
                latency_text(top->mean_latency, latency));
        print_plain(out, *top->text ? top->text : "(none)", 0);
        fputc('\n', out);
    }
}
