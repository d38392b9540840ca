#include "dns/edns.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "wire.h"

#define HEADER "1234 8180 0000 0000 0000 0001"

// A message of a header and an OPT record with these options.
static struct wire message_with(const char *options, struct dns_message *message)
{
    struct wire data = wire_of(options);
    static uint8_t buffer[WIRE_MAX];
    struct writer w = writer_of(buffer, sizeof(buffer));

    wire_put(&w, HEADER "00 0029 04d0 00 00 8000");
    writer_u16(&w, (uint16_t)data.size);
    writer_bytes(&w, data.bytes, data.size);
    wire_free(&data);

    struct wire wire = wire_copy(buffer, w.pos);

    assert_int_equal(dns_message_parse(message, wire.bytes, wire.size), 0);
    return wire;
}

static void test_options_are_walked(void **state)
{
    static const struct {
        uint16_t code, size;
        const char *data;
    } expected[] = {
        {DNS_OPTION_COOKIE, 8, "12345678"}, {DNS_OPTION_PADDING, 0, ""},   {65001, 3, "abc"},
        {DNS_OPTION_COOKIE, 1, "x"},        {DNS_OPTION_EDE, 2, "\0\x16"},
    };
    struct dns_message message;
    struct wire wire = message_with("000a 0008 '12345678' 000c 0000 fde9 0003 'abc' 000a 0001 'x'"
                                    "000f 0002 0016",
                                    &message);
    struct dns_option option;
    size_t count = 0;

    for (size_t pos = 0; dns_option_next(&message, &pos, &option); count++) {
        assert_true(count < ARRAY_LEN(expected));
        assert_int_equal(option.code, expected[count].code);
        assert_int_equal(option.size, expected[count].size);
        assert_memory_equal(option.data, expected[count].data, option.size);
    }
    assert_int_equal(count, ARRAY_LEN(expected));

    assert_true(dns_option_find(&message, DNS_OPTION_COOKIE, &option));
    assert_int_equal(option.size, 8);
    assert_true(dns_option_find(&message, DNS_OPTION_EDE, &option));
    assert_int_equal(option.size, 2);
    assert_false(dns_option_find(&message, DNS_OPTION_KEEPALIVE, &option));
    wire_free(&wire);
}

static void test_no_options(void **state)
{
    static const uint8_t header_only[DNS_HEADER_SIZE];
    struct dns_message message;
    struct wire wire = message_with("", &message);
    struct dns_option option;
    size_t pos = 0;

    assert_false(dns_option_next(&message, &pos, &option));
    assert_int_equal(dns_message_parse(&message, header_only, sizeof(header_only)), 0);
    assert_false(dns_option_next(&message, &pos, &option));
    assert_false(dns_option_find(&message, DNS_OPTION_COOKIE, &option));
    wire_free(&wire);
}

// Q12
static void test_ten_thousand_empty_options(void **state)
{
    struct dns_message message;
    struct wire wire = message_with("00*40000", &message);
    struct dns_option option;
    size_t count = 0;

    for (size_t pos = 0; dns_option_next(&message, &pos, &option);)
        count++;
    assert_int_equal(count, 10000);
    assert_false(dns_option_find(&message, DNS_OPTION_PADDING, &option));
    wire_free(&wire);
}

static void test_largest_option(void **state)
{
    struct dns_message message;
    struct wire wire = message_with("fde9 ffa8 61*65448", &message);
    struct dns_option option;
    size_t pos = 0;

    assert_true(dns_option_next(&message, &pos, &option));
    assert_int_equal(option.size, 65448);
    assert_false(dns_option_next(&message, &pos, &option));
    wire_free(&wire);
}

#define FIFTY "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define TEXT_250 FIFTY FIFTY FIFTY FIFTY FIFTY
#define HEX_250 "61*250 "

// What is written behind a header of 12 octets, with the writer's size as given (0: large).
static const struct {
    const char *what;
    struct dns_opt opt;
    size_t writer_size;
    const char *record; // NULL: the writer must fail
} writes[] = {
    {"plain", {.udp_size = 1232, .keepalive = -1, .ede = -1}, 0, "00 0029 04d0 00000000 0000"},
    {"DO, extended rcode",
     {.udp_size = 65535, .extended_rcode = 0xab, .dnssec_ok = true, .keepalive = -1, .ede = -1},
     0,
     "00 0029 ffff ab 00 8000 0000"},
    {"it just fits", {.keepalive = -1, .ede = -1}, 23, "00 0029 0000 00000000 0000"},
    {"it does not fit", {.keepalive = -1, .ede = -1}, 22, NULL},
    {"no room at all", {.keepalive = -1, .ede = -1}, 12, NULL},
    {"no room, padding asked", {.keepalive = -1, .ede = -1, .padding_block = 128}, 22, NULL},
    {"keepalive asked",
     {.keepalive_ask = true, .keepalive = -1, .ede = -1},
     0,
     "00 0029 0000 00000000 0004 000b 0000"},
    {"keepalive 0", {.keepalive = 0, .ede = -1}, 0, "00 0029 0000 00000000 0006 000b 0002 0000"},
    {"keepalive of 10 s",
     {.keepalive = 100, .ede = -1},
     0,
     "00 0029 0000 00000000 0006 000b 0002 0064"},
    {"keepalive at its most",
     {.keepalive = 65536, .ede = -1},
     0,
     "00 0029 0000 00000000 0006 000b 0002 ffff"},
    {"keepalive just fits",
     {.keepalive = 0, .ede = -1},
     29,
     "00 0029 0000 00000000 0006 000b 0002 0000"},
    {"keepalive does not fit", {.keepalive = 0, .ede = -1}, 28, "00 0029 0000 00000000 0000"},
    {"keepalive asked does not fit",
     {.keepalive_ask = true, .keepalive = -1, .ede = -1},
     26,
     "00 0029 0000 00000000 0000"},
    {"EDE without text",
     {.keepalive = -1, .ede = 22},
     0,
     "00 0029 0000 00000000 0006 000f 0002 0016"},
    {"EDE 0 with text",
     {.keepalive = -1, .ede = 0, .ede_text = "abc"},
     0,
     "00 0029 0000 00000000 0009 000f 0005 0000 'abc'"},
    {"EDE's text just fits",
     {.keepalive = -1, .ede = 0, .ede_text = "abc"},
     32,
     "00 0029 0000 00000000 0009 000f 0005 0000 'abc'"},
    {"EDE's text does not fit",
     {.keepalive = -1, .ede = 0, .ede_text = "abc"},
     31,
     "00 0029 0000 00000000 0006 000f 0002 0000"},
    {"EDE just fits",
     {.keepalive = -1, .ede = 0, .ede_text = "abc"},
     29,
     "00 0029 0000 00000000 0006 000f 0002 0000"},
    {"EDE does not fit",
     {.keepalive = -1, .ede = 0, .ede_text = "abc"},
     28,
     "00 0029 0000 00000000 0000"},
    {"EDE text of 255",
     {.keepalive = -1, .ede = 1, .ede_text = TEXT_250 "bcdef"},
     0,
     "00 0029 0000 00000000 0105 000f 0101 0001" HEX_250 "'bcdef'"},
    {"EDE text of 256 is cut",
     {.keepalive = -1, .ede = 1, .ede_text = TEXT_250 "bcdefg"},
     0,
     "00 0029 0000 00000000 0105 000f 0101 0001" HEX_250 "'bcdef'"},
    {"EDE text is cut between characters, not in them",
     {.keepalive = -1, .ede = 1, .ede_text = TEXT_250 "bcd\xe2\x82\xac"},
     0,
     "00 0029 0000 00000000 0103 000f 00ff 0001" HEX_250 "'bcd'"},
    {"padded to a block: 23 + 4 + 101",
     {.keepalive = -1, .ede = -1, .padding_block = 128},
     0,
     "00 0029 0000 00000000 0069 000c 0065 00*101"},
    {"padding makes exactly a block",
     {.keepalive = -1, .ede = -1, .padding_block = 27},
     0,
     "00 0029 0000 00000000 0004 000c 0000"},
    {"padding takes a further block",
     {.keepalive = -1, .ede = -1, .padding_block = 26},
     0,
     "00 0029 0000 00000000 001d 000c 0019 00*25"},
    {"padding comes last",
     {.keepalive = 1, .ede = 2, .padding_block = 50},
     0,
     "00 0029 0000 00000000 001b 000b 0002 0001 000f 0002 0002 000c 000b 00*11"},
    {"as much padding as the limit has room for",
     {.keepalive = -1, .ede = -1, .padding_block = 128, .padding_limit = 100},
     0,
     "00 0029 0000 00000000 004d 000c 0049 00*73"},
    {"as much padding as the writer has room for",
     {.keepalive = -1, .ede = -1, .padding_block = 128, .padding_limit = 120},
     100,
     "00 0029 0000 00000000 004d 000c 0049 00*73"},
    {"an empty padding option just fits",
     {.keepalive = -1, .ede = -1, .padding_block = 128},
     27,
     "00 0029 0000 00000000 0004 000c 0000"},
    {"no room for a padding option",
     {.keepalive = -1, .ede = -1, .padding_block = 128},
     26,
     "00 0029 0000 00000000 0000"},
    {"no room for a padding option below the limit",
     {.keepalive = -1, .ede = -1, .padding_block = 128, .padding_limit = 26},
     0,
     "00 0029 0000 00000000 0000"},
    {"already larger than the limit",
     {.keepalive = -1, .ede = -1, .padding_exact = 5, .padding_limit = 12},
     0,
     "00 0029 0000 00000000 0000"},
    {"exact padding of 0",
     {.keepalive = -1, .ede = -1, .padding_exact = 1},
     0,
     "00 0029 0000 00000000 0004 000c 0000"},
    {"exact padding of 5",
     {.keepalive = -1, .ede = -1, .padding_exact = 6},
     0,
     "00 0029 0000 00000000 0009 000c 0005 00*5"},
    {"exact padding within the limit",
     {.keepalive = -1, .ede = -1, .padding_exact = 600, .padding_limit = 30},
     0,
     "00 0029 0000 00000000 0007 000c 0003 00*3"},
    {"Q12 padding of more than any message holds",
     {.keepalive = -1, .ede = -1, .padding_exact = SIZE_MAX},
     0,
     "00 0029 0000 00000000 ffe8 000c ffe4 00*65508"},
    {"a block larger than any message",
     {.keepalive = -1, .ede = -1, .padding_block = 100000},
     0,
     "00 0029 0000 00000000 ffe8 000c ffe4 00*65508"},
};

static void test_writes(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(writes); i++) {
        size_t size = writes[i].writer_size ? writes[i].writer_size : WIRE_MAX;
        uint8_t *buffer = calloc(1, size);
        struct writer w = writer_of(buffer, size);

        assert_non_null(buffer);
        writer_zeros(&w, DNS_HEADER_SIZE);
        dns_opt_write(&w, &writes[i].opt);
        if (w.failed != (writes[i].record == NULL))
            fail_msg("%s: failed: %d", writes[i].what, w.failed);
        if (!w.failed) {
            struct wire expected = wire_of(writes[i].record);

            if (w.pos != DNS_HEADER_SIZE + expected.size ||
                memcmp(buffer + DNS_HEADER_SIZE, expected.bytes, expected.size) != 0)
                fail_msg("%s: %zu octets", writes[i].what, w.pos);
            wire_free(&expected);
        }
        free(buffer);
    }
}

// For every size of message and every block, the padded size is a multiple, and it is the next one.
static void test_padding_of_every_size(void **state)
{
    static const size_t blocks[] = {1, 2, 128, 468};
    static uint8_t buffer[4096];

    for (size_t i = 0; i < ARRAY_LEN(blocks); i++) {
        for (size_t size = DNS_HEADER_SIZE; size < 1200; size++) {
            struct dns_opt opt = dns_opt_plain(1232, false);
            struct writer w = writer_of(buffer, sizeof(buffer));

            opt.padding_block = blocks[i];
            writer_zeros(&w, size);
            dns_opt_write(&w, &opt);
            assert_false(w.failed);
            assert_int_equal(w.pos % blocks[i], 0);
            assert_true(w.pos >= size + DNS_OPT_SIZE + 4);
            assert_true(w.pos < size + DNS_OPT_SIZE + 4 + blocks[i]);
        }
    }
}

// The options that dns_opt_write() makes of an upstream's.
static void assert_passed(const char *upstream, const char *expected_options)
{
    struct dns_message from;
    struct wire wire = message_with(upstream, &from);
    struct wire expected = wire_of(expected_options);
    static uint8_t buffer[4096];
    struct writer w = writer_of(buffer, sizeof(buffer));
    struct dns_opt opt = dns_opt_plain(1232, false);

    opt.ede_from = &from;
    dns_opt_write(&w, &opt);
    assert_false(w.failed);
    assert_int_equal(w.pos, DNS_OPT_SIZE + expected.size);
    assert_memory_equal(buffer + DNS_OPT_SIZE, expected.bytes, expected.size);
    wire_free(&wire);
    wire_free(&expected);
}

static void test_extended_errors_are_passed_on(void **state)
{
    assert_passed("", "");
    assert_passed("000f 0002 0006", "000f 0002 0006");
    assert_passed("000f 0005 0006 'abc' 000f 0002 0007", "000f 0005 0006 'abc' 000f 0002 0007");
    // R10: what we did not ask for stays here.
    assert_passed("0008 0007 0001 18 18 c00002 000a 0008 '12345678' 000f 0002 0006 000c 0005 00*5 "
                  "000b 0002 0064",
                  "000f 0002 0006");
    // Too short to be one.
    assert_passed("000f 0000 000f 0001 00 000f 0002 0006", "000f 0002 0006");
    // At most four.
    assert_passed("000f 0002 0001 000f 0002 0002 000f 0002 0003 000f 0002 0004 000f 0002 0005",
                  "000f 0002 0001 000f 0002 0002 000f 0002 0003 000f 0002 0004");
    // At most 255 octets of text, and no half character.
    assert_passed("000f 0101 0001 61*255", "000f 0101 0001 61*255");
    assert_passed("000f 0102 0001 61*256", "000f 0101 0001 61*255");
    assert_passed("000f 0102 0001 61*253 e282ac", "000f 00ff 0001 61*253");
    assert_passed("000f 0102 0001 80*256", "000f 0002 0001");
}

static void test_own_error_before_those_passed_on(void **state)
{
    struct dns_message from;
    struct wire wire = message_with("000f 0002 0006", &from);
    struct wire expected = wire_of("000f 0002 0016 000f 0002 0006");
    uint8_t buffer[100];
    struct writer w = writer_of(buffer, sizeof(buffer));
    struct dns_opt opt = dns_opt_plain(1232, false);

    opt.ede = 22;
    opt.ede_from = &from;
    dns_opt_write(&w, &opt);
    assert_int_equal(w.pos, DNS_OPT_SIZE + expected.size);
    assert_memory_equal(buffer + DNS_OPT_SIZE, expected.bytes, expected.size);
    wire_free(&wire);
    wire_free(&expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_are_walked),
        cmocka_unit_test(test_no_options),
        cmocka_unit_test(test_ten_thousand_empty_options),
        cmocka_unit_test(test_largest_option),
        cmocka_unit_test(test_writes),
        cmocka_unit_test(test_padding_of_every_size),
        cmocka_unit_test(test_extended_errors_are_passed_on),
        cmocka_unit_test(test_own_error_before_those_passed_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
