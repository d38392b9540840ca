#include "upstream/reply.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/error.h"
#include "dns/tables.h"
#include "engine/upstream.h"
#include "wire.h"

// What was asked: under ID 1234, in this letter case.
#define QUESTION "{wWw.example.org} 0001 0001 "
#define A_RECORD "c00c 0001 0001 00000e10 0004 c0000201 "
#define OPT "00 0029 04d0 00 00 0000 0000 "

static const struct {
    const char *what, *reply;
    int err;
} replies[] = {
    {"an answer", "1234 8180 0001 0001 0000 0000" QUESTION A_RECORD, E_OK},
    {"an answer with EDNS", "1234 8180 0001 0001 0000 0001" QUESTION A_RECORD OPT, E_OK},
    {"no RA, no RD", "1234 8000 0001 0001 0000 0000" QUESTION A_RECORD, E_OK},
    {"AA, AD, CD and the bit Z", "1234 85f0 0001 0001 0000 0000" QUESTION A_RECORD, E_OK},
    {"R1 the ID is matched by the connection, not here",
     "4321 8180 0001 0001 0000 0000" QUESTION A_RECORD, E_OK},

    {"R2 other name", "1234 8180 0001 0000 0000 0000 {wXw.example.org} 0001 0001", E_MISMATCH},
    {"R2 other letter case", "1234 8180 0001 0000 0000 0000 {www.example.org} 0001 0001",
     E_MISMATCH},
    {"R2 other letter case, last label",
     "1234 8180 0001 0000 0000 0000 {wWw.example.orG} 0001 0001", E_MISMATCH},
    {"R2 name below", "1234 8180 0001 0000 0000 0000 {a.wWw.example.org} 0001 0001", E_MISMATCH},
    {"R2 name above", "1234 8180 0001 0000 0000 0000 {example.org} 0001 0001", E_MISMATCH},
    {"R2 the root", "1234 8180 0001 0000 0000 0000 {} 0001 0001", E_MISMATCH},
    {"R2 same octets, other labels",
     "1234 8180 0001 0000 0000 0000 0b 'wWw' 07 'example' 03 'org' 00 0001 0001", E_MISMATCH},
    {"R2 other type", "1234 8180 0001 0000 0000 0000 {wWw.example.org} 001c 0001", E_MISMATCH},
    {"R2 other class", "1234 8180 0001 0000 0000 0000 {wWw.example.org} 0001 0003", E_MISMATCH},
    {"R2 question missing", "1234 8180 0000 0000 0000 0000", E_MISMATCH},
    {"R2 question missing, record there",
     "1234 8180 0000 0001 0000 0000 {wWw.example.org} 0001 0001 00000e10 0004 c0000201",
     E_MISMATCH},
    {"R2 SERVFAIL without a question", "1234 8182 0000 0000 0000 0000", E_MISMATCH},
    {"R2 two questions", "1234 8180 0002 0000 0000 0000" QUESTION QUESTION, E_MALFORMED},
    {"R2 question name by pointer into the header", "0003 'org' 0001 0000 0000 0000 c002 0001 0001",
     E_MALFORMED},

    {"R3 QR clear: our own query come back", "1234 0100 0001 0000 0000 0001" QUESTION OPT,
     E_MISMATCH},
    {"R3 QR clear, answer there", "1234 0180 0001 0001 0000 0000" QUESTION A_RECORD, E_MISMATCH},
    {"R3 opcode IQUERY", "1234 8980 0001 0001 0000 0000" QUESTION A_RECORD, E_MISMATCH},
    {"R3 opcode NOTIFY", "1234 a180 0001 0001 0000 0000" QUESTION A_RECORD, E_MISMATCH},
    {"R3 opcode UPDATE", "1234 a980 0001 0001 0000 0000" QUESTION A_RECORD, E_MISMATCH},
    {"R3 opcode 15", "1234 f980 0001 0001 0000 0000" QUESTION A_RECORD, E_MISMATCH},

    {"R4 nothing", "", E_SHORT},
    {"R4 11 octets", "1234 8180 0001 0001 0000 00", E_SHORT},
    {"R4 cut within the question", "1234 8180 0001 0000 0000 0000 {wWw.example.org} 0001 00",
     E_MALFORMED},
    {"R4 cut within the record", "1234 8180 0001 0001 0000 0000" QUESTION "c00c 0001 0001 00000e10",
     E_MALFORMED},

    {"R5 owner points to itself",
     "1234 8180 0001 0001 0000 0000" QUESTION "c021 0001 0001 00000e10 0004 c0000201", E_MALFORMED},
    {"R5 owner points forward",
     "1234 8180 0001 0001 0000 0000" QUESTION "c023 0001 0001 00000e10 0004 c0000201", E_MALFORMED},
    {"R5 loop within RDATA", // at 45: label and pointer back to it
     "1234 8180 0001 0001 0000 0000" QUESTION "c00c 0005 0001 00000e10 0004 01 'a' c02d",
     E_MALFORMED},
    {"R5 count beyond the data", "1234 8180 0001 0002 0000 0000" QUESTION A_RECORD, E_MALFORMED},
    {"R5 count of 65535", "1234 8180 0001 0000 ffff 0000" QUESTION A_RECORD, E_MALFORMED},
    {"R5 count short of the data", "1234 8180 0001 0001 0000 0000" QUESTION A_RECORD A_RECORD,
     E_MALFORMED},
    {"R5 trailing octet", "1234 8180 0001 0001 0000 0000" QUESTION A_RECORD "00", E_MALFORMED},
    {"R5 RDLENGTH beyond the message",
     "1234 8180 0001 0001 0000 0000" QUESTION "c00c 0001 0001 00000e10 0005 c0000201", E_MALFORMED},
    {"R5 CNAME with RDATA left over",
     "1234 8180 0001 0001 0000 0000" QUESTION "c00c 0005 0001 00000e10 0003 c00c 00", E_MALFORMED},
    {"R5 two OPT", "1234 8180 0001 0000 0000 0002" QUESTION OPT OPT, E_BADEDNS},
    {"R5 OPT as answer", "1234 8180 0001 0001 0000 0000" QUESTION OPT, E_BADEDNS},
    {"R5 OPT of a name", "1234 8180 0001 0000 0000 0001" QUESTION "c00c 0029 04d0 00000000 0000",
     E_BADEDNS},
    {"R5 option beyond the OPT",
     "1234 8180 0001 0000 0000 0001" QUESTION "00 0029 04d0 00000000 0004 000c 0001", E_BADEDNS},
    {"R5 OPT in the middle", "1234 8180 0001 0000 0000 0002" QUESTION OPT A_RECORD, E_OK},

    {"R6 CNAME that ends elsewhere",
     "1234 8180 0001 0002 0000 0000" QUESTION "c00c 0005 0001 00000e10 0005 03 'foo' 00"
     "{bar} 0001 0001 00000e10 0004 c0000201",
     E_OK},
    {"R7 TC set", "1234 8380 0001 0000 0000 0000" QUESTION, E_OK},
    {"R7 neither answer nor SOA", "1234 8180 0001 0000 0000 0000" QUESTION, E_OK},
    {"R7 SERVFAIL", "1234 8182 0001 0000 0000 0000" QUESTION, E_OK},
    {"R7 rcode 4095", "1234 818f 0001 0000 0000 0001" QUESTION "00 0029 04d0 ff000000 0000", E_OK},
    {"R8 TTL of 2^32-1",
     "1234 8180 0001 0001 0000 0000" QUESTION "c00c 0001 0001 ffffffff 0004 c0000201", E_OK},
    {"R10 a cookie and ECS nobody asked for",
     "1234 8180 0001 0000 0000 0001" QUESTION
     "00 0029 04d0 00000000 0018 000a 0008 0102030405060708 0008 0008 00011800 c0000200",
     E_OK},
};

static void test_replies(void **state)
{
    struct wire question = wire_of(QUESTION);

    for (size_t i = 0; i < ARRAY_LEN(replies); i++) {
        struct wire wire = wire_of(replies[i].reply);
        struct dns_message reply;
        int err =
            upstream_reply_check(&reply, wire.bytes, wire.size, question.bytes, question.size);

        if (err != replies[i].err)
            fail_msg("%s: %s", replies[i].what, error_text(err));
        if (err == E_OK) {
            assert_ptr_equal(reply.wire, wire.bytes);
            assert_int_equal(reply.end, wire.size);
        }
        wire_free(&wire);
    }
    wire_free(&question);
}

// One octet of the question after the other, each changed to all others.
static void test_no_other_question_passes(void **state)
{
    struct wire question = wire_of(QUESTION);
    struct wire wire = wire_of("1234 8180 0001 0001 0000 0000" QUESTION A_RECORD);
    struct dns_message reply;

    for (size_t at = 0; at < question.size; at++) {
        for (unsigned change = 1; change < 256; change++) {
            wire.bytes[DNS_HEADER_SIZE + at] ^= (uint8_t)change;
            assert_int_not_equal(
                upstream_reply_check(&reply, wire.bytes, wire.size, question.bytes, question.size),
                E_OK);
            wire.bytes[DNS_HEADER_SIZE + at] ^= (uint8_t)change;
        }
    }
    wire_free(&wire);
    wire_free(&question);
}

static void test_every_cut_is_refused(void **state)
{
    struct wire question = wire_of(QUESTION);
    struct wire wire = wire_of("1234 8180 0001 0001 0000 0001" QUESTION A_RECORD OPT);
    struct dns_message reply;

    for (size_t size = 0; size < wire.size; size++) {
        struct wire cut = wire_copy(wire.bytes, size);

        assert_int_equal(
            upstream_reply_check(&reply, cut.bytes, cut.size, question.bytes, question.size),
            size < DNS_HEADER_SIZE ? E_SHORT : E_MALFORMED);
        wire_free(&cut);
    }
    wire_free(&wire);
    wire_free(&question);
}

static bool is_failure(uint16_t flags, uint8_t extended_rcode)
{
    struct wire wire = wire_of("1234 8180 0001 0000 0000 0001 {} 0001 0001" OPT);
    struct dns_message reply;
    bool failure;

    put_u16(wire.bytes + 2, flags);
    wire.bytes[17 + 5] = extended_rcode;
    assert_int_equal(dns_message_parse(&reply, wire.bytes, wire.size), E_OK);
    failure = upstream_reply_is_failure(&reply);
    wire_free(&wire);
    return failure;
}

// R7: NOERROR, NXDOMAIN and YXDOMAIN are the zone's word, all else may be the upstream's own
// trouble.
static void test_failures(void **state)
{
    for (unsigned rcode = 0; rcode < 4096; rcode++) {
        bool answer = rcode == DNS_RCODE_NOERROR || rcode == DNS_RCODE_NXDOMAIN ||
                      rcode == DNS_RCODE_YXDOMAIN;
        uint16_t flags = (uint16_t)(0x8180 | (rcode & 15));

        assert_int_equal(is_failure(flags, (uint8_t)(rcode >> 4)), !answer);
        assert_true(is_failure(flags | DNS_FLAG_TC, (uint8_t)(rcode >> 4)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replies),
        cmocka_unit_test(test_no_other_question_passes),
        cmocka_unit_test(test_every_cut_is_refused),
        cmocka_unit_test(test_failures),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
