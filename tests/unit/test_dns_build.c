#include "dns/build.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "dns/name.h"
#include "dns/tables.h"
#include "wire.h"

#define QUESTION "{www.example.org} 0001 0001 " // 21 octets, from 12 to 32
#define CLIENT_QUESTION "{wWw.eXample.ORG} 0001 0001 "
#define A_RECORD "c00c 0001 0001 00000e10 0004 c0000201 " // 16 octets
#define PLAIN_OPT "00 0029 04d0 00 00 0000 0000 "

// Built into memory of exactly `size` octets, so that a step too far is seen.
struct built {
    uint8_t *bytes;
    size_t size; // as the builder returned it
};

static struct built room(size_t size)
{
    struct built built = {.bytes = malloc(size > 0 ? size : 1)};

    assert_non_null(built.bytes);
    memset(built.bytes, 0xa5, size);
    return built;
}

static void assert_built(const char *what, struct built *built, const char *expected_text)
{
    struct wire expected = wire_of(expected_text);
    struct dns_message message;

    if (built->size != expected.size || memcmp(built->bytes, expected.bytes, expected.size) != 0) {
        for (size_t i = 0; i < built->size && i < 200; i++)
            print_message("%02x%s", built->bytes[i], i % 32 == 31 ? "\n" : " ");
        fail_msg("%s: %zu octets, expected %zu", what, built->size, expected.size);
    }
    assert_int_equal(dns_message_parse(&message, built->bytes, built->size), 0);
    wire_free(&expected);
    free(built->bytes);
}

static struct wire parsed(const char *text, struct dns_message *message)
{
    struct wire wire = wire_of(text);

    assert_int_equal(dns_message_parse(message, wire.bytes, wire.size), 0);
    return wire;
}

static void test_query(void **state)
{
    struct wire question = wire_of(CLIENT_QUESTION);
    struct dns_opt opt = dns_opt_plain(1232, true);
    struct built built = room(200);

    built.size = dns_query_build(built.bytes, 200, 0xabcd, 0, question.bytes, question.size, &opt);
    assert_built("no flags", &built,
                 "abcd 0000 0001 0000 0000 0001" CLIENT_QUESTION "00 0029 04d0 0000 8000 0000");

    opt.keepalive_ask = true;
    opt.padding_block = 128;
    built = room(128);
    built.size = dns_query_build(built.bytes, 128, 1, 0xffff, question.bytes, question.size, &opt);
    assert_built("all flags, padded", &built,
                 "0001 0130 0001 0000 0000 0001" CLIENT_QUESTION
                 "00 0029 04d0 0000 8000 0054 000b 0000 000c 004c 00*76");
    wire_free(&question);
}

static void test_query_limits(void **state)
{
    struct wire question = wire_of("3f 61*63 3f 61*63 3f 61*63 3d 61*61 00 0001 0001");
    struct dns_opt opt = dns_opt_plain(1232, false);
    size_t needed = DNS_HEADER_SIZE + DNS_QUESTION_MAX + DNS_OPT_SIZE;

    assert_int_equal(question.size, DNS_QUESTION_MAX);
    for (size_t size = 0; size <= needed + 1; size++) {
        struct built built = room(size);

        built.size = dns_query_build(built.bytes, size, 1, 0, question.bytes, question.size, &opt);
        assert_int_equal(built.size, size < needed ? 0 : needed);
        free(built.bytes);
    }
    wire_free(&question);
}

// Flags of the client's query, an rcode, EDNS or not, and what our own reply looks like.
static const struct {
    const char *what;
    uint16_t flags, rcode;
    bool question, opt;
    const char *reply;
} empty_replies[] = {
    {"SERVFAIL", DNS_FLAG_RD, DNS_RCODE_SERVFAIL, true, true,
     "1234 8182 0001 0000 0000 0001" CLIENT_QUESTION PLAIN_OPT},
    {"SERVFAIL without EDNS", DNS_FLAG_RD, DNS_RCODE_SERVFAIL, true, false,
     "1234 8182 0001 0000 0000 0000" CLIENT_QUESTION},
    {"FORMERR without question", 0, DNS_RCODE_FORMERR, false, false,
     "1234 8081 0000 0000 0000 0000"},
    {"Q2 FORMERR without question, EDNS", 0, DNS_RCODE_FORMERR, false, true,
     "1234 8081 0000 0000 0000 0001" PLAIN_OPT},
    {"Q8 NOTIMP keeps the opcode", 0x2900, DNS_RCODE_NOTIMP, true, false,
     "1234 a984 0001 0000 0000 0000" CLIENT_QUESTION},
    {"opcode 15, all flags set: only RD and CD come back", 0x7fff, DNS_RCODE_REFUSED, true, false,
     "1234 f995 0001 0000 0000 0000" CLIENT_QUESTION},
    {"Q7 BADVERS", DNS_FLAG_RD, DNS_RCODE_BADVERS, true, true,
     "1234 8180 0001 0000 0000 0001" CLIENT_QUESTION "00 0029 04d0 01 00 0000 0000"},
    {"rcode of 12 bits", 0, 0xfff, true, true,
     "1234 808f 0001 0000 0000 0001" CLIENT_QUESTION "00 0029 04d0 ff 00 0000 0000"},
    {"rcode over 15 without EDNS", 0, DNS_RCODE_BADVERS, true, false,
     "1234 8082 0001 0000 0000 0000" CLIENT_QUESTION},
};

static void test_empty_replies(void **state)
{
    struct wire question = wire_of(CLIENT_QUESTION);
    struct dns_opt opt = dns_opt_plain(1232, false);

    for (size_t i = 0; i < ARRAY_LEN(empty_replies); i++) {
        const struct dns_reply_to reply = {
            .id = 0x1234,
            .flags = empty_replies[i].flags,
            .question = empty_replies[i].question ? question.bytes : NULL,
            .question_size = empty_replies[i].question ? question.size : 0,
            .opt = empty_replies[i].opt ? &opt : NULL,
            .limit = 512,
        };
        struct built built = room(100);

        built.size = dns_reply_build_empty(built.bytes, 100, &reply, empty_replies[i].rcode);
        assert_built(empty_replies[i].what, &built, empty_replies[i].reply);
    }
    assert_int_equal(opt.extended_rcode, 0); // the caller's is left alone
    wire_free(&question);
}

static const char long_text[] =
    "an explanation of two hundred and fifty octets, which nobody would read but which tests the "
    "limit: ..........................................................................."
    "...........................................................................";

// The longest question and an extended error with a long text: within 512 octets, without the text.
static void test_empty_reply_keeps_to_512(void **state)
{
    struct wire question = wire_of("3f 61*63 3f 61*63 3f 61*63 3d 61*61 00 0001 0001");
    struct dns_opt opt = dns_opt_plain(1232, false);
    const struct dns_reply_to reply = {
        .question = question.bytes, .question_size = question.size, .opt = &opt, .limit = 512};
    struct built built = room(600);
    struct dns_message message;
    struct dns_option option;

    opt.ede = DNS_EDE_NETWORK_ERROR;
    opt.ede_text = long_text;
    opt.padding_block = 468;
    built.size = dns_reply_build_empty(built.bytes, 600, &reply, DNS_RCODE_SERVFAIL);
    assert_int_equal(built.size, 468);
    assert_int_equal(dns_message_parse(&message, built.bytes, built.size), 0);
    assert_true(dns_option_find(&message, DNS_OPTION_EDE, &option));
    assert_int_equal(option.size, 2);
    free(built.bytes);

    opt.padding_block = 0;
    opt.ede_text = NULL;
    for (size_t size = 0; size < 300; size++) {
        size_t least = DNS_HEADER_SIZE + DNS_QUESTION_MAX + DNS_OPT_SIZE;

        built = room(size);
        built.size = dns_reply_build_empty(built.bytes, size, &reply, DNS_RCODE_SERVFAIL);
        assert_int_equal(built.size, size < least ? 0 : size < least + 6 ? least : least + 6);
        free(built.bytes);
    }
    wire_free(&question);
}

static void test_local_reply(void **state)
{
    struct wire question = wire_of(CLIENT_QUESTION);
    struct wire owner = wire_of("{localhost}");
    struct dns_opt opt = dns_opt_plain(1232, false);
    struct dns_reply_to reply = {.id = 0x1234,
                                 .flags = DNS_FLAG_RD,
                                 .question = question.bytes,
                                 .question_size = question.size,
                                 .opt = &opt,
                                 .limit = 512};
    const struct dns_local_record records[] = {
        {.type = DNS_TYPE_A,
         .class = DNS_CLASS_IN,
         .ttl = 10800,
         .rdata = (const uint8_t[]){127, 0, 0, 1},
         .rdata_size = 4,
         .section = DNS_ANSWER},
        {.type = 65280, .class = DNS_CLASS_CH, .section = DNS_ANSWER},
        {.owner = owner.bytes,
         .type = DNS_TYPE_NS,
         .class = DNS_CLASS_IN,
         .ttl = UINT32_MAX,
         .rdata = owner.bytes,
         .rdata_size = 11,
         .section = DNS_AUTHORITY},
        {.owner = owner.bytes,
         .type = DNS_TYPE_TXT,
         .class = DNS_CLASS_IN,
         .rdata = (const uint8_t *)"\1x",
         .rdata_size = 2,
         .section = DNS_ADDITIONAL},
    };
    struct built built = room(200);

    built.size = dns_reply_build_local(built.bytes, 200, &reply, DNS_RCODE_NXDOMAIN, records, 4);
    assert_built("all sections", &built,
                 "1234 8583 0001 0002 0001 0002" CLIENT_QUESTION
                 "c00c 0001 0001 00002a30 0004 7f000001"
                 "c00c ff00 0003 00000000 0000"
                 "{localhost} 0002 0001 ffffffff 000b {localhost}"
                 "{localhost} 0010 0001 00000000 0002 01 'x'" PLAIN_OPT);

    built = room(200);
    built.size = dns_reply_build_local(built.bytes, 200, &reply, 0, records, 0);
    assert_built("no record", &built, "1234 8580 0001 0000 0000 0001" CLIENT_QUESTION PLAIN_OPT);

    reply.opt = NULL;
    built = room(200);
    built.size = dns_reply_build_local(built.bytes, 200, &reply, 0, records, 1);
    assert_built("no EDNS", &built,
                 "1234 8580 0001 0001 0000 0000" CLIENT_QUESTION
                 "c00c 0001 0001 00002a30 0004 7f000001");

    reply.limit = 48;
    built = room(200);
    built.size = dns_reply_build_local(built.bytes, 200, &reply, 0, records, 1);
    assert_built("over the limit", &built, "1234 8780 0001 0000 0000 0000" CLIENT_QUESTION);

    built = room(47);
    reply.limit = 512;
    assert_int_equal(dns_reply_build_local(built.bytes, 47, &reply, 0, records, 1), 0);
    free(built.bytes);
    wire_free(&question);
    wire_free(&owner);
}

// An upstream's reply, and what the client gets: its query had ID 5678 and RD. `limit` 0: 512.
static const struct {
    const char *what, *upstream;
    bool opt, keep_ad;
    size_t limit;
    const char *client;
} replies[] = {
    {"ID, flags and letter case are the client's",
     "1234 8180 0001 0001 0000 0000" QUESTION A_RECORD, false, false, 0,
     "5678 8180 0001 0001 0000 0000" CLIENT_QUESTION A_RECORD},
    {"AA stays; RA is set; RD is the client's; Z, CD go", "1234 8450 0001 0000 0000 0000" QUESTION,
     false, false, 0, "5678 8580 0001 0000 0000 0000" CLIENT_QUESTION},
    {"AD goes", "1234 81a0 0001 0001 0000 0000" QUESTION A_RECORD, false, false, 0,
     "5678 8180 0001 0001 0000 0000" CLIENT_QUESTION A_RECORD},
    {"AD stays", "1234 81a0 0001 0001 0000 0000" QUESTION A_RECORD, false, true, 0,
     "5678 81a0 0001 0001 0000 0000" CLIENT_QUESTION A_RECORD},
    {"AD is not made up", "1234 8180 0001 0001 0000 0000" QUESTION A_RECORD, false, true, 0,
     "5678 8180 0001 0001 0000 0000" CLIENT_QUESTION A_RECORD},
    {"R7 TC stays", "1234 8380 0001 0000 0000 0000" QUESTION, false, false, 0,
     "5678 8380 0001 0000 0000 0000" CLIENT_QUESTION},
    {"rcode stays", "1234 8183 0001 0000 0000 0000" QUESTION, false, false, 0,
     "5678 8183 0001 0000 0000 0000" CLIENT_QUESTION},
    {"OPT goes where the client knows no EDNS",
     "1234 8180 0001 0001 0000 0001" QUESTION A_RECORD "00 0029 1000 00008000 0000", false, false,
     0, "5678 8180 0001 0001 0000 0000" CLIENT_QUESTION A_RECORD},
    {"OPT is ours where it does",
     "1234 8180 0001 0001 0000 0001" QUESTION A_RECORD "00 0029 1000 00008000 0000", true, false, 0,
     "5678 8180 0001 0001 0000 0001" CLIENT_QUESTION A_RECORD PLAIN_OPT},
    {"OPT is ours also where the upstream sent none",
     "1234 8180 0001 0001 0000 0000" QUESTION A_RECORD, true, false, 0,
     "5678 8180 0001 0001 0000 0001" CLIENT_QUESTION A_RECORD PLAIN_OPT},
    {"R9 padding is not passed on",
     "1234 8180 0001 0001 0000 0001" QUESTION A_RECORD
     "00 0029 1000 00000000 1004 000c 1000 00*4096 ",
     true, false, 0, "5678 8180 0001 0001 0000 0001" CLIENT_QUESTION A_RECORD PLAIN_OPT},
    {"R10 ECS and cookie are not passed on",
     "1234 8180 0001 0000 0000 0001" QUESTION
     "00 0029 1000 00000000 0017 0008 0007 0001 18 18 c00002 000a 0008 '12345678'",
     true, false, 0, "5678 8180 0001 0000 0000 0001" CLIENT_QUESTION PLAIN_OPT},
    {"R11 keepalive is not passed on",
     "1234 8180 0001 0000 0000 0001" QUESTION "00 0029 1000 00000000 0006 000b 0002 ffff", true,
     false, 0, "5678 8180 0001 0000 0000 0001" CLIENT_QUESTION PLAIN_OPT},
    {"R5 records behind the OPT go with it",
     "1234 8180 0001 0001 0001 0003" QUESTION A_RECORD A_RECORD A_RECORD
     "00 0029 1000 00000000 0000" A_RECORD,
     true, false, 0,
     "5678 8180 0001 0001 0001 0002" CLIENT_QUESTION A_RECORD A_RECORD A_RECORD PLAIN_OPT},
    {"R7 extended rcode, EDNS",
     "1234 8180 0001 0000 0000 0001" QUESTION "00 0029 1000 01000000 0000", true, false, 0,
     "5678 8180 0001 0000 0000 0001" CLIENT_QUESTION "00 0029 04d0 01 00 0000 0000"},
    {"R7 extended rcode 4095, EDNS",
     "1234 818f 0001 0000 0000 0001" QUESTION "00 0029 1000 ff000000 0000", true, false, 0,
     "5678 818f 0001 0000 0000 0001" CLIENT_QUESTION "00 0029 04d0 ff 00 0000 0000"},
    {"R7 extended rcode, no EDNS",
     "1234 8187 0001 0000 0000 0001" QUESTION "00 0029 1000 01000000 0000", false, false, 0,
     "5678 8182 0001 0000 0000 0000" CLIENT_QUESTION},
    {"R8 a TTL with the top bit set is 0, others stay",
     "1234 8180 0001 0002 0001 0001" QUESTION "c00c 0001 0001 80000000 0004 c0000201"
     "c00c 0001 0001 7fffffff 0004 c0000202"
     "c00c 0001 0001 ffffffff 0004 c0000203"
     "00 0029 1000 80008000 0000",
     true, false, 0,
     "5678 8180 0001 0002 0001 0001" CLIENT_QUESTION "c00c 0001 0001 00000000 0004 c0000201"
     "c00c 0001 0001 7fffffff 0004 c0000202"
     "c00c 0001 0001 00000000 0004 c0000203"
     "00 0029 04d0 80 00 0000 0000"},
    {"it just fits", "1234 8180 0001 0001 0000 0000" QUESTION A_RECORD, false, false, 49,
     "5678 8180 0001 0001 0000 0000" CLIENT_QUESTION A_RECORD},
    {"it does not fit", "1234 8583 0001 0001 0000 0000" QUESTION A_RECORD, false, false, 48,
     "5678 8783 0001 0000 0000 0000" CLIENT_QUESTION},
    {"it just fits with the OPT", "1234 8180 0001 0001 0000 0000" QUESTION A_RECORD, true, false,
     60, "5678 8180 0001 0001 0000 0001" CLIENT_QUESTION A_RECORD PLAIN_OPT},
    {"it does not fit with the OPT", "1234 8180 0001 0001 0000 0000" QUESTION A_RECORD, true, false,
     59, "5678 8380 0001 0000 0000 0001" CLIENT_QUESTION PLAIN_OPT},
    {"cut short with an extended rcode",
     "1234 8180 0001 0001 0000 0001" QUESTION A_RECORD "00 0029 1000 ff000000 0000", true, false,
     59, "5678 8380 0001 0000 0000 0001" CLIENT_QUESTION "00 0029 04d0 ff 00 0000 0000"},
};

static void test_replies(void **state)
{
    struct wire question = wire_of(CLIENT_QUESTION);
    struct dns_opt opt = dns_opt_plain(1232, false);

    for (size_t i = 0; i < ARRAY_LEN(replies); i++) {
        struct dns_message from;
        struct wire upstream = parsed(replies[i].upstream, &from);
        const struct dns_reply_to reply = {
            .id = 0x5678,
            .flags = DNS_FLAG_RD,
            .question = question.bytes,
            .question_size = question.size,
            .opt = replies[i].opt ? &opt : NULL,
            .limit = replies[i].limit ? replies[i].limit : 512,
        };
        struct built built = room(512);

        built.size = dns_reply_build(built.bytes, 512, &reply, &from, replies[i].keep_ad);
        assert_built(replies[i].what, &built, replies[i].client);
        wire_free(&upstream);
    }
    wire_free(&question);
}

static void test_reply_without_room(void **state)
{
    struct dns_message from;
    struct wire upstream = parsed("1234 8180 0001 0001 0000 0000" QUESTION A_RECORD, &from);
    struct dns_reply_to reply = {
        .question = dns_message_question(&from), .question_size = from.question_size, .limit = 512};

    // Too small a buffer is not taken for the client's limit.
    for (size_t size = 0; size < upstream.size; size++) {
        struct built built = room(size);

        assert_int_equal(dns_reply_build(built.bytes, size, &reply, &from, false), 0);
        free(built.bytes);
    }
    // A question of another size would leave names that point to nowhere.
    reply.question_size--;
    struct built built = room(512);

    assert_int_equal(dns_reply_build(built.bytes, 512, &reply, &from, false), 0);
    free(built.bytes);
    wire_free(&upstream);
}

// R9: 64 kB whole over TCP, with TC over UDP.
static void test_largest_reply(void **state)
{
    static uint8_t wire[DNS_MESSAGE_MAX];
    struct writer w = writer_of(wire, sizeof(wire));
    struct dns_opt opt = dns_opt_plain(1232, false);
    struct dns_message from, message;
    struct built built;
    uint16_t count = 0;

    wire_put(&w, "1234 8180 0001 0000 0000 0000" QUESTION);
    while (writer_left(&w) >= 16) {
        wire_put(&w, A_RECORD);
        count++;
    }
    wire_put(&w, "00 ff00 0001 00000000 0003 'abc'"); // to 65,535 octets
    put_u16(wire + 6, count + 1);
    assert_int_equal(w.pos, DNS_MESSAGE_MAX);
    assert_int_equal(dns_message_parse(&from, wire, w.pos), 0);

    struct dns_reply_to reply = {.question = dns_message_question(&from),
                                 .question_size = from.question_size,
                                 .limit = DNS_MESSAGE_MAX};

    built = room(DNS_MESSAGE_MAX);
    built.size = dns_reply_build(built.bytes, DNS_MESSAGE_MAX, &reply, &from, false);
    assert_int_equal(built.size, DNS_MESSAGE_MAX);
    assert_int_equal(dns_message_parse(&message, built.bytes, built.size), 0);
    assert_int_equal(message.count[DNS_ANSWER], count + 1);

    // Our OPT makes it too large for any message.
    reply.opt = &opt;
    built.size = dns_reply_build(built.bytes, DNS_MESSAGE_MAX, &reply, &from, false);
    assert_int_equal(built.size, 33 + DNS_OPT_SIZE);
    assert_true(get_u16(built.bytes + 2) & DNS_FLAG_TC);

    reply.limit = 1232;
    built.size = dns_reply_build(built.bytes, DNS_MESSAGE_MAX, &reply, &from, false);
    assert_int_equal(built.size, 33 + DNS_OPT_SIZE);
    assert_true(get_u16(built.bytes + 2) & DNS_FLAG_TC);
    free(built.bytes);
}

// Extended errors give way to records, records to nothing but the limit.
static void test_extended_error_gives_way(void **state)
{
    struct dns_message from, message;
    struct wire upstream = parsed("1234 8180 0001 0001 0000 0001" QUESTION A_RECORD
                                  "00 0029 1000 00000000 0009 000f 0005 0003 'old'",
                                  &from);
    struct dns_opt opt = dns_opt_plain(1232, false);
    struct dns_reply_to reply = {
        .question = dns_message_question(&from), .question_size = from.question_size, .opt = &opt};
    static const struct {
        size_t limit, ede_size;
        bool ede;
    } cases[] = {{69, 5, true}, {68, 2, true}, {66, 2, true}, {65, 0, false}, {60, 0, false}};

    opt.ede_from = &from;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct built built = room(512);
        struct dns_option option;

        reply.limit = cases[i].limit;
        built.size = dns_reply_build(built.bytes, 512, &reply, &from, false);
        assert_int_equal(dns_message_parse(&message, built.bytes, built.size), 0);
        assert_int_equal(message.count[DNS_ANSWER], 1);
        assert_false(message.flags & DNS_FLAG_TC);
        assert_int_equal(dns_option_find(&message, DNS_OPTION_EDE, &option), cases[i].ede);
        if (cases[i].ede)
            assert_int_equal(option.size, cases[i].ede_size);
        free(built.bytes);
    }
    wire_free(&upstream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_query),
        cmocka_unit_test(test_query_limits),
        cmocka_unit_test(test_empty_replies),
        cmocka_unit_test(test_empty_reply_keeps_to_512),
        cmocka_unit_test(test_local_reply),
        cmocka_unit_test(test_replies),
        cmocka_unit_test(test_reply_without_room),
        cmocka_unit_test(test_largest_reply),
        cmocka_unit_test(test_extended_error_gives_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
