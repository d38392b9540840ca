// Numbers in network byte order, and a cursor that writes bytes. Its first step out of bounds makes
// the error stick: later writes do nothing, and the caller checks once, at the end.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/compiler.h"

static inline uint16_t get_u16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static inline uint32_t get_u32(const uint8_t *at)
{
    return (uint32_t)get_u16(at) << 16 | get_u16(at + 2);
}

static inline void put_u16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static inline void put_u32(uint8_t *at, uint32_t value)
{
    put_u16(at, (uint16_t)(value >> 16));
    put_u16(at + 2, (uint16_t)value);
}

struct writer {
    uint8_t *base;
    size_t size;
    size_t pos;
    bool failed;
};

static inline struct writer writer_of(uint8_t *bytes, size_t size)
{
    return (struct writer){.base = bytes, .size = size};
}

static inline size_t writer_left(const struct writer *w)
{
    return w->failed ? 0 : w->size - w->pos;
}

// Room for `count` bytes that the caller fills, or NULL.
static inline uint8_t *writer_take(struct writer *w, size_t count)
{
    if (UNLIKELY(w->failed || count > w->size - w->pos)) {
        w->failed = true;
        return NULL;
    }
    w->pos += count;
    return w->base + w->pos - count;
}

static inline void writer_u8(struct writer *w, uint8_t value)
{
    uint8_t *at = writer_take(w, 1);

    if (at)
        *at = value;
}

static inline void writer_u16(struct writer *w, uint16_t value)
{
    uint8_t *at = writer_take(w, 2);

    if (at)
        put_u16(at, value);
}

static inline void writer_u32(struct writer *w, uint32_t value)
{
    uint8_t *at = writer_take(w, 4);

    if (at)
        put_u32(at, value);
}

static inline void writer_bytes(struct writer *w, const void *bytes, size_t count)
{
    uint8_t *at = writer_take(w, count);

    if (at && count > 0)
        memcpy(at, bytes, count);
}

static inline void writer_zeros(struct writer *w, size_t count)
{
    uint8_t *at = writer_take(w, count);

    if (at)
        memset(at, 0, count);
}
