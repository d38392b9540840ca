#include "dns/name.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/error.h"
#include "wire.h"

// Twelve octets that no name may reach.
#define HEADER "00*12 "

// 62 octets each as labels: four make 248.
#define LABEL_61 "3d 61*61 "
#define LABEL_63 "3f 61*63 "

// Names as they stand in a message. `end` is where dns_name_skip() must arrive, 0 if the name is
// wrong; `name` is the wire name that dns_name_copy() must give.
static const struct {
    const char *what, *message;
    size_t pos, end;
    const char *name;
} in_message[] = {
    {"root", HEADER "{}", 12, 13, "{}"},
    {"one label", HEADER "{a}", 12, 15, "{a}"},
    {"three labels", HEADER "{www.example.org}", 12, 29, "{www.example.org}"},
    {"letter case stays", HEADER "{WwW.eXample}", 12, 25, "{WwW.eXample}"},
    {"Q9 any octet", HEADER "06 00 2e 20 ff 0a 25 00", 12, 20, "06 00 2e 20 ff 0a 25 00"},
    {"label of 63", HEADER LABEL_63 "00", 12, 77, LABEL_63 "00"},
    {"Q3 label of 64: reserved bits 01", HEADER "40 61*64 00", 12, 0, NULL},
    {"Q3 reserved bits 10", HEADER "80 61*128 00", 12, 0, NULL},
    {"Q3 reserved bits 10, all set", HEADER "bf 61*191 00", 12, 0, NULL},
    {"255 octets", HEADER LABEL_63 LABEL_63 LABEL_63 LABEL_61 "00", 12, 267,
     LABEL_63 LABEL_63 LABEL_63 LABEL_61 "00"},
    {"Q3 256 octets", HEADER LABEL_63 LABEL_63 LABEL_63 "3e 61*62 00", 12, 0, NULL},
    {"Q3 256 octets, the last label of one", HEADER LABEL_63 LABEL_63 LABEL_63 "3c 61*60 01 61 00",
     12, 0, NULL},
    {"nothing there", HEADER, 12, 0, NULL},
    {"starts behind the end", HEADER "{a}", 16, 0, NULL},
    {"Q3 cut short: no root label", HEADER "03 'www'", 12, 0, NULL},
    {"Q3 cut short: within a label", HEADER "04 'www'", 12, 0, NULL},
    {"Q3 cut short: a length octet only", HEADER "01", 12, 0, NULL},
    {"Q4 pointer cut short", HEADER "{a} c0", 15, 0, NULL},
    {"pointer", HEADER "{www.test} c00c", 22, 24, "{www.test}"},
    {"pointer to a later label", HEADER "{www.test} c010", 22, 24, "{test}"},
    {"pointer to the root label", HEADER "{a} c00e", 15, 17, "{}"},
    {"labels, then a pointer", HEADER "{test} 03 'www' c00c", 18, 24, "{www.test}"},
    {"pointer to a pointer", HEADER "{test} c00c c012", 20, 22, "{test}"},
    {"three runs", HEADER "{test} 01 'b' c00c 01 'a' c012", 22, 26, "{a.b.test}"},
    {"octets behind a pointer are not its business", HEADER "{a} c00c ff", 15, 17, "{a}"},
    {"Q4 pointer to itself", HEADER "c00c", 12, 0, NULL},
    {"Q4 pointer to its own label", HEADER "01 'a' c00c", 12, 0, NULL},
    {"Q4 pointer into its own run", HEADER "01 'a' 01 'b' c00e", 12, 0, NULL},
    {"Q4 forward", HEADER "c010 ffff {a}", 12, 0, NULL},
    {"Q4 forward by one octet", HEADER "c00d 00", 12, 0, NULL},
    {"Q4 backward, then forward", HEADER "c010 c00c {a}", 14, 0, NULL},
    {"Q4 two pointers to each other", HEADER "c00e c00c", 14, 0, NULL},
    {"Q4 behind the end", HEADER "{a} ffff", 15, 0, NULL},
    {"Q4 into the header", HEADER "{a} c00b", 15, 0, NULL},
    {"Q4 to the header's start", HEADER "{a} c000", 15, 0, NULL},
    {"backward, and its label covers where it came from", HEADER "05 'a' c00c 'bc' 00", 14, 0,
     NULL},
    {"backward, and its root label is behind where it came from", HEADER "01 'a' 00", 13, 0, NULL},
    {"backward, and its labels run into where they came from", HEADER "02 'ab' 01 'c' c00c", 15, 0,
     NULL},
    {"255 octets by a pointer", HEADER LABEL_63 LABEL_63 "00 " LABEL_63 LABEL_61 "c00c", 141, 269,
     LABEL_63 LABEL_61 LABEL_63 LABEL_63 "00"},
    {"Q3 256 octets by a pointer", HEADER LABEL_63 LABEL_63 "00 " LABEL_63 "3e 61*62 c00c", 141, 0,
     NULL},
};

static void test_names_in_messages(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(in_message); i++) {
        struct wire message = wire_of(in_message[i].message);
        size_t pos = in_message[i].pos, end = in_message[i].end;
        uint8_t name[DNS_NAME_MAX];
        size_t length = 0;

        if (dns_name_skip(message.bytes, message.size, pos) != end ||
            dns_name_copy(message.bytes, message.size, pos, name, &length) != end)
            fail_msg("%s", in_message[i].what);
        if (end != 0) {
            struct wire expected = wire_of(in_message[i].name);

            if (length != expected.size || memcmp(name, expected.bytes, length) != 0)
                fail_msg("%s: wrong name", in_message[i].what);
            assert_int_equal(dns_name_length(name), length);
            wire_free(&expected);
        }
        wire_free(&message);
    }
}

static void test_127_labels(void **state)
{
    uint8_t buffer[12 + 257] = {0}, name[DNS_NAME_MAX];
    size_t length;

    for (size_t i = 0; i < 128; i++) {
        buffer[12 + 2 * i] = 1;
        buffer[12 + 2 * i + 1] = 'a';
    }
    // 128 labels from octet 12, 127 from octet 14.
    assert_int_equal(dns_name_skip(buffer, sizeof(buffer), 12), 0);
    assert_int_equal(dns_name_skip(buffer, sizeof(buffer), 14), sizeof(buffer));
    assert_int_equal(dns_name_copy(buffer, sizeof(buffer), 14, name, &length), sizeof(buffer));
    assert_int_equal(length, DNS_NAME_MAX);
}

// Q4: a chain of thousands is not followed to its end.
static void test_chain_of_pointers(void **state)
{
    static uint8_t message[0x4000];

    message[12] = 1;
    message[13] = 'a';
    message[14] = 0;
    put_u16(message + 15, 0xc00c);
    for (size_t pos = 17; pos + 2 <= sizeof(message); pos += 2)
        put_u16(message + pos, (uint16_t)(0xc000 | (pos - 2)));

    size_t of_127 = 15 + (size_t)126 * 2;

    assert_int_equal(dns_name_skip(message, sizeof(message), of_127), of_127 + 2);
    assert_int_equal(dns_name_skip(message, sizeof(message), of_127 + 2), 0);
    assert_int_equal(dns_name_skip(message, sizeof(message), sizeof(message) - 3), 0);
}

// A name may begin anywhere in 65,535 octets, but a pointer reaches only the first 16,384.
static void test_farthest_pointer(void **state)
{
    static uint8_t message[65535];

    message[0x3fff] = 0;
    put_u16(message + sizeof(message) - 2, 0xffff);
    assert_int_equal(dns_name_skip(message, sizeof(message), sizeof(message) - 2), sizeof(message));
    put_u16(message + 0x3fff, 0xffff); // to itself
    assert_int_equal(dns_name_skip(message, sizeof(message), sizeof(message) - 2), 0);
    assert_int_equal(dns_name_skip(message, sizeof(message), sizeof(message) - 1), 0);
}

static void test_lower(void **state)
{
    uint8_t from[256], to[256];

    for (unsigned i = 0; i < 256; i++)
        from[i] = (uint8_t)i;
    dns_name_lower(to, from, sizeof(from));
    for (unsigned i = 0; i < 256; i++)
        assert_int_equal(to[i], i >= 'A' && i <= 'Z' ? i + 32 : i);
}

static const struct {
    const char *a, *b;
    bool equal, a_under_b, b_under_a;
} pairs[] = {
    {"{}", "{}", true, true, true},
    {"{a}", "{a}", true, true, true},
    {"{wWw.Example}", "{WwW.eXAMPLE}", true, true, true},
    {"{a}", "{}", false, true, false},
    {"{a}", "{b}", false, false, false},
    {"{a.b}", "{b}", false, true, false},
    {"{x.y.example.ORG}", "{Example.org}", false, true, false},
    {"{notexample.org}", "{example.org}", false, false, false},
    {"{example.org}", "{example.com}", false, false, false},
    {"{a.bc}", "{ab.c}", false, false, false},
    // The octets [ \ ] ^ _ and { | } ~ DEL differ by the case bit and are not letters.
    {"01 5b 00", "01 7b 00", false, false, false},
    {"01 40 00", "01 60 00", false, false, false},
    // Beyond ASCII there is no letter case.
    {"01 c1 00", "01 e1 00", false, false, false},
    // The last octets of a label may look like a zone.
    {"09 '?' 07 'example' 00", "{example}", false, false, false},
};

static void test_equal_and_under(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        struct wire a = wire_of(pairs[i].a), b = wire_of(pairs[i].b);

        if (dns_name_equal(a.bytes, b.bytes) != pairs[i].equal ||
            dns_name_equal(b.bytes, a.bytes) != pairs[i].equal ||
            dns_name_is_under(a.bytes, b.bytes) != pairs[i].a_under_b ||
            dns_name_is_under(b.bytes, a.bytes) != pairs[i].b_under_a)
            fail_msg("%s and %s", pairs[i].a, pairs[i].b);
        wire_free(&a);
        wire_free(&b);
    }
}

// Wire name and text, both ways.
static const struct {
    const char *wire, *text;
} texts[] = {
    {"{}", "."},
    {"{a}", "a"},
    {"{www.example.org}", "www.example.org"},
    {"{_dmarc.xn--bcher-kva.example}", "_dmarc.xn--bcher-kva.example"},
    {"{WWW}", "WWW"},
    {"03 'a.b' 01 'c' 00", "a\\.b.c"},
    {"08 5c 22 3b 40 24 28 29 2e 00", "\\\\\\\"\\;\\@\\$\\(\\)\\."},
    {"05 'a b' 0a 00 00", "a\\032b\\010\\000"},
    {"02 7f ff 00", "\\127\\255"},
    {"08 '<script>' 00", "<script>"},
    {"03 '%s~' 00", "%s~"},
    {LABEL_63 "00", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
};

static void test_text_both_ways(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct wire expected = wire_of(texts[i].wire);
        char text[DNS_NAME_TEXT_MAX];
        uint8_t name[DNS_NAME_MAX];

        assert_ptr_equal(dns_name_to_text(expected.bytes, text), text);
        assert_string_equal(text, texts[i].text);
        assert_int_equal(dns_name_from_text(text, name), 0);
        assert_int_equal(dns_name_length(name), expected.size);
        assert_memory_equal(name, expected.bytes, expected.size);
        wire_free(&expected);
    }
}

// Text that dns_name_to_text() does not write, and text that is no name (`wire` NULL).
static const struct {
    const char *text, *wire;
} from_text[] = {
    {"a.", "{a}"},          {"www.example.", "{www.example}"},
    {"\\097", "{a}"},       {"\\a\\.", "02 'a.' 00"},
    {"a b", "03 'a b' 00"}, {"", NULL},
    {"..", NULL},           {".a", NULL},
    {"a..", NULL},          {"a..b", NULL},
    {"\\", NULL},           {"a\\", NULL},
    {"\\1", NULL},          {"\\12", NULL},
    {"\\12a", NULL},        {"\\256", NULL},
    {"\\999", NULL},
};

static void test_from_text(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(from_text); i++) {
        uint8_t name[DNS_NAME_MAX];
        int rc = dns_name_from_text(from_text[i].text, name);

        if (rc != (from_text[i].wire ? 0 : E_INVALID))
            fail_msg("'%s': %d", from_text[i].text, rc);
        if (from_text[i].wire) {
            struct wire expected = wire_of(from_text[i].wire);

            assert_memory_equal(name, expected.bytes, expected.size);
            wire_free(&expected);
        }
    }
}

// `labels` times "a." and a last label of `last` octets, with or without a final dot.
static int from_long_text(size_t labels, size_t last, bool final_dot, size_t *length)
{
    char text[600] = "";
    uint8_t name[DNS_NAME_MAX];
    size_t at = 0;

    while (labels-- > 0) {
        text[at++] = 'a';
        text[at++] = '.';
    }
    memset(text + at, 'b', last);
    at += last;
    if (final_dot)
        text[at++] = '.';
    text[at] = '\0';

    int rc = dns_name_from_text(text, name);

    if (rc == 0)
        *length = dns_name_length(name);
    return rc;
}

static void test_from_text_limits(void **state)
{
    size_t length = 0;

    for (int final_dot = 0; final_dot < 2; final_dot++) {
        assert_int_equal(from_long_text(0, 63, final_dot, &length), 0);
        assert_int_equal(length, 65);
        assert_int_equal(from_long_text(0, 64, final_dot, &length), E_INVALID);
        assert_int_equal(from_long_text(126, 1, final_dot, &length), 0);
        assert_int_equal(length, 255);
        assert_int_equal(from_long_text(126, 2, final_dot, &length), E_INVALID);
        assert_int_equal(from_long_text(127, 1, final_dot, &length), E_INVALID);
        assert_int_equal(from_long_text(110, 33, final_dot, &length), 0);
        assert_int_equal(length, 255);
        assert_int_equal(from_long_text(110, 34, final_dot, &length), E_INVALID);
    }
}

// The longest text there is: 255 octets, all but the length octets as \DDD.
static void test_longest_text(void **state)
{
    struct wire name = wire_of("3f ff*63 3f ff*63 3f ff*63 3d ff*61 00");
    char *text = malloc(DNS_NAME_TEXT_MAX);
    uint8_t back[DNS_NAME_MAX];

    assert_non_null(text);
    dns_name_to_text(name.bytes, text);
    assert_int_equal(strlen(text), 250 * 4 + 3);
    assert_int_equal(dns_name_from_text(text, back), 0);
    assert_memory_equal(back, name.bytes, name.size);
    free(text);
    wire_free(&name);
}

static size_t random_name(struct rng *rng, uint8_t name[DNS_NAME_MAX])
{
    size_t used = 0;

    for (uint32_t labels = rng_below(rng, 12); labels-- > 0;) {
        size_t label = 1 + rng_below(rng, 63);

        if (used + 1 + label + 1 > DNS_NAME_MAX)
            break;
        name[used++] = (uint8_t)label;
        while (label-- > 0)
            name[used++] = (uint8_t)rng_next(rng);
    }
    name[used++] = 0;
    return used;
}

static void test_random_names(void **state)
{
    struct rng rng = {.state = 20250101};

    for (int i = 0; i < 20000; i++) {
        uint8_t message[DNS_NAME_MAX * 2], name[DNS_NAME_MAX], copy[DNS_NAME_MAX];
        size_t size = random_name(&rng, name), length;
        char text[DNS_NAME_TEXT_MAX];

        dns_name_to_text(name, text);
        for (const char *c = text; *c; c++)
            assert_true(*c > ' ' && *c < 0x7f);
        assert_int_equal(dns_name_from_text(text, copy), 0);
        assert_memory_equal(copy, name, size);

        memcpy(message + 12, name, size);
        assert_int_equal(dns_name_copy(message, 12 + size, 12, copy, &length), 12 + size);
        assert_int_equal(length, size);
        assert_memory_equal(copy, name, size);
        assert_true(dns_name_equal(copy, name));
        dns_name_lower(copy, name, size);
        assert_true(dns_name_equal(copy, name));
        for (size_t left = size; left > 1; left -= (size_t)copy[size - left] + 1)
            assert_true(dns_name_is_under(name, copy + size - left));
        assert_int_equal(dns_name_skip(message, 12 + size - 1, 12), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_in_messages),
        cmocka_unit_test(test_127_labels),
        cmocka_unit_test(test_chain_of_pointers),
        cmocka_unit_test(test_farthest_pointer),
        cmocka_unit_test(test_lower),
        cmocka_unit_test(test_equal_and_under),
        cmocka_unit_test(test_text_both_ways),
        cmocka_unit_test(test_from_text),
        cmocka_unit_test(test_from_text_limits),
        cmocka_unit_test(test_longest_text),
        cmocka_unit_test(test_random_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
