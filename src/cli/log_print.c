#include "cli/log_print.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "dns/tables.h"
#include "querylog/text.h"

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

static void text_if_any(struct json *json, const char *key, const char *text)
{
    if (*text)
        json_text(json, key, text);
}

// With the keys of the sink for JSON lines; what is not known is left out.
static void row_as_json(FILE *out, const struct store_row *row)
{
    char time[QUERYLOG_TIME_TEXT_MAX], text[DNS_NUMBER_TEXT_MAX], version[8];
    struct json json = {.out = out, .one_line = true};

    json_open(&json, NULL, '{');
    json_uint(&json, "id", row->id);
    json_text(&json, "time", querylog_time_text(row->time, time));
    text_if_any(&json, "instance", row->instance);
    text_if_any(&json, "client", row->client);
    if (row->client_port != 0)
        json_uint(&json, "port", row->client_port);
    json_text(&json, "transport", querylog_transport_name(row->transport));
    json_text(&json, "name", row->name);
    json_text(&json, "type", dns_type_text(row->type, text));
    json_text(&json, "class", dns_class_text(row->class, text));
    json_text(&json, "outcome", querylog_outcome_name(row->outcome));
    json_text(&json, "rcode", dns_rcode_text(row->rcode, text));
    if (row->ede != QUERYLOG_NO_EDE)
        json_uint(&json, "ede", (uint16_t)row->ede);
    json_seconds(&json, "latency_seconds", row->latency);
    text_if_any(&json, "upstream", row->upstream);
    text_if_any(&json, "upstream_address", row->upstream_address);
    if (*row->upstream)
        json_seconds(&json, "upstream_latency_seconds", row->upstream_latency);
    json_uint(&json, "attempts", row->attempts);
    json_uint(&json, "query_size", row->query_size);
    json_uint(&json, "reply_size", row->reply_size);
    json_uint(&json, "message_id", row->message_id);
    if (row->tls_version != 0) {
        snprintf(version, sizeof(version), "1.%u", row->tls_version % 10U);
        json_text(&json, "tls", version);
        json_bool(&json, "tls_resumed", row->flags & QUERYLOG_RESUMED);
    }
    json_open(&json, "flags", '[');
    for (size_t i = 0; i < QUERYLOG_FLAG_NAMES; i++)
        if (row->flags & querylog_flag_names[i].flag)
            json_text(&json, NULL, querylog_flag_names[i].name);
    json_close(&json, ']');
    json_close(&json, '}');
    fputc('\n', out);
}

static void row_as_csv(FILE *out, const struct store_row *row)
{
    char text[DNS_NUMBER_TEXT_MAX], time[QUERYLOG_TIME_TEXT_MAX];

    fprintf(out, "%" PRIu64 ",%s", row->id, querylog_time_text(row->time, time));
    csv_text(out, row->instance);
    csv_text(out, row->client);
    fprintf(out, ",%u", row->client_port);
    csv_text(out, querylog_transport_name(row->transport));
    csv_text(out, row->name);
    csv_text(out, dns_type_text(row->type, text));
    csv_text(out, querylog_outcome_name(row->outcome));
    csv_text(out, dns_rcode_text(row->rcode, text));
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
            dns_rcode_text(row->rcode, rcode), *colour ? RESET : "",
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
        struct json json = {.out = out, .one_line = true};

        json_open(&json, NULL, '{');
        json_text(&json, "text", top->text);
        json_uint(&json, "count", top->count);
        json_uint(&json, "errors", top->errors);
        json_seconds(&json, "mean_latency_seconds", top->mean_latency);
        json_close(&json, '}');
        fputc('\n', out);
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
