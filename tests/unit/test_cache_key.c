#include "cache/key.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "cache_text.h"

static const struct siphash_key secret = {0x0123456789abcdef, 0xfedcba9876543210};
static const struct siphash_key other_secret = {0x0123456789abcdee, 0xfedcba9876543210};

static void assert_question(const struct cache_key *key, const char *text)
{
    struct wire expected = wire_of(text);

    assert_int_equal(key->size, expected.size);
    assert_memory_equal(key->question, expected.bytes, expected.size);
    wire_free(&expected);
}

// Questions, and what the key keeps of them.
static const struct {
    const char *question, *kept;
} letters[] = {
    {"{www.example.org} 0001 0001", "{www.example.org} 0001 0001"},
    {"{wWw.EXAMPLE.oRg} 0001 0001", "{www.example.org} 0001 0001"},
    {"{ABCDEFGHIJKLMNOPQRSTUVWXYZ} 0001 0001", "{abcdefghijklmnopqrstuvwxyz} 0001 0001"},
    {"{} 0001 0001", "{} 0001 0001"},
    // What stands next to the letters, in ASCII and beyond, is no letter.
    {"08 40 41 5a 5b 60 61 7a 7b 00 0001 0001", "08 40 61 7a 5b 60 61 7a 7b 00 0001 0001"},
    {"06 c3 84 c1 da e1 ff 00 0001 0001", "06 c3 84 c1 da e1 ff 00 0001 0001"},
    {"05 00 2e 20 5c 7f 00 0001 0001", "05 00 2e 20 5c 7f 00 0001 0001"},
    // Type and class are numbers, even those that look like letters.
    {"{A} 4142 5a41", "{a} 4142 5a41"},
    {"{a} 6162 7a61", "{a} 6162 7a61"},
    // The largest: 255 octets of name.
    {"3f 41*63 3f 42*63 3f 43*63 3d 44*61 00 001c 0001",
     "3f 61*63 3f 62*63 3f 63*63 3d 64*61 00 001c 0001"},
    {"01 41 01 42 01 43 00 00ff 00ff", "01 61 01 62 01 63 00 00ff 00ff"},
};

static void test_letters_are_folded_and_nothing_else(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(letters); i++) {
        struct cache_key key, folded;

        key_of_text(&key, &secret, letters[i].question, 0);
        key_of_text(&folded, &secret, letters[i].kept, 0);
        assert_question(&key, letters[i].kept);
        assert_true(cache_key_equal(&key, &folded));
        assert_int_equal(key.hash, folded.hash);
    }
}

// No two of these are the same; the last ones differ in a way that folding must not cover.
static void test_all_parts_tell_apart(void **state)
{
    static const char *const questions[] = {
        "{www.example.org} 0001 0001",
        "{www.example.org} 001c 0001",
        "{www.example.org} 0100 0001",
        "{www.example.org} 0001 0003",
        "{www.example.org} 0001 0100",
        "{ww.example.org} 0001 0001",
        "{www.example.orh} 0001 0001",
        "{wwwwexample.org} 0001 0001",
        "{www.examplecorg} 0001 0001",
        "{www.example.org.org} 0001 0001",
        "{example.org} 0001 0001",
        "{} 0001 0001",
        "01 40 00 0001 0001",
        "01 60 00 0001 0001",
        "01 5b 00 0001 0001",
        "01 7b 00 0001 0001",
        "01 c3 00 0001 0001",
        "01 e3 00 0001 0001",
        "{a} 4141 0001",
        "{a} 6161 0001",
        "{a} 0001 4141",
        "{a} 0001 6161",
    };
    enum { HOWS = 8 };
    static struct cache_key keys[ARRAY_LEN(questions) * HOWS];

    for (unsigned i = 0; i < ARRAY_LEN(keys); i++)
        key_of_text(&keys[i], &secret, questions[i / HOWS], i % HOWS);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        assert_true(cache_key_equal(&keys[i], &keys[i]));
        for (size_t j = 0; j < ARRAY_LEN(keys); j++)
            if (i != j && cache_key_equal(&keys[i], &keys[j]))
                fail_msg("%s and %s, asked as %zu and %zu", questions[i / HOWS],
                         questions[j / HOWS], i % HOWS, j % HOWS);
    }
}

static const struct {
    uint16_t flags;
    bool dnssec_ok;
    uint8_t how;
} hows[] = {
    {DNS_FLAG_RD, false, 0},
    {0, false, CACHE_KEY_NO_RECURSION},
    {DNS_FLAG_RD, true, CACHE_KEY_DNSSEC_OK},
    {DNS_FLAG_RD | DNS_FLAG_CD, false, CACHE_KEY_CHECKING_DISABLED},
    {DNS_FLAG_CD, true, CACHE_KEY_DNSSEC_OK | CACHE_KEY_CHECKING_DISABLED | CACHE_KEY_NO_RECURSION},
    // Nothing else in the header makes another question of it.
    {DNS_FLAG_RD | DNS_FLAG_AD, false, 0},
    {0xffff & ~(DNS_FLAG_CD | DNS_FLAG_QR), false, 0},
    {0xffff, false, CACHE_KEY_CHECKING_DISABLED},
    {0xffff & ~(DNS_FLAG_CD | DNS_FLAG_RD), false, CACHE_KEY_NO_RECURSION},
};

static void test_flags(void **state)
{
    struct wire question = wire_of(QUESTION);

    for (size_t i = 0; i < ARRAY_LEN(hows); i++) {
        struct cache_key key;

        memset(&key, 0xa5, sizeof(key));
        cache_key_make(&key, &secret, question.bytes, question.size, hows[i].flags,
                       hows[i].dnssec_ok);
        assert_int_equal(key.flags, hows[i].how);
    }
    wire_free(&question);
}

static void test_type_and_class(void **state)
{
    struct cache_key key;

    key_of_text(&key, &secret, "{www.example.org} 1234 5678", 0);
    assert_int_equal(cache_key_type(&key), 0x1234);
    assert_int_equal(cache_key_class(&key), 0x5678);
    key_of_text(&key, &secret, "{} ffff 00ff", 0);
    assert_int_equal(cache_key_type(&key), 0xffff);
    assert_int_equal(cache_key_class(&key), 0x00ff);
}

// Names that fall together under one secret do not under another.
static void test_hash_needs_the_secret(void **state)
{
    struct cache_key a, b;

    key_of_text(&a, &secret, QUESTION, 0);
    key_of_text(&b, &other_secret, QUESTION, 0);
    assert_int_not_equal(a.hash, b.hash);
}

// Same hash, other question: somebody else's answer must not be found.
static void test_hash_is_not_enough(void **state)
{
    struct cache_key a, b;

    key_of_text(&a, &secret, "{a.example.org} 0001 0001", 0);
    key_of_text(&b, &secret, "{b.example.org} 0001 0001", 0);
    b.hash = a.hash;
    assert_false(cache_key_equal(&a, &b));

    key_of_text(&b, &secret, "{a.example.org} 0001 0001", CACHE_KEY_DNSSEC_OK);
    b.hash = a.hash;
    assert_false(cache_key_equal(&a, &b));

    // One is the other's beginning.
    key_of_text(&a, &secret, "{} 0001 0001", 0);
    b = a;
    b.size++;
    assert_false(cache_key_equal(&a, &b));
    assert_false(cache_key_equal(&b, &a));
}

static void test_what_is_behind_the_question_does_not_matter(void **state)
{
    struct wire question = wire_of(QUESTION);
    struct cache_key a, b;

    memset(&a, 0x00, sizeof(a));
    memset(&b, 0xff, sizeof(b));
    cache_key_make(&a, &secret, question.bytes, question.size, DNS_FLAG_RD, true);
    cache_key_make(&b, &secret, question.bytes, question.size, DNS_FLAG_RD, true);
    assert_true(cache_key_equal(&a, &b));
    assert_int_equal(a.hash, b.hash);
    wire_free(&question);
}

static void test_copy(void **state)
{
    static const char *const questions[] = {"{} 0001 0001", QUESTION,
                                            "3f 41*63 3f 42*63 3f 43*63 3d 44*61 00 001c 0001"};

    for (size_t i = 0; i < ARRAY_LEN(questions); i++) {
        struct cache_key key, copy;

        key_of_text(&key, &secret, questions[i], CACHE_KEY_DNSSEC_OK);
        memset(&copy, 0x5a, sizeof(copy));
        cache_key_copy(&copy, &key);
        assert_true(cache_key_equal(&copy, &key));
        assert_int_equal(copy.hash, key.hash);
        assert_int_equal(copy.flags, CACHE_KEY_DNSSEC_OK);
        key.question[key.size - 5]++; // the copy is on its own
        assert_false(cache_key_equal(&copy, &key));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_letters_are_folded_and_nothing_else),
        cmocka_unit_test(test_all_parts_tell_apart),
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_type_and_class),
        cmocka_unit_test(test_hash_needs_the_secret),
        cmocka_unit_test(test_hash_is_not_enough),
        cmocka_unit_test(test_what_is_behind_the_question_does_not_matter),
        cmocka_unit_test(test_copy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
