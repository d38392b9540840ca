#include "cache/cache.h"

#include "cache_fixture.h"
#include "dns/build.h"
#include "dns/name.h"

// An answer for {NAME} that says which it is.
static void put_name_how(const char *name, const char *type, uint32_t content, unsigned how)
{
    char text[400];

    snprintf(text, sizeof(text),
             REPLY(NOERROR, "0001 0000 0000") "{%s} %s 0001 c00c %s 0001 " T300 "0004 %08x", name,
             type, type, content);
    put_how(text, how);
}

static void put_name(const char *name)
{
    put_name_how(name, "0001", 0, 0);
}

static enum cache_state find_name_how(const char *name, const char *type, unsigned how)
{
    char text[300];

    snprintf(text, sizeof(text), "{%s} %s 0001", name, type);
    return find_how(text, how);
}

static enum cache_state find_name(const char *name)
{
    return find_name_how(name, "0001", 0);
}

// ---- What is found

static void test_empty(void **state)
{
    struct cache_usage usage = usage_of();

    assert_int_equal(find(QUESTION), CACHE_MISS);
    assert_int_equal(usage.entries, 0);
    assert_int_equal(usage.size, options.size);
    assert_int_equal(cache_flush(cache, NULL, false), 0);
}

// What an upstream sent, and what is given.
static const struct {
    const char *what, *upstream, *kept;
    enum cache_kind kind;
    unsigned records;
} messages[] = {
    {"the ID goes, RD, RA and letter case are brought into one form",
     "1234 8180 0001 0001 0000 0000 {wWw.EXAMPLE.org} 0001 0001 " A(WWW, T300),
     "0000 8180 0001 0001 0000 0000 " QUESTION A(WWW, T300), CACHE_POSITIVE, 1},
    {"AA goes", "ffff 8580 0001 0001 0000 0000 " QUESTION A(WWW, T300),
     "0000 8180 0001 0001 0000 0000 " QUESTION A(WWW, T300), CACHE_POSITIVE, 1},
    {"AD stays", "1234 85a0 0001 0001 0000 0000 " QUESTION A(WWW, T300),
     "0000 81a0 0001 0001 0000 0000 " QUESTION A(WWW, T300), CACHE_POSITIVE, 1},
    {"records of all sections, in any letters",
     "1234 8180 0001 0002 0001 0001 " QUESTION A(WWW, T300) A("{WWW.Example.ORG} ", T300)
         NS(EXAMPLE, T600) A(EXAMPLE, HOUR),
     "0000 8180 0001 0002 0001 0001 " QUESTION A(WWW, T300) A("{WWW.Example.ORG} ", T300)
         NS(EXAMPLE, T600) A(EXAMPLE, HOUR),
     CACHE_POSITIVE, 4},
    {"NODATA", "1234 8180 0001 0000 0001 0000 " QUESTION SOA(EXAMPLE, T300, T300),
     "0000 8180 0001 0000 0001 0000 " QUESTION SOA(EXAMPLE, T300, T300), CACHE_NODATA, 1},
    {"NXDOMAIN, its SOA's TTL is how long it is valid",
     "1234 8183 0001 0000 0001 0000 " QUESTION SOA(EXAMPLE, T600, T60),
     "0000 8183 0001 0000 0001 0000 " QUESTION SOA(EXAMPLE, T60, T60), CACHE_NXDOMAIN, 1},
    {"the OPT goes", "1234 8180 0001 0001 0000 0001 " QUESTION A(WWW, T300) PLAIN_OPT,
     "0000 8180 0001 0001 0000 0000 " QUESTION A(WWW, T300), CACHE_POSITIVE, 1},
    {"R9 the OPT goes with its padding, what is in front stays",
     "1234 8180 0001 0001 0000 0002 " QUESTION A(WWW, T300)
         A(EXAMPLE, T300) "00 0029 1000 00008000 1004 000c 1000 00*4096 ",
     "0000 8180 0001 0001 0000 0001 " QUESTION A(WWW, T300) A(EXAMPLE, T300), CACHE_POSITIVE, 2},
    {"the OPT of a negative answer goes",
     "1234 8183 0001 0000 0001 0001 " QUESTION SOA(EXAMPLE, T300, T300) PLAIN_OPT,
     "0000 8183 0001 0000 0001 0000 " QUESTION SOA(EXAMPLE, T300, T300), CACHE_NXDOMAIN, 1},
    {"R8 a TTL over max-ttl", "1234 8180 0001 0002 0000 0000 " QUESTION A(WWW, WEEK) A(WWW, T300),
     "0000 8180 0001 0002 0000 0000 " QUESTION A(WWW, DAY) A(WWW, T300), CACHE_POSITIVE, 2},
};

static void test_what_is_found(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(messages); i++) {
        struct reply kept = reply_of(messages[i].kept);
        struct dns_message parsed;

        put(messages[i].upstream);
        assert_int_equal(find(QUESTION), CACHE_FRESH);
        if (found.message.size != kept.wire.size ||
            memcmp(found.message.wire, kept.wire.bytes, kept.wire.size) != 0)
            fail_msg("%s: not the message that was expected", messages[i].what);

        // The view agrees with the bytes.
        assert_int_equal(dns_message_parse(&parsed, found.message.wire, found.message.size), 0);
        assert_int_equal(found.message.id, 0);
        assert_int_equal(found.message.flags, parsed.flags);
        assert_int_equal(found.message.question_count, 1);
        assert_memory_equal(found.message.count, parsed.count, sizeof(parsed.count));
        assert_int_equal(found.message.question_size, parsed.question_size);
        assert_int_equal(found.message.type, parsed.type);
        assert_int_equal(found.message.class, parsed.class);
        assert_int_equal(found.message.section[DNS_ANSWER], parsed.section[DNS_ANSWER]);
        assert_int_equal(found.message.end, parsed.end);
        assert_false(found.message.has_opt);
        assert_int_equal(found.message.opt_records_behind, 0);
        assert_int_equal(dns_message_rcode(&found.message), dns_message_rcode(&parsed));
        assert_false(found.message.ttl_invalid);

        assert_int_equal(found.kind, messages[i].kind);
        assert_int_equal(found.age, 0);
        assert_int_equal(found.ttl_count, messages[i].records);

        size_t pos = parsed.section[DNS_ANSWER];
        struct dns_record record;

        for (unsigned j = 0; j < found.ttl_count; j++) {
            assert_true(dns_record_next(&parsed, &pos, &record));
            assert_int_equal(found.ttls[j], record.ttl_pos);
        }
        reply_free(&kept);
    }
    assert_int_equal(usage_of().entries, 1);
}

// The largest message, of as many records as possible: nothing in it is counted in 8 bits.
static void test_largest_message(void **state)
{
    static uint8_t bytes[DNS_MESSAGE_MAX];
    struct writer w = writer_of(bytes, sizeof(bytes));
    struct cache_key key;
    uint16_t count = 0;

    free_cache();
    new_cache(64 * 1024 * 1024);
    wire_put(&w, "1234 8180 0001 0000 0000 0000 {} ff00 0001");
    for (; writer_left(&w) >= 11; count++)
        wire_put(&w, "00 ff00 0001 0000012c 0000");
    put_u16(bytes + 6, count);

    struct reply reply = reply_of_bytes(bytes, w.pos);

    key_of_reply(&key, cache_secret(cache), &reply, 0);
    put_reply(&key, &reply, cache_generation(cache), 0);
    assert_int_equal(find("{} ff00 0001"), CACHE_FRESH);
    assert_int_equal(found.message.size, w.pos);
    assert_int_equal(found.ttl_count, count);
    assert_memory_equal(found.message.wire + 2, reply.wire.bytes + 2, w.pos - 2);
    assert_int_equal(found.ttls[count - 1], w.pos - 6);
    reply_free(&reply);
}

// Names of one hash: the whole question is compared.
static void test_one_hash_for_all(void **state)
{
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 200; i++) {
            char text[200];
            struct cache_key key;

            snprintf(text, sizeof(text),
                     REPLY(NOERROR, "0001 0000 0000") "{n%u.test} 0001 0001 c00c 0001 0001 " T300
                                                      "0004 %08x",
                     i / 2, i);

            struct reply reply = reply_of(text);

            key_of_reply(&key, cache_secret(cache), &reply, i % 2);
            key.hash = 42;
            if (round == 0) {
                assert_int_equal(cache_lookup(cache, &key, &options, now, &found), CACHE_MISS);
                put_reply(&key, &reply, cache_generation(cache), 0);
            }
            assert_int_equal(cache_lookup(cache, &key, &options, now, &found), CACHE_FRESH);
            assert_int_equal(content_found(), i);
            reply_free(&reply);
        }
    }
}

static void test_keys_are_separate(void **state)
{
    static const char *const names[] = {"www.example.org", "www.example.com", "example.org"};
    static const char *const types[] = {"0001", "001c"};
    uint32_t content = 0;

    for (unsigned round = 0; round < 2; round++) {
        content = 0;
        for (size_t name = 0; name < ARRAY_LEN(names); name++) {
            for (size_t type = 0; type < ARRAY_LEN(types); type++) {
                for (unsigned how = 0; how < 4; how++, content++) {
                    if (round == 0) {
                        assert_int_equal(find_name_how(names[name], types[type], how), CACHE_MISS);
                        put_name_how(names[name], types[type], content, how);
                    }
                    assert_int_equal(find_name_how(names[name], types[type], how), CACHE_FRESH);
                    assert_int_equal(content_found(), content);
                }
            }
        }
    }
    assert_int_equal(usage_of().entries, content);
    assert_int_equal(find_name_how("www.example.org", "0001", CACHE_KEY_NO_RECURSION), CACHE_MISS);
}

static void test_letter_case_is_one(void **state)
{
    put("1234 8180 0001 0001 0000 0000 {www.EXAMPLE.org} 0001 0001 " A(WWW, T300));
    assert_int_equal(find("{WWW.example.ORG} 0001 0001"), CACHE_FRESH);
    assert_int_equal(find("{www.example.org} 0001 0001"), CACHE_FRESH);
    put_name_how("Www.Example.Org", "0001", 7, 0);
    assert_int_equal(find("{www.example.org} 0001 0001"), CACHE_FRESH);
    assert_int_equal(content_found(), 7);
    assert_int_equal(usage_of().entries, 1);
}

// R6: what else is in a reply does not become findable.
static void test_nothing_but_the_question_is_found(void **state)
{
    put(REPLY(NOERROR, "0002 0001 0001") QUESTION WWW
        "0005 0001 " T300 "0008 {b.test} " A("{b.test} ", T300) NS(EXAMPLE, T300) A(EXAMPLE, T300));
    assert_int_equal(find(QUESTION), CACHE_FRESH);
    assert_int_equal(find("{b.test} 0001 0001"), CACHE_MISS);
    assert_int_equal(find("{www.example.org} 0005 0001"), CACHE_MISS);
    assert_int_equal(find("{example.org} 0001 0001"), CACHE_MISS);
    assert_int_equal(find("{example.org} 0002 0001"), CACHE_MISS);
}

// What was found is whole for as long as the reader is online, whatever becomes of the entry.
static void test_found_stays_while_online(void **state)
{
    struct cache_found first;
    uint8_t copy[512];

    put(POSITIVE(T300));
    assert_int_equal(find(QUESTION), CACHE_FRESH);
    first = found;
    memcpy(copy, first.message.wire, first.message.size);
    put_name_how("www.example.org", "0001", 7, 0);
    assert_memory_equal(first.message.wire, copy, first.message.size);
    cache_flush(cache, NULL, false);
    assert_memory_equal(first.message.wire, copy, first.message.size);
    assert_int_equal(get_u32(first.message.wire + first.ttls[0]), 300);
    cache_set_failing(&first, now); // does no harm
}

// ---- Time

// The reply that a client gets, built from what was found.
static void assert_shown(const char *what, enum cache_state state, const char *expected_text)
{
    struct wire expected = wire_of(expected_text);
    struct wire question = wire_of("{wWW.example.ORG} 0001 0001");
    struct dns_opt opt = dns_opt_plain(1232, false);
    const struct dns_reply_to reply = {.id = 0x1234,
                                       .flags = DNS_FLAG_RD,
                                       .question = question.bytes,
                                       .question_size = question.size,
                                       .opt = &opt,
                                       .limit = 512};
    uint8_t *to = malloc(expected.size);

    assert_non_null(to);
    assert_int_equal(dns_reply_build(to, expected.size, &reply, &found.message, true),
                     expected.size);
    cache_found_set_ttls(&found, state, to);
    if (memcmp(to, expected.bytes, expected.size) != 0)
        fail_msg("%s: not the reply that was expected", what);
    free(to);
    wire_free(&question);
    wire_free(&expected);
}

#define SHOWN(flags, counts) "1234 " flags "0001 " counts "{wWW.example.ORG} 0001 0001 "

// Each record counts down on its own, from what it was.
static void test_ttls_count_down(void **state)
{
    static const struct {
        const char *what;
        usec_t after;
        uint32_t age, ttls[4];
    } cases[] = {
        {"at once", 0, 0, {60, 300, 3600, 61}},
        {"within the first second", SECONDS(1) - STEP, 0, {60, 300, 3600, 61}},
        {"after a second", SECONDS(1), 1, {59, 299, 3599, 60}},
        {"half way", SECONDS(30) + USEC_SEC / 2, 30, {30, 270, 3570, 31}},
        {"last second", SECONDS(59), 59, {1, 241, 3541, 2}},
        {"last moment", SECONDS(60) - STEP, 59, {1, 241, 3541, 2}},
        {"stale", SECONDS(60), 60, {30, 30, 30, 30}},
        {"stale for long", SECONDS(50000), 50000, {30, 30, 30, 30}},
    };

    put(REPLY(NOERROR, "0002 0001 0002") QUESTION A(WWW, T60) A(WWW, T300) NS(EXAMPLE, HOUR)
            TXT(EXAMPLE, "0000003d ") PLAIN_OPT);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        enum cache_state expected = cases[i].after < SECONDS(60) ? CACHE_FRESH : CACHE_STALE;
        char text[1000];

        now = START + cases[i].after;
        assert_int_equal(find(QUESTION), expected);
        assert_int_equal(found.age, cases[i].age);
        snprintf(text, sizeof(text),
                 SHOWN(NOERROR, "0002 0001 0002") A(WWW, "%08x ") A(WWW, "%08x ")
                     NS(EXAMPLE, "%08x ") TXT(EXAMPLE, "%08x ") PLAIN_OPT,
                 cases[i].ttls[0], cases[i].ttls[1], cases[i].ttls[2], cases[i].ttls[3]);
        assert_shown(cases[i].what, expected, text);
    }
}

// The bounds hold for what is shown, too.
static void test_bounded_ttls_count_down(void **state)
{
    options.min_ttl = SECONDS(60);
    options.max_ttl = SECONDS(100);
    options.negative_max_ttl = SECONDS(30);
    put(REPLY(NOERROR, "0003 0000 0000") QUESTION A(WWW, T10) A(WWW, T60) A(WWW, HOUR));
    now += SECONDS(59);
    assert_int_equal(find(QUESTION), CACHE_FRESH);
    assert_shown("raised and cut", CACHE_FRESH,
                 SHOWN(NOERROR, "0003 0000 0001") A(WWW, "00000001 ") A(WWW, "00000001 ")
                     A(WWW, "00000029 ") PLAIN_OPT);
    now += SECONDS(1);
    assert_int_equal(find(QUESTION), CACHE_STALE);

    put(REPLY(NXDOMAIN, "0000 0001 0000") QUESTION SOA(EXAMPLE, HOUR, T300));
    now += SECONDS(10);
    assert_int_equal(find(QUESTION), CACHE_FRESH);
    assert_shown("negative", CACHE_FRESH,
                 SHOWN(NXDOMAIN, "0000 0001 0001") SOA(EXAMPLE, "00000014 ", T300) PLAIN_OPT);
}

// How long it lasts is the cache's to say, but not that it is over at once.
static void test_longest_ttl(void **state)
{
    static const char *const replies[] = {POSITIVE("7fffffff "), POSITIVE("10000001 "),
                                          POSITIVE("08000000 "), POSITIVE("07ffffff ")};

    options.max_ttl = USEC_NEVER;
    options.stale_max = 0;
    for (size_t i = 0; i < ARRAY_LEN(replies); i++) {
        now = START;
        put(replies[i]);
        for (unsigned day = 0; day < 29; day++, now += SECONDS(86400))
            assert_int_equal(find(QUESTION), CACHE_FRESH);
        assert_true(get_u32(found.message.wire + found.ttls[0]) > found.age);
    }
}

// R5: a name that leads into a TTL would become another, or none at all, as that goes down. Such a
// message is not kept, or is a message as long as it is.
static void test_names_that_lead_into_ttls(void **state)
{
    static const char *const replies[] = {
        // 00000200 is the root's name, 000001ff is none.
        REPLY(NOERROR, "0001 0001 0000") QUESTION A(WWW, "00000200 ") NS("c02a ", HOUR),
        // 0000c00c has a pointer to the question's name, 0000c00b one into the header.
        REPLY(NOERROR, "0001 0001 0000") QUESTION A(WWW, "0000c00c ") NS("c029 ", DAY),
        // A label that is begun in front of the TTL and ends in it: 00 is the root behind it.
        REPLY(NOERROR, "0001 0001 0000") QUESTION A(WWW, "00000100 ") NS("c026 ", HOUR),
        // In RDATA, and by way of another pointer.
        REPLY(NOERROR, "0001 0002 0000") QUESTION A(WWW, "00000200 ") EXAMPLE
        "0002 0001 " HOUR "0002 c02a " EXAMPLE "0002 0001 " HOUR "0002 c03d ",
        // So is a TTL that max-ttl brings down.
        REPLY(NOERROR, "0001 0001 0000") QUESTION A(WWW, "01610000 ") NS("c027 ", HOUR),
    };

    for (size_t i = 0; i < ARRAY_LEN(replies); i++) {
        struct reply reply = reply_of(replies[i]);
        struct cache_verdict verdict;
        struct cache_key key;

        now = START;
        cache_flush(cache, NULL, false);
        key_of_reply(&key, cache_secret(cache), &reply, 0);
        cache_judge(&verdict, &options, &key, &reply.message);
        if (verdict.keep)
            cache_insert(cache,
                         &(struct cache_answer){
                             .key = &key,
                             .reply = &reply.message,
                             .verdict = &verdict,
                             .generation = cache_generation(cache),
                         },
                         &options, now, &counters);
        for (; find(QUESTION) != CACHE_MISS && now < START + SECONDS(1000); now += SECONDS(1)) {
            uint8_t copy[200];
            struct dns_message message;

            memcpy(copy, found.message.wire, found.message.size);
            cache_found_set_ttls(&found, find(QUESTION), copy);
            if (dns_message_parse(&message, copy, found.message.size) != 0)
                fail_msg("case %zu: no message after %" PRIu64 " s", i, (now - START) / USEC_SEC);
        }
        reply_free(&reply);
    }
}

// Never a moment too long, and not much too short, whenever it came.
static void test_end_of_a_ttl_to_the_step(void **state)
{
    for (usec_t shift = 0; shift < 4 * STEP; shift += STEP / 4 + 1) {
        now = START + shift;
        put(POSITIVE(T1));
        now += USEC_SEC - STEP;
        assert_int_equal(find(QUESTION), CACHE_FRESH);
        now += STEP;
        assert_int_equal(find(QUESTION), CACHE_STALE);
    }
}

// A worker's clock is read once a turn: it may be behind that of the worker that had the answer.
static void test_reader_that_is_behind(void **state)
{
    put(POSITIVE(T300));
    for (usec_t behind = 0; behind < SECONDS(5); behind += USEC_SEC / 10) {
        now = START - behind;
        assert_int_equal(find(QUESTION), CACHE_FRESH);
        assert_int_equal(found.age, 0);
        assert_false(found.prefetch);
        assert_shown("behind", CACHE_FRESH,
                     SHOWN(NOERROR, "0001 0000 0001") A(WWW, T300) PLAIN_OPT);
    }
}

// A clock that begins at 0, and one that has run for years.
static void test_any_time_of_the_clock(void **state)
{
    static const usec_t times[] = {0,
                                   1,
                                   SECONDS(1),
                                   SECONDS(UINT64_C(1) << 27) - 1, // four years: 2^31 steps
                                   SECONDS(UINT64_C(1) << 28) - 1, // 2^32 steps
                                   SECONDS(UINT64_C(1) << 28) - SECONDS(200),
                                   SECONDS(UINT64_C(1) << 32),
                                   SECONDS(UINT64_C(1) << 40)};

    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        now = times[i];
        cache_flush(cache, NULL, false);
        put(POSITIVE(T300));
        assert_int_equal(find(QUESTION), CACHE_FRESH);
        now = times[i] + SECONDS(299);
        assert_int_equal(find(QUESTION), CACHE_FRESH);
        assert_int_equal(found.age, 299);
        now = times[i] + SECONDS(300);
        assert_int_equal(find(QUESTION), CACHE_STALE);
        cache_set_failing(&found, now);
        assert_int_equal(find(QUESTION), CACHE_STALE);
        assert_true(found.resting);
        now = times[i] + SECONDS(301 + 86400);
        assert_int_equal(find(QUESTION), CACHE_MISS);
    }
}

// An answer of 300 s: how long afterwards it may still be given.
static void test_stale_window(void **state)
{
    static const struct {
        usec_t stale_max, after;
        enum cache_state state;
    } cases[] = {
        {0, SECONDS(300) - STEP, CACHE_FRESH},
        {0, SECONDS(300), CACHE_MISS},
        {0, SECONDS(90000), CACHE_MISS},
        {SECONDS(10), SECONDS(300), CACHE_STALE},
        {SECONDS(10), SECONDS(310) - STEP, CACHE_STALE},
        {SECONDS(10), SECONDS(310), CACHE_MISS},
        {SECONDS(86400), SECONDS(300 + 86400) - STEP, CACHE_STALE},
        {SECONDS(86400), SECONDS(300 + 86400), CACHE_MISS},
        // The options of the moment count, not those of the past.
        {SECONDS(86400 * 30), SECONDS(300 + 86400), CACHE_STALE},
        {SECONDS(10), SECONDS(320), CACHE_MISS},
        {0, SECONDS(0), CACHE_FRESH},
    };
    static const char *const answers[] = {POSITIVE(T300), NEGATIVE(T300),
                                          REPLY(NOERROR, "0000 0001 0000")
                                              QUESTION SOA(EXAMPLE, T300, T300)};

    for (size_t answer = 0; answer < ARRAY_LEN(answers); answer++) {
        now = START;
        put(answers[answer]);
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
            options.stale_max = cases[i].stale_max;
            now = START + cases[i].after;
            if (find(QUESTION) != cases[i].state)
                fail_msg("answer %zu, case %zu", answer, i);
        }
    }
}

static void test_age_of_what_is_put_in(void **state)
{
    struct reply reply = reply_of(POSITIVE(T300));
    static const struct {
        usec_t age, after;
        enum cache_state state;
        uint32_t age_found;
    } cases[] = {
        {SECONDS(100), 0, CACHE_FRESH, 100},
        {SECONDS(100), SECONDS(200) - STEP, CACHE_FRESH, 299},
        {SECONDS(100), SECONDS(200), CACHE_STALE, 300},
        {SECONDS(300), 0, CACHE_STALE, 300},
        {SECONDS(1000), SECONDS(10), CACHE_STALE, 1010},
        {SECONDS(300 + 86400), 0, CACHE_MISS, 0},
        {SECONDS(1000000), 0, CACHE_MISS, 0}, // before the clock began
    };
    struct cache_key key;

    key_of_reply(&key, cache_secret(cache), &reply, 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        now = START;
        put_reply(&key, &reply, cache_generation(cache), cases[i].age);
        now += cases[i].after;
        if (find(QUESTION) != cases[i].state)
            fail_msg("case %zu", i);
        if (cases[i].state != CACHE_MISS)
            assert_int_equal(found.age, cases[i].age_found);
    }
    reply_free(&reply);
}

// ---- Replacing

static void test_newer_answers_take_the_place(void **state)
{
    put(POSITIVE(T300));
    now += SECONDS(100);
    put(NEGATIVE(T60));
    assert_int_equal(find(QUESTION), CACHE_FRESH);
    assert_int_equal(found.kind, CACHE_NXDOMAIN);
    assert_int_equal(found.age, 0);
    now += SECONDS(100); // stale
    put_name_how("www.example.org", "0001", 7, 0);
    assert_int_equal(find(QUESTION), CACHE_FRESH);
    assert_int_equal(found.kind, CACHE_POSITIVE);
    assert_int_equal(content_found(), 7);
    assert_int_equal(usage_of().entries, 1);
    assert_int_equal(count_of(COUNTER_cache_inserts), 3);
    assert_int_equal(count_of(COUNTER_cache_evictions), 0);
    assert_int_equal(count_of(COUNTER_cache_expired), 0);
}

static void test_remove(void **state)
{
    struct cache_key key;

    put(POSITIVE(T300));
    put_how(POSITIVE(T300), CACHE_KEY_DNSSEC_OK);
    key_of_text(&key, cache_secret(cache), "{WWW.example.org} 0001 0001", CACHE_KEY_DNSSEC_OK);
    cache_remove(cache, &key);
    assert_int_equal(find_how(QUESTION, CACHE_KEY_DNSSEC_OK), CACHE_MISS);
    assert_int_equal(find(QUESTION), CACHE_FRESH);
    assert_int_equal(usage_of().entries, 1);
    cache_remove(cache, &key); // nothing is there
    assert_int_equal(usage_of().entries, 1);
}

// What was there before, how long ago in seconds, and whether a failure is kept in its place.
static void test_failures_and_what_was_before(void **state)
{
    static const struct {
        const char *before; // NULL: nothing
        usec_t after, stale_max;
        enum cache_state state;
        enum cache_kind kind;
    } cases[] = {
        {NULL, 0, SECONDS(86400), CACHE_FRESH, CACHE_FAILURE},
        {POSITIVE(T300), SECONDS(10), SECONDS(86400), CACHE_FRESH, CACHE_POSITIVE},
        {POSITIVE(T300), SECONDS(299), 0, CACHE_FRESH, CACHE_POSITIVE},
        {POSITIVE(T300), SECONDS(300), SECONDS(86400), CACHE_STALE, CACHE_POSITIVE},
        {POSITIVE(T300), SECONDS(300 + 86399), SECONDS(86400), CACHE_STALE, CACHE_POSITIVE},
        {POSITIVE(T300), SECONDS(300 + 86400), SECONDS(86400), CACHE_FRESH, CACHE_FAILURE},
        {POSITIVE(T300), SECONDS(300), 0, CACHE_FRESH, CACHE_FAILURE},
        {NEGATIVE(T300), SECONDS(300), SECONDS(86400), CACHE_STALE, CACHE_NXDOMAIN},
        {FAILURE, SECONDS(3), SECONDS(86400), CACHE_FRESH, CACHE_FAILURE},
        {FAILURE, SECONDS(20), SECONDS(86400), CACHE_FRESH, CACHE_FAILURE},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        cache_flush(cache, NULL, false);
        now = START;
        options.stale_max = cases[i].stale_max;
        if (cases[i].before)
            put(cases[i].before);
        now += cases[i].after;
        put(FAILURE);
        if (find(QUESTION) != cases[i].state || found.kind != cases[i].kind)
            fail_msg("case %zu: kind %u", i, found.kind);
        assert_int_equal(usage_of().entries, 1);
        if (found.kind != CACHE_FAILURE)
            continue;

        // It is the new one, for its whole time, and never stale.
        assert_int_equal(found.age, 0);
        assert_int_equal(dns_message_rcode(&found.message), DNS_RCODE_SERVFAIL);
        now += SECONDS(5) - STEP;
        assert_int_equal(find(QUESTION), CACHE_FRESH);
        now += STEP;
        assert_int_equal(find(QUESTION), CACHE_MISS);
    }
}

static void test_answers_take_the_place_of_failures(void **state)
{
    put(FAILURE);
    put(POSITIVE(T300));
    assert_int_equal(find(QUESTION), CACHE_FRESH);
    assert_int_equal(found.kind, CACHE_POSITIVE);
    assert_int_equal(usage_of().entries, 1);
}

// Of a failure nothing is shown but that it was one, and setting its TTLs is no step too far.
static void test_failure_with_records(void **state)
{
    put("1234 8582 0001 0001 0001 0002 " QUESTION A(WWW, T300) SOA(EXAMPLE, T300, T300)
            A(EXAMPLE, T300) PLAIN_OPT);
    now += SECONDS(1);
    assert_int_equal(find(QUESTION), CACHE_FRESH);
    assert_int_equal(found.kind, CACHE_FAILURE);
    assert_false(found.message.flags & DNS_FLAG_AA);

    struct dns_message parsed;

    assert_int_equal(dns_message_parse(&parsed, found.message.wire, found.message.size), 0);
    assert_false(parsed.has_opt);
    assert_int_equal(found.ttl_count, parsed.count[DNS_ANSWER] + parsed.count[DNS_AUTHORITY] +
                                          parsed.count[DNS_ADDITIONAL]);
}

static void test_failing_and_resting(void **state)
{
    put(POSITIVE(T300));
    put_name("other.test");
    now += SECONDS(400);
    assert_int_equal(find(QUESTION), CACHE_STALE);
    assert_false(found.failing);
    assert_false(found.resting);

    cache_set_failing(&found, now);
    assert_int_equal(find(QUESTION), CACHE_STALE);
    assert_true(found.failing);
    assert_true(found.resting);
    now += CACHE_REST - STEP;
    assert_int_equal(find(QUESTION), CACHE_STALE);
    assert_true(found.resting);
    now += STEP;
    assert_int_equal(find(QUESTION), CACHE_STALE);
    assert_true(found.failing); // waiting is of no use, asking is
    assert_false(found.resting);
    cache_set_failing(&found, now); // in vain again
    assert_int_equal(find(QUESTION), CACHE_STALE);
    assert_true(found.resting);
    assert_int_equal(find_name("other.test"), CACHE_STALE); // not its business
    assert_false(found.failing);

    // A rest does not make it last.
    now = START + SECONDS(300 + 86400) - STEP;
    assert_int_equal(find(QUESTION), CACHE_STALE);
    cache_set_failing(&found, now);
    now += STEP;
    assert_int_equal(find(QUESTION), CACHE_MISS);

    // The answer that comes at last knows nothing of it.
    put(POSITIVE(T300));
    assert_int_equal(find(QUESTION), CACHE_FRESH);
    assert_false(found.failing);
    now += SECONDS(300);
    assert_int_equal(find(QUESTION), CACHE_STALE);
    assert_false(found.failing);
    assert_false(found.resting);
}

// ---- Prefetch

// Looks an answer of 100 s up after so many seconds each time, and compares who is to refresh it.
static void check_prefetch(const char *what, const double *times, size_t count, const char *who)
{
    put(POSITIVE(T100));

    usec_t start = now;

    for (size_t i = 0; i < count; i++) {
        now = start + (usec_t)(times[i] * USEC_SEC);
        assert_int_equal(find(QUESTION), times[i] < 100 ? CACHE_FRESH : CACHE_STALE);
        if (found.prefetch != (who[i] == '!'))
            fail_msg("%s: at %g s", what, times[i]);
    }
    cache_flush(cache, NULL, false);
}

#define CHECK_PREFETCH(what, who, ...)                                                             \
    check_prefetch(what, (const double[]){__VA_ARGS__},                                            \
                   ARRAY_LEN(((const double[]){__VA_ARGS__})), who)

static void test_prefetch(void **state)
{
    CHECK_PREFETCH("once, in the last tenth", "..!..", 0, 50, 90, 90, 99);
    CHECK_PREFETCH("not before", "....!.", 0, 1, 50, 89.9, 99.9, 99.9);
    CHECK_PREFETCH("not for whoever asks once", ".", 95);
    CHECK_PREFETCH("but for the second", ".!..", 95, 96, 97, 98);
    CHECK_PREFETCH("nor once it is stale", "...", 0, 50, 100);
    CHECK_PREFETCH("nor stale, and asked for often", ".....", 0, 100, 101, 102, 103);
}

static void test_prefetch_switched_off(void **state)
{
    options.prefetch = false;
    CHECK_PREFETCH("off", ".....", 0, 50, 95, 96, 99);
    put(POSITIVE(T100));
    assert_int_equal(find(QUESTION), CACHE_FRESH);
    now += SECONDS(95);
    assert_int_equal(find(QUESTION), CACHE_FRESH);
    assert_false(found.prefetch);
    options.prefetch = true; // by a reload
    assert_int_equal(find(QUESTION), CACHE_FRESH);
    assert_true(found.prefetch);
}

// The new answer begins anew.
static void test_prefetch_of_the_next_answer(void **state)
{
    for (int round = 0; round < 3; round++) {
        put(POSITIVE(T100));
        now += SECONDS(95);
        assert_int_equal(find(QUESTION), CACHE_FRESH);
        assert_false(found.prefetch);
        assert_int_equal(find(QUESTION), CACHE_FRESH);
        assert_true(found.prefetch);
        assert_int_equal(find(QUESTION), CACHE_FRESH);
        assert_false(found.prefetch);
    }
}

static void test_failures_are_not_prefetched(void **state)
{
    put(FAILURE);
    for (usec_t end = now + SECONDS(5); now < end; now += STEP) {
        assert_int_equal(find(QUESTION), CACHE_FRESH);
        assert_false(found.prefetch);
    }
}

static void test_prefetch_of_short_ttls(void **state)
{
    unsigned prefetches = 0;

    put(POSITIVE(T1));
    for (usec_t end = now + SECONDS(1); now < end; now += STEP) {
        assert_int_equal(find(QUESTION), CACHE_FRESH);
        prefetches += found.prefetch;
    }
    assert_in_range(prefetches, 0, 1);
}

// ---- Flushing

static void test_generation(void **state)
{
    struct reply reply = reply_of(POSITIVE(T300));
    uint64_t asked = cache_generation(cache);
    struct wire other = wire_of("{other.test}");
    struct cache_key key;

    key_of_reply(&key, cache_secret(cache), &reply, 0);
    assert_int_equal(cache_generation(cache), asked); // by itself it does not grow
    cache_flush(cache, NULL, false);
    assert_true(cache_generation(cache) > asked);
    put_reply(&key, &reply, asked, 0);
    assert_int_equal(find(QUESTION), CACHE_MISS);
    assert_int_equal(count_of(COUNTER_cache_inserts), 0);

    asked = cache_generation(cache);
    put_reply(&key, &reply, asked, 0);
    assert_int_equal(find(QUESTION), CACHE_FRESH);

    // Each kind of flush counts, even one that finds nothing.
    for (int subtree = 0; subtree <= 1; subtree++) {
        asked = cache_generation(cache);
        assert_int_equal(cache_flush(cache, other.bytes, subtree), 0);
        assert_true(cache_generation(cache) > asked);
    }
    wire_free(&other);
    reply_free(&reply);
}

// A name that is flushed, and which of these names go.
static const char *const flush_names[] = {
    "example.org",       "www.example.org",
    "a.www.example.org", "wwww.example.org",
    "ww.example.org",    "example.org.org",
    "xexample.org",      "org",
    "example.com",       "",
};

static const struct {
    const char *name;
    bool subtree;
    const char *goes; // a mark for each of the names
} flushes[] = {
    {"{example.org}", false, "x........."},
    {"{EXAMPLE.Org}", false, "x........."},
    {"{example.org}", true, "xxxxx....."},
    {"{eXAMPLE.oRG}", true, "xxxxx....."},
    {"{www.example.org}", false, ".x........"},
    {"{www.example.org}", true, ".xx......."},
    {"{org}", false, ".......x.."},
    {"{org}", true, "xxxxxxxx.."},
    {"{}", false, ".........x"},
    {"{}", true, "xxxxxxxxxx"},
    {"{net}", true, ".........."},
    {"{a.a.www.example.org}", true, ".........."},
    {"3f 61*63 3f 61*63 3f 61*63 3d 61*61 00", true, ".........."},
};

static void test_flush(void **state)
{
    static const char *const types[] = {"0001", "001c", "0041"};

    for (size_t i = 0; i < ARRAY_LEN(flushes); i++) {
        struct wire name = wire_of(flushes[i].name);
        uint64_t dropped = 0, expected = 0;

        for (size_t j = 0; j < ARRAY_LEN(flush_names); j++)
            for (size_t type = 0; type < ARRAY_LEN(types); type++)
                for (unsigned how = 0; how < 4; how++)
                    put_name_how(flush_names[j], types[type], 0, how);
        dropped = cache_flush(cache, name.bytes, flushes[i].subtree);
        for (size_t j = 0; j < ARRAY_LEN(flush_names); j++) {
            bool goes = flushes[i].goes[j] == 'x';

            expected += goes ? ARRAY_LEN(types) * 4 : 0;
            for (size_t type = 0; type < ARRAY_LEN(types); type++)
                for (unsigned how = 0; how < 4; how++)
                    if (find_name_how(flush_names[j], types[type], how) !=
                        (goes ? CACHE_MISS : CACHE_FRESH))
                        fail_msg("%s%s: %s", flushes[i].name,
                                 flushes[i].subtree ? " and below" : "", flush_names[j]);
        }
        assert_int_equal(dropped, expected);
        assert_int_equal(usage_of().entries,
                         ARRAY_LEN(flush_names) * ARRAY_LEN(types) * 4 - expected);
        wire_free(&name);
    }
}

// What is flushed is gone, not stale; negative answers and failures go, too.
static void test_flush_of_all_kinds(void **state)
{
    struct wire name = wire_of("{example.org}");

    put(NEGATIVE(T300));
    put(REPLY(SERVFAIL, "0000 0000 0000") "{b.example.org} 0001 0001");
    put_name("c.example.org");
    now += SECONDS(400);
    put(REPLY(SERVFAIL, "0000 0000 0000") "{d.example.org} 0001 0001");
    assert_int_equal(find(QUESTION), CACHE_STALE);
    assert_true(cache_flush(cache, name.bytes, true) >= 3); // b's is over, and may be gone already
    assert_int_equal(find(QUESTION), CACHE_MISS);
    assert_int_equal(find_name("c.example.org"), CACHE_MISS);
    assert_int_equal(find_name("d.example.org"), CACHE_MISS);
    assert_int_equal(usage_of().entries, 0);
    wire_free(&name);
}

static void test_flush_all_is_as_new(void **state)
{
    uint64_t empty = usage_of().bytes;

    for (unsigned round = 1; round <= 3; round++) {
        for (unsigned i = 0; i < 500; i++) {
            char name[20];

            snprintf(name, sizeof(name), "n%u.test", i);
            put_name(name);
        }
        assert_int_equal(usage_of().entries, 500);
        assert_true(usage_of().bytes > empty + 500 * 30);
        assert_int_equal(cache_flush(cache, NULL, round % 2), 500);
        assert_int_equal(usage_of().entries, 0);
        assert_int_equal(usage_of().bytes, empty);
        assert_int_equal(find_name("n0.test"), CACHE_MISS);
    }
}

// ---- Walking

struct walk {
    unsigned seen[100];
    unsigned count, stop_after;
};

// Answers are numbered by their RDATA; number and how tell what to expect.
static bool on_visit(void *context, const struct cache_visit *visit)
{
    struct walk *walk = context;
    struct dns_message message;
    uint32_t number;

    assert_int_equal(dns_message_parse(&message, visit->message, visit->size), 0);
    if (DNS_RCODE(message.flags) == DNS_RCODE_SERVFAIL)
        return true; // whether failures are shown is not said
    number = get_u32(visit->message + visit->size - 4);
    assert_in_range(number, 0, 99);
    walk->seen[number]++;
    assert_int_equal(visit->key_flags, number % 4);
    assert_int_equal(visit->ttl, number % 10 == 9 ? 60 : 300);
    assert_int_equal(visit->age, now - START - (number < 50 ? 0 : SECONDS(100)));
    return ++walk->count != walk->stop_after;
}

static void put_for_walk(unsigned number)
{
    char text[200];

    snprintf(text, sizeof(text),
             REPLY(NOERROR, "0001 0000 0000") "{n%u.test} 0001 0001 c00c 0001 0001 %08x 0004 %08x",
             number / 4, number % 10 == 9 ? 60 : 300, number);
    put_how(text, number % 4);
}

static void walk_cache(struct walk *walk)
{
    cache_reader_offline();
    cache_walk(cache, &options, now, on_visit, walk);
    cache_reader_online();
}

static void test_walk(void **state)
{
    struct walk walk = {.stop_after = 0};

    walk_cache(&walk);
    assert_int_equal(walk.count, 0);

    for (unsigned number = 0; number < 50; number++)
        put_for_walk(number);
    now += SECONDS(100);
    for (unsigned number = 50; number < 100; number++)
        put_for_walk(number);
    put(FAILURE);

    // Each that is fresh or stale, once.
    options.stale_max = SECONDS(1000);
    walk_cache(&walk);
    for (unsigned number = 0; number < 100; number++)
        assert_int_equal(walk.seen[number], 1);

    // The first of 60 s are stale by 40 s.
    walk = (struct walk){0};
    options.stale_max = SECONDS(40);
    walk_cache(&walk);
    for (unsigned number = 0; number < 100; number++)
        assert_int_equal(walk.seen[number], number >= 50 || number % 10 != 9);

    // The first of 300 s are over now.
    walk = (struct walk){0};
    options.stale_max = 0;
    now = START + SECONDS(300);
    walk_cache(&walk);
    for (unsigned number = 0; number < 100; number++)
        assert_int_equal(walk.seen[number], number >= 50 && number % 10 != 9);

    walk = (struct walk){.stop_after = 7};
    walk_cache(&walk);
    assert_int_equal(walk.count, 7);
}

// A larger table than is walked at a time; the callback may take long.
static void test_walk_of_a_large_table(void **state)
{
    struct walk walk = {0};

    free_cache();
    new_cache(32 * 1024 * 1024);
    for (unsigned number = 0; number < 100; number++)
        put_for_walk(number);
    now = START;
    memset(&walk, 0, sizeof(walk));
    for (unsigned number = 50; number < 100; number++) {
        struct wire name;
        char text[20];

        snprintf(text, sizeof(text), "{n%u.test}", number / 4);
        name = wire_of(text);
        cache_flush(cache, name.bytes, false);
        wire_free(&name);
    }
    walk_cache(&walk);
    for (unsigned number = 0; number < 100; number++)
        assert_int_equal(walk.seen[number], number < 48);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_empty),
        TEST(test_what_is_found),
        TEST(test_largest_message),
        TEST(test_one_hash_for_all),
        TEST(test_keys_are_separate),
        TEST(test_letter_case_is_one),
        TEST(test_nothing_but_the_question_is_found),
        TEST(test_found_stays_while_online),
        TEST(test_ttls_count_down),
        TEST(test_bounded_ttls_count_down),
        TEST(test_longest_ttl),
        TEST(test_names_that_lead_into_ttls),
        TEST(test_end_of_a_ttl_to_the_step),
        TEST(test_reader_that_is_behind),
        TEST(test_any_time_of_the_clock),
        TEST(test_stale_window),
        TEST(test_age_of_what_is_put_in),
        TEST(test_newer_answers_take_the_place),
        TEST(test_remove),
        TEST(test_failures_and_what_was_before),
        TEST(test_answers_take_the_place_of_failures),
        TEST(test_failure_with_records),
        TEST(test_failing_and_resting),
        TEST(test_prefetch),
        TEST(test_prefetch_switched_off),
        TEST(test_prefetch_of_the_next_answer),
        TEST(test_failures_are_not_prefetched),
        TEST(test_prefetch_of_short_ttls),
        TEST(test_generation),
        TEST(test_flush),
        TEST(test_flush_of_all_kinds),
        TEST(test_flush_all_is_as_new),
        TEST(test_walk),
        TEST(test_walk_of_a_large_table),
    };

    return cmocka_run_group_tests(tests, start_reader, stop_reader);
}
