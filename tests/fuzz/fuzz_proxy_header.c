// The header of the PROXY protocol: what is read from the whole is read from any cut of it, and no
// octet behind it, nor one that is still to come, changes that.
//
// The input is an octet that says how large the pieces are, then the stream.
#include "net/proxy_header.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// From memory of exactly its size, so that AddressSanitizer sees a step too far.
static int parse(struct proxy_header *header, const uint8_t *bytes, size_t size)
{
    uint8_t *part = malloc(size > 0 ? size : 1);
    int err;

    if (!part)
        abort();
    if (size > 0)
        memcpy(part, bytes, size);
    err = proxy_header_parse(header, part, size);
    free(part);
    return err;
}

// Returns how many octets were taken.
static size_t feed(int *err, struct proxy_header *header, size_t piece, const uint8_t *bytes,
                   size_t size)
{
    struct proxy_header_reader reader = {0};
    size_t fed = 0;

    *err = E_AGAIN;
    while (*err == E_AGAIN && fed < size) {
        size_t length = MIN(piece, size - fed), used;

        *err = proxy_header_feed(&reader, header, bytes + fed, length, &used);
        require(used <= length && (*err != E_AGAIN || used == length));
        fed += used;
    }
    return fed;
}

static bool same(const struct proxy_header *a, const struct proxy_header *b)
{
    return a->size == b->size && a->proxied == b->proxied &&
           (!a->proxied || address_equal(&a->source, &b->source));
}

static void check_whole(const struct proxy_header *header, const uint8_t *bytes, size_t size)
{
    struct proxy_header again;

    require(header->size >= PROXY_HEADER_MIN && header->size <= PROXY_HEADER_MAX);
    require(header->size <= size);
    require(header->proxied == (bytes[12] == 0x21));
    require(!header->proxied || header->source.family == AF_INET ||
            header->source.family == AF_INET6);
    require(parse(&again, bytes, header->size) == E_OK && same(&again, header));
    require(parse(&again, bytes, header->size - 1) == E_AGAIN);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader r = reader_of(data, size);
    size_t piece = (size_t)reader_u8(&r) + 1;
    const uint8_t *bytes = data + r.pos;
    struct proxy_header header, in_pieces;
    int err, err_in_pieces;
    size_t fed;

    size = reader_left(&r);
    err = parse(&header, bytes, size);
    fed = feed(&err_in_pieces, &in_pieces, piece, bytes, size);
    require(err == err_in_pieces);
    require(err == E_OK || err == E_AGAIN || err == E_MALFORMED);
    require(err != E_AGAIN || size < PROXY_HEADER_MAX);
    if (err == E_OK) {
        require(same(&header, &in_pieces) && fed == header.size);
        check_whole(&header, bytes, size);
    }
    return 0;
}
