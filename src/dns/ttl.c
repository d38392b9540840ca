#include "dns/ttl.h"

#include "dns/name.h"
#include "dns/tables.h"

#define TTL_SIZE 4

// Behind a SOA's two names: SERIAL, REFRESH, RETRY, EXPIRE, MINIMUM (RFC 1035 section 3.3.13).
#define SOA_MINIMUM_FROM_END 4

uint32_t dns_ttl_of_soa(const struct dns_record *soa)
{
    return dns_ttl_valid(get_u32(soa->rdata + soa->rdata_size - SOA_MINIMUM_FROM_END));
}

uint32_t dns_ttl_of_message(const struct dns_message *message)
{
    uint16_t rcode = dns_message_rcode(message);
    size_t authority = message->section[DNS_AUTHORITY];
    size_t end = message->section[DNS_ADDITIONAL];
    size_t pos = message->section[DNS_ANSWER];
    uint32_t lowest = UINT32_MAX; // no TTL
    struct dns_record record;

    if (!(message->flags & DNS_FLAG_QR) || (message->flags & DNS_FLAG_TC) ||
        (rcode != DNS_RCODE_NOERROR && rcode != DNS_RCODE_NXDOMAIN))
        return 0;
    while (pos < end && dns_record_next(message, &pos, &record)) {
        bool is_soa = record.type == DNS_TYPE_SOA;

        if (record.owner >= authority && !is_soa)
            continue;
        lowest = MIN(lowest, dns_ttl_valid(record.ttl));
        if (record.owner >= authority)
            lowest = MIN(lowest, dns_ttl_of_soa(&record));
    }
    return lowest == UINT32_MAX ? 0 : lowest;
}

// A bit for each octet of a message.
struct map {
    uint8_t bits[DNS_MESSAGE_MAX / 8 + 1];
};

static bool is_marked(const struct map *map, size_t pos)
{
    return map->bits[pos / 8] & 1 << pos % 8;
}

// Follows the name at `*pos` of a parsed message, and moves that behind it.
static bool leads_into(const struct map *map, const struct dns_message *message, size_t *pos)
{
    const uint8_t *wire = message->wire;
    size_t at = *pos, records = message->section[DNS_ANSWER];
    bool jumped = false;

    for (;;) {
        uint8_t octet = wire[at];

        if (octet > DNS_LABEL_MAX) {
            if (jumped && (is_marked(map, at) || is_marked(map, at + 1)))
                return true;
            if (!jumped)
                *pos = at + 2;
            jumped = true;
            at = get_u16(wire + at) & 0x3fff;
            if (at < records)
                return false; // the question's names stay there
            continue;
        }
        for (size_t i = at; jumped && i <= at + octet; i++)
            if (is_marked(map, i))
                return true;
        at += (size_t)octet + 1;
        if (octet == 0)
            break;
    }
    if (!jumped)
        *pos = at;
    return false;
}

bool dns_ttl_in_name(const struct dns_message *message)
{
    size_t pos = message->section[DNS_ANSWER];
    struct dns_record record;
    struct map map;

    memset(map.bits, 0, message->size / 8 + 1);
    while (dns_record_next(message, &pos, &record))
        for (size_t i = 0; i < TTL_SIZE; i++)
            map.bits[(record.ttl_pos + i) / 8] |= (uint8_t)(1 << (record.ttl_pos + i) % 8);
    pos = message->section[DNS_ANSWER];
    while (dns_record_next(message, &pos, &record)) {
        size_t at = record.owner;
        bool found = leads_into(&map, message, &at);

        for (unsigned left = dns_record_names(message, &record, &at); left > 0 && !found; left--)
            found = leads_into(&map, message, &at);
        if (found)
            return true;
    }
    return false;
}

void dns_ttl_bound(uint8_t *to, const struct dns_message *from, size_t end, uint32_t min,
                   uint32_t max)
{
    size_t pos = from->section[DNS_ANSWER];
    struct dns_record record;

    while (pos < end && dns_record_next(from, &pos, &record)) {
        uint32_t ttl = dns_ttl_valid(record.ttl);

        if (ttl > 0)
            ttl = MIN(MAX(ttl, min), max);
        put_u32(to + record.ttl_pos, ttl);
    }
}
