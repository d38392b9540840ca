// Reading choices and data from a fuzzer's input. The first step past its end makes the error
// stick: later reads give 0.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cursor.h"

struct reader {
    const uint8_t *base;
    size_t size;
    size_t pos;
    bool failed;
};

static inline struct reader reader_of(const uint8_t *bytes, size_t size)
{
    return (struct reader){.base = bytes, .size = size};
}

static inline size_t reader_left(const struct reader *r)
{
    return r->failed ? 0 : r->size - r->pos;
}

// Steps over `count` bytes and returns where they start, or NULL past the end.
static inline const uint8_t *reader_take(struct reader *r, size_t count)
{
    if (r->failed || count > r->size - r->pos) {
        r->failed = true;
        return NULL;
    }
    r->pos += count;
    return r->base + r->pos - count;
}

static inline uint8_t reader_u8(struct reader *r)
{
    const uint8_t *at = reader_take(r, 1);

    return at ? *at : 0;
}

static inline uint16_t reader_u16(struct reader *r)
{
    const uint8_t *at = reader_take(r, 2);

    return at ? get_u16(at) : 0;
}
