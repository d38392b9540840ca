// For whom a proxy says that it asks: whatever the value, its end is reached, with no more nodes
// than it has commas, and an address is one that is read again from how it is written.
//
// The input is an octet that says which field it is, then the value.
#include "net/forwarded.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_address(const struct address *address, enum forwarded_kind kind)
{
    char text[ADDRESS_TEXT_MAX], line[2 * ADDRESS_TEXT_MAX];
    struct http_text value = {.bytes = line};
    struct address again;

    require(address->family == AF_INET || address->family == AF_INET6);
    require(address->family == AF_INET || address->v6.sin6_scope_id == 0);
    address_to_text(address, text);
    value.size =
        (size_t)snprintf(line, sizeof(line), kind == FORWARDED ? "for=\"%s\";by=x" : "%s", text);
    require(forwarded_next(&value, kind, &again) == FORWARDED_ADDRESS);
    require(address_equal(address, &again));
    require(forwarded_next(&value, kind, &again) == FORWARDED_END);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader r = reader_of(data, size);
    enum forwarded_kind kind = reader_u8(&r) % 2 == 0 ? FORWARDED : X_FORWARDED_FOR;
    size_t left = reader_left(&r), commas = 0, nodes = 0;
    // In memory of exactly its size, so that AddressSanitizer sees a step too far.
    char *bytes = malloc(left > 0 ? left : 1);
    struct http_text value = {.bytes = bytes, .size = left};
    struct address address;
    enum forwarded_node node;

    if (!bytes)
        abort();
    if (left > 0)
        memcpy(bytes, data + r.pos, left);
    for (size_t i = 0; i < left; i++)
        commas += bytes[i] == ',';
    while ((node = forwarded_next(&value, kind, &address)) != FORWARDED_END) {
        require(value.size < left && value.bytes + value.size == bytes + size - r.pos);
        left = value.size;
        nodes++;
        if (node == FORWARDED_ADDRESS)
            check_address(&address, kind);
    }
    require(value.size == 0 && nodes <= commas + 1);
    free(bytes);
    return 0;
}
