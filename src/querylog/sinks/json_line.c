#include "querylog/sinks/json_line.h"

#include <inttypes.h>
#include <string.h>

#include "base/json.h"
#include "dns/name.h"
#include "dns/tables.h"
#include "querylog/options.h"
#include "querylog/text.h"

// Of the query, then of the reply.

static void write_text_or_null(struct json *json, const char *key, const char *text)
{
    if (text && *text)
        json_text(json, key, text);
    else
        json_null(json, key);
}

static void write_uint_or_null(struct json *json, const char *key, bool known, uint64_t number)
{
    if (known)
        json_uint(json, key, number);
    else
        json_null(json, key);
}

// 64 bits are too many for the numbers of many readers.
static void write_hash(struct json *json, const char *key, uint64_t hash)
{
    char text[17];

    if (hash == 0)
        return;
    snprintf(text, sizeof(text), "%016" PRIx64, hash);
    json_text(json, key, text);
}

static void write_client(struct json *json, const struct querylog_entry *entry)
{
    const struct querylog_record *record = &entry->record;
    char text[QUERYLOG_ADDRESS_TEXT_MAX];

    write_text_or_null(json, "client", querylog_address_text(&record->client, text));
    write_uint_or_null(json, "port", record->client.port > 0, record->client.port);
    write_hash(json, "client_key", entry->client_key);
    json_text(json, "transport", querylog_transport_name(record->transport));
}

static void write_question(struct json *json, const struct querylog_entry *entry)
{
    const struct querylog_record *record = &entry->record;
    char text[DNS_NAME_TEXT_MAX], number[DNS_NUMBER_TEXT_MAX];

    write_text_or_null(json, "name",
                       entry->name_size > 0 ? dns_name_to_text(entry->name, text) : NULL);
    write_hash(json, "name_hash", entry->name_hash);
    // 0: the question could not be read.
    write_text_or_null(json, "type", record->type ? dns_type_text(record->type, number) : NULL);
    write_text_or_null(json, "class", record->class ? dns_class_text(record->class, number) : NULL);
}

static void write_result(struct json *json, const struct querylog_record *record)
{
    bool replied = !(record->flags & QUERYLOG_SILENCE);
    bool extended = record->ede != QUERYLOG_NO_EDE;
    char number[DNS_NUMBER_TEXT_MAX];

    json_text(json, "outcome", querylog_outcome_name(record->outcome));
    write_text_or_null(json, "rcode", replied ? dns_rcode_text(record->rcode, number) : NULL);
    write_uint_or_null(json, "ede", extended, (uint16_t)record->ede);
    write_text_or_null(json, "ede_text", extended ? dns_ede_name((uint16_t)record->ede) : NULL);
}

static void write_upstream(struct json *json, const struct querylog_entry *entry)
{
    const struct querylog_record *record = &entry->record;
    char url[QUERYLOG_URL_SIZE], text[QUERYLOG_ADDRESS_TEXT_MAX];
    const char *tls = record->tls_version == 13 ? "1.3" : record->tls_version == 12 ? "1.2" : NULL;

    snprintf(url, sizeof(url), "%.*s", (int)entry->upstream_url_size,
             entry->upstream_url_size > 0 ? entry->upstream_url : "");
    write_text_or_null(json, "upstream", url);
    write_text_or_null(json, "upstream_address", querylog_address_text(&record->upstream, text));
    json_uint(json, "attempts", record->attempts);
    json_seconds(json, "latency_seconds", record->latency);
    if (record->upstream_latency > 0)
        json_seconds(json, "upstream_latency_seconds", record->upstream_latency);
    else
        json_null(json, "upstream_latency_seconds");
    write_text_or_null(json, "tls", tls);
    if (tls)
        json_bool(json, "tls_resumed", record->flags & QUERYLOG_RESUMED);
    else
        json_null(json, "tls_resumed");
}

static void write_flags(struct json *json, uint16_t flags)
{
    json_open(json, "flags", '[');
    for (size_t i = 0; i < QUERYLOG_FLAG_NAMES; i++)
        if (flags & querylog_flag_names[i].flag)
            json_text(json, NULL, querylog_flag_names[i].name);
    json_close(json, ']');
}

void querylog_json_line(FILE *out, const struct querylog_entry *entry, const char *instance)
{
    const struct querylog_record *record = &entry->record;
    struct json json = {.out = out, .one_line = true};
    char text[QUERYLOG_TIME_TEXT_MAX];

    json_open(&json, NULL, '{');
    json_text(&json, "time", querylog_time_text(record->time, text));
    json_text(&json, "instance", instance);
    write_client(&json, entry);
    write_question(&json, entry);
    write_result(&json, record);
    write_upstream(&json, entry);
    json_uint(&json, "query_size", record->query_size);
    json_uint(&json, "reply_size", record->reply_size);
    write_flags(&json, record->flags);
    json_close(&json, '}');
    putc('\n', out);
}
