#include "cache/archive.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "cache/reader.h"
#include "cache_text.h"

#define ORIGIN UINT64_C(0x0123456789abcdef)
#define CLOCK UINT64_C(1700000000) // the wall clock's seconds

// The monotonic clock, before and after the restart.
#define BEFORE (UINT64_C(123456) * USEC_SEC)
#define AFTER (UINT64_C(17) * USEC_SEC)

#define SECONDS(count) ((count)*USEC_SEC)

// Where things are in the file.
enum { VERSION_AT = 12, ORIGIN_AT = 16, CLOCK_AT = 24, HEADER_SIZE = 32, END_SIZE = 20 };

static struct cache *cache;
static uint64_t cache_size;
static struct cache_options options;
static struct counters counters;
static struct cache_found found;

// The file. It takes `room` octets and then no more.
static struct {
    uint8_t bytes[8 * 1024 * 1024];
    size_t size, room;
    unsigned writes;
} file;

static bool write_file(void *context, const uint8_t *bytes, size_t size)
{
    assert_ptr_equal(context, &file);
    file.writes++;
    if (size > file.room - file.size)
        return false;
    memcpy(file.bytes + file.size, bytes, size);
    file.size += size;
    return true;
}

static bool save(usec_t now)
{
    struct cache_archive_writer writer;

    memset(&writer, 0xa5, sizeof(writer));
    writer.write = write_file;
    writer.context = &file;
    file.size = file.writes = 0;
    return cache_archive_write(&writer, cache, &options,
                               &(struct cache_archive_stamp){ORIGIN, CLOCK}, now);
}

static void new_cache(uint64_t size)
{
    cache_free(cache);
    options.size = cache_size = size;
    cache = cache_new(size);
    assert_non_null(cache);
}

static uint64_t entries(void)
{
    struct cache_usage usage;

    cache_usage(cache, &usage);
    assert_true(usage.bytes <= usage.size);
    return usage.entries;
}

// Into an empty cache, from memory of exactly its size.
static struct cache_archive_result load(const uint8_t *bytes, size_t size, uint64_t origin,
                                        uint64_t clock)
{
    struct wire copy = wire_copy(bytes, size);
    struct cache_archive_result result;

    memset(&result, 0xa5, sizeof(result));
    if (entries() > 0 || cache_size != options.size)
        new_cache(options.size);
    cache_archive_read(&result, cache, &options, copy.bytes, copy.size,
                       &(struct cache_archive_stamp){origin, clock}, AFTER, &counters);
    wire_free(&copy);
    return result;
}

// All is well.
static void assert_loaded(uint64_t clock, uint64_t records, uint64_t restored)
{
    struct cache_archive_result result = load(file.bytes, file.size, ORIGIN, clock);

    assert_null(result.problem);
    assert_int_equal(result.records, records);
    assert_int_equal(result.restored, restored);
    assert_int_equal(entries(), restored);
}

// Nothing was taken from these octets, and why is said.
static void assert_refused(const char *what, const uint8_t *bytes, size_t size, uint64_t origin)
{
    struct cache_archive_result result = load(bytes, size, origin, CLOCK);

    if (!result.problem || !*result.problem || result.restored != 0 || entries() != 0)
        fail_msg("%s: %zu octets: taken", what, size);
}

static int set_up(void **state)
{
    options = usual_options;
    memset(&counters, 0, sizeof(counters));
    file.room = sizeof(file.bytes);
    new_cache(options.size);
    return 0;
}

static int tear_down(void **state)
{
    cache_free(cache);
    cache = NULL;
    return 0;
}

static void put_how(const char *text, unsigned how, usec_t now)
{
    struct reply reply = reply_of(text);
    struct cache_verdict verdict;
    struct cache_key key;

    key_of_reply(&key, cache_secret(cache), &reply, how);
    cache_judge(&verdict, &options, &key, &reply.message);
    assert_true(verdict.keep);
    cache_reader_online();
    cache_insert(cache,
                 &(struct cache_answer){
                     .key = &key,
                     .reply = &reply.message,
                     .verdict = &verdict,
                     .generation = cache_generation(cache),
                 },
                 &options, now, &counters);
    cache_reader_offline();
    reply_free(&reply);
}

static void put(const char *text)
{
    put_how(text, 0, BEFORE);
}

// What was found stays, as no other thread is there to free it and nothing is removed.
static enum cache_state find_how(const char *question, unsigned how, usec_t now)
{
    enum cache_state state;
    struct cache_key key;

    key_of_text(&key, cache_secret(cache), question, how);
    memset(&found, 0xa5, sizeof(found));
    cache_reader_online();
    state = cache_lookup(cache, &key, &options, now, &found);
    cache_reader_offline();
    return state;
}

static enum cache_state find(const char *question)
{
    return find_how(question, 0, AFTER);
}

#define POSITIVE(ttl) REPLY(NOERROR, "0001 0000 0000") QUESTION A(WWW, ttl)
#define OTHER_QUESTION "{a.test} 001c 0001 "
#define OTHER(ttl) REPLY(NXDOMAIN, "0000 0001 0000") OTHER_QUESTION SOA("{test} ", ttl, ttl)

// ---- The format

static uint64_t get_u64(const uint8_t *at)
{
    return (uint64_t)get_u32(at) << 32 | get_u32(at + 4);
}

// The checksum over the parts: the header, each record's head and message, the end.
static uint64_t checksum_add(uint64_t checksum, const uint8_t *bytes, size_t size)
{
    const struct siphash_key key = {checksum, 0x736f74746f};

    return siphash(&key, bytes, size);
}

// Makes the checksum of a file right, whose records end at `end`.
static void seal(size_t end)
{
    uint64_t checksum = checksum_add(0, file.bytes, HEADER_SIZE);

    for (size_t pos = HEADER_SIZE; pos + 11 <= end;) {
        size_t size = MIN(get_u16(file.bytes + pos + 9), end - pos - 11);

        checksum = checksum_add(checksum, file.bytes + pos, 11);
        checksum = checksum_add(checksum, file.bytes + pos + 11, size);
        pos += 11 + size;
    }
    checksum = checksum_add(checksum, file.bytes + end, 12);
    put_u32(file.bytes + end + 12, (uint32_t)(checksum >> 32));
    put_u32(file.bytes + end + 16, (uint32_t)checksum);
    file.size = end + END_SIZE;
}

static void assert_file(const char *expected_text)
{
    struct wire expected = wire_of(expected_text);

    assert_int_equal(file.size, expected.size + 8);
    assert_memory_equal(file.bytes, expected.bytes, expected.size);
    seal(expected.size - 12);
    wire_free(&expected);
}

#define HEADER "'sotto cache' 00 00000001 0123456789abcdef 000000006553f100 "
#define END(count) "ffffffff 00000000 " count

// Version 1 stays as it is: a file of today must be readable tomorrow, or not be of version 1.
static void test_format(void **state)
{
    uint64_t checksum;

    assert_true(save(BEFORE));
    checksum = get_u64(file.bytes + file.size - 8);
    assert_file(HEADER END("00000000"));
    assert_int_equal(get_u64(file.bytes + file.size - 8), checksum);

    put_how(POSITIVE(T300), CACHE_KEY_DNSSEC_OK | CACHE_KEY_CHECKING_DISABLED, BEFORE);
    assert_true(save(BEFORE + SECONDS(258)));
    checksum = get_u64(file.bytes + file.size - 8);
    assert_file(HEADER "00000102 " T300 "03 0031 "
                       "0000 8180 0001 0001 0000 0000 " QUESTION A(WWW, T300) END("00000001"));
    assert_int_equal(get_u64(file.bytes + file.size - 8), checksum);
}

// ---- There and back

static void test_empty(void **state)
{
    assert_true(save(BEFORE));
    assert_loaded(CLOCK, 0, 0);
}

static const struct {
    const char *reply, *question;
    enum cache_kind kind;
} answers[] = {
    {POSITIVE(T300), QUESTION, CACHE_POSITIVE},
    {"1234 85a0 0001 0003 0001 0002 {WWW.example.org} 001c 0001 " WWW "0005 0001 " T600
     "0008 {b.test} {B.test} 001c 0001 " T100 "0010 20010db8 00*12 {b.test} 001c 0001 " T100
     "0010 20010db8 00*11 01 " NS(EXAMPLE, HOUR) A(EXAMPLE, HOUR) PLAIN_OPT,
     "{www.example.org} 001c 0001", CACHE_POSITIVE},
    {OTHER(T300), OTHER_QUESTION, CACHE_NXDOMAIN},
    {REPLY(NOERROR, "0000 0001 0000") "{b.test} 001c 0001 " SOA("{test} ", HOUR, T300),
     "{b.test} 001c 0001 ", CACHE_NODATA},
    {REPLY(NOERROR, "0001 0000 0000") "{} 0002 0001 " NS("00 ", WEEK), "{} 0002 0001",
     CACHE_POSITIVE},
};

// What comes out is what went in, 20 s older.
static void test_answers_of_all_kinds(void **state)
{
    static struct {
        uint8_t bytes[1000];
        size_t size;
        uint16_t ttl_count;
    } before[ARRAY_LEN(answers)][4];

    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        for (unsigned how = 0; how < 4; how++) {
            put_how(answers[i].reply, how, BEFORE);
            assert_int_equal(find_how(answers[i].question, how, BEFORE), CACHE_FRESH);
            before[i][how].size = found.message.size;
            before[i][how].ttl_count = found.ttl_count;
            memcpy(before[i][how].bytes, found.message.wire, found.message.size);
        }
    }
    assert_true(save(BEFORE + SECONDS(12)));
    assert_loaded(CLOCK + 8, ARRAY_LEN(answers) * 4, ARRAY_LEN(answers) * 4);
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        for (unsigned how = 0; how < 4; how++) {
            assert_int_equal(find_how(answers[i].question, how, AFTER), CACHE_FRESH);
            assert_int_equal(found.kind, answers[i].kind);
            assert_int_equal(found.age, 20);
            assert_int_equal(found.ttl_count, before[i][how].ttl_count);
            assert_int_equal(found.message.size, before[i][how].size);
            assert_memory_equal(found.message.wire, before[i][how].bytes, before[i][how].size);
            assert_false(found.prefetch);
        }
    }
    assert_int_equal(find_how("{b.test} 0005 0001", 0, AFTER), CACHE_MISS);

    // And once more: it is the same file, but for its ages and its order.
    size_t size = file.size;

    assert_true(save(AFTER));
    assert_int_equal(file.size, size);
}

// An answer of 300 s: its age when written, the time until it is read, and what it is then.
static void test_ages(void **state)
{
    static const struct {
        uint64_t age, later;
        usec_t stale_max;
        enum cache_state state;
        uint32_t age_found;
    } cases[] = {
        {0, 0, SECONDS(86400), CACHE_FRESH, 0},
        {10, 0, SECONDS(86400), CACHE_FRESH, 10},
        {10, 20, SECONDS(86400), CACHE_FRESH, 30},
        {0, 299, SECONDS(86400), CACHE_FRESH, 299},
        {299, 0, 0, CACHE_FRESH, 299},
        {100, 199, 0, CACHE_FRESH, 299},
        {100, 200, 0, CACHE_MISS, 0},
        {100, 200, SECONDS(86400), CACHE_STALE, 300},
        {300, 0, SECONDS(86400), CACHE_STALE, 300},
        {1000, 1000, SECONDS(86400), CACHE_STALE, 2000},
        {0, 300 + 86399, SECONDS(86400), CACHE_STALE, 300 + 86399},
        {0, 300 + 86400, SECONDS(86400), CACHE_MISS, 0},
        {200, 100 + 86400, SECONDS(86400), CACHE_MISS, 0},
        {0, UINT32_MAX, SECONDS(86400), CACHE_MISS, 0}, // 136 years
        {0, UINT64_C(1) << 32, SECONDS(86400), CACHE_MISS, 0},
        {0, UINT64_C(1) << 40, SECONDS(86400), CACHE_MISS, 0},
        {0, (UINT64_C(1) << 44) + 10, SECONDS(86400 * 30), CACHE_MISS, 0},
        {0, UINT64_MAX - CLOCK, SECONDS(86400 * 30), CACHE_MISS, 0},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        new_cache(options.size);
        put(POSITIVE(T300));
        options.stale_max = SECONDS(86400 * 30);
        assert_true(save(BEFORE + SECONDS(cases[i].age)));
        options.stale_max = cases[i].stale_max;
        assert_loaded(CLOCK + cases[i].later, 1, cases[i].state != CACHE_MISS);
        if (find(QUESTION) != cases[i].state)
            fail_msg("case %zu", i);
        if (cases[i].state != CACHE_MISS)
            assert_int_equal(found.age, cases[i].age_found);
    }
}

// Parts of a second get lost, but no answer lives more than one longer for it.
static void test_parts_of_a_second(void **state)
{
    for (usec_t part = 0; part < USEC_SEC; part += USEC_SEC / 10) {
        new_cache(options.size);
        put(POSITIVE(T300));
        assert_true(save(BEFORE + SECONDS(100) + part));
        assert_loaded(CLOCK, 1, 1);
        assert_int_equal(find(QUESTION), CACHE_FRESH);
        assert_in_range(found.age, 100, 101);
        assert_int_equal(find_how(QUESTION, 0, AFTER + SECONDS(200)), CACHE_STALE);
    }
}

// By how much nobody knows: nothing is fresh.
static void test_clock_gone_back(void **state)
{
    static const uint64_t clocks[] = {CLOCK - 1, CLOCK - 100, CLOCK - 1000000, 1, 0};

    put(POSITIVE(T300));
    put(OTHER(HOUR));
    assert_true(save(BEFORE + SECONDS(10)));
    for (size_t i = 0; i < ARRAY_LEN(clocks); i++) {
        options.stale_max = SECONDS(86400);
        assert_loaded(clocks[i], 2, 2);
        assert_int_equal(find(QUESTION), CACHE_STALE);
        assert_int_equal(find(OTHER_QUESTION), CACHE_STALE);
        options.stale_max = 0;
        assert_loaded(clocks[i], 2, 0);
    }
}

// As the options are after the restart.
static void test_other_options(void **state)
{
    put(POSITIVE(HOUR));
    put(OTHER(HOUR));
    assert_true(save(BEFORE));

    options.max_ttl = SECONDS(100);
    options.negative_max_ttl = SECONDS(50);
    assert_loaded(CLOCK, 2, 2);
    assert_int_equal(find_how(QUESTION, 0, AFTER + SECONDS(99)), CACHE_FRESH);
    assert_int_equal(get_u32(found.message.wire + found.ttls[0]), 100);
    assert_int_equal(find_how(QUESTION, 0, AFTER + SECONDS(100)), CACHE_STALE);
    assert_int_equal(find_how(OTHER_QUESTION, 0, AFTER + SECONDS(49)), CACHE_FRESH);
    assert_int_equal(find_how(OTHER_QUESTION, 0, AFTER + SECONDS(50)), CACHE_STALE);

    // They do not make an answer live longer than it was said to.
    options = usual_options;
    options.min_ttl = SECONDS(7200);
    assert_loaded(CLOCK, 2, 2);
    assert_int_equal(find_how(QUESTION, 0, AFTER + SECONDS(3600)), CACHE_STALE);

    options = usual_options;
    options.max_ttl = 0;
    assert_loaded(CLOCK, 2, 1);
    assert_int_equal(find(QUESTION), CACHE_MISS);

    // No cache at all.
    options = usual_options;
    options.size = 0;
    assert_null(load(file.bytes, file.size, ORIGIN, CLOCK).problem);
    assert_int_equal(entries(), 0);
}

static void test_failures_are_not_written(void **state)
{
    put(REPLY(SERVFAIL, "0000 0000 0000") QUESTION);
    put(OTHER(T300));
    assert_true(save(BEFORE));
    assert_loaded(CLOCK, 1, 1);
    assert_int_equal(find(QUESTION), CACHE_MISS);
    assert_int_equal(find(OTHER_QUESTION), CACHE_FRESH);
}

static void test_what_is_over_is_not_written(void **state)
{
    put(POSITIVE(T60));
    put(OTHER(T300));
    options.stale_max = SECONDS(10);
    assert_true(save(BEFORE + SECONDS(70)));
    assert_loaded(CLOCK, 1, 1);
    assert_int_equal(find(OTHER_QUESTION), CACHE_FRESH);
}

static void fill(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        char text[200];

        snprintf(text, sizeof(text),
                 REPLY(NOERROR, "0001 0000 0000") "{n%u.test} 0001 0001 c00c 0001 0001 " HOUR
                                                  "0004 %08x",
                 i, i);
        put(text);
    }
}

static unsigned count_found(unsigned count)
{
    unsigned fresh = 0;

    for (unsigned i = 0; i < count; i++) {
        char text[50];

        snprintf(text, sizeof(text), "{n%u.test} 0001 0001", i);
        if (find(text) == CACHE_MISS)
            continue;
        assert_int_equal(get_u32(found.message.wire + found.message.size - 4), i);
        fresh++;
    }
    return fresh;
}

static void test_more_than_the_cache_takes(void **state)
{
    struct cache_archive_result result;

    new_cache(4 * 1024 * 1024);
    fill(5000);
    assert_true(save(BEFORE));
    options.size = CACHE_SIZE_MIN;
    result = load(file.bytes, file.size, ORIGIN, CLOCK);
    assert_null(result.problem);
    assert_int_equal(result.records, 5000);
    assert_true(entries() > 100 && entries() < 5000);
    assert_int_equal(count_found(5000), entries());
}

// A file that is no larger than this has all that a full cache of that size has.
static void test_limit(void **state)
{
    static const uint64_t sizes[] = {0, CACHE_SIZE_MIN, 1024 * 1024};

    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        new_cache(sizes[i]);
        fill(sizes[i] / 64);
        file.room = cache_archive_limit(sizes[i]);
        assert_true(file.room <= sizeof(file.bytes));
        assert_true(save(BEFORE));
        assert_loaded(CLOCK, entries(), entries());
    }
}

// ---- A disk that is full

static void test_write_gives_up(void **state)
{
    size_t whole;
    unsigned writes;

    put(POSITIVE(T300));
    put(OTHER(T300));
    assert_true(save(BEFORE));
    whole = file.size;
    writes = file.writes;
    for (size_t room = 0; room <= whole; room++) {
        file.room = room;
        assert_int_equal(save(BEFORE), room == whole);
        assert_true(file.writes <= writes);
        // What was refused is not followed by more.
        assert_true(file.size <= room);
    }
}

// Once it has given up it is not called again.
static bool write_once(void *context, const uint8_t *bytes, size_t size)
{
    unsigned *calls = context;

    assert_true(*calls > 0);
    return --*calls > 0;
}

static void test_no_write_after_giving_up(void **state)
{
    fill(10);
    for (unsigned calls = 1; calls < 20; calls++) {
        unsigned left = calls;
        struct cache_archive_writer writer = {.write = write_once, .context = &left};

        assert_false(cache_archive_write(&writer, cache, &options,
                                         &(struct cache_archive_stamp){ORIGIN, CLOCK}, BEFORE));
        assert_int_equal(left, 0);
    }
}

// ---- Files that are not to be believed

static void make_file(void)
{
    put(POSITIVE(T300));
    put_how(OTHER(T300), CACHE_KEY_DNSSEC_OK, BEFORE);
    assert_true(save(BEFORE + SECONDS(10)));
}

static void test_cut_short(void **state)
{
    make_file();
    for (size_t size = 0; size < file.size; size++)
        assert_refused("cut short", file.bytes, size, ORIGIN);
    assert_loaded(CLOCK, 2, 2);
}

static void test_every_bit(void **state)
{
    make_file();
    for (size_t bit = 0; bit < 8 * file.size; bit++) {
        file.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_refused("a bit", file.bytes, file.size, ORIGIN);
        file.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_loaded(CLOCK, 2, 2);
}

static void test_octets_too_many(void **state)
{
    make_file();
    for (unsigned count = 1; count < 70; count++) {
        file.bytes[file.size + count - 1] = (uint8_t)(count % 3 ? 0xff : 0);
        assert_refused("octets too many", file.bytes, file.size + count, ORIGIN);
    }
    // Twice the same.
    memcpy(file.bytes + file.size, file.bytes, file.size);
    assert_refused("twice", file.bytes, 2 * file.size, ORIGIN);
}

// Bytes between whole records get lost or doubled.
static void test_record_lost_or_doubled(void **state)
{
    uint8_t copy[1000];
    size_t first, size;

    make_file();
    first = 11 + (size_t)get_u16(file.bytes + HEADER_SIZE + 9);
    size = file.size;
    memcpy(copy, file.bytes, HEADER_SIZE);
    memcpy(copy + HEADER_SIZE, file.bytes + HEADER_SIZE + first, size - HEADER_SIZE - first);
    assert_refused("record lost", copy, size - first, ORIGIN);

    memcpy(copy, file.bytes, HEADER_SIZE + first);
    memcpy(copy + HEADER_SIZE + first, file.bytes + HEADER_SIZE, size - HEADER_SIZE);
    assert_refused("record doubled", copy, size + first, ORIGIN);
}

static void test_foreign_files(void **state)
{
    static const char *const files[] = {
        "",
        "'sotto cache'",
        "'sotto cache' 00",
        "'Sotto cache' 00 00000001 0123456789abcdef 000000006553f100 ffffffff 00*16",
        "'#!/bin/sh' 0a 'echo of a file that has nothing to do with us at all' 0a",
        "00*4096",
        "ff*4096",
        HEADER "ffffffff 00*16",
        HEADER "00*11 ffffffff 00000000 00000001 00*8",
    };

    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        struct wire wire = wire_of(files[i]);

        assert_refused(files[i], wire.bytes, wire.size, ORIGIN);
        wire_free(&wire);
    }
}

static void test_other_origin(void **state)
{
    make_file();
    assert_refused("origin 0", file.bytes, file.size, 0);
    for (unsigned bit = 0; bit < 64; bit++)
        assert_refused("other origin", file.bytes, file.size, ORIGIN ^ UINT64_C(1) << bit);
    // And the other way round, with nothing else wrong.
    put_u32(file.bytes + ORIGIN_AT, 0);
    seal(file.size - END_SIZE);
    assert_refused("other origin", file.bytes, file.size, ORIGIN);
}

static void test_other_version(void **state)
{
    static const uint32_t versions[] = {0, 2, 0x00000101, 0x01000001, UINT32_MAX};

    make_file();
    for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
        put_u32(file.bytes + VERSION_AT, versions[i]);
        seal(file.size - END_SIZE);
        assert_refused("other version", file.bytes, file.size, ORIGIN);
    }
    put_u32(file.bytes + VERSION_AT, 1);
    seal(file.size - END_SIZE);
    assert_loaded(CLOCK, 2, 2);
}

// The checksum is right, the number of records or the mark is not.
static void test_wrong_end(void **state)
{
    size_t end;

    make_file();
    end = file.size - END_SIZE;
    for (uint32_t count = 0; count < 5; count++) {
        put_u32(file.bytes + end + 8, count);
        seal(end);
        if (count != 2)
            assert_refused("wrong number of records", file.bytes, file.size, ORIGIN);
    }
    put_u32(file.bytes + end + 8, 2);
    put_u32(file.bytes + end + 4, 1);
    seal(end);
    assert_refused("2^32 records more", file.bytes, file.size, ORIGIN);
    put_u32(file.bytes + end + 4, 0);
    put_u32(file.bytes + end, 0xfffffffe);
    seal(end);
    assert_refused("wrong mark", file.bytes, file.size, ORIGIN);
    put_u32(file.bytes + end, UINT32_MAX);
    seal(end);
    assert_loaded(CLOCK, 2, 2);
}

// ---- Records that are not to be believed, in a file that is whole

#define RECORD(age, ttl, flags) age ttl flags
#define GOOD "0000 8180 0001 0001 0000 0000 " QUESTION A(WWW, T300)

static const struct {
    const char *what, *head, *message;
    bool taken;
} records[] = {
    {"as it should be", RECORD(T0, T300, "00"), GOOD, true},
    {"older than its TTL", RECORD(T600, T300, "00"), GOOD, true},
    {"much older", RECORD("fffffffe", T300, "00"), GOOD, false},
    {"older than the oldest", RECORD("ffffffff", T300, "00"), GOOD, false},
    {"asked without RD", RECORD(T0, T300, "04"), GOOD, false},
    {"no response", RECORD(T0, T300, "00"), "0000 0100 0001 0001 0000 0000 " QUESTION A(WWW, T300),
     false},
    {"no response, a SOA without its numbers", RECORD(T0, T300, "00"),
     "0000 0103 0001 0000 0001 0000 {} 0006 0001 00 0006 0001 " T300 "0000 ", false},
    {"TC", RECORD(T0, T300, "00"), "0000 8380 0001 0001 0000 0000 " QUESTION A(WWW, T300), false},
    {"REFUSED", RECORD(T0, T300, "00"), "0000 8185 0001 0001 0000 0000 " QUESTION A(WWW, T300),
     false},
    {"SERVFAIL", RECORD(T0, T300, "00"), "0000 8182 0001 0000 0000 0000 " QUESTION, false},
    {"TTL 0", RECORD(T0, T300, "00"), "0000 8180 0001 0001 0000 0000 " QUESTION A(WWW, T0), false},
    {"R6 an answer of another name", RECORD(T0, T300, "00"),
     "0000 8180 0001 0001 0000 0000 " QUESTION A(EXAMPLE, T300), false},
    {"class CH", RECORD(T0, T300, "00"),
     "0000 8180 0001 0001 0000 0000 {a} 0010 0003 c00c 0010 0003 " T300 "0001 00 ", false},
    {"an OPT", RECORD(T0, T300, "00"),
     "0000 8180 0001 0001 0000 0001 " QUESTION A(WWW, T300) PLAIN_OPT, false},
    {"no question", RECORD(T0, T300, "00"), "0000 8180 0000 0001 0000 0000 " A("{a} ", T300),
     false},
    {"two questions", RECORD(T0, T300, "00"),
     "0000 8180 0002 0001 0000 0000 " QUESTION QUESTION A(WWW, T300), false},
    {"nothing", RECORD(T0, T300, "00"), "", false},
    {"a header", RECORD(T0, T300, "00"), "0000 8180 0000 0000 0000 0000", false},
    {"garbage", RECORD(T0, T300, "00"), "ff*100", false},
    {"octets behind", RECORD(T0, T300, "00"), GOOD "00", false},
    {"R5 a compression loop", RECORD(T0, T300, "00"),
     "0000 8180 0001 0001 0000 0000 " QUESTION "c021 0001 0001 " T300 "0004 c0000201 ", false},
};

static void put_record(struct writer *w, const char *head, const char *message_text)
{
    struct wire message = wire_of(message_text);

    wire_put(w, head);
    writer_u16(w, (uint16_t)message.size);
    writer_bytes(w, message.bytes, message.size);
    wire_free(&message);
}

#define NEIGHBOUR(name) "0000 8180 0001 0001 0000 0000 " name " 0001 0001 " A(WWW, T300)

// Each is judged for itself: its neighbours are taken.
static void test_records_are_judged(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(records); i++) {
        struct writer w = writer_of(file.bytes, sizeof(file.bytes));
        unsigned expected = 2 + records[i].taken;
        struct cache_archive_result result;

        wire_put(&w, HEADER);
        put_record(&w, RECORD(T0, T300, "00"), NEIGHBOUR("{a.test}"));
        put_record(&w, records[i].head, records[i].message);
        put_record(&w, RECORD(T0, T300, "03"), NEIGHBOUR("{b.test}"));
        wire_put(&w, END("00000003"));
        seal(w.pos - 12);
        result = load(file.bytes, file.size, ORIGIN, CLOCK);
        if (result.problem || result.records != 3 || result.restored != expected ||
            entries() != expected)
            fail_msg("%s: %s, %u restored", records[i].what,
                     result.problem ? result.problem : "no problem", (unsigned)result.restored);
        assert_int_equal(find("{a.test} 0001 0001"), CACHE_FRESH);
        assert_int_equal(find_how("{b.test} 0001 0001", 3, AFTER), CACHE_FRESH);
    }
}

static int start_reader(void **state)
{
    cache_reader_start();
    return 0;
}

static int stop_reader(void **state)
{
    cache_reader_stop();
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_format),
        TEST(test_empty),
        TEST(test_answers_of_all_kinds),
        TEST(test_ages),
        TEST(test_parts_of_a_second),
        TEST(test_clock_gone_back),
        TEST(test_other_options),
        TEST(test_failures_are_not_written),
        TEST(test_what_is_over_is_not_written),
        TEST(test_more_than_the_cache_takes),
        TEST(test_limit),
        TEST(test_write_gives_up),
        TEST(test_no_write_after_giving_up),
        TEST(test_cut_short),
        TEST(test_every_bit),
        TEST(test_octets_too_many),
        TEST(test_record_lost_or_doubled),
        TEST(test_foreign_files),
        TEST(test_other_origin),
        TEST(test_other_version),
        TEST(test_wrong_end),
        TEST(test_records_are_judged),
    };

    return cmocka_run_group_tests(tests, start_reader, stop_reader);
}
