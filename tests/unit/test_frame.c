#include "net/frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "wire.h"

// What the handler was given: the messages as they were on the stream, prefixes included.
struct sink {
    uint8_t bytes[3 * WIRE_MAX];
    size_t size;
    unsigned count;
    unsigned stop_every; // the handler stops at each message whose number this divides; 0: never
    struct frame_reader *end; // the reader that the handler ends at its first message, or NULL
};

static struct sink sink;

static void sink_reset(unsigned stop_every)
{
    sink.size = sink.count = 0;
    sink.stop_every = stop_every;
    sink.end = NULL;
}

static bool on_message(void *context, const uint8_t *message, size_t size)
{
    struct sink *to = context;

    require(to->size + 2 + size <= sizeof(to->bytes));
    put_u16(to->bytes + to->size, (uint16_t)size);
    memcpy(to->bytes + to->size + 2, message, size);
    to->size += 2 + size;
    to->count++;
    if (to->end) {
        frame_deinit(to->end);
        return false;
    }
    return to->stop_every == 0 || to->count % to->stop_every != 0;
}

// From memory of exactly its size, so that AddressSanitizer sees a step too far.
static int feed(struct frame_reader *reader, const uint8_t *bytes, size_t size)
{
    struct wire chunk = wire_copy(bytes, size);
    int err = frame_feed(reader, chunk.bytes, size, on_message, &sink);

    wire_free(&chunk);
    return err;
}

// A stream of messages of these sizes (up to a 0), each octet different from its neighbours.
static struct wire stream_of(const size_t *sizes)
{
    static uint8_t buffer[3 * WIRE_MAX];
    struct writer w = writer_of(buffer, sizeof(buffer));
    uint8_t octet = 1;

    for (; *sizes; sizes++) {
        writer_u16(&w, (uint16_t)*sizes);
        for (size_t i = 0; i < *sizes; i++)
            writer_u8(&w, octet = (uint8_t)(octet * 5 + 3));
    }
    require(!w.failed);
    return wire_copy(buffer, w.pos);
}

static void assert_all(const struct wire *stream, struct frame_reader *reader)
{
    assert_int_equal(sink.size, stream->size);
    assert_memory_equal(sink.bytes, stream->bytes, stream->size);
    // An idle connection holds no memory.
    assert_false(frame_partial(reader));
    assert_null(reader->kept);
}

static const size_t some_sizes[] = {12, 13, 300, 12, 511, 512, 513, 255, 256, 257, 12, 0};
static const size_t few_sizes[] = {12, 17, 12, 40, 0};

static void test_every_split_point(void **state)
{
    struct wire stream = stream_of(some_sizes);

    for (size_t split = 0; split <= stream.size; split++) {
        struct frame_reader reader = {0};

        sink_reset(0);
        assert_int_equal(feed(&reader, stream.bytes, split), E_OK);
        assert_int_equal(frame_partial(&reader), sink.size < split);
        assert_int_equal(reader.kept != NULL, sink.size < split);
        assert_int_equal(feed(&reader, stream.bytes + split, stream.size - split), E_OK);
        assert_all(&stream, &reader);
    }
    wire_free(&stream);
}

static void test_every_two_split_points(void **state)
{
    struct wire stream = stream_of(few_sizes);

    for (size_t a = 0; a <= stream.size; a++) {
        for (size_t b = a; b <= stream.size; b++) {
            struct frame_reader reader = {0};

            sink_reset(0);
            assert_int_equal(feed(&reader, stream.bytes, a), E_OK);
            assert_int_equal(feed(&reader, stream.bytes + a, b - a), E_OK);
            assert_int_equal(feed(&reader, stream.bytes + b, stream.size - b), E_OK);
            assert_all(&stream, &reader);
        }
    }
    wire_free(&stream);
}

static void test_chunks_of_one_size(void **state)
{
    struct wire stream = stream_of(some_sizes);

    for (size_t step = 1; step < 600; step++) {
        struct frame_reader reader = {0};

        sink_reset(0);
        for (size_t at = 0; at < stream.size; at += step)
            assert_int_equal(feed(&reader, stream.bytes + at, MIN(step, stream.size - at)), E_OK);
        assert_all(&stream, &reader);
    }
    wire_free(&stream);
}

static void test_each_message_as_soon_as_it_is_whole(void **state)
{
    struct wire stream = stream_of(few_sizes);
    struct frame_reader reader = {0};
    size_t whole = 2 + few_sizes[0];
    unsigned count = 0;

    sink_reset(0);
    for (size_t at = 0; at < stream.size; at++) {
        assert_int_equal(feed(&reader, stream.bytes + at, 1), E_OK);
        if (at + 1 == whole)
            whole += 2 + few_sizes[++count];
        assert_int_equal(sink.count, count);
    }
    assert_all(&stream, &reader);
    wire_free(&stream);
}

static void test_nothing(void **state)
{
    struct frame_reader reader = {0};

    sink_reset(0);
    assert_int_equal(feed(&reader, (const uint8_t *)"", 0), E_OK);
    assert_int_equal(frame_resume(&reader, on_message, &sink), E_OK);
    assert_false(frame_partial(&reader));
    frame_deinit(&reader);
    assert_int_equal(sink.count, 0);
}

static void test_many_in_one_chunk(void **state)
{
    size_t sizes[5001];
    struct frame_reader reader = {0};

    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        sizes[i] = 12 + i % 7;
    sizes[5000] = 0;

    struct wire stream = stream_of(sizes);

    sink_reset(0);
    assert_int_equal(feed(&reader, stream.bytes, stream.size), E_OK);
    assert_int_equal(sink.count, 5000);
    assert_all(&stream, &reader);
    wire_free(&stream);
}

// A length (R4), and what becomes of it.
static const struct {
    size_t length;
    int err;
} lengths[] = {
    {0, E_MALFORMED}, {1, E_MALFORMED}, {2, E_MALFORMED}, {11, E_MALFORMED}, {12, E_OK},
    {13, E_OK},       {255, E_OK},      {256, E_OK},      {65534, E_OK},     {65535, E_OK},
};

static void test_lengths(void **state)
{
    static uint8_t bytes[14 + 2 + 65535];

    memset(bytes, 0xa5, sizeof(bytes));
    put_u16(bytes, 12); // one good message before it
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        size_t length = lengths[i].length, size = 14 + 2 + length;

        put_u16(bytes + 14, (uint16_t)length);
        for (size_t begin = 0; begin <= 14; begin += 14) { // with that one and without
            for (size_t split = begin; split <= MIN(size, (size_t)20); split++) {
                struct frame_reader reader = {0};
                int err;

                sink_reset(0);
                err = feed(&reader, bytes + begin, split - begin);
                if (err == E_OK)
                    err = feed(&reader, bytes + split, size - split);
                assert_int_equal(err, lengths[i].err);
                assert_int_equal(sink.count, (begin == 0) + (err == E_OK));
                frame_deinit(&reader);
            }
        }
    }
}

// R4: nobody waits for octets that such a length promises.
static void test_bad_length_is_seen_at_once(void **state)
{
    for (size_t length = 0; length < 12; length++) {
        const uint8_t prefix[] = {0, (uint8_t)length};
        struct frame_reader reader = {0};

        sink_reset(0);
        assert_int_equal(feed(&reader, prefix, 1), E_OK);
        assert_int_equal(feed(&reader, prefix + 1, 1), E_MALFORMED);
        frame_deinit(&reader);
        assert_int_equal(feed(&reader, prefix, 2), E_MALFORMED);
        frame_deinit(&reader);
    }
}

static void test_largest_message_one_octet_at_a_time(void **state)
{
    static const size_t sizes[] = {65535, 65535, 0};
    struct wire stream = stream_of(sizes);
    struct frame_reader reader = {0};

    sink_reset(0);
    for (size_t at = 0; at < stream.size; at++)
        assert_int_equal(frame_feed(&reader, stream.bytes + at, 1, on_message, &sink), E_OK);
    assert_all(&stream, &reader);
    wire_free(&stream);
}

// However much a length promises, only what came is held.
static void test_holds_what_came_not_what_was_promised(void **state)
{
    struct frame_reader reader = {0};
    const uint8_t bytes[] = {0xff, 0xff, 1, 2, 3};

    assert_int_equal(feed(&reader, bytes, sizeof(bytes)), E_OK);
    assert_true(frame_partial(&reader));
    assert_int_equal(reader.size, sizeof(bytes));
    assert_in_range(reader.capacity, sizeof(bytes), 1024);
    frame_deinit(&reader);
    assert_null(reader.kept);
    assert_false(frame_partial(&reader));
}

static void resume_to_the_end(struct frame_reader *reader)
{
    for (int err = E_AGAIN; err == E_AGAIN;) {
        unsigned before = sink.count;

        err = frame_resume(reader, on_message, &sink);
        assert_in_range(sink.count - before, 0, sink.stop_every);
        if (err != E_AGAIN)
            assert_int_equal(err, E_OK);
    }
}

static void test_stop_and_resume_at_every_message(void **state)
{
    struct wire stream = stream_of(some_sizes);

    for (unsigned every = 1; every <= ARRAY_LEN(some_sizes); every++) {
        for (size_t split = 0; split <= stream.size; split++) {
            struct frame_reader reader = {0};
            int err;

            sink_reset(every);
            err = feed(&reader, stream.bytes, split);
            assert_true(err == E_OK || err == E_AGAIN);
            assert_in_range(sink.count, 0, every);
            resume_to_the_end(&reader);
            err = feed(&reader, stream.bytes + split, stream.size - split);
            assert_true(err == E_OK || err == E_AGAIN);
            resume_to_the_end(&reader);
            assert_all(&stream, &reader);
        }
    }
    wire_free(&stream);
}

// While it is stopped and something is kept, octets that still come are kept too.
static void test_nothing_is_handed_on_while_stopped(void **state)
{
    struct wire stream = stream_of(few_sizes);

    for (size_t split = 2 + few_sizes[0] + 1; split <= stream.size; split++) {
        struct frame_reader reader = {0};

        sink_reset(1);
        assert_int_equal(feed(&reader, stream.bytes, split), E_AGAIN);
        for (size_t at = split; at < stream.size; at++) {
            assert_int_equal(feed(&reader, stream.bytes + at, 1), E_AGAIN);
            assert_int_equal(sink.count, 1);
        }
        resume_to_the_end(&reader);
        assert_all(&stream, &reader);
    }
    wire_free(&stream);
}

static void test_bad_length_behind_a_stop(void **state)
{
    struct wire stream = wire_of("000c 00*12 000c 01*12 000b 02*11");

    for (size_t split = 0; split <= stream.size; split++) {
        struct frame_reader reader = {0};
        int err;

        sink_reset(1);
        err = feed(&reader, stream.bytes, split);
        while (err == E_AGAIN)
            err = frame_resume(&reader, on_message, &sink);
        if (err == E_OK)
            err = feed(&reader, stream.bytes + split, stream.size - split);
        while (err == E_AGAIN)
            err = frame_resume(&reader, on_message, &sink);
        assert_int_equal(err, E_MALFORMED);
        assert_int_equal(sink.count, 2);
        frame_deinit(&reader);
    }
    wire_free(&stream);
}

// A message may be the end of its connection, and so of the reader that it came by.
static void test_handler_may_end_the_reader(void **state)
{
    struct wire stream = stream_of(few_sizes);

    for (size_t split = 1; split < stream.size; split++) {
        struct frame_reader reader = {0};
        int err;

        sink_reset(0);
        sink.end = &reader;
        err = feed(&reader, stream.bytes, split);
        if (err == E_OK)
            err = feed(&reader, stream.bytes + split, stream.size - split);
        assert_int_equal(err, E_AGAIN);
        assert_int_equal(sink.count, 1);
        frame_deinit(&reader);
    }
    wire_free(&stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_split_point),
        cmocka_unit_test(test_every_two_split_points),
        cmocka_unit_test(test_chunks_of_one_size),
        cmocka_unit_test(test_each_message_as_soon_as_it_is_whole),
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_many_in_one_chunk),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_bad_length_is_seen_at_once),
        cmocka_unit_test(test_largest_message_one_octet_at_a_time),
        cmocka_unit_test(test_holds_what_came_not_what_was_promised),
        cmocka_unit_test(test_stop_and_resume_at_every_message),
        cmocka_unit_test(test_nothing_is_handed_on_while_stopped),
        cmocka_unit_test(test_bad_length_behind_a_stop),
        cmocka_unit_test(test_handler_may_end_the_reader),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
