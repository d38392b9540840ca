// A cache with its options, counters and clock, for the tests of it. Each test begins with an empty
// cache, as an online reader.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "cache/reader.h"
#include "cache_text.h"

// A monotonic clock of a machine that has been up for a while.
#define START (UINT64_C(123456) * USEC_SEC)

// The entries' clock may go by steps, but by none larger.
#define STEP (USEC_SEC / 16)

#define SECONDS(count) ((count)*USEC_SEC)

static struct cache *cache;
static struct cache_options options;
static struct counters counters;
static usec_t now;
static struct cache_found found;

static inline void new_cache(uint64_t size)
{
    options.size = size;
    cache = cache_new(size);
    assert_non_null(cache);
    cache_reader_online();
}

static inline void free_cache(void)
{
    cache_reader_offline();
    cache_free(cache);
    cache = NULL;
}

static inline int set_up(void **state)
{
    options = usual_options;
    memset(&counters, 0, sizeof(counters));
    now = START;
    new_cache(options.size);
    return 0;
}

static inline int tear_down(void **state)
{
    free_cache();
    return 0;
}

static inline uint64_t count_of(enum counter counter)
{
    return counter_get(&counters, counter);
}

static inline struct cache_usage usage_of(void)
{
    struct cache_usage usage;

    cache_usage(cache, &usage);
    assert_true(usage.bytes <= usage.size);
    return usage;
}

static inline void put_reply(const struct cache_key *key, const struct reply *reply,
                             uint64_t generation, usec_t age)
{
    struct cache_verdict verdict;

    cache_judge(&verdict, &options, key, &reply->message);
    assert_true(verdict.keep);
    cache_insert(cache,
                 &(struct cache_answer){
                     .key = key,
                     .reply = &reply->message,
                     .verdict = &verdict,
                     .generation = generation,
                     .age = age,
                 },
                 &options, now, &counters);
}

static inline void put_how(const char *text, unsigned how)
{
    struct reply reply = reply_of(text);
    struct cache_key key;

    key_of_reply(&key, cache_secret(cache), &reply, how);
    put_reply(&key, &reply, cache_generation(cache), 0);
    reply_free(&reply); // the cache has its own
}

static inline void put(const char *text)
{
    put_how(text, 0);
}

static inline enum cache_state find_how(const char *question, unsigned how)
{
    struct cache_key key;

    key_of_text(&key, cache_secret(cache), question, how);
    memset(&found, 0xa5, sizeof(found));
    return cache_lookup(cache, &key, &options, now, &found);
}

static inline enum cache_state find(const char *question)
{
    return find_how(question, 0);
}

#define POSITIVE(ttl) REPLY(NOERROR, "0001 0000 0000") QUESTION A(WWW, ttl)
#define NEGATIVE(ttl) REPLY(NXDOMAIN, "0000 0001 0000") QUESTION SOA(EXAMPLE, ttl, ttl)
#define FAILURE REPLY(SERVFAIL, "0000 0000 0000") QUESTION

// The RDATA of the last record, if it has four octets.
static inline uint32_t content_found(void)
{
    return get_u32(found.message.wire + found.message.size - 4);
}

static inline int start_reader(void **state)
{
    cache_reader_start();
    return 0;
}

static inline int stop_reader(void **state)
{
    cache_reader_stop();
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
