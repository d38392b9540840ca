// Queries written down for the query log, where there is one.
#include <string.h>
#include <time.h>

#include "dns/message.h"
#include "engine/query.h"
#include "querylog/record.h"

void query_record_begin(struct query *query, size_t size)
{
    struct engine *engine = query->engine;

    query->logged = false;
    query->joined = false;
    query->via = NULL;
    query->ede = QUERYLOG_NO_EDE;
    if (LIKELY(!engine->querylog) || !querylog_ring_samples(engine->querylog))
        return;
    query->logged = true;
    query->size = (uint16_t)size;
    query->began = engine->host_ops->clock(engine->host);
}

static struct querylog_address address_of(const struct address *from)
{
    struct querylog_address address = {.family = AF_UNSPEC};
    size_t size;
    const uint8_t *octets = address_octets(from, &size);

    if (size == 0)
        return address;
    address.family = size == 4 ? AF_INET : AF_INET6;
    address.port = address_port(from);
    memcpy(address.octets, octets, size);
    return address;
}

static uint64_t wall_clock(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t)ts.tv_sec * USEC_SEC + (uint64_t)ts.tv_nsec / 1000;
}

static uint16_t flags_of(const struct query *query, const uint8_t *reply, size_t size)
{
    uint16_t sent = size > 0 ? get_u16(reply + 2) : 0;

    return (uint16_t)((query->flags & DNS_FLAG_RD ? QUERYLOG_RD : 0) |
                      (query->flags & DNS_FLAG_CD ? QUERYLOG_CD : 0) |
                      (query->flags & DNS_FLAG_AD ? QUERYLOG_QUERY_AD : 0) |
                      (query->dnssec_ok ? QUERYLOG_DO : 0) | (query->has_edns ? QUERYLOG_EDNS : 0) |
                      (query->padded ? QUERYLOG_PADDED : 0) |
                      (sent & DNS_FLAG_AD ? QUERYLOG_AD : 0) |
                      (sent & DNS_FLAG_TC ? QUERYLOG_TC : 0) | (size == 0 ? QUERYLOG_SILENCE : 0));
}

static void note_upstream(struct querylog_entry *entry, const struct upstream_via *via)
{
    struct querylog_record *record = &entry->record;

    record->attempts = via->attempts;
    if (!via->url)
        return;
    record->upstream = address_of(&via->address);
    record->upstream_latency = (uint32_t)MIN(via->latency, (usec_t)UINT32_MAX);
    record->tls_version = via->tls_version;
    record->flags |= via->resumed ? QUERYLOG_RESUMED : 0;
    entry->upstream_url = via->url;
    entry->upstream_url_size = (uint16_t)strlen(via->url);
}

__attribute__((noinline)) static void write_down(const struct query *query, const uint8_t *reply,
                                                 size_t size)
{
    static const uint8_t transports[] = {
        [ENGINE_UDP] = QUERYLOG_UDP,
        [ENGINE_TCP] = QUERYLOG_TCP,
        [ENGINE_TLS] = QUERYLOG_TLS,
        [ENGINE_HTTP] = QUERYLOG_HTTPS,
    };
    struct engine *engine = query->engine;
    usec_t took = engine->host_ops->clock(engine->host) - query->began;
    struct querylog_entry entry = {
        .record =
            {
                .time = wall_clock() - took,
                .latency = (uint32_t)MIN(took, (usec_t)UINT32_MAX),
                .client = address_of(&query->client.source),
                .id = query->id,
                .rcode = query->rcode,
                .ede = query->ede,
                .flags = flags_of(query, reply, size),
                .query_size = query->size,
                .reply_size = (uint16_t)size,
                .transport = transports[query->client.transport],
                .outcome = query->outcome,
            },
        .reply = reply,
        .reply_message_size = (uint16_t)size,
    };

    if (query->question_size > 4) {
        entry.name = query->question;
        entry.name_size = (uint16_t)(query->question_size - 4);
        entry.record.type = get_u16(query->question + entry.name_size);
        entry.record.class = get_u16(query->question + entry.name_size + 2);
    }
    if (query->via)
        note_upstream(&entry, query->via);
    querylog_ring_put(engine->querylog, &entry);
}

void query_record(const struct query *query, const uint8_t *reply, size_t size)
{
    if (UNLIKELY(query->logged))
        write_down(query, reply, size);
}
