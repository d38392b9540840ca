// Wire bytes from a readable notation, for the tables of the DNS tests:
//   12 34        octets in hexadecimal; "0a*63 " is 63 times 0a
//   'abc'        the characters themselves
//   {www.test}   a name: labels and the root label; {} is the root
// Spaces between them mean nothing.
#pragma once

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"

#define WIRE_MAX 70000

// In memory of exactly its size, so that AddressSanitizer sees a step too far.
struct wire {
    uint8_t *bytes;
    size_t size;
};

static inline struct wire wire_copy(const void *bytes, size_t size)
{
    struct wire wire = {.bytes = malloc(size > 0 ? size : 1), .size = size};

    require(wire.bytes != NULL);
    if (size > 0)
        memcpy(wire.bytes, bytes, size);
    return wire;
}

static inline void wire_free(struct wire *wire)
{
    free(wire->bytes);
    wire->bytes = NULL;
}

// Writes a name given without a final dot; no escapes.
static inline void wire_put_name(struct writer *w, const char *text, size_t length)
{
    while (length > 0) {
        const char *dot = memchr(text, '.', length);
        size_t label = dot ? (size_t)(dot - text) : length;

        writer_u8(w, (uint8_t)label);
        writer_bytes(w, text, label);
        text += label + (dot != NULL);
        length -= label + (dot != NULL);
    }
    writer_u8(w, 0);
}

static inline const char *wire_put_hex(struct writer *w, const char *text)
{
    char digits[3] = {text[0], text[1], 0};
    unsigned long count = 1;
    char *end;

    require(isxdigit((unsigned char)digits[0]) && isxdigit((unsigned char)digits[1]));
    uint8_t octet = (uint8_t)strtoul(digits, NULL, 16);

    text += 2;
    if (*text == '*') {
        count = strtoul(text + 1, &end, 10);
        require(*end == '\0' || isspace((unsigned char)*end)); // not glued to the next octets
        text = end;
    }
    while (count-- > 0)
        writer_u8(w, octet);
    return text;
}

static inline void wire_put(struct writer *w, const char *text)
{
    while (*text) {
        if (isspace((unsigned char)*text)) {
            text++;
        } else if (*text == '\'' || *text == '{') {
            const char *end = strchr(text + 1, *text == '{' ? '}' : '\'');

            require(end != NULL);
            if (*text == '{')
                wire_put_name(w, text + 1, (size_t)(end - text - 1));
            else
                writer_bytes(w, text + 1, (size_t)(end - text - 1));
            text = end + 1;
        } else {
            text = wire_put_hex(w, text);
        }
    }
    require(!w->failed);
}

static inline struct wire wire_of(const char *text)
{
    static uint8_t buffer[WIRE_MAX];
    struct writer w = writer_of(buffer, sizeof(buffer));

    wire_put(&w, text);
    return wire_copy(buffer, w.pos);
}

// Numbers that are the same in each run: xorshift64* (Vigna 2016).
struct rng {
    uint64_t state; // not 0
};

static inline uint32_t rng_next(struct rng *rng)
{
    rng->state ^= rng->state >> 12;
    rng->state ^= rng->state << 25;
    rng->state ^= rng->state >> 27;
    return (uint32_t)((rng->state * UINT64_C(2685821657736338717)) >> 32);
}

static inline uint32_t rng_below(struct rng *rng, uint32_t bound)
{
    return (uint32_t)((uint64_t)rng_next(rng) * bound >> 32);
}

// Changes a message as a bad line, a broken program or an attacker does. `size` may shrink, or
// grow up to `room`. Returns the new size.
static inline size_t wire_mutate(struct rng *rng, uint8_t *bytes, size_t size, size_t room)
{
    for (uint32_t changes = 1 + rng_below(rng, 3); changes-- > 0 && size > 0;) {
        size_t at = rng_below(rng, (uint32_t)size);
        size_t to = rng_below(rng, (uint32_t)size);

        switch (rng_below(rng, 8)) {
        case 0:
            bytes[at] ^= (uint8_t)(1 << rng_below(rng, 8));
            break;
        case 1:
            bytes[at] = (uint8_t)rng_next(rng);
            break;
        case 2: // a number of the header, mostly small
            bytes[MIN(size - 1, 2 + rng_below(rng, 10))] = (uint8_t)rng_below(rng, 4);
            break;
        case 3: // a pointer
            bytes[at] = (uint8_t)(0xc0 | to >> 8);
            if (at + 1 < size)
                bytes[at + 1] = (uint8_t)to;
            break;
        case 4: // cut short
            size = at;
            break;
        case 5: // one octet twice
            if (size < room) {
                memmove(bytes + at + 1, bytes + at, size - at);
                size++;
            }
            break;
        case 6: // one octet lost
            memmove(bytes + at, bytes + at + 1, size - at - 1);
            size--;
            break;
        default: // one more or less: lengths and counts
            bytes[at] = (uint8_t)(bytes[at] + (rng_next(rng) & 1 ? 1 : -1));
            break;
        }
    }
    return size;
}
