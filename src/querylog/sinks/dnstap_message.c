#include "querylog/sinks/dnstap_message.h"

#include <assert.h>
#include <string.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/time.h"
#include "dns/build.h"
#include "dns/edns.h"
#include "dns/message.h"
#include "dns/name.h"

// The fields of `Dnstap` and of `Message` that we write, by their numbers in dnstap.proto.
enum dnstap_field { IDENTITY = 1, VERSION = 2, MESSAGE = 14, DNSTAP_TYPE = 15 };
enum message_field {
    TYPE = 1,
    SOCKET_FAMILY = 2,
    SOCKET_PROTOCOL = 3,
    QUERY_ADDRESS = 4,
    RESPONSE_ADDRESS = 5,
    QUERY_PORT = 6,
    RESPONSE_PORT = 7,
    QUERY_TIME_SEC = 8,
    QUERY_TIME_NSEC = 9,
    QUERY_MESSAGE = 10,
    RESPONSE_TIME_SEC = 12,
    RESPONSE_TIME_NSEC = 13,
    RESPONSE_MESSAGE = 14,
};

enum { DNSTAP_TYPE_MESSAGE = 1 };
enum { FAMILY_INET = 1, FAMILY_INET6 = 2 };
enum { PROTOCOL_UDP = 1, PROTOCOL_TCP = 2, PROTOCOL_DOT = 3, PROTOCOL_DOH = 4 };

// How a field's value is encoded.
enum wire_type { VARINT = 0, OCTETS = 2, FIXED32 = 5 };

// Room for the length of a `Message`: it is written first, and is below 2^21.
enum { LENGTH_SIZE = 3 };
static_assert(DNSTAP_MESSAGE_MAX < 1 << 7 * LENGTH_SIZE, "the length needs more room");

// The EDNS size of queries that are written anew: what clients mostly say, and what we say
// upstream.
enum { EDNS_UDP_SIZE = 1232 };

// ---- Protocol buffers

static void write_varint(struct writer *w, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        writer_u8(w, (uint8_t)(value | 0x80));
    writer_u8(w, (uint8_t)value);
}

static void write_number(struct writer *w, unsigned field, uint64_t value)
{
    write_varint(w, field << 3 | VARINT);
    write_varint(w, value);
}

static void write_octets(struct writer *w, unsigned field, const void *octets, size_t size)
{
    write_varint(w, field << 3 | OCTETS);
    write_varint(w, size);
    writer_bytes(w, octets, size);
}

static void write_time(struct writer *w, unsigned field_sec, unsigned field_nsec, uint64_t time)
{
    uint32_t nsec = (uint32_t)(time % USEC_SEC * 1000);

    write_number(w, field_sec, time / USEC_SEC);
    write_varint(w, field_nsec << 3 | FIXED32);
    for (unsigned i = 0; i < 4; i++) // the least octet first
        writer_u8(w, (uint8_t)(nsec >> 8 * i));
}

// ---- DNS messages

static uint16_t query_flags(const struct querylog_record *record)
{
    return (record->flags & QUERYLOG_RD ? DNS_FLAG_RD : 0) |
           (record->flags & QUERYLOG_CD ? DNS_FLAG_CD : 0) |
           (record->flags & QUERYLOG_QUERY_AD ? DNS_FLAG_AD : 0);
}

static size_t build_header(uint8_t *to, uint16_t id, uint16_t flags)
{
    memset(to, 0, DNS_HEADER_SIZE);
    put_u16(to, id);
    put_u16(to + 2, flags);
    return DNS_HEADER_SIZE;
}

static void write_query(struct writer *w, const struct querylog_entry *entry)
{
    const struct querylog_record *record = &entry->record;
    struct dns_opt opt = dns_opt_plain(EDNS_UDP_SIZE, record->flags & QUERYLOG_DO);
    uint8_t message[DNS_HEADER_SIZE + DNS_QUESTION_MAX + DNS_OPT_SIZE];
    uint8_t question[DNS_QUESTION_MAX];
    size_t size;

    if (entry->name_size == 0 || entry->name_size > DNS_NAME_MAX) {
        size = build_header(message, record->id, query_flags(record));
    } else {
        memcpy(question, entry->name, entry->name_size);
        put_u16(question + entry->name_size, record->type);
        put_u16(question + entry->name_size + 2, record->class);
        size = dns_query_build(message, sizeof(message), record->id, query_flags(record), question,
                               entry->name_size + (size_t)4, &opt);
        if (!(record->flags & QUERYLOG_EDNS)) {
            size -= DNS_OPT_SIZE; // the last thing in it
            put_u16(message + 10, 0);
        }
    }
    write_octets(w, QUERY_MESSAGE, message, size);
}

static void write_reply(struct writer *w, const struct querylog_entry *entry)
{
    const struct querylog_record *record = &entry->record;
    uint8_t header[DNS_HEADER_SIZE];
    uint16_t flags = DNS_FLAG_QR | DNS_FLAG_RA | (record->rcode & 0xf);

    if (entry->reply_message_size > 0 && entry->name_size > 0) {
        write_octets(w, RESPONSE_MESSAGE, entry->reply, entry->reply_message_size);
        return;
    }
    flags |= query_flags(record) & (DNS_FLAG_RD | DNS_FLAG_CD);
    flags |= (record->flags & QUERYLOG_AD ? DNS_FLAG_AD : 0) |
             (record->flags & QUERYLOG_TC ? DNS_FLAG_TC : 0);
    build_header(header, record->id, flags);
    write_octets(w, RESPONSE_MESSAGE, header, sizeof(header));
}

// ---- Messages

static bool is_response(enum dnstap_type type)
{
    return type == DNSTAP_CLIENT_RESPONSE || type == DNSTAP_FORWARDER_RESPONSE;
}

static bool is_forwarded(enum dnstap_type type)
{
    return type == DNSTAP_FORWARDER_QUERY || type == DNSTAP_FORWARDER_RESPONSE;
}

static unsigned protocol_of(uint8_t transport)
{
    switch (transport) {
    case QUERYLOG_TCP:
        return PROTOCOL_TCP;
    case QUERYLOG_TLS:
        return PROTOCOL_DOT;
    case QUERYLOG_HTTPS:
        return PROTOCOL_DOH;
    default:
        return PROTOCOL_UDP;
    }
}

// `field_address` and `field_port`: of the side that is known. Ours is not.
static void write_peer(struct writer *w, const struct querylog_address *peer, unsigned protocol,
                       unsigned field_address, unsigned field_port)
{
    bool known = peer->family == AF_INET || peer->family == AF_INET6;

    if (known)
        write_number(w, SOCKET_FAMILY, peer->family == AF_INET ? FAMILY_INET : FAMILY_INET6);
    write_number(w, SOCKET_PROTOCOL, protocol);
    if (known)
        write_octets(w, field_address, peer->octets, peer->family == AF_INET ? 4 : 16);
    if (known && peer->port > 0)
        write_number(w, field_port, peer->port);
}

static void write_message(struct writer *w, enum dnstap_type type,
                          const struct querylog_entry *entry)
{
    const struct querylog_record *record = &entry->record;
    uint64_t end = record->time + record->latency;
    uint64_t begin = record->time;

    write_number(w, TYPE, type);
    if (is_forwarded(type)) {
        begin = end - MIN(record->upstream_latency, record->latency);
        write_peer(w, &record->upstream, PROTOCOL_DOT, RESPONSE_ADDRESS, RESPONSE_PORT);
    } else {
        write_peer(w, &record->client, protocol_of(record->transport), QUERY_ADDRESS, QUERY_PORT);
    }
    write_time(w, QUERY_TIME_SEC, QUERY_TIME_NSEC, begin);
    if (is_response(type)) {
        write_time(w, RESPONSE_TIME_SEC, RESPONSE_TIME_NSEC, end);
        write_reply(w, entry);
    } else {
        write_query(w, entry);
    }
}

unsigned dnstap_types_of(const struct querylog_record *record, enum dnstap_type types[4])
{
    bool asked = record->outcome != QUERYLOG_HIT && record->outcome != QUERYLOG_JOINED &&
                 record->upstream.family != AF_UNSPEC;
    unsigned count = 0;

    types[count++] = DNSTAP_CLIENT_QUERY;
    if (asked) {
        types[count++] = DNSTAP_FORWARDER_QUERY;
        types[count++] = DNSTAP_FORWARDER_RESPONSE;
    }
    if (!(record->flags & QUERYLOG_SILENCE))
        types[count++] = DNSTAP_CLIENT_RESPONSE;
    return count;
}

void dnstap_message_write(struct writer *w, enum dnstap_type type,
                          const struct querylog_entry *entry, const char *identity)
{
    static const char version[] = "sotto " SOTTO_VERSION;
    uint8_t *length;
    size_t start, size;

    write_octets(w, IDENTITY, identity, strlen(identity));
    write_octets(w, VERSION, version, sizeof(version) - 1);
    write_varint(w, MESSAGE << 3 | OCTETS);
    length = writer_take(w, LENGTH_SIZE);
    start = w->pos;
    write_message(w, type, entry);
    size = w->pos - start;
    for (unsigned i = 0; length && i < LENGTH_SIZE;
         i++) // padded: a varint may be longer than it must
        length[i] = (uint8_t)((size >> 7 * i & 0x7f) | (i + 1 < LENGTH_SIZE ? 0x80 : 0));
    write_number(w, DNSTAP_TYPE, DNSTAP_TYPE_MESSAGE);
}
