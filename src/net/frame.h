// DNS messages on a stream: two octets of length before each (RFC 1035 section 4.2.2, RFC 7766
// section 8). Bytes in, messages out; whole messages are handed on where they lie, and only the
// rest of a message that is not whole yet is kept.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

// Handles a message, valid during the call. Returns false to be called no more for now: what
// follows is kept for frame_resume(), and as long as something is, so is what comes after it.
typedef bool frame_fn(void *context, const uint8_t *message, size_t size);

struct frame_reader {
    uint8_t *kept; // on the heap, only while a message is not whole or the reader is stopped
    size_t size;
    size_t capacity;
    bool stopped; // what is kept waits for frame_resume()
};

// Takes octets that follow the earlier ones and hands on each message that is whole.
// E_OK; E_AGAIN when `handle` said stop; E_MALFORMED for a length under 12, which no DNS message
// has; E_NOMEM. After a failure the stream is of no more use.
NONNULL NODISCARD int frame_feed(struct frame_reader *reader, const uint8_t *bytes, size_t size,
                                 frame_fn *handle, void *context);

// Goes on with what was kept after a stop; as frame_feed().
NONNULL NODISCARD int frame_resume(struct frame_reader *reader, frame_fn *handle, void *context);

// Whether octets wait for the rest of their message, or for frame_resume().
static inline bool frame_partial(const struct frame_reader *reader)
{
    return reader->size > 0;
}

NONNULL void frame_deinit(struct frame_reader *reader);
