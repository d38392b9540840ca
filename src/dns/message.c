#include "dns/message.h"

#include "base/error.h"
#include "dns/name.h"
#include "dns/tables.h"

// Type, class, TTL and RDLENGTH: what stands between a record's owner and its RDATA.
enum { RECORD_FIXED_SIZE = 10 };

enum { OPTION_HEADER_SIZE = 4 };

// The types of RFC 1035 whose RDATA holds names, which may be compressed (RFC 3597 section 4):
// octets before the names, names, octets behind them.
static const struct {
    uint8_t before, names, behind;
} rdata_forms[] = {
    [DNS_TYPE_NS] = {0, 1, 0},    [DNS_TYPE_MD] = {0, 1, 0},   [DNS_TYPE_MF] = {0, 1, 0},
    [DNS_TYPE_CNAME] = {0, 1, 0}, [DNS_TYPE_SOA] = {0, 2, 20}, [DNS_TYPE_MB] = {0, 1, 0},
    [DNS_TYPE_MG] = {0, 1, 0},    [DNS_TYPE_MR] = {0, 1, 0},   [DNS_TYPE_PTR] = {0, 1, 0},
    [DNS_TYPE_MINFO] = {0, 2, 0}, [DNS_TYPE_MX] = {2, 1, 0},
};

static bool rdata_valid(const uint8_t *wire, size_t pos, size_t size, uint16_t type)
{
    if (type >= ARRAY_LEN(rdata_forms) || rdata_forms[type].names == 0)
        return true;

    size_t end = pos + size;

    pos += rdata_forms[type].before;
    for (unsigned i = 0; i < rdata_forms[type].names; i++) {
        pos = dns_name_skip(wire, end, pos);
        if (pos == 0)
            return false;
    }
    return pos + rdata_forms[type].behind == end;
}

static bool options_valid(const uint8_t *options, size_t size)
{
    size_t pos = 0;

    while (size - pos >= OPTION_HEADER_SIZE) {
        size_t option = OPTION_HEADER_SIZE + (size_t)get_u16(options + pos + 2);

        if (option > size - pos)
            return false;
        pos += option;
    }
    return pos == size;
}

// The OPT record whose owner is at `owner` and whose type is at `pos`.
static int opt_parse(struct dns_message *message, enum dns_section section, size_t owner,
                     size_t pos)
{
    const uint8_t *fixed = message->wire + pos;
    size_t rdata_size = get_u16(fixed + 8);

    // The owner is the octet 0 (RFC 6891 section 6.1.2): not even a pointer to one.
    if (section != DNS_ADDITIONAL || message->has_opt || message->wire[owner] != 0 ||
        !options_valid(fixed + RECORD_FIXED_SIZE, rdata_size))
        return E_BADEDNS;

    message->has_opt = true;
    message->opt_start = owner;
    message->opt_end = pos + RECORD_FIXED_SIZE + rdata_size;
    message->udp_size = get_u16(fixed + 2);
    message->extended_rcode = fixed[4];
    message->edns_version = fixed[5];
    message->dnssec_ok = fixed[6] & 0x80;
    message->options = fixed + RECORD_FIXED_SIZE;
    message->options_size = rdata_size;
    return 0;
}

// All records of a section that begins at `*at`; moves it behind them.
static int section_parse(struct dns_message *message, enum dns_section section, size_t *at)
{
    const uint8_t *wire = message->wire;
    size_t size = message->size;
    bool response = message->flags & DNS_FLAG_QR;
    size_t pos = *at;

    message->section[section] = pos;
    for (unsigned left = message->count[section]; left-- > 0;) {
        size_t owner = pos;

        pos = dns_name_skip(wire, size, pos);
        if (pos == 0 || size - pos < RECORD_FIXED_SIZE)
            return E_MALFORMED;

        uint16_t type = get_u16(wire + pos);
        size_t rdata = pos + RECORD_FIXED_SIZE;
        size_t rdata_size = get_u16(wire + pos + 8);

        if (rdata_size > size - rdata)
            return E_MALFORMED;
        if (UNLIKELY(type == DNS_TYPE_OPT)) {
            int rc = opt_parse(message, section, owner, pos);

            if (rc < 0)
                return rc;
            message->opt_records_behind = (uint16_t)left;
        } else {
            if (response && !rdata_valid(wire, rdata, rdata_size, type))
                return E_MALFORMED;
            message->ttl_invalid |= wire[pos + 4] & 0x80;
        }
        pos = rdata + rdata_size;
    }
    *at = pos;
    return 0;
}

static int question_parse(struct dns_message *message, size_t *at)
{
    size_t pos = dns_name_skip(message->wire, message->size, DNS_HEADER_SIZE);

    if (pos == 0 || message->size - pos < 4)
        return E_MALFORMED;
    message->type = get_u16(message->wire + pos);
    message->class = get_u16(message->wire + pos + 2);
    message->question_size = pos + 4 - DNS_HEADER_SIZE;
    *at = pos + 4;
    return 0;
}

int dns_message_parse(struct dns_message *message, const uint8_t *wire, size_t size)
{
    size_t pos = DNS_HEADER_SIZE;
    int rc = 0;

    *message = (struct dns_message){.wire = wire, .size = size};
    if (size < DNS_HEADER_SIZE)
        return E_SHORT;
    message->id = get_u16(wire);
    message->flags = get_u16(wire + 2);
    message->question_count = get_u16(wire + 4);
    for (size_t i = 0; i < DNS_SECTIONS; i++)
        message->count[i] = get_u16(wire + 6 + 2 * i);

    if (message->question_count > 1)
        return E_MALFORMED;
    if (message->question_count == 1)
        rc = question_parse(message, &pos);
    for (unsigned i = 0; rc == 0 && i < DNS_SECTIONS; i++)
        rc = section_parse(message, (enum dns_section)i, &pos);
    if (rc < 0)
        return rc;
    if (pos != size)
        return E_MALFORMED;
    message->end = pos;
    return 0;
}

// Behind a name that is known to be well formed.
static size_t name_end(const uint8_t *wire, size_t pos)
{
    while (wire[pos] != 0 && wire[pos] <= DNS_LABEL_MAX)
        pos += (size_t)wire[pos] + 1;
    return pos + (wire[pos] == 0 ? 1 : 2);
}

unsigned dns_record_names(const struct dns_message *message, const struct dns_record *record,
                          size_t *pos)
{
    if (record->type >= ARRAY_LEN(rdata_forms))
        return 0;
    *pos = (size_t)(record->rdata - message->wire) + rdata_forms[record->type].before;
    return rdata_forms[record->type].names;
}

bool dns_record_next(const struct dns_message *message, size_t *pos, struct dns_record *record)
{
    if (*pos >= message->end)
        return false;

    const uint8_t *wire = message->wire;
    size_t fixed = name_end(wire, *pos);

    *record = (struct dns_record){
        .owner = *pos,
        .type = get_u16(wire + fixed),
        .class = get_u16(wire + fixed + 2),
        .ttl = get_u32(wire + fixed + 4),
        .ttl_pos = fixed + 4,
        .rdata = wire + fixed + RECORD_FIXED_SIZE,
        .rdata_size = get_u16(wire + fixed + 8),
    };
    *pos = fixed + RECORD_FIXED_SIZE + record->rdata_size;
    return true;
}
