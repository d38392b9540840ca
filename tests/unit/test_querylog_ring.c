#include "querylog/ring.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define RING_SIZE (64 * 1024)

// An entry whose parts all follow from its number.
static void make(struct querylog_entry *entry, uint8_t bytes[4096], uint64_t number)
{
    size_t name_size = number % 256, url_size = number % 7 * 9, reply_size = number % 11 * 130;

    memset(bytes, (int)(number % 251), 4096);
    *entry = (struct querylog_entry){
        .record = {.time = number, .id = (uint16_t)number, .ede = QUERYLOG_NO_EDE},
        .name = bytes,
        .name_size = (uint16_t)name_size,
        .upstream_url = (const char *)bytes,
        .upstream_url_size = (uint16_t)url_size,
        .reply = bytes,
        .reply_message_size = (uint16_t)reply_size,
    };
}

static bool all_are(const uint8_t *bytes, size_t size, uint64_t number)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != number % 251)
            return false;
    return true;
}

static void check(const struct querylog_entry *entry, uint64_t number, bool with_reply)
{
    struct querylog_entry wanted;
    uint8_t bytes[4096];

    make(&wanted, bytes, number);
    assert_memory_equal(&entry->record, &wanted.record, sizeof(wanted.record));
    assert_int_equal(entry->name_size, wanted.name_size);
    assert_int_equal(entry->upstream_url_size, wanted.upstream_url_size);
    assert_int_equal(entry->reply_message_size, with_reply ? wanted.reply_message_size : 0);
    assert_true(all_are(entry->name, entry->name_size, number));
    assert_true(all_are((const uint8_t *)entry->upstream_url, entry->upstream_url_size, number));
    assert_true(all_are(entry->reply, entry->reply_message_size, number));
}

// Many times round, with as much in it as there is room for, or less.
static void test_what_goes_in_comes_out(void **state)
{
    for (int with_replies = 0; with_replies < 2; with_replies++) {
        struct querylog_ring *ring = querylog_ring_new(RING_SIZE, with_replies, 1);
        uint64_t put = 0, taken = 0, refused = 0;
        struct querylog_entry entry;
        uint8_t bytes[4096];

        for (int round = 0; round < 3000; round++) {
            unsigned puts = (unsigned)rand() % 100, takes = (unsigned)rand() % 100;

            while (puts-- > 0) {
                make(&entry, bytes, put);
                if (querylog_ring_put(ring, &entry))
                    put++;
                else
                    refused++;
            }
            while (takes-- > 0 && querylog_ring_next(ring, &entry))
                check(&entry, taken++, with_replies);
            querylog_ring_release(ring);
        }
        while (querylog_ring_next(ring, &entry))
            check(&entry, taken++, with_replies);
        assert_int_equal(taken, put);
        assert_true(refused > 0);
        assert_int_equal(querylog_ring_dropped(ring), refused);
        querylog_ring_free(ring);
    }
}

// What is full stays as it is until room was given back, not only read.
static void test_full(void **state)
{
    struct querylog_ring *ring = querylog_ring_new(1, false, 1); // as small as there is
    struct querylog_entry entry;
    uint8_t bytes[4096];
    uint64_t count = 0;

    for (make(&entry, bytes, 0); querylog_ring_put(ring, &entry); make(&entry, bytes, count))
        count++;
    assert_in_range(count, 100, 1000);
    for (uint64_t number = 0; number < 10; number++) {
        assert_true(querylog_ring_next(ring, &entry));
        check(&entry, number, false);
    }
    make(&entry, bytes, count);
    assert_false(querylog_ring_put(ring, &entry));
    querylog_ring_release(ring);
    make(&entry, bytes, count);
    assert_true(querylog_ring_put(ring, &entry));
    assert_int_equal(querylog_ring_dropped(ring), 2);
    querylog_ring_free(ring);
}

static void test_samples(void **state)
{
    static const uint32_t samples[] = {0, 1, 2, 10};

    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        struct querylog_ring *ring = querylog_ring_new(RING_SIZE, false, samples[i]);
        unsigned taken = 0;

        for (int n = 0; n < 1000; n++)
            taken += querylog_ring_samples(ring);
        assert_int_equal(taken, 1000 / MAX(samples[i], 1u));
        querylog_ring_free(ring);
    }
}

#define MANY 200000

static void *write_many(void *context)
{
    struct querylog_ring *ring = context;
    struct querylog_entry entry;
    uint8_t bytes[4096];

    for (uint64_t number = 0; number < MANY; number++) {
        make(&entry, bytes, number);
        while (!querylog_ring_put(ring, &entry))
            sched_yield();
    }
    return NULL;
}

static void test_two_threads(void **state)
{
    struct querylog_ring *ring = querylog_ring_new(RING_SIZE, false, 1);
    struct querylog_entry entry;
    pthread_t writer;

    assert_int_equal(pthread_create(&writer, NULL, write_many, ring), 0);
    for (uint64_t number = 0; number < MANY;) {
        while (querylog_ring_next(ring, &entry))
            check(&entry, number++, false);
        querylog_ring_release(ring);
    }
    pthread_join(writer, NULL);
    assert_false(querylog_ring_next(ring, &entry));
    querylog_ring_free(ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_goes_in_comes_out),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_samples),
        cmocka_unit_test(test_two_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
