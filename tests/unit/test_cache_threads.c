// Several threads at one small cache: what is found is always whole, nothing that was flushed comes
// back, and the budget holds. To be run under ThreadSanitizer and AddressSanitizer.
#include "cache/cache.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#include "cache/reader.h"
#include "cache_text.h"
#include "dns/ttl.h"

#define START (UINT64_C(123456) * USEC_SEC)

enum {
    THREADS = 4,
    NAMES = 400,
    RUN_MSEC = 1200,
    ROUND = 50,     // operations between two moments offline
    BODY_MAX = 600, // octets of RDATA besides number, version and checksum
    VERSIONS_COUNTED = 1 << 20,
};

struct worker {
    pthread_t thread;
    unsigned index;
    struct rng rng;
    struct counters counters;
    uint64_t operations, found, prefetches;
};

static struct cache *cache;
static struct cache_options options;
static struct cache_key keys[NAMES];
static _Atomic usec_t clock_now;
static _Atomic uint32_t last_version;
static _Atomic uint32_t flushed_version[NAMES]; // none as old may be found any more
static _Atomic uint8_t prefetches[VERSIONS_COUNTED];
static _Atomic bool stop;

static const struct siphash_key checksum_key = {3, 4};

// One name is asked for all the time.
static unsigned pick_name(struct worker *worker)
{
    return rng_below(&worker->rng, 2) ? 0 : rng_below(&worker->rng, NAMES);
}

// RDATA: number, version, octets that follow from the version, and a checksum over all of it.
static size_t body_size(uint32_t version)
{
    return version % 7 ? version * 13 % 60 : version * 31 % BODY_MAX;
}

static void insert(struct worker *worker, unsigned number, usec_t now)
{
    // In this order: what is flushed from here on has to refuse this version.
    uint64_t generation = cache_generation(cache);
    uint32_t version = atomic_fetch_add(&last_version, 1) + 1;
    uint32_t ttl = 1 + rng_below(&worker->rng, 3);
    struct cache_verdict verdict = {
        .keep = true, .kind = CACHE_POSITIVE, .ttl = ttl, .ttl_max = DNS_TTL_MAX};
    size_t body = body_size(version);
    uint8_t wire[1024];
    struct writer w = writer_of(wire, sizeof(wire));
    struct dns_message message;

    writer_bytes(&w, "\x12\x34\x81\x80\0\1\0\1\0\0\0\0", DNS_HEADER_SIZE);
    writer_bytes(&w, keys[number].question, keys[number].size);
    writer_bytes(&w, "\xc0\x0c\0\x10\0\1", 6);
    writer_u32(&w, ttl);
    writer_u16(&w, (uint16_t)(16 + body));

    uint8_t *rdata = wire + w.pos;

    writer_u32(&w, number);
    writer_u32(&w, version);
    for (size_t i = 0; i < body; i++)
        writer_u8(&w, (uint8_t)(version + i));

    uint64_t checksum = siphash(&checksum_key, rdata, 8 + body);

    writer_u32(&w, (uint32_t)(checksum >> 32));
    writer_u32(&w, (uint32_t)checksum);
    require(!w.failed && dns_message_parse(&message, wire, w.pos) == 0);
    cache_insert(cache,
                 &(struct cache_answer){
                     .key = &keys[number],
                     .reply = &message,
                     .verdict = &verdict,
                     .generation = generation,
                 },
                 &options, now, &worker->counters);
}

static uint32_t check_message(const uint8_t *wire, size_t size, unsigned number)
{
    size_t head = DNS_HEADER_SIZE + keys[number].size + 12;
    const uint8_t *rdata = wire + head;

    require(size >= head + 16);

    uint32_t version = get_u32(rdata + 4);
    size_t body = body_size(version);

    require(size == head + 16 + body && get_u16(rdata - 2) == 16 + body);
    require(memcmp(wire + DNS_HEADER_SIZE, keys[number].question, keys[number].size) == 0);
    require(get_u32(rdata) == number);
    require((uint64_t)get_u32(rdata + 8 + body) << 32 ==
            (siphash(&checksum_key, rdata, 8 + body) & UINT64_C(0xffffffff00000000)));
    return version;
}

static void lookup(struct worker *worker, unsigned number, usec_t now)
{
    uint32_t flushed = atomic_load(&flushed_version[number]), version;
    struct cache_found found;
    enum cache_state state = cache_lookup(cache, &keys[number], &options, now, &found);
    uint8_t reply[1024];

    if (state == CACHE_MISS)
        return;
    worker->found++;
    version = check_message(found.message.wire, found.message.size, number);
    require(version > flushed);
    require(found.ttl_count == 1 && found.kind == CACHE_POSITIVE);
    memcpy(reply, found.message.wire, found.message.size);
    cache_found_set_ttls(&found, state, reply);
    require(get_u32(reply + found.ttls[0]) >= 1 && get_u32(reply + found.ttls[0]) <= 30);
    if (found.prefetch) {
        worker->prefetches++;
        require(state == CACHE_FRESH);
        if (version < VERSIONS_COUNTED)
            require(atomic_fetch_add(&prefetches[version], 1) == 0); // one thread is to do it
    }
    if (state == CACHE_STALE && rng_below(&worker->rng, 4) == 0)
        cache_set_failing(&found, now);
}

static void flush(struct worker *worker, bool all, bool subtree)
{
    unsigned number = rng_below(&worker->rng, NAMES);
    uint32_t version = atomic_load(&last_version);

    cache_flush(cache, all ? NULL : keys[number].question, subtree);
    for (unsigned i = all ? 0 : number; i <= (all ? NAMES - 1 : number); i++) {
        uint32_t old = atomic_load(&flushed_version[i]);

        while (old < version && !atomic_compare_exchange_weak(&flushed_version[i], &old, version)) {
        }
    }
}

static bool on_visit(void *context, const struct cache_visit *visit)
{
    size_t head = DNS_HEADER_SIZE + keys[0].size + 12;
    uint32_t number = get_u32(visit->message + head);

    require(number < NAMES);
    (void)check_message(visit->message, visit->size, number);
    return true;
}

static void do_something(struct worker *worker)
{
    // A worker's clock is a little behind.
    usec_t now = atomic_load(&clock_now) - worker->index * 5 * USEC_MSEC;
    uint32_t what = rng_below(&worker->rng, 10000);
    struct cache_usage usage;

    if (what < 6500) {
        lookup(worker, pick_name(worker), now);
    } else if (what < 9500) {
        insert(worker, pick_name(worker), now);
    } else if (what < 9700) {
        cache_remove(cache, &keys[pick_name(worker)]);
    } else if (what < 9790) {
        cache_usage(cache, &usage);
        require(usage.bytes <= usage.size);
    } else if (what < 9800) {
        flush(worker, what == 9799, what % 2);
    } else {
        atomic_fetch_add(&clock_now, 10 * USEC_MSEC);
    }
    worker->operations++;
}

static void *work(void *arg)
{
    struct worker *worker = arg;

    cache_reader_start();
    while (!atomic_load(&stop)) {
        cache_reader_online();
        for (unsigned i = 0; i < ROUND; i++)
            do_something(worker);
        cache_reader_offline();
        if (rng_below(&worker->rng, 200) == 0)
            cache_walk(cache, &options, atomic_load(&clock_now), on_visit, worker);
    }
    cache_reader_stop();
    return NULL;
}

static void run(uint64_t size)
{
    static struct worker workers[THREADS];
    static const struct timespec pause = {.tv_sec = RUN_MSEC / 1000,
                                          .tv_nsec = RUN_MSEC % 1000 * 1000000L};
    uint64_t found = 0, lost = 0, prefetched = 0;
    struct cache_usage empty, usage;

    memset(workers, 0, sizeof(workers));
    atomic_store(&clock_now, START);
    atomic_store(&stop, false);
    atomic_store(&last_version, 0);
    memset((void *)flushed_version, 0, sizeof(flushed_version));
    memset((void *)prefetches, 0, sizeof(prefetches));
    options = usual_options;
    options.stale_max = 2 * USEC_SEC;
    cache = cache_new(size);
    assert_non_null(cache);
    cache_usage(cache, &empty);
    for (unsigned i = 0; i < NAMES; i++) {
        char text[50];

        snprintf(text, sizeof(text), "{n%03u.test} 0010 0001", i);
        key_of_text(&keys[i], cache_secret(cache), text, 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i].index = i;
        workers[i].rng.state = 88172645463325252 + i;
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    nanosleep(&pause, NULL);
    atomic_store(&stop, true);
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        found += workers[i].found;
        prefetched += workers[i].prefetches;
        lost += counter_get(&workers[i].counters, COUNTER_cache_evictions) +
                counter_get(&workers[i].counters, COUNTER_cache_expired);
        assert_true(workers[i].operations > 1000);
    }
    assert_true(found > 1000);
    assert_true(prefetched > 0);
    assert_true(lost > 100);

    // Nothing is left over, and nothing is lost.
    cache_reader_online();
    cache_flush(cache, NULL, false);
    cache_reader_offline();
    cache_usage(cache, &usage);
    assert_int_equal(usage.entries, 0);
    assert_int_equal(usage.bytes, empty.bytes);
    cache_free(cache);
}

static void test_one_shard(void **state)
{
    run(24 * 1024);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_shard),
    };

    return cmocka_run_group_tests(tests, start_reader, stop_reader);
}
