// Records as a household or an office makes them, for tests and benchmarks: record i is always the
// same. Few names are asked for often and many seldom (Zipf's law with exponent 1), by clients that
// are as unlike each other; most answers come from the cache.
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "dns/name.h"
#include "dns/tables.h"
#include "querylog/record.h"

struct entries {
    uint64_t start;    // microseconds since 1970
    uint64_t interval; // between two records, in microseconds
    uint32_t names, clients;
    bool all_different; // each name once: "random subdomain" floods
};

// What the texts of an entry lie in.
struct entry_room {
    uint8_t name[DNS_NAME_MAX];
};

static inline uint64_t entries_mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

// 0 to count - 1, the first most often: of each power of two there are as many.
static inline uint32_t entries_zipf(uint64_t random, uint32_t count)
{
    unsigned powers = 32 - (unsigned)__builtin_clz(count);
    uint32_t least = UINT32_C(1) << (random >> 40) % powers;

    return (least + ((uint32_t)random & (least - 1)) - 1) % count;
}

static inline void entries_name(const struct entries *entries, uint32_t number,
                                uint8_t name[DNS_NAME_MAX])
{
    static const char *const hosts[] = {"www", "api", "cdn", "mail", "img", "a", "static", "login"};
    char text[96];

    snprintf(text, sizeof(text), "%s.site-%u.example.%s", hosts[entries_mix(number) % 8], number,
             number % 3 ? "com" : "net");
    if (dns_name_from_text(text, name) != 0)
        name[0] = 0;
}

static inline void entries_make(const struct entries *entries, uint64_t i,
                                struct querylog_entry *entry, struct entry_room *room)
{
    static const uint16_t types[] = {DNS_TYPE_A,    DNS_TYPE_A,     DNS_TYPE_A, DNS_TYPE_AAAA,
                                     DNS_TYPE_AAAA, DNS_TYPE_HTTPS, DNS_TYPE_A, DNS_TYPE_PTR};
    static const char url[] = "tls://dns.example:853";
    uint64_t random = entries_mix(i + 1), more = entries_mix(random);
    uint32_t client = entries_zipf(entries_mix(more + 1), entries->clients) + 1;
    struct querylog_record *record = &entry->record;
    unsigned dice = (unsigned)(more % 1000);

    memset(entry, 0, sizeof(*entry));
    record->outcome = dice < 700   ? QUERYLOG_HIT
                      : dice < 960 ? QUERYLOG_MISS
                      : dice < 980 ? QUERYLOG_JOINED
                      : dice < 985 ? QUERYLOG_STALE
                      : dice < 992 ? QUERYLOG_LOCAL
                      : dice < 995 ? QUERYLOG_REFUSED
                                   : QUERYLOG_ERROR;
    record->time = entries->start + i * entries->interval;
    record->latency = record->outcome == QUERYLOG_HIT ? 15 + (uint32_t)(random >> 8) % 50
                                                      : 4000 + (uint32_t)(random >> 8) % 90000;
    record->client.family = AF_INET;
    record->client.octets[0] = 10;
    record->client.octets[1] = (uint8_t)(client >> 16);
    record->client.octets[2] = (uint8_t)(client >> 8);
    record->client.octets[3] = (uint8_t)client;
    record->client.port = (uint16_t)(1024 + (random >> 40) % 60000);
    record->type = types[(random >> 3) % 8];
    record->class = DNS_CLASS_IN;
    record->id = (uint16_t)random;
    record->rcode = record->outcome == QUERYLOG_ERROR     ? DNS_RCODE_SERVFAIL
                    : record->outcome == QUERYLOG_REFUSED ? DNS_RCODE_REFUSED
                    : more >> 20 & 7                      ? DNS_RCODE_NOERROR
                                                          : DNS_RCODE_NXDOMAIN;
    record->ede = record->outcome == QUERYLOG_ERROR ? DNS_EDE_NETWORK_ERROR : QUERYLOG_NO_EDE;
    record->flags = QUERYLOG_RD | QUERYLOG_EDNS;
    record->query_size = 40;
    record->reply_size = 120;
    record->transport = (uint8_t)((random >> 20) % 10 ? QUERYLOG_UDP : QUERYLOG_HTTPS);
    if (record->outcome == QUERYLOG_MISS) {
        record->upstream.family = AF_INET;
        memcpy(record->upstream.octets, "\300\0\2\1", 4);
        record->upstream.port = 853;
        record->upstream_latency = record->latency - 100;
        record->attempts = 1;
        record->tls_version = 13;
        entry->upstream_url = url;
        entry->upstream_url_size = sizeof(url) - 1;
    }
    entries_name(entries,
                 entries->all_different ? (uint32_t)i * 2654435761U
                                        : entries_zipf(random, entries->names),
                 room->name);
    entry->name = room->name;
    entry->name_size = (uint16_t)dns_name_length(room->name);
}
