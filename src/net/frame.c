#include "net/frame.h"

#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "base/error.h"

enum {
    PREFIX = 2,
    MESSAGE_MIN = 12, // a header
};

// Hands on the whole messages of `bytes`; `*used` tells how far.
static int walk(const uint8_t *bytes, size_t size, size_t *used, frame_fn *handle, void *context)
{
    *used = 0;
    while (size - *used >= PREFIX) {
        size_t length = get_u16(bytes + *used);

        if (length < MESSAGE_MIN)
            return E_MALFORMED;
        if (size - *used - PREFIX < length)
            break;

        const uint8_t *message = bytes + *used + PREFIX;

        *used += PREFIX + length;
        if (!handle(context, message, length))
            return E_AGAIN;
    }
    return E_OK;
}

static int keep(struct frame_reader *reader, const uint8_t *bytes, size_t size)
{
    if (size > reader->capacity - reader->size) {
        // By half more each time: a message that comes octet by octet is not copied at each.
        size_t capacity = reader->size + size + reader->capacity / 2 + 512;

        uint8_t *kept = realloc(reader->kept, capacity);

        if (!kept)
            return E_NOMEM;
        reader->kept = kept;
        reader->capacity = capacity;
    }
    memcpy(reader->kept + reader->size, bytes, size);
    reader->size += size;
    return E_OK;
}

// How many octets complete what is kept: its length prefix first, then the message.
static size_t missing(const struct frame_reader *reader)
{
    if (reader->size < PREFIX)
        return PREFIX - reader->size;

    size_t whole = PREFIX + (size_t)get_u16(reader->kept);

    return whole > reader->size ? whole - reader->size : 0;
}

int frame_resume(struct frame_reader *reader, frame_fn *handle, void *context)
{
    size_t used;
    int err;

    if (reader->size == 0)
        return E_OK;

    // The handler may be the end of the reader: what it works on is put aside.
    struct frame_reader whole = *reader;

    *reader = (struct frame_reader){0};
    err = walk(whole.kept, whole.size, &used, handle, context);
    if ((err == E_OK || err == E_AGAIN) && used < whole.size) {
        int kept = keep(reader, whole.kept + used, whole.size - used);

        reader->stopped = err == E_AGAIN;
        err = kept == E_OK ? err : kept;
    }
    frame_deinit(&whole);
    return err;
}

int frame_feed(struct frame_reader *reader, const uint8_t *bytes, size_t size, frame_fn *handle,
               void *context)
{
    size_t used;
    int err;

    if (reader->stopped)
        return keep(reader, bytes, size) == E_OK ? E_AGAIN : E_NOMEM;

    // First what completes the message that is kept, prefix and rest.
    while (reader->size > 0 && size > 0) {
        size_t step = MIN(missing(reader), size);

        err = keep(reader, bytes, step);
        if (err != E_OK)
            return err;
        bytes += step;
        size -= step;
        if (reader->size >= PREFIX && get_u16(reader->kept) < MESSAGE_MIN)
            return E_MALFORMED;
        if (reader->size < PREFIX || missing(reader) > 0)
            continue;
        err = frame_resume(reader, handle, context);
        if (err == E_AGAIN && size > 0) {
            reader->stopped = true;
            return keep(reader, bytes, size) == E_OK ? E_AGAIN : E_NOMEM;
        }
        if (err != E_OK)
            return err;
    }

    err = walk(bytes, size, &used, handle, context);
    if ((err == E_OK || err == E_AGAIN) && used < size) {
        int kept = keep(reader, bytes + used, size - used);

        reader->stopped = err == E_AGAIN;
        err = kept == E_OK ? err : kept;
    }
    return err;
}

void frame_deinit(struct frame_reader *reader)
{
    free(reader->kept);
    *reader = (struct frame_reader){0};
}
