// Random operations on the cache and on a plain model of it: what is found is what the model says.
// SOTTO_TEST_SEED and SOTTO_TEST_STEPS choose others than the usual ones.
#include "cache/cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "cache/reader.h"
#include "cache_text.h"
#include "dns/name.h"
#include "dns/ttl.h"

#define USUAL_SEED 20240601
#define USUAL_STEPS 100000

// The steps of the entries' clock: at these times the model needs no tolerance.
#define STEP (USEC_SEC / 16)
#define START (UINT64_C(123456) * USEC_SEC)

// Names above, below and beside each other.
static const char *const name_texts[] = {
    "{}",        "{test}",   "{a.test}",     "{b.a.test}", "{c.b.a.test}", "{ab.test}",
    "{aa.test}", "{b.test}", "{a.b.test}",   "{org}",      "{a.org}",      "{test.org}",
    "{b.a.org}", "{atest}",  "{a.test.org}", "{c.a.test}", "{40.test}",    "{x.y.z.a.test}",
};

enum { NAMES = ARRAY_LEN(name_texts), TYPES = 2, HOWS = 4, SLOTS = NAMES * TYPES * HOWS };

// What the cache should have under one key.
struct slot {
    bool kept;
    enum cache_kind kind;
    uint32_t content, ttl;
    usec_t came;
    unsigned hits;
    bool prefetched, failing;
    usec_t rests_until;
};

static struct {
    struct rng rng;
    usec_t now;
    struct cache *cache;
    struct cache_options options;
    struct counters counters;
    bool evicts; // the cache is small: any entry may be gone
    struct slot slots[SLOTS];
    uint64_t asked; // the generation, some time ago
    uint32_t content;
    uint8_t names[NAMES][DNS_NAME_MAX];
    uint64_t found[3]; // how often each state was found
} model;

static uint32_t pick(uint32_t bound)
{
    return rng_below(&model.rng, bound);
}

static unsigned name_of(unsigned slot)
{
    return slot / (TYPES * HOWS);
}

static uint16_t type_of(unsigned slot)
{
    return slot / HOWS % TYPES ? DNS_TYPE_TXT : DNS_TYPE_A;
}

static unsigned how_of(unsigned slot)
{
    return slot % HOWS;
}

// In letters as they come.
static size_t write_name(uint8_t *to, unsigned name)
{
    size_t length = dns_name_length(model.names[name]);

    for (size_t i = 0; i < length; i++) {
        uint8_t octet = model.names[name][i];

        to[i] = octet >= 'a' && octet <= 'z' && pick(2) ? octet & 0xdf : octet;
    }
    return length;
}

static void make_key(struct cache_key *key, unsigned slot)
{
    uint8_t question[DNS_QUESTION_MAX];
    size_t length = write_name(question, name_of(slot));

    put_u16(question + length, type_of(slot));
    put_u16(question + length + 2, DNS_CLASS_IN);
    key_of(key, cache_secret(model.cache), question, length + 4, how_of(slot));
}

// ---- The model

static usec_t age_of(const struct slot *slot)
{
    return model.now > slot->came ? model.now - slot->came : 0;
}

static enum cache_state state_of(const struct slot *slot)
{
    usec_t age = age_of(slot), ttl = slot->ttl * USEC_SEC;

    if (!slot->kept)
        return CACHE_MISS;
    if (age < ttl)
        return CACHE_FRESH;
    return slot->kind != CACHE_FAILURE && age < ttl + model.options.stale_max ? CACHE_STALE
                                                                              : CACHE_MISS;
}

// Whether this fresh hit is the one that has the answer refreshed.
static bool count_hit(struct slot *slot)
{
    usec_t left = slot->ttl * USEC_SEC - age_of(slot);

    slot->hits++;
    if (slot->hits < 2 || slot->prefetched || slot->kind == CACHE_FAILURE ||
        left * 10 > slot->ttl * USEC_SEC)
        return false;
    slot->prefetched = true;
    return true;
}

// ---- Operations

static void check_content(const struct cache_found *found, const struct slot *slot,
                          enum cache_state state, const struct cache_key *key)
{
    struct dns_message message;
    uint8_t reply[4096];

    assert_int_equal(dns_message_parse(&message, found->message.wire, found->message.size), 0);
    assert_int_equal(found->kind, slot->kind);
    assert_int_equal(message.question_size, key->size);
    assert_memory_equal(dns_message_question(&message), key->question, key->size);
    if (slot->kind == CACHE_FAILURE)
        return;
    // Each answer ends with its number and four octets.
    assert_int_equal(get_u32(message.wire + message.size - 8), slot->content);
    assert_int_equal(found->ttl_count, 1);
    assert_true(message.size <= sizeof(reply));
    memcpy(reply, message.wire, message.size);
    cache_found_set_ttls(found, state, reply);
    assert_int_equal(get_u32(reply + found->ttls[0]),
                     state == CACHE_STALE ? 30 : slot->ttl - age_of(slot) / USEC_SEC);
}

static enum cache_state lookup(unsigned index)
{
    struct slot *slot = &model.slots[index];
    enum cache_state state, expected = state_of(slot);
    struct cache_found found;
    struct cache_key key;

    make_key(&key, index);
    state = cache_lookup(model.cache, &key, &model.options, model.now, &found);
    model.found[state]++;
    if (state == CACHE_MISS && model.evicts) {
        slot->kept = slot->kept && expected == CACHE_MISS;
        return state;
    }
    assert_int_equal(state, expected);
    if (state == CACHE_MISS)
        return state;
    assert_int_equal(found.age, age_of(slot) / USEC_SEC);
    if (state == CACHE_FRESH) {
        assert_int_equal(found.prefetch, count_hit(slot));
    } else {
        assert_false(found.prefetch);
        assert_int_equal(found.failing, slot->failing);
        assert_int_equal(found.resting, slot->failing && model.now < slot->rests_until);
        if (pick(4) == 0) {
            cache_set_failing(&found, model.now);
            slot->failing = true;
            slot->rests_until = model.now + CACHE_REST;
        }
    }
    check_content(&found, slot, state, &key);
    return state;
}

static void build_reply(struct reply *reply, const struct slot *slot, unsigned index)
{
    static const uint16_t rcodes[] = {
        [CACHE_POSITIVE] = 0, [CACHE_NODATA] = 0, [CACHE_NXDOMAIN] = 3, [CACHE_FAILURE] = 2};
    bool records = slot->kind != CACHE_FAILURE;
    uint8_t wire[4096];
    struct writer w = writer_of(wire, sizeof(wire));

    writer_u16(&w, (uint16_t)pick(65536));
    writer_u16(&w, 0x8180 | rcodes[slot->kind]);
    writer_u16(&w, 1);
    writer_u16(&w, slot->kind == CACHE_POSITIVE);
    writer_u16(&w, records && slot->kind != CACHE_POSITIVE);
    writer_u16(&w, 0);
    w.pos += write_name(wire + w.pos, name_of(index));
    writer_u16(&w, type_of(index));
    writer_u16(&w, DNS_CLASS_IN);
    if (slot->kind == CACHE_POSITIVE) {
        size_t padding = pick(8) ? pick(100) : pick(1500);

        wire_put(&w, "c00c");
        writer_u16(&w, type_of(index));
        writer_u16(&w, DNS_CLASS_IN);
        writer_u32(&w, slot->ttl);
        writer_u16(&w, (uint16_t)(padding + 8));
        writer_zeros(&w, padding);
        writer_u32(&w, slot->content);
        writer_u32(&w, 0);
    } else if (records) {
        wire_put(&w, "00 0006 0001");
        writer_u32(&w, slot->ttl);
        wire_put(&w, "0016 00 00 00000001 00000e10 00000258");
        writer_u32(&w, slot->content);
        writer_u32(&w, slot->ttl);
    }
    require(!w.failed);
    *reply = reply_of_bytes(wire, w.pos);
}

static void insert(unsigned index)
{
    struct slot *slot = &model.slots[index];
    struct slot fresh = {.kept = true, .content = ++model.content, .ttl = 1 + pick(120)};
    usec_t age = pick(4) ? 0 : pick(16 * 60) * STEP;
    uint64_t generation = pick(8) ? cache_generation(model.cache) : model.asked;
    struct cache_verdict verdict = {.keep = true, .ttl_max = DNS_TTL_MAX};
    struct reply reply;
    struct cache_key key;

    fresh.kind = pick(2) ? CACHE_POSITIVE : (enum cache_kind)pick(4);
    fresh.came = model.now - age;
    // Whether the answer is still there, that a failure must not displace.
    if (fresh.kind == CACHE_FAILURE && model.evicts)
        (void)lookup(index);
    build_reply(&reply, &fresh, index);
    make_key(&key, index);
    verdict.kind = fresh.kind;
    verdict.ttl = fresh.ttl;
    cache_insert(model.cache,
                 &(struct cache_answer){
                     .key = &key,
                     .reply = &reply.message,
                     .verdict = &verdict,
                     .generation = generation,
                     .age = age,
                 },
                 &model.options, model.now, &model.counters);
    reply_free(&reply);
    if (generation != cache_generation(model.cache) ||
        (fresh.kind == CACHE_FAILURE && slot->kind != CACHE_FAILURE &&
         state_of(slot) != CACHE_MISS))
        return;
    *slot = fresh;
}

static void flush(bool all, bool subtree)
{
    unsigned name = pick(NAMES);
    uint8_t wire[DNS_NAME_MAX];
    uint64_t usable = 0, kept = 0, dropped;

    write_name(wire, name);
    model.asked = cache_generation(model.cache);
    for (unsigned i = 0; i < SLOTS; i++) {
        const uint8_t *owner = model.names[name_of(i)];

        if (!all && !(subtree ? dns_name_is_under(owner, wire) : name_of(i) == name))
            continue;
        usable += state_of(&model.slots[i]) != CACHE_MISS;
        kept += model.slots[i].kept;
        model.slots[i].kept = false;
    }
    dropped = cache_flush(model.cache, all ? NULL : wire, subtree);
    // Whether what is over is still there is the cache's business.
    assert_in_range(dropped, model.evicts ? 0 : usable, kept);
}

static void remove_one(unsigned index)
{
    struct cache_key key;

    make_key(&key, index);
    cache_remove(model.cache, &key);
    model.slots[index].kept = false;
}

static void check_usage(void)
{
    struct cache_usage usage;
    uint64_t usable = 0, kept = 0;

    cache_usage(model.cache, &usage);
    for (unsigned i = 0; i < SLOTS; i++) {
        usable += state_of(&model.slots[i]) != CACHE_MISS;
        kept += model.slots[i].kept;
    }
    assert_true(usage.bytes <= usage.size);
    assert_in_range(usage.entries, model.evicts ? 0 : usable, kept);
}

static void do_something(void)
{
    unsigned what = pick(1000), slot = pick(SLOTS);

    if (what < 500)
        (void)lookup(slot);
    else if (what < 800)
        insert(slot);
    else if (what < 950)
        model.now += pick(20) * STEP;
    else if (what < 955)
        model.now += pick(16 * 200) * STEP;
    else if (what < 965)
        model.asked = cache_generation(model.cache);
    else if (what < 980)
        remove_one(slot);
    else if (what < 990)
        flush(false, false);
    else if (what < 994)
        flush(false, true);
    else if (what < 995)
        flush(true, pick(2));
    else
        check_usage();
}

static bool count_visit(void *context, const struct cache_visit *visit)
{
    ++*(uint64_t *)context;
    return true;
}

static void check_walk(void)
{
    uint64_t expected = 0, visits = 0;

    for (unsigned i = 0; i < SLOTS; i++)
        expected += state_of(&model.slots[i]) != CACHE_MISS && model.slots[i].kind != CACHE_FAILURE;
    cache_walk(model.cache, &model.options, model.now, count_visit, &visits);
    assert_in_range(visits, model.evicts ? 0 : expected, SLOTS);
}

static uint64_t number_from(const char *variable, uint64_t usual)
{
    const char *text = getenv(variable);

    return text && *text ? strtoull(text, NULL, 0) : usual;
}

static void run(uint64_t size, usec_t stale_max, bool evicts)
{
    uint64_t seed = number_from("SOTTO_TEST_SEED", USUAL_SEED);
    uint64_t steps = number_from("SOTTO_TEST_STEPS", USUAL_STEPS);

    print_message("SOTTO_TEST_SEED=%" PRIu64 "\n", seed);
    memset(&model, 0, sizeof(model));
    model.rng.state = seed ? seed : 1;
    model.now = START;
    model.evicts = evicts;
    model.options = usual_options;
    model.options.stale_max = stale_max;
    for (unsigned i = 0; i < NAMES; i++) {
        struct wire name = wire_of(name_texts[i]);

        memcpy(model.names[i], name.bytes, name.size);
        wire_free(&name);
    }
    model.cache = cache_new(size);
    assert_non_null(model.cache);
    cache_reader_online();
    for (uint64_t step = 0; step < steps; step++) {
        do_something();
        if (step % 64 != 0)
            continue;
        cache_reader_offline();
        if (step % 4096 == 0)
            check_walk();
        cache_reader_online();
    }
    cache_reader_offline();
    cache_free(model.cache);

    // It was no walk in the park.
    if (steps < USUAL_STEPS)
        return;
    assert_true(model.found[CACHE_FRESH] > steps / 20);
    assert_true(model.found[CACHE_MISS] > steps / 20);
    assert_true(stale_max == 0 || model.found[CACHE_STALE] > steps / 100);
    assert_int_equal(counter_get(&model.counters, COUNTER_cache_evictions) > steps / 5000, evicts);
    assert_int_equal(counter_get(&model.counters, COUNTER_cache_expired) > steps / 5000, evicts);
}

static void test_with_room_for_all(void **state)
{
    run(4 * 1024 * 1024, 60 * USEC_SEC, false);
}

static void test_with_room_for_all_and_nothing_stale(void **state)
{
    run(4 * 1024 * 1024, 0, false);
}

static void test_with_eviction(void **state)
{
    run(16 * 1024, 60 * USEC_SEC, true);
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
        cmocka_unit_test(test_with_room_for_all),
        cmocka_unit_test(test_with_room_for_all_and_nothing_stale),
        cmocka_unit_test(test_with_eviction),
    };

    return cmocka_run_group_tests(tests, start_reader, stop_reader);
}
