// How the cache keeps to its budget, and what makes room.
#include "cache/cache.h"

#include "cache_fixture.h"

// Small enough to have one shard, so that it is known what goes first.
static void use_small_cache(void)
{
    free_cache();
    new_cache(CACHE_SIZE_MIN);
}

static void test_size_0_keeps_nothing(void **state)
{
    struct cache_usage usage;
    struct wire name = wire_of("{www.example.org}");
    struct cache_key key;

    free_cache();
    new_cache(0);
    key_of_text(&key, cache_secret(cache), QUESTION, 0);
    assert_int_equal(find(QUESTION), CACHE_MISS);
    put(POSITIVE(T300));
    put(FAILURE);
    assert_int_equal(find(QUESTION), CACHE_MISS);
    cache_remove(cache, &key);
    assert_int_equal(cache_flush(cache, name.bytes, true), 0);
    assert_int_equal(cache_flush(cache, NULL, false), 0);
    cache_usage(cache, &usage);
    assert_int_equal(usage.size, 0);
    assert_int_equal(usage.entries, 0);
    assert_int_equal(usage.bytes, 0);
    assert_int_equal(count_of(COUNTER_cache_inserts), 0);
    wire_free(&name);
}

// Answer number `i`, with `padding` octets more. Its hash is its number, so that the same happens
// in each run.
static void number_put(uint32_t i, const char *ttl, size_t padding)
{
    static uint8_t bytes[DNS_MESSAGE_MAX];
    struct writer w = writer_of(bytes, sizeof(bytes));
    struct cache_key key;
    char text[200];

    snprintf(text, sizeof(text),
             REPLY(NOERROR, "0001 0000 0000") "{n%06u.test} 0010 0001 c00c 0010 0001 %s %04zx", i,
             ttl, padding + 4);
    wire_put(&w, text);
    writer_zeros(&w, padding);
    writer_u32(&w, i);

    struct reply reply = reply_of_bytes(bytes, w.pos);

    key_of_reply(&key, cache_secret(cache), &reply, 0);
    key.hash = i;
    put_reply(&key, &reply, cache_generation(cache), 0);
    reply_free(&reply);
}

static enum cache_state number_find(uint32_t i)
{
    enum cache_state state;
    struct cache_key key;
    char text[100];

    snprintf(text, sizeof(text), "{n%06u.test} 0010 0001", i);
    key_of_text(&key, cache_secret(cache), text, 0);
    key.hash = i;
    memset(&found, 0xa5, sizeof(found));
    state = cache_lookup(cache, &key, &options, now, &found);
    if (state != CACHE_MISS)
        assert_int_equal(content_found(), i);
    return state;
}

// Puts numbers in until the next would cost another its place. Returns how many they are.
static uint32_t fill(const char *ttl)
{
    uint64_t one = usage_of().bytes;
    uint32_t count = 1;

    number_put(0, ttl, 0);
    one = usage_of().bytes - one;
    while (usage_of().bytes + one <= usage_of().size)
        number_put(count++, ttl, 0);
    return count;
}

static void test_room_is_used(void **state)
{
    use_small_cache();
    assert_in_range(fill(T300), 200, 1500);
    assert_int_equal(count_of(COUNTER_cache_evictions), 0);
    assert_true(usage_of().bytes > CACHE_SIZE_MIN * 95 / 100);
}

// What nobody asks for goes in the order in which it came.
static void test_oldest_first(void **state)
{
    use_small_cache();

    uint32_t count = fill(T300), more = count / 2;

    for (uint32_t i = 0; i < more; i++)
        number_put(count + i, T300, 0);
    assert_int_equal(count_of(COUNTER_cache_evictions), more);
    assert_int_equal(count_of(COUNTER_cache_expired), 0);
    for (uint32_t i = 0; i < count + more; i++)
        if (number_find(i) != (i < more ? CACHE_MISS : CACHE_FRESH))
            fail_msg("%u of %u", i, count);
}

// SIEVE: what was asked for since the hand last came by is spared, once.
static void test_what_was_asked_for_is_spared(void **state)
{
    use_small_cache();

    uint32_t count = fill(T300), visited = (count + 2) / 3, others = count - visited;

    for (uint32_t i = 0; i < count; i += 3)
        assert_int_equal(number_find(i), CACHE_FRESH);
    // All others go, in their order, and none of those.
    for (uint32_t i = 0; i < others; i++) {
        uint32_t gone = i / 2 * 3 + 1 + i % 2;

        number_put(count + i, T300, 0);
        assert_int_equal(count_of(COUNTER_cache_evictions), i + 1);
        assert_int_equal(usage_of().entries, count);
        if (number_find(gone) != CACHE_MISS)
            fail_msg("%u is still there after %u of %u", gone, i + 1, count);
    }
    for (uint32_t i = 0; i < count; i += 3)
        if (number_find(i) != CACHE_FRESH)
            fail_msg("%u is gone", i);
}

// The hand comes round: what was spared and not asked for since goes before what was.
static void test_spared_but_once(void **state)
{
    uint32_t gone = 0;

    use_small_cache();

    uint32_t count = fill(T300);

    // The first pass: half are spared, and the hand is behind them.
    for (uint32_t i = 0; i < count / 2; i++)
        assert_int_equal(number_find(i), CACHE_FRESH);
    number_put(count, T300, 0);
    for (uint32_t i = 1; i < count; i++) {
        // Asked for again, all but these: the hand has to come back for them.
        for (uint32_t j = count / 2; j <= count + i; j++)
            (void)number_find(j);
        number_put(count + i, T300, 0);
        for (gone = 0; gone < count / 2 && number_find(gone) != CACHE_MISS;)
            gone++;
        if (gone < count / 2)
            break;
    }
    assert_true(gone < count / 2);
}

// All have been asked for: there is room nevertheless, for the price of one.
static void test_all_were_asked_for(void **state)
{
    use_small_cache();

    uint32_t count = fill(T300);

    for (uint32_t round = 0; round < 20; round++) {
        for (uint32_t i = 0; i < count + round; i++)
            (void)number_find(i);
        number_put(count + round, T300, 0);
        assert_int_equal(count_of(COUNTER_cache_evictions), round + 1);
        assert_int_equal(number_find(count + round), CACHE_FRESH);
        assert_int_equal(usage_of().entries, count);
    }
}

// A large answer takes the place of as many small ones as needed, and no more.
static void test_room_for_a_large_answer(void **state)
{
    use_small_cache();

    uint32_t count = fill(T300);
    uint64_t bytes = usage_of().bytes;

    number_put(count, T300, 4000);
    assert_int_equal(number_find(count), CACHE_FRESH);
    assert_true(count_of(COUNTER_cache_evictions) > 10);
    assert_int_equal(usage_of().entries, count + 1 - count_of(COUNTER_cache_evictions));
    assert_true(usage_of().bytes > bytes - 300);
}

// What is past its TTL goes first, though it is newer, and was asked for.
static void test_expired_first(void **state)
{
    use_small_cache();

    uint32_t count = fill(T300);

    cache_flush(cache, NULL, false);
    memset(&counters, 0, sizeof(counters));
    for (uint32_t i = 0; i < count; i++)
        number_put(i, i % 2 ? T10 : HOUR, 0);
    now += SECONDS(11);
    for (uint32_t i = 1; i < count; i += 2)
        assert_int_equal(number_find(i), CACHE_STALE);
    for (uint32_t i = 0; i < count / 4; i++)
        number_put(count + i, HOUR, 0);
    assert_int_equal(count_of(COUNTER_cache_evictions), 0);
    assert_in_range(count_of(COUNTER_cache_expired), count / 4, count / 2);
    for (uint32_t i = 0; i < count; i += 2)
        assert_int_equal(number_find(i), CACHE_FRESH);
    for (uint32_t i = 0; i < count / 4; i++)
        assert_int_equal(number_find(count + i), CACHE_FRESH);
}

// Whichever way an answer past its TTL is come upon, nothing is evicted for it.
static void test_oldest_is_expired(void **state)
{
    use_small_cache();

    uint32_t count = fill(HOUR), last = 511; // in the bucket that is looked through last

    cache_flush(cache, NULL, false);
    memset(&counters, 0, sizeof(counters));
    number_put(1024 + last, T10, 0);
    for (uint32_t i = 0; i + 1 < count; i++)
        number_put(i, HOUR, 0);
    assert_int_equal(count_of(COUNTER_cache_expired) + count_of(COUNTER_cache_evictions), 0);
    now += SECONDS(11);
    number_put(count, HOUR, 0);
    assert_int_equal(count_of(COUNTER_cache_expired), 1);
    assert_int_equal(count_of(COUNTER_cache_evictions), 0);
    assert_int_equal(number_find(1024 + last), CACHE_MISS);
}

// All is past its TTL: the whole cache makes way, and nothing that is fresh is counted as evicted.
static void test_all_expired(void **state)
{
    use_small_cache();

    uint32_t count = fill(T10);

    for (unsigned round = 1; round <= 5; round++) {
        now += SECONDS(10);
        for (uint32_t i = 0; i < count; i++)
            number_put(round * count + i, T10, 0);
        assert_int_equal(count_of(COUNTER_cache_evictions), 0);
        for (uint32_t i = 0; i < count; i++)
            assert_int_equal(number_find(round * count + i), CACHE_FRESH);
    }
    assert_int_equal(count_of(COUNTER_cache_inserts) - count_of(COUNTER_cache_expired),
                     usage_of().entries);
}

// Nothing is expired yet, and then one after the other: each makes way no later than needed.
static void test_expired_one_by_one(void **state)
{
    use_small_cache();

    uint32_t count = fill(T300);

    cache_flush(cache, NULL, false);
    memset(&counters, 0, sizeof(counters));
    for (uint32_t i = 0; i < count; i++) {
        char ttl[10];

        snprintf(ttl, sizeof(ttl), "%08x ", 10 + (i * 7919) % count); // each value once
        number_put(i, ttl, 0);
    }
    now += SECONDS(9);
    for (uint32_t i = 0; i < count / 2; i++) {
        now += SECONDS(1);
        // Where they stand, only the whole table tells: some insertions may have to look for long.
        number_put(count + i, DAY, 0);
    }
    assert_true(count_of(COUNTER_cache_expired) > count / 4);
    assert_int_equal(count_of(COUNTER_cache_inserts), usage_of().entries +
                                                          count_of(COUNTER_cache_expired) +
                                                          count_of(COUNTER_cache_evictions));
}

// Whatever is put in, of whatever size: never more than the budget, and all counted.
static void test_budget(void **state)
{
    static const uint64_t sizes[] = {CACHE_SIZE_MIN, CACHE_SIZE_MIN + 1, 1000000,
                                     4 * 1024 * 1024 + 12345, 16 * 1024 * 1024};
    struct rng rng = {.state = 88172645463325252};

    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        uint64_t empty, kept = 0;

        free_cache();
        new_cache(sizes[i]);
        memset(&counters, 0, sizeof(counters));
        empty = usage_of().bytes;
        assert_true(empty < sizes[i] / 2);
        for (unsigned step = 0; step < 3000; step++) {
            uint32_t kind = rng_below(&rng, 10), number = step;
            size_t padding = kind < 6   ? rng_below(&rng, 200)
                             : kind < 9 ? rng_below(&rng, 8000)
                                        : rng_below(&rng, 65000);

            number_put(number, T300, padding);
            assert_true(usage_of().bytes <= sizes[i]);
            now += rng_below(&rng, USEC_SEC / 10);
            (void)number_find(rng_below(&rng, step + 1));
        }
        for (unsigned step = 0; step < 3000; step++)
            kept += number_find(step) != CACHE_MISS;
        assert_int_equal(kept, usage_of().entries);
        assert_int_equal(count_of(COUNTER_cache_inserts) - count_of(COUNTER_cache_evictions) -
                             count_of(COUNTER_cache_expired),
                         kept);
        assert_int_equal(cache_flush(cache, NULL, false), kept);
        assert_int_equal(usage_of().bytes, empty);
    }
}

// A budget smaller than any table: nothing is kept, and nothing goes wrong.
static void test_tiny_budgets(void **state)
{
    for (uint64_t size = 1; size < 4096; size = size * 3 + 1) {
        struct cache_usage usage;

        free_cache();
        new_cache(size);
        for (uint32_t i = 0; i < 100; i++) {
            number_put(i, T300, i * 10);
            (void)number_find(i);
        }
        cache_flush(cache, NULL, false);
        cache_usage(cache, &usage);
        assert_int_equal(usage.entries, 0);
    }
}

// One answer must not wash out all others.
static void test_too_large_for_the_cache(void **state)
{
    use_small_cache();
    number_put(1, T300, 0);
    number_put(2, T300, 60000);
    assert_int_equal(number_find(2), CACHE_MISS);
    assert_int_equal(number_find(1), CACHE_FRESH);
    assert_int_equal(usage_of().entries, 1);
    assert_int_equal(count_of(COUNTER_cache_inserts), 1);
    assert_int_equal(count_of(COUNTER_cache_evictions), 0);

    // What it takes the place of is out of date, whether or not it is kept itself.
    number_put(1, T300, 60000);
    assert_int_equal(number_find(1), CACHE_MISS);
    assert_int_equal(usage_of().entries, 0);

    free_cache();
    new_cache(16 * 1024 * 1024);
    number_put(2, T300, 65000);
    assert_int_equal(number_find(2), CACHE_FRESH);
    assert_true(usage_of().bytes > 65000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_size_0_keeps_nothing),
        TEST(test_room_is_used),
        TEST(test_oldest_first),
        TEST(test_what_was_asked_for_is_spared),
        TEST(test_spared_but_once),
        TEST(test_all_were_asked_for),
        TEST(test_room_for_a_large_answer),
        TEST(test_expired_first),
        TEST(test_oldest_is_expired),
        TEST(test_all_expired),
        TEST(test_expired_one_by_one),
        TEST(test_budget),
        TEST(test_tiny_budgets),
        TEST(test_too_large_for_the_cache),
    };

    return cmocka_run_group_tests(tests, start_reader, stop_reader);
}
