#include "net/proxy_header.h"

#include <string.h>

#include "base/cursor.h"
#include "base/error.h"

static const uint8_t signature[12] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d,
                                      0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};

enum {
    AT_COMMAND = sizeof(signature),
    AT_FAMILY,
    AT_LENGTH,

    LOCAL = 0x20, // version 2
    PROXY = 0x21,

    TCP_OVER_IPV4 = 0x11,
    UDP_OVER_IPV4,
    TCP_OVER_IPV6 = 0x21,
    UDP_OVER_IPV6,

    // Source and destination address, source and destination port.
    IPV4_SIZE = 4 + 4 + 2 + 2,
    IPV6_SIZE = 16 + 16 + 2 + 2,
};

// The octets of the addresses, 0 for a family that has none of use.
static size_t addresses_size(uint8_t family)
{
    switch (family) {
    case TCP_OVER_IPV4:
    case UDP_OVER_IPV4:
        return IPV4_SIZE;
    case TCP_OVER_IPV6:
    case UDP_OVER_IPV6:
        return IPV6_SIZE;
    default:
        return 0;
    }
}

// A type, two octets of length, and so many octets.
static bool are_tlvs(const uint8_t *bytes, size_t size)
{
    while (size > 0) {
        if (size < 3 || get_u16(bytes + 1) > size - 3)
            return false;

        size_t whole = 3 + (size_t)get_u16(bytes + 1);

        bytes += whole;
        size -= whole;
    }
    return true;
}

static void read_source(struct address *source, const uint8_t *addresses, size_t size)
{
    memset(source, 0, sizeof(*source));
    if (size == IPV4_SIZE) {
        source->v4.sin_family = AF_INET;
        memcpy(&source->v4.sin_addr, addresses, 4);
        memcpy(&source->v4.sin_port, addresses + 8, 2);
    } else {
        source->v6.sin6_family = AF_INET6;
        memcpy(&source->v6.sin6_addr, addresses, 16);
        memcpy(&source->v6.sin6_port, addresses + 32, 2);
    }
}

int proxy_header_parse(struct proxy_header *header, const uint8_t *bytes, size_t size)
{
    size_t addresses = 0, payload;

    if (memcmp(bytes, signature, MIN(size, sizeof(signature))) != 0)
        return E_MALFORMED;
    if (size > AT_COMMAND && bytes[AT_COMMAND] != LOCAL && bytes[AT_COMMAND] != PROXY)
        return E_MALFORMED;
    if (size > AT_FAMILY && bytes[AT_COMMAND] == PROXY) {
        addresses = addresses_size(bytes[AT_FAMILY]);
        if (addresses == 0)
            return E_MALFORMED;
    }
    if (size < PROXY_HEADER_MIN)
        return E_AGAIN;
    payload = get_u16(bytes + AT_LENGTH);
    if (payload > PROXY_HEADER_PAYLOAD_MAX || payload < addresses)
        return E_MALFORMED;
    if (size - PROXY_HEADER_MIN < payload)
        return E_AGAIN;
    header->size = PROXY_HEADER_MIN + payload;
    header->proxied = bytes[AT_COMMAND] == PROXY;
    if (!header->proxied)
        return E_OK;
    if (!are_tlvs(bytes + PROXY_HEADER_MIN + addresses, payload - addresses))
        return E_MALFORMED;
    read_source(&header->source, bytes + PROXY_HEADER_MIN, addresses);
    return E_OK;
}

int proxy_header_feed(struct proxy_header_reader *reader, struct proxy_header *header,
                      const uint8_t *bytes, size_t size, size_t *used)
{
    int err = E_AGAIN;

    *used = 0;
    // What comes before the length, then as much as it says.
    while (err == E_AGAIN && *used < size) {
        size_t wanted = PROXY_HEADER_MIN;

        if (reader->size >= PROXY_HEADER_MIN)
            wanted += get_u16(reader->bytes + AT_LENGTH);

        size_t taken = MIN(wanted - reader->size, size - *used);

        memcpy(reader->bytes + reader->size, bytes + *used, taken);
        reader->size += taken;
        *used += taken;
        err = proxy_header_parse(header, reader->bytes, reader->size);
    }
    return err;
}
