#include "dns/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <time.h>

#include <cmocka.h>

#include "base/error.h"
#include "dns/edns.h"
#include "dns/name.h"
#include "dns/tables.h"
#include "wire.h"

// Headers: ID, flags, and the counts of question, answer, authority and additional.
#define QUERY(counts) "1234 0100" counts
#define REPLY(counts) "1234 8180" counts

#define QUESTION "{www.example.org} 0001 0001 " // octets 12 to 32
#define NAME "c00c "
#define A_RECORD NAME "0001 0001 00000e10 0004 c0000201 "
#define TXT_RECORD NAME "0010 0001 00000e10 0004 03 'abc' "
#define OPT_RECORD "00 0029 04d0 00 00 8000 0000 "
#define TSIG_RECORD "{key} 00fa 00ff 00000000 0003 '...' "
#define SIG0_RECORD "00 0018 00ff 00000000 0003 '...' "

// Record of a type with a name in its RDATA, whose size is 2.
#define POINTER_RECORD(type, pointer) NAME type " 0001 00000e10 0002 " pointer

static const struct {
    const char *what, *message;
    int rc;
} messages[] = {
    {"query", QUERY("0001 0000 0000 0000") QUESTION, 0},
    {"query with OPT", QUERY("0001 0000 0000 0001") QUESTION OPT_RECORD, 0},
    {"query for the root", QUERY("0001 0000 0000 0000") "{} 0002 0001", 0},
    {"Q9 odd names", QUERY("0001 0000 0000 0000") "06 00 2e 20 ff 0a 25 00 0001 0001", 0},
    {"unknown type and class", QUERY("0001 0000 0000 0000") "{a} ff00 fe00", 0},
    {"Q8 other opcode", "1234 2900 0001 0000 0000 0000" QUESTION, 0},
    {"Q8 AXFR", QUERY("0001 0000 0000 0000") "{a} 00fc 0001", 0},
    {"Q8 ANY, class NONE", QUERY("0001 0000 0000 0000") "{a} 00ff 00fe", 0},
    {"reply", REPLY("0001 0001 0000 0000") QUESTION A_RECORD, 0},
    {"reply of all sections",
     REPLY("0001 0002 0001 0002") QUESTION A_RECORD A_RECORD TXT_RECORD A_RECORD OPT_RECORD, 0},
    {"reply without question", REPLY("0000 0000 0000 0000"), 0},

    {"Q1 nothing", "", E_SHORT},
    {"Q1 one octet", "12", E_SHORT},
    {"Q1 11 octets", "1234 0100 0001 0000 0000 00", E_SHORT},
    {"Q1 a response is a message", REPLY("0001 0000 0000 0000") QUESTION, 0},
    {"Q2 header only", QUERY("0000 0000 0000 0000"), 0},
    {"Q2 header and OPT", QUERY("0000 0000 0000 0001") OPT_RECORD, 0},
    {"Q2 two questions", QUERY("0002 0000 0000 0000") QUESTION QUESTION, E_MALFORMED},
    {"Q2 65535 questions", QUERY("ffff 0000 0000 0000") QUESTION, E_MALFORMED},
    {"Q2 count 1, no question", QUERY("0001 0000 0000 0000"), E_MALFORMED},
    {"Q3 label of 64", QUERY("0001 0000 0000 0000") "40 61*64 00 0001 0001", E_MALFORMED},
    {"Q3 name of 255",
     QUERY("0001 0000 0000 0000") "3f 61*63 3f 61*63 3f 61*63 3d 61*61 00 0001 0001", 0},
    {"Q3 name of 256",
     QUERY("0001 0000 0000 0000") "3f 61*63 3f 61*63 3f 61*63 3e 61*62 00 0001 0001", E_MALFORMED},
    {"Q3 name cut short", QUERY("0001 0000 0000 0000") "03 'www'", E_MALFORMED},
    {"Q3 no type", QUERY("0001 0000 0000 0000") "{www}", E_MALFORMED},
    {"Q3 no class", QUERY("0001 0000 0000 0000") "{www} 0001", E_MALFORMED},
    {"Q3 half a class", QUERY("0001 0000 0000 0000") "{www} 0001 00", E_MALFORMED},
    {"Q4 pointer to itself", QUERY("0001 0000 0000 0000") "c00c 0001 0001", E_MALFORMED},
    {"Q4 pointer forward", QUERY("0001 0000 0000 0000") "c012 0001 0001 {a}", E_MALFORMED},
    {"Q4 pointer into the header", QUERY("0001 0000 0000 0000") "c005 0001 0001", E_MALFORMED},
    {"Q4 label, then into the header", QUERY("0001 0000 0000 0000") "01 'a' c004 0001 0001",
     E_MALFORMED},
    {"Q5 one octet behind", QUERY("0001 0000 0000 0000") QUESTION "00", E_MALFORMED},
    {"Q5 a whole message behind",
     QUERY("0001 0000 0000 0000") QUESTION QUERY("0001 0000 0000 0000") QUESTION, E_MALFORMED},
    {"Q5 octets behind the OPT", QUERY("0001 0000 0000 0001") QUESTION OPT_RECORD "00",
     E_MALFORMED},
    {"Q5 octets behind a header", QUERY("0000 0000 0000 0000") QUESTION, E_MALFORMED},
    {"Q5 answer counted, not there", QUERY("0001 0001 0000 0000") QUESTION, E_MALFORMED},
    {"Q5 authority counted, not there", QUERY("0001 0000 ffff 0000") QUESTION, E_MALFORMED},
    {"Q5 additional counted, one there", QUERY("0001 0000 0000 0002") QUESTION OPT_RECORD,
     E_MALFORMED},
    {"Q5 records in a query", QUERY("0001 0001 0001 0000") QUESTION A_RECORD A_RECORD, 0},
    {"Q6 two OPT", QUERY("0001 0000 0000 0002") QUESTION OPT_RECORD OPT_RECORD, E_BADEDNS},
    {"Q6 two OPT, apart", QUERY("0001 0000 0000 0003") QUESTION OPT_RECORD A_RECORD OPT_RECORD,
     E_BADEDNS},
    {"Q6 OPT among others", QUERY("0001 0000 0000 0003") QUESTION A_RECORD OPT_RECORD A_RECORD, 0},
    {"Q6 owner not the root", QUERY("0001 0000 0000 0001") QUESTION "{a} 0029 04d0 00000000 0000",
     E_BADEDNS},
    {"Q6 owner a pointer", QUERY("0001 0000 0000 0001") QUESTION NAME "0029 04d0 00000000 0000",
     E_BADEDNS},
    {"Q6 owner a pointer to a root label",
     QUERY("0001 0000 0000 0001") QUESTION "c01c 0029 04d0 00000000 0000", E_BADEDNS},
    {"Q6 OPT as an answer", QUERY("0001 0001 0000 0000") QUESTION OPT_RECORD, E_BADEDNS},
    {"Q6 OPT as authority", QUERY("0001 0000 0001 0000") QUESTION OPT_RECORD, E_BADEDNS},
    {"Q6 option overruns by one",
     QUERY("0001 0000 0000 0001") QUESTION "00 0029 04d0 00000000 0006 000a 0003 6162", E_BADEDNS},
    {"Q6 option of 65535",
     QUERY("0001 0000 0000 0001") QUESTION "00 0029 04d0 00000000 0004 000a ffff", E_BADEDNS},
    {"Q6 three octets of an option",
     QUERY("0001 0000 0000 0001") QUESTION "00 0029 04d0 00000000 0003 000a 00", E_BADEDNS},
    {"Q6 octets behind the last option",
     QUERY("0001 0000 0000 0001") QUESTION "00 0029 04d0 00000000 0006 000a 0000 0000", E_BADEDNS},
    {"Q6 OPT overruns the message",
     QUERY("0001 0000 0000 0001") QUESTION "00 0029 04d0 00000000 0005 000a 0000", E_MALFORMED},
    {"Q6 OPT cut short", QUERY("0001 0000 0000 0001") QUESTION "00 0029 04d0 0000", E_MALFORMED},
    {"Q7 version 1, unknown flags",
     QUERY("0001 0000 0000 0001") QUESTION "00 0029 04d0 00 01 ffff 0000", 0},
    {"Q7 unknown options",
     QUERY("0001 0000 0000 0001") QUESTION "00 0029 04d0 00000000 000b fde9 0003 'abc' ffff 0000",
     0},
    {"Q12 same option again",
     QUERY("0001 0000 0000 0001") QUESTION
     "00 0029 04d0 00000000 0018 000a 0008 '12345678' 000a 0008 '12345678'",
     0},
    {"Q12 ECS with a bad prefix",
     QUERY("0001 0000 0000 0001") QUESTION "00 0029 04d0 00000000 0008 0008 0004 0001 ff ff", 0},
    {"Q12 TSIG behind the OPT", QUERY("0001 0000 0000 0002") QUESTION OPT_RECORD TSIG_RECORD, 0},
    {"Q12 SIG(0)", QUERY("0001 0000 0000 0001") QUESTION SIG0_RECORD, 0},

    {"R5 owner points to itself",
     REPLY("0001 0001 0000 0000") QUESTION "c021 0001 0001 00000e10 0004 c0000201", E_MALFORMED},
    {"R5 owner points to the record's RDATA",
     REPLY("0001 0001 0000 0000") QUESTION "c02d 0001 0001 00000e10 0004 00000000", E_MALFORMED},
    {"R5 owner points into an earlier RDATA",
     REPLY("0001 0002 0000 0000") QUESTION A_RECORD "c02e 0001 0001 00000e10 0004 c0000201", 0},
    // Octets behind a name, such as an OPT record, are replaced on the way to the client.
    {"R5 owner points to a label that covers the owner",
     REPLY("0001 0002 0000 0000") QUESTION NAME "ff00 0001 00000e10 0002 0b00"
                                                "c02d ff00 0001 00000e10 0000",
     E_MALFORMED},
    {"R5 owner points into the header",
     REPLY("0001 0001 0000 0000") QUESTION "c002 0001 0001 00000e10 0004 c0000201", E_MALFORMED},
    {"R5 RDLENGTH beyond the end",
     REPLY("0001 0001 0000 0000") QUESTION NAME "0001 0001 00000e10 0005 c0000201", E_MALFORMED},
    {"R5 RDLENGTH 65535",
     REPLY("0001 0001 0000 0000") QUESTION NAME "0001 0001 00000e10 ffff c0000201", E_MALFORMED},
    {"R5 record cut within its TTL", REPLY("0001 0001 0000 0000") QUESTION NAME "0001 0001 0000",
     E_MALFORMED},
    {"R5 count of 65535", REPLY("0001 ffff 0000 0000") QUESTION A_RECORD, E_MALFORMED},
    {"R5 OPT twice", REPLY("0001 0001 0000 0002") QUESTION A_RECORD OPT_RECORD OPT_RECORD,
     E_BADEDNS},
    {"R5 OPT, names behind it", REPLY("0001 0001 0000 0002") QUESTION A_RECORD OPT_RECORD A_RECORD,
     0},
    {"R10 ECS scope in a reply",
     REPLY("0001 0000 0000 0001") QUESTION "00 0029 04d0 00000000 000b 0008 0007 0001 18 18 c00002",
     0},

    {"CNAME", REPLY("0001 0001 0000 0000") QUESTION POINTER_RECORD("0005", NAME), 0},
    {"R5 CNAME to itself", REPLY("0001 0001 0000 0000") QUESTION POINTER_RECORD("0005", "c02d"),
     E_MALFORMED},
    {"R5 CNAME forward", REPLY("0001 0001 0000 0000") QUESTION POINTER_RECORD("0005", "c02f"),
     E_MALFORMED},
    {"R5 NS into the header", REPLY("0001 0001 0000 0000") QUESTION POINTER_RECORD("0002", "c00b"),
     E_MALFORMED},
    {"R5 PTR empty", REPLY("0001 0001 0000 0000") QUESTION NAME "000c 0001 00000e10 0000",
     E_MALFORMED},
    {"R5 PTR with an octet behind",
     REPLY("0001 0001 0000 0000") QUESTION NAME "000c 0001 00000e10 0003 c00c 00", E_MALFORMED},
    {"R5 PTR's name runs out of the RDATA",
     REPLY("0001 0002 0000 0000") QUESTION NAME "000c 0001 00000e10 0002 01 61" A_RECORD,
     E_MALFORMED},
    {"R5 CNAME's pointer cut in two by RDLENGTH",
     REPLY("0001 0002 0000 0000") QUESTION NAME "0005 0001 00000e10 0003 01 61 c0" A_RECORD,
     E_MALFORMED},
    {"MX", REPLY("0001 0001 0000 0000") QUESTION NAME "000f 0001 00000e10 0004 000a c00c", 0},
    {"MX, whole name",
     REPLY("0001 0001 0000 0000") QUESTION NAME "000f 0001 00000e10 0004 000a 00 00", E_MALFORMED},
    {"R5 MX of one octet", REPLY("0001 0001 0000 0000") QUESTION NAME "000f 0001 00000e10 0001 00",
     E_MALFORMED},
    {"R5 MX without name",
     REPLY("0001 0001 0000 0000") QUESTION NAME "000f 0001 00000e10 0002 000a", E_MALFORMED},
    {"SOA", REPLY("0001 0000 0001 0000") QUESTION NAME "0006 0001 00000e10 0018 c00c c010 00*20",
     0},
    {"R5 SOA of 19 octets behind the names",
     REPLY("0001 0000 0001 0000") QUESTION NAME "0006 0001 00000e10 0017 c00c c010 00*19",
     E_MALFORMED},
    {"R5 SOA of 21 octets behind the names",
     REPLY("0001 0000 0001 0000") QUESTION NAME "0006 0001 00000e10 0019 c00c c010 00*21",
     E_MALFORMED},
    {"R5 SOA of one name",
     REPLY("0001 0000 0001 0000") QUESTION NAME "0006 0001 00000e10 0002 c00c", E_MALFORMED},
    {"MINFO", REPLY("0001 0001 0000 0000") QUESTION NAME "000e 0001 00000e10 0004 c00c c010", 0},
    {"R5 MINFO of one name",
     REPLY("0001 0001 0000 0000") QUESTION NAME "000e 0001 00000e10 0002 c00c", E_MALFORMED},
    {"MD, MF, MB, MG, MR",
     REPLY("0001 0005 0000 0000") QUESTION POINTER_RECORD("0003", NAME) POINTER_RECORD("0004", NAME)
         POINTER_RECORD("0007", NAME) POINTER_RECORD("0008", NAME) POINTER_RECORD("0009", NAME),
     0},
    {"other RDATA is opaque",
     REPLY("0001 0003 0000 0000") QUESTION NAME "0001 0001 00000e10 0003 c00002" NAME
                                                "0021 0001 00000e10 0002 c0ff" NAME
                                                "ff00 0001 00000e10 0000",
     0},
    {"a query's RDATA is opaque",
     QUERY("0001 0001 0000 0000") QUESTION POINTER_RECORD("0005", "c02d"), 0},
};

// A message that was refused cannot be walked: nothing in it was promised to be in bounds.
static void assert_no_records(const struct dns_message *message)
{
    struct dns_record record;

    for (size_t i = 0; i < DNS_SECTIONS; i++) {
        size_t pos = message->section[i];

        assert_false(dns_record_next(message, &pos, &record));
    }
}

static void test_messages(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(messages); i++) {
        struct wire wire = wire_of(messages[i].message);
        struct dns_message message;
        int rc = dns_message_parse(&message, wire.bytes, wire.size);

        if (rc != messages[i].rc)
            fail_msg("%s: %d (%s)", messages[i].what, rc, error_text(rc));
        if (rc < 0)
            assert_no_records(&message);
        else
            assert_int_equal(message.end, wire.size);
        wire_free(&wire);
    }
}

// Each octet of a message counts: without its last ones none is a message.
static void test_every_cut_is_refused(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(messages); i++) {
        struct wire whole = wire_of(messages[i].message);

        for (size_t size = 0; messages[i].rc == 0 && size < whole.size; size++) {
            struct wire cut = wire_copy(whole.bytes, size);
            struct dns_message message;
            int rc = dns_message_parse(&message, cut.bytes, size);

            if (rc != (size < DNS_HEADER_SIZE ? E_SHORT : E_MALFORMED))
                fail_msg("%s: cut to %zu: %d", messages[i].what, size, rc);
            wire_free(&cut);
        }
        wire_free(&whole);
    }
}

static void test_header_and_question(void **state)
{
    struct wire wire = wire_of("abcd 79ff 0001 0000 0000 0000 {Www.Example} 001c fffe");
    struct wire question = wire_of("{Www.Example} 001c fffe");
    struct dns_message message;

    assert_int_equal(dns_message_parse(&message, wire.bytes, wire.size), 0);
    assert_int_equal(message.id, 0xabcd);
    assert_int_equal(message.flags, 0x79ff);
    assert_int_equal(DNS_OPCODE(message.flags), 15);
    assert_int_equal(DNS_RCODE(message.flags), 15);
    assert_int_equal(message.question_count, 1);
    assert_int_equal(message.question_size, question.size);
    assert_memory_equal(dns_message_question(&message), question.bytes, question.size);
    assert_int_equal(message.type, DNS_TYPE_AAAA);
    assert_int_equal(message.class, 0xfffe);
    assert_false(message.has_opt);
    assert_int_equal(message.end, wire.size);
    wire_free(&wire);
    wire_free(&question);
}

// What a reply to a faulty query needs is in the view, as far as it was read.
static void test_view_of_a_fault(void **state)
{
    static const struct {
        const char *message;
        uint16_t question_count;
        size_t question_size;
        bool has_opt;
    } faults[] = {
        {QUERY("0001 0000 0000 0000") "03 'www'", 1, 0, false},
        {QUERY("0001 0000 0000 0000") QUESTION "00", 1, 21, false},
        {QUERY("0001 0000 0000 0002") QUESTION OPT_RECORD OPT_RECORD, 1, 21, true},
        {QUERY("0001 0000 0000 0001") QUESTION "{a} 0029 04d0 00000000 0000", 1, 21, false},
        {QUERY("0001 0000 0000 0001") QUESTION "00 0029 04d0 00000000 0001 00", 1, 21, false},
        {QUERY("0002 0000 0000 0000") QUESTION QUESTION, 2, 0, false},
    };

    for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
        struct wire wire = wire_of(faults[i].message);
        struct dns_message message;

        assert_true(dns_message_parse(&message, wire.bytes, wire.size) < 0);
        assert_int_equal(message.id, 0x1234);
        assert_int_equal(message.flags, DNS_FLAG_RD);
        assert_int_equal(message.question_count, faults[i].question_count);
        assert_int_equal(message.question_size, faults[i].question_size);
        assert_int_equal(message.has_opt, faults[i].has_opt);
        wire_free(&wire);
    }
}

static void test_opt_fields(void **state)
{
    static const struct {
        const char *opt;
        uint16_t udp_size;
        uint8_t rcode, version;
        bool dnssec_ok;
    } cases[] = {
        {"00 0029 0000 00 00 0000 0000", 0, 0, 0, false},
        {"00 0029 0001 00 00 8000 0000", 1, 0, 0, true},
        {"00 0029 01ff 01 00 7fff 0000", 511, 1, 0, false},
        {"00 0029 ffff ff ff ffff 0000", 65535, 255, 255, true},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[200];
        struct wire wire;
        struct dns_message message;

        snprintf(text, sizeof(text), "1234 8183 0001 0000 0000 0001 {} 0001 0001 %s", cases[i].opt);
        wire = wire_of(text);
        assert_int_equal(dns_message_parse(&message, wire.bytes, wire.size), 0);
        assert_true(message.has_opt);
        assert_int_equal(message.opt_start, 17);
        assert_int_equal(message.opt_end, wire.size);
        assert_int_equal(message.opt_records_behind, 0);
        assert_int_equal(message.udp_size, cases[i].udp_size);
        assert_int_equal(message.extended_rcode, cases[i].rcode);
        assert_int_equal(dns_message_rcode(&message), cases[i].rcode << 4 | 3);
        assert_int_equal(message.edns_version, cases[i].version);
        assert_int_equal(message.dnssec_ok, cases[i].dnssec_ok);
        assert_int_equal(message.options_size, 0);
        wire_free(&wire);
    }
}

static void test_records_behind_opt(void **state)
{
    struct wire wire = wire_of(REPLY("0001 0001 0000 0004")
                                   QUESTION A_RECORD A_RECORD OPT_RECORD A_RECORD TXT_RECORD);
    struct dns_message message;

    assert_int_equal(dns_message_parse(&message, wire.bytes, wire.size), 0);
    assert_int_equal(message.opt_records_behind, 2);
    assert_int_equal(message.opt_start, 33 + 16 + 16);
    assert_int_equal(message.opt_end, 33 + 16 + 16 + 11);
    wire_free(&wire);
}

static void test_walk_of_records(void **state)
{
    static const struct {
        size_t owner;
        uint16_t type, class;
        uint32_t ttl;
        uint16_t rdata_size;
        enum dns_section section;
    } expected[] = {
        {33, DNS_TYPE_CNAME, DNS_CLASS_IN, 0, 6, DNS_ANSWER},
        {51, DNS_TYPE_A, DNS_CLASS_IN, 0xffffffff, 4, DNS_ANSWER},
        {67, DNS_TYPE_SOA, DNS_CLASS_CH, 0x80000000, 24, DNS_AUTHORITY},
        {105, 65280, 65281, 7, 0, DNS_ADDITIONAL},
        {116, DNS_TYPE_OPT, 1232, 0x8000, 0, DNS_ADDITIONAL},
    };
    struct wire wire =
        wire_of(REPLY("0001 0002 0001 0002") QUESTION                           // 33
                    NAME "0005 0001 00000000 0006 03 'cdn' c010"                // 51
                         "c02d 0001 0001 ffffffff 0004 c0000201"                // 67
                         "01 'x' c010 0006 0003 80000000 0018 c00c c02d 00*20 " // 105
                         "00 ff00 ff01 00000007 0000" OPT_RECORD);
    struct dns_message message;
    struct dns_record record;
    size_t count = 0;

    assert_int_equal(dns_message_parse(&message, wire.bytes, wire.size), 0);
    for (size_t pos = message.section[DNS_ANSWER]; dns_record_next(&message, &pos, &record);) {
        assert_true(count < ARRAY_LEN(expected));
        assert_int_equal(record.owner, expected[count].owner);
        assert_int_equal(record.type, expected[count].type);
        assert_int_equal(record.class, expected[count].class);
        assert_int_equal(record.ttl, expected[count].ttl);
        assert_int_equal(get_u32(wire.bytes + record.ttl_pos), record.ttl);
        assert_int_equal(record.rdata_size, expected[count].rdata_size);
        assert_ptr_equal(record.rdata, wire.bytes + record.ttl_pos + 6);
        assert_true(record.owner >= message.section[expected[count].section]);
        if (expected[count].section < DNS_ADDITIONAL)
            assert_true(record.owner < message.section[expected[count].section + 1]);
        count++;
    }
    assert_int_equal(count, ARRAY_LEN(expected));
    wire_free(&wire);
}

// All that a parsed message offers, read to its end; returns the number of its records.
static size_t walk(const struct dns_message *message)
{
    struct dns_record record;
    struct dns_option option;
    size_t records = 0, sum = 0;

    for (size_t pos = message->section[DNS_ANSWER]; dns_record_next(message, &pos, &record);) {
        uint8_t name[DNS_NAME_MAX];
        size_t length;

        assert_true(dns_name_copy(message->wire, message->end, record.owner, name, &length) > 0);
        for (size_t i = 0; i < record.rdata_size; i++)
            sum += record.rdata[i];
        records++;
    }
    for (size_t pos = 0; dns_option_next(message, &pos, &option);) {
        for (size_t i = 0; i < option.size; i++)
            sum += option.data[i];
    }
    // The sum is used so that nothing above is left out by the compiler.
    return sum == SIZE_MAX ? 0 : records;
}

static void assert_walkable(const struct dns_message *message)
{
    assert_int_equal(walk(message), (size_t)message->count[DNS_ANSWER] +
                                        message->count[DNS_AUTHORITY] +
                                        message->count[DNS_ADDITIONAL]);
}

// Q10: what comes out of a parser must hold, whatever went in.
static void test_million_mutations(void **state)
{
    struct wire whole[ARRAY_LEN(messages)];
    struct rng rng = {.state = 42};
    size_t accepted = 0;

    for (size_t i = 0; i < ARRAY_LEN(messages); i++)
        whole[i] = wire_of(messages[i].message);
    for (int i = 0; i < 1000000; i++) {
        const struct wire *from = &whole[rng_below(&rng, ARRAY_LEN(messages))];
        uint8_t buffer[400];
        struct dns_message message;

        memcpy(buffer, from->bytes, from->size);
        size_t size = wire_mutate(&rng, buffer, from->size, sizeof(buffer));
        uint8_t *bytes = buffer + sizeof(buffer) - size; // a step too far leaves the buffer

        memmove(bytes, buffer, size);
        if (dns_message_parse(&message, bytes, size) == 0) {
            accepted++;
            assert_walkable(&message);
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(messages); i++)
        wire_free(&whole[i]);
    assert_true(accepted > 50000);
}

static void test_random_octets(void **state)
{
    struct rng rng = {.state = 7};

    for (int i = 0; i < 200000; i++) {
        uint8_t bytes[64];
        struct dns_message message;
        size_t size = rng_below(&rng, sizeof(bytes) + 1);

        for (size_t j = 0; j < sizeof(bytes); j++)
            bytes[j] = (uint8_t)rng_next(&rng);
        // Counts of 0 to 3, else nearly all ends with the first.
        for (size_t j = 4; i % 2 && j < 12; j++)
            bytes[j] = j % 2 ? bytes[j] & 3 : 0;
        if (dns_message_parse(&message, bytes, size) == 0)
            assert_walkable(&message);
    }
}

static double seconds_to_parse(const uint8_t *wire, size_t size, int rc)
{
    struct timespec start, end;
    struct dns_message message;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
    assert_int_equal(dns_message_parse(&message, wire, size), rc);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
    return (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9;
}

// The dearest 65,535 octets we know: a name of many labels with a pointer behind each, then records
// whose owner is that name and one label more, and whose RDATA is that name. Returns the size.
static size_t densest_message(uint8_t wire[DNS_MESSAGE_MAX], uint16_t labels)
{
    struct writer w = writer_of(wire, DNS_MESSAGE_MAX);
    uint16_t records = 1;
    size_t last = DNS_HEADER_SIZE;

    wire_put(&w, "1234 8180 0001 0000 0000 0000 {a} 0001 0001");
    // An opaque record that holds the labels but the last one.
    wire_put(&w, "00 ff00 0001 00000000");
    writer_u16(&w, (uint16_t)(4 * (labels - 1)));
    for (uint16_t i = 1; i < labels; i++) {
        size_t here = w.pos;

        wire_put(&w, "01 'a'");
        writer_u16(&w, (uint16_t)(0xc000 | last));
        last = here;
    }
    while (writer_left(&w) >= 16) {
        wire_put(&w, "01 'a'");
        writer_u16(&w, (uint16_t)(0xc000 | last));
        wire_put(&w, "0005 0001 00000000 0002");
        writer_u16(&w, (uint16_t)(0xc000 | last));
        records++;
    }
    put_u16(wire + 6, records);
    return w.pos;
}

// R13: it takes milliseconds; the bound is for sanitizers on a busy machine.
static void test_densest_compression(void **state)
{
    static uint8_t wire[DNS_MESSAGE_MAX];

    assert_true(seconds_to_parse(wire, densest_message(wire, 126), 0) < 1);
    // One label more, and the first owner is too long.
    assert_true(seconds_to_parse(wire, densest_message(wire, 127), E_MALFORMED) < 1);
}

// R13: thousands of the smallest record there is.
static void test_many_records(void **state)
{
    static uint8_t wire[DNS_MESSAGE_MAX];
    struct writer w = writer_of(wire, sizeof(wire));
    struct dns_message message;
    uint16_t records = 0;

    wire_put(&w, "1234 8180 0000 0000 0000 0000");
    while (writer_left(&w) >= 11) {
        wire_put(&w, "00 ff00 0001 00000000 0000");
        records++;
    }
    put_u16(wire + 8, records);
    assert_int_equal(dns_message_parse(&message, wire, w.pos), 0);
    assert_int_equal(walk(&message), records);
    put_u16(wire + 8, records + 1);
    assert_int_equal(dns_message_parse(&message, wire, w.pos), E_MALFORMED);
    put_u16(wire + 8, records - 1);
    assert_int_equal(dns_message_parse(&message, wire, w.pos), E_MALFORMED);
}

// R13: a chain of hundreds of CNAMEs.
static void test_long_cname_chain(void **state)
{
    static uint8_t wire[DNS_MESSAGE_MAX];
    struct writer w = writer_of(wire, sizeof(wire));
    struct dns_message message;
    size_t owner = 12;

    wire_put(&w, "1234 8180 0001 0320 0000 0000 {a.example} 0001 0001");
    for (int i = 0; i < 800; i++) {
        writer_u16(&w, (uint16_t)(0xc000 | owner));
        wire_put(&w, "0005 0001 00000000 0005");
        owner = w.pos;
        writer_u8(&w, 2);
        writer_u16(&w, (uint16_t)i);
        writer_u16(&w, 0xc00e);
    }
    assert_int_equal(dns_message_parse(&message, wire, w.pos), 0);
    assert_int_equal(walk(&message), 800);
}

static void test_tables(void **state)
{
    char text[DNS_NUMBER_TEXT_MAX];

    assert_string_equal(dns_type_name(DNS_TYPE_AAAA), "AAAA");
    assert_string_equal(dns_type_name(65), "HTTPS");
    assert_null(dns_type_name(65280));
    assert_string_equal(dns_type_text(DNS_TYPE_CAA, text), "CAA");
    assert_string_equal(dns_type_text(0, text), "TYPE0");
    assert_string_equal(dns_type_text(65535, text), "TYPE65535");
    assert_string_equal(dns_class_name(DNS_CLASS_CH), "CH");
    assert_null(dns_class_name(0));
    assert_string_equal(dns_rcode_name(DNS_RCODE_NXDOMAIN), "NXDOMAIN");
    assert_string_equal(dns_rcode_name(16), "BADVERS");
    assert_null(dns_rcode_name(4095));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_every_cut_is_refused),
        cmocka_unit_test(test_header_and_question),
        cmocka_unit_test(test_view_of_a_fault),
        cmocka_unit_test(test_opt_fields),
        cmocka_unit_test(test_records_behind_opt),
        cmocka_unit_test(test_walk_of_records),
        cmocka_unit_test(test_million_mutations),
        cmocka_unit_test(test_random_octets),
        cmocka_unit_test(test_densest_compression),
        cmocka_unit_test(test_many_records),
        cmocka_unit_test(test_long_cname_chain),
        cmocka_unit_test(test_tables),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
