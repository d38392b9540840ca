// The framing of messages on a stream: however the stream is cut into chunks, and wherever the
// handler stops and is resumed, the messages are those of the stream read as a whole.
//
// The input is a length octet and as many octets of plan, then the stream. Each octet of the plan,
// taken in turn, is one chunk: its size (6 bits), whether the handler stops at the next message,
// and whether it is resumed before the next chunk.
#include "net/frame.h"

#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "base/error.h"
#include "input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PREFIX = 2, HEADER = 12, CHUNK_MASK = 0x3f, STOP = 0x40, RESUME = 0x80 };

// Where the handler is on the stream, and what it will say.
struct walk {
    const uint8_t *stream;
    size_t pos;
    bool stop;
    bool stopped;
};

static bool on_message(void *context, const uint8_t *message, size_t size)
{
    struct walk *walk = context;
    const uint8_t *expected = walk->stream + walk->pos;

    require(!walk->stopped);
    require(size >= HEADER && get_u16(expected) == size);
    require(memcmp(message, expected + PREFIX, size) == 0);
    walk->pos += PREFIX + size;
    walk->stopped = walk->stop;
    walk->stop = false;
    return !walk->stopped;
}

// Behind the last whole message; `*bad` where a length follows that no message has.
static size_t whole_messages(const uint8_t *stream, size_t size, bool *bad)
{
    size_t pos = 0;

    *bad = false;
    while (size - pos >= PREFIX) {
        size_t length = get_u16(stream + pos);

        *bad = length < HEADER;
        if (*bad || size - pos - PREFIX < length)
            break;
        pos += PREFIX + length;
    }
    return pos;
}

static int resume(struct frame_reader *reader, struct walk *walk)
{
    int err;

    do {
        walk->stopped = false;
        err = frame_resume(reader, on_message, walk);
    } while (err == E_AGAIN);
    return err;
}

// From memory of exactly its size, so that AddressSanitizer sees a step too far.
static int feed(struct frame_reader *reader, struct walk *walk, const uint8_t *bytes, size_t size)
{
    uint8_t *chunk = malloc(size > 0 ? size : 1);
    int err;

    if (!chunk)
        abort();
    memcpy(chunk, bytes, size);
    err = frame_feed(reader, chunk, size, on_message, walk);
    free(chunk);
    return err;
}

static void check(const uint8_t *plan, size_t plan_size, const uint8_t *stream, size_t size)
{
    struct frame_reader reader = {0};
    struct walk walk = {.stream = stream};
    size_t fed = 0;
    bool bad;
    size_t whole = whole_messages(stream, size, &bad);
    int err = E_OK;

    for (size_t turn = 0; err == E_OK && fed < size; turn++) {
        uint8_t step = plan_size > 0 ? plan[turn % plan_size] : CHUNK_MASK;
        size_t chunk = MIN((size_t)(step & CHUNK_MASK) + 1, size - fed);

        walk.stop = step & STOP;
        err = feed(&reader, &walk, stream + fed, chunk);
        fed += chunk;
        require((err == E_AGAIN) == walk.stopped || err == E_MALFORMED);
        if (err == E_AGAIN)
            // With nothing kept the reader waits for nobody.
            err = step & RESUME || !frame_partial(&reader) ? resume(&reader, &walk) : E_OK;
        if (!walk.stopped && err == E_OK)
            require(walk.pos + reader.size == fed && frame_partial(&reader) == (walk.pos < fed));
        require((reader.kept != NULL) == frame_partial(&reader));
    }
    if (err == E_OK)
        err = resume(&reader, &walk);
    require(err == (bad ? E_MALFORMED : E_OK));
    require(walk.pos == whole);
    frame_deinit(&reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader r = reader_of(data, size);
    size_t plan_size = reader_u8(&r);
    const uint8_t *plan = reader_take(&r, plan_size);

    if (plan)
        check(plan, plan_size, data + r.pos, reader_left(&r));
    return 0;
}
