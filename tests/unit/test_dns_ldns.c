// Our reading of messages against that of libldns, over valid messages and mutations of them.
//
// On each message the two must agree: both refuse it, or both accept it and find the same in it.
// Where they differ, the difference must be of one of the classes below, by what a third reading,
// written for this test in the plainest way, finds in the message.
#include "dns/message.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <ldns/ldns.h>

#include "dns/edns.h"
#include "dns/name.h"
#include "dns/tables.h"
#include "wire.h"

// Why we refuse what ldns accepts: it reads zone data and test tools' messages, and is lenient; we
// stand between parties who may read the same octets differently.
#define FAULT_LIST(X)                                                                              \
    /* ldns reads any number of questions. We want 0 or 1: there is no reply to two. */            \
    X(QUESTIONS, "more than one question")                                                         \
    /* ldns stops behind the last record. What follows would be forwarded unseen. */               \
    X(TRAILING, "octets behind the last record")                                                   \
    /* ldns takes the last of several, as an ordinary record if it is no additional one, with */   \
    /* any owner, and leaves the options alone. RFC 6891 section 6.1.1 and 6.1.2. */               \
    X(OPT_TWICE, "two OPT records")                                                                \
    X(OPT_SECTION, "an OPT record that is no additional one")                                      \
    X(OPT_OWNER, "an OPT record whose owner is not the octet 0")                                   \
    X(OPT_OPTIONS, "options that do not end with the OPT record")                                  \
    /* ldns goes where a pointer leads, but not to octet 0, and 65,535 times in one name. */       \
    /* RFC 1035 section 4.1.4 has a pointer refer to a prior name. */                              \
    X(POINTER_FORWARD, "a pointer that does not go backwards")                                     \
    X(POINTER_OVERLAP, "labels that go on into those that they continue")                          \
    X(POINTER_HEADER, "a pointer into the header")                                                 \
    X(POINTER_CHAIN, "over 127 pointers in one name")                                              \
    /* In a response ldns too reads the names in the RDATA of NS, CNAME, SOA and so on, but is */  \
    /* content with too few of the fields, with a name that goes on behind the RDATA (it then */   \
    /* reads the next record from there), and with octets left over (likewise). */                 \
    X(RDATA, "RDATA that is not what its type says")                                               \
    /* What both refuse: cut short, a label over 63, a name over 255. */                           \
    X(BROKEN, "broken")

enum fault {
    FAULT_NONE,
#define X(name, text) FAULT_##name,
    FAULT_LIST(X)
#undef X
        FAULTS
};

static const char *const fault_texts[] = {"none",
#define X(name, text) text,
                                          FAULT_LIST(X)
#undef X
};

// One class more: RDATA that we pass on unread. ldns reads that of every type it knows, refuses
// what is wrong in it, keeps TSIG records apart, and where RDATA is longer than the fields of its
// type goes on reading right behind the last field. Told that these records are of a type that it
// does not know, it must agree with us.
enum { TYPE_UNKNOWN = 65280 };

struct tally {
    unsigned long accepted, refused, opaque_rdata, fault[FAULTS];
};

// The third reading.

// Follows the name at `pos`, whose labels end before `limit`. `*end` is the position behind it.
static enum fault plain_name(const uint8_t *wire, size_t limit, size_t pos, unsigned pointers,
                             size_t *length, size_t *end)
{
    size_t start = pos;

    while (pos < limit && wire[pos] > 0 && wire[pos] < 64) {
        *length += 1 + (size_t)wire[pos];
        pos += 1 + (size_t)wire[pos];
    }
    if (pos >= limit || (wire[pos] >= 192 && pos + 1 >= limit))
        return pointers > 0 ? FAULT_POINTER_OVERLAP : FAULT_BROKEN;
    if ((wire[pos] >= 64 && wire[pos] < 192) || *length + 1 > 255)
        return FAULT_BROKEN;
    if (wire[pos] == 0) {
        *end = pos + 1;
        return FAULT_NONE;
    }

    size_t target = (size_t)(wire[pos] - 192) * 256 + wire[pos + 1];
    size_t ignored;

    *end = pos + 2;
    if (target >= start)
        return FAULT_POINTER_FORWARD;
    if (target < 12)
        return FAULT_POINTER_HEADER;
    if (pointers == 127)
        return FAULT_POINTER_CHAIN;
    return plain_name(wire, start, target, pointers + 1, length, &ignored);
}

static enum fault name_at(const uint8_t *wire, size_t size, size_t *pos)
{
    size_t length = 0;

    return plain_name(wire, size, *pos, 0, &length, pos);
}

// Octets, names and octets in the RDATA of a type of RFC 1035.
static bool has_names(unsigned type, size_t *before, unsigned *names, size_t *behind)
{
    switch (type) {
    case DNS_TYPE_NS:
    case DNS_TYPE_MD:
    case DNS_TYPE_MF:
    case DNS_TYPE_CNAME:
    case DNS_TYPE_MB:
    case DNS_TYPE_MG:
    case DNS_TYPE_MR:
    case DNS_TYPE_PTR:
        *before = 0, *names = 1, *behind = 0;
        return true;
    case DNS_TYPE_MX:
        *before = 2, *names = 1, *behind = 0;
        return true;
    case DNS_TYPE_MINFO:
        *before = 0, *names = 2, *behind = 0;
        return true;
    case DNS_TYPE_SOA:
        *before = 0, *names = 2, *behind = 20;
        return true;
    default:
        return false;
    }
}

static enum fault rdata_fault(const uint8_t *wire, size_t start, size_t end, unsigned type)
{
    size_t before, behind;
    unsigned names;

    if (!has_names(type, &before, &names, &behind))
        return FAULT_NONE;
    start += before;
    while (names-- > 0) {
        enum fault fault = start < end ? name_at(wire, end, &start) : FAULT_RDATA;

        if (fault != FAULT_NONE)
            return fault == FAULT_BROKEN ? FAULT_RDATA : fault;
    }
    return start + behind == end ? FAULT_NONE : FAULT_RDATA;
}

static enum fault options_fault(const uint8_t *options, size_t size)
{
    size_t pos = 0;

    while (pos < size) {
        if (pos + 4 > size)
            return FAULT_OPT_OPTIONS;
        pos += 4 + (size_t)options[pos + 2] * 256 + options[pos + 3];
    }
    return pos == size ? FAULT_NONE : FAULT_OPT_OPTIONS;
}

// The first fault in a message. With `opaque` also gives each record whose RDATA we do not read a
// type that ldns does not know, as far as the fault.
static enum fault first_fault(uint8_t *wire, size_t size, bool opaque)
{
    bool response, seen_opt = false;
    size_t pos = 12;
    enum fault fault;

    if (size < 12)
        return FAULT_BROKEN;
    response = wire[2] & 0x80;
    if (wire[4] * 256 + wire[5] > 1)
        return FAULT_QUESTIONS;
    if (wire[5] == 1) {
        fault = name_at(wire, size, &pos);
        if (fault != FAULT_NONE)
            return fault;
        pos += 4;
        if (pos > size)
            return FAULT_BROKEN;
    }
    for (int section = 1; section <= 3; section++) {
        for (int i = 0; i < wire[4 + 2 * section] * 256 + wire[5 + 2 * section]; i++) {
            size_t owner = pos, before, behind, rdata_size;
            unsigned type, names;

            fault = name_at(wire, size, &pos);
            if (fault != FAULT_NONE)
                return fault;
            if (pos + 10 > size)
                return FAULT_BROKEN;
            type = (unsigned)wire[pos] * 256 + wire[pos + 1];
            rdata_size = (size_t)wire[pos + 8] * 256 + wire[pos + 9];
            if (opaque && type != DNS_TYPE_OPT &&
                !(response && has_names(type, &before, &names, &behind)))
                put_u16(wire + pos, TYPE_UNKNOWN);
            pos += 10;
            if (pos + rdata_size > size)
                return FAULT_BROKEN;
            if (type == DNS_TYPE_OPT) {
                if (section != 3)
                    return FAULT_OPT_SECTION;
                if (seen_opt)
                    return FAULT_OPT_TWICE;
                if (wire[owner] != 0)
                    return FAULT_OPT_OWNER;
                seen_opt = true;
                fault = options_fault(wire + pos, rdata_size);
            } else {
                fault = response ? rdata_fault(wire, pos, pos + rdata_size, type) : FAULT_NONE;
            }
            if (fault != FAULT_NONE)
                return fault;
            pos += rdata_size;
        }
    }
    return pos == size ? FAULT_NONE : FAULT_TRAILING;
}

// Do ours and ldns's find the same?

static bool same_name(const struct dns_message *message, size_t *pos, const ldns_rdf *rdf)
{
    uint8_t name[DNS_NAME_MAX];
    size_t length;

    *pos = dns_name_copy(message->wire, message->size, *pos, name, &length);
    return *pos != 0 && length == ldns_rdf_size(rdf) &&
           memcmp(name, ldns_rdf_data(rdf), length) == 0;
}

static bool same_rdata(const struct dns_message *message, const struct dns_record *record,
                       const ldns_rr *rr)
{
    size_t pos = (size_t)(record->rdata - message->wire);
    size_t end = pos + record->rdata_size;

    for (size_t i = 0; i < ldns_rr_rd_count(rr); i++) {
        const ldns_rdf *rdf = ldns_rr_rdf(rr, i);

        if (ldns_rdf_get_type(rdf) == LDNS_RDF_TYPE_DNAME) {
            if (!same_name(message, &pos, rdf))
                return false;
        } else {
            if (ldns_rdf_size(rdf) > end - pos ||
                memcmp(message->wire + pos, ldns_rdf_data(rdf), ldns_rdf_size(rdf)) != 0)
                return false;
            pos += ldns_rdf_size(rdf);
        }
        if (pos > end)
            return false;
    }
    return pos == end;
}

static bool same_section(const struct dns_message *message, enum dns_section section,
                         const ldns_rr_list *rrs)
{
    size_t pos = message->section[section];
    size_t next = 0;
    struct dns_record record;

    for (unsigned i = 0; i < message->count[section]; i++) {
        if (!dns_record_next(message, &pos, &record))
            return false;
        if (record.type == DNS_TYPE_OPT) // ldns keeps it apart
            continue;

        const ldns_rr *rr = next < ldns_rr_list_rr_count(rrs) ? ldns_rr_list_rr(rrs, next) : NULL;
        size_t owner = record.owner;

        if (!rr || record.type != (uint16_t)ldns_rr_get_type(rr) ||
            record.class != (uint16_t)ldns_rr_get_class(rr) || record.ttl != ldns_rr_ttl(rr) ||
            !same_name(message, &owner, ldns_rr_owner(rr)) || !same_rdata(message, &record, rr))
            return false;
        next++;
    }
    return next == ldns_rr_list_rr_count(rrs);
}

static bool same_header_and_question(const struct dns_message *message, const ldns_pkt *packet)
{
    const ldns_rr_list *questions = ldns_pkt_question(packet);
    uint16_t flags = message->flags;
    size_t pos = DNS_HEADER_SIZE;

    if (message->id != ldns_pkt_id(packet) || !(flags & DNS_FLAG_QR) != !ldns_pkt_qr(packet) ||
        DNS_OPCODE(flags) != (unsigned)ldns_pkt_get_opcode(packet) ||
        DNS_RCODE(flags) != (unsigned)ldns_pkt_get_rcode(packet) ||
        !(flags & DNS_FLAG_TC) != !ldns_pkt_tc(packet) ||
        !(flags & DNS_FLAG_RD) != !ldns_pkt_rd(packet) ||
        !(flags & DNS_FLAG_CD) != !ldns_pkt_cd(packet) ||
        !(flags & DNS_FLAG_AD) != !ldns_pkt_ad(packet) ||
        message->question_count != ldns_rr_list_rr_count(questions))
        return false;
    if (message->question_count == 0)
        return message->question_size == 0;

    const ldns_rr *question = ldns_rr_list_rr(questions, 0);

    return same_name(message, &pos, ldns_rr_owner(question)) &&
           pos + 4 == DNS_HEADER_SIZE + message->question_size &&
           message->type == (uint16_t)ldns_rr_get_type(question) &&
           message->class == (uint16_t)ldns_rr_get_class(question);
}

static bool same_edns(const struct dns_message *message, const ldns_pkt *packet)
{
    const ldns_rdf *data = ldns_pkt_edns_data(packet);

    if (message->has_opt != ldns_pkt_edns(packet))
        return false;
    if (!message->has_opt)
        return true;
    return message->udp_size == ldns_pkt_edns_udp_size(packet) &&
           message->extended_rcode == ldns_pkt_edns_extended_rcode(packet) &&
           message->edns_version == ldns_pkt_edns_version(packet) &&
           message->dnssec_ok == ldns_pkt_edns_do(packet) &&
           message->options_size == (data ? ldns_rdf_size(data) : 0) &&
           (!data || memcmp(message->options, ldns_rdf_data(data), ldns_rdf_size(data)) == 0);
}

// Whether both refuse the message, or both accept it and find the same.
static bool agree(const uint8_t *wire, size_t size, bool *ours, bool *theirs)
{
    struct dns_message message;
    ldns_pkt *packet = NULL;
    bool same;

    *ours = dns_message_parse(&message, wire, size) == 0;
    *theirs = ldns_wire2pkt(&packet, wire, size) == LDNS_STATUS_OK;
    if (!*ours || !*theirs) {
        same = *ours == *theirs;
    } else {
        same = same_header_and_question(&message, packet) &&
               same_section(&message, DNS_ANSWER, ldns_pkt_answer(packet)) &&
               same_section(&message, DNS_AUTHORITY, ldns_pkt_authority(packet)) &&
               same_section(&message, DNS_ADDITIONAL, ldns_pkt_additional(packet)) &&
               same_edns(&message, packet);
    }
    if (*theirs)
        ldns_pkt_free(packet);
    return same;
}

static void fail_with(const struct wire *wire, const char *why)
{
    for (size_t i = 0; i < wire->size; i++)
        print_message("%02x%s", wire->bytes[i], i % 32 == 31 ? "\n" : " ");
    fail_msg("%s", why);
}

static void compare(const uint8_t *bytes, size_t size, struct tally *tally)
{
    struct wire wire = wire_copy(bytes, size);
    enum fault fault = first_fault(wire.bytes, size, false);
    bool ours, theirs, ours_of_opaque;

    if (agree(wire.bytes, size, &ours, &theirs)) {
        if (ours)
            tally->accepted++;
        else
            tally->refused++;
        if (ours != (fault == FAULT_NONE))
            fail_with(&wire, fault_texts[fault]);
        wire_free(&wire);
        return;
    }
    if (ours != (fault == FAULT_NONE))
        fail_with(&wire, fault_texts[fault]);
    (void)first_fault(wire.bytes, size, true);
    if (agree(wire.bytes, size, &ours_of_opaque, &theirs))
        tally->opaque_rdata++;
    else if (!ours && theirs && fault != FAULT_BROKEN)
        tally->fault[fault]++;
    else
        fail_with(&wire, ours ? "we accept it" : "we refuse it");
    if (ours_of_opaque != ours)
        fail_with(&wire, "the type of opaque RDATA mattered to us");
    wire_free(&wire);
}

#define QUESTION "{www.example.org} 0001 0001 "
#define FIXED " 0001 00000e10 "
#define OPT "00 0029 04d0 0000 8000 0000 "

static const char *const valid[] = {
    // Queries.
    "1234 0100 0001 0000 0000 0000" QUESTION,
    "1234 0120 0001 0000 0000 0001" QUESTION OPT,
    "1234 0100 0001 0000 0000 0001" QUESTION
    "00 0029 04d0 00000000 001f 000a 0008 '12345678' 0008 0007 0001 1800 c00002 000c 0004 00*4 ",
    "1234 0100 0001 0000 0000 0002" QUESTION OPT
    "{key.example} 00fa 00ff 00000000 003a 08 'hmac-md5' 07 'sig-alg' 03 'reg' 03 'int' 00"
    "000065000000 012c 0010 61*16 1234 0000 0000",
    "1234 0100 0001 0000 0000 0000 {} 0002 0001",
    "1234 0100 0000 0000 0000 0001" OPT,
    "1234 2400 0001 0001 0000 0000 {example.org} 0006 0001"
    "c00c 0006" FIXED "0018 c00c c00c 00*20 ",
    // A, AAAA, CNAME chains.
    "1234 8180 0001 0002 0000 0001" QUESTION "c00c 0001" FIXED "0004 c0000201 c00c 0001" FIXED
    "0004 c0000202" OPT,
    "1234 8180 0001 0003 0000 0000 {www.example.org} 001c 0001"
    "c00c 0005" FIXED "0006 03 'cdn' c010" // at 33, RDATA at 45
    "c02d 0005" FIXED "000a 05 'edge1' 01 'x' c010"
    "c03f 001c" FIXED "0010 2001 0db8 00*12 ",
    // A referral with glue, names compressed in RDATA.
    "1234 8100 0001 0000 0002 0003" QUESTION "c010 0002" FIXED "0006 03 'ns1' c010 c010 0002" FIXED
    "0006 03 'ns2' c010"
    "c02d 0001" FIXED "0004 c0000235 c03f 001c" FIXED "0010 2001 0db8 00*12 " OPT,
    // A negative answer.
    "1234 8183 0001 0000 0001 0001" QUESTION "c010 0006" FIXED
    "0021 03 'ns1' c010 04 'host' c02d 00000001 00001c20 00000e10 00093a80 00000e10"
    "00 0029 04d0 0000 8000 000a 000f 0006 0006 'text'",
    // MX, SRV, NAPTR, TXT, HINFO, CAA.
    "1234 8180 0001 0002 0000 0000 {example.org} 000f 0001"
    "c00c 000f" FIXED "0009 000a 04 'mail' c00c c00c 000f" FIXED "0004 0014 c00c",
    "1234 8180 0001 0003 0000 0000 {_sip._tcp.example.org} 0021 0001"
    "c00c 0021" FIXED "0017 0001 0002 13c4 {sip.example.org}"
    "c00c 0023" FIXED "0015 0064 000a 01 'u' 07 'E2U+sip' 05 '!a!b!' 00"
    "c00c 0010" FIXED "000a 03 'abc' 05 'defgh'",
    "1234 8180 0001 0002 0000 0000 {example.org} 0101 0001"
    "c00c 0101" FIXED "0014 00 05 'issue' 'ca.example.' 6f 67 c00c 000d" FIXED
    "0008 03 'cpu' 03 'osx'",
    // DNSSEC.
    "1234 81a0 0001 0002 0000 0001" QUESTION "c00c 0001" FIXED "0004 c0000201"
    "c00c 002e" FIXED "003f 0001 08 03 00000e10 65000000 64000000 1234 {example.org} 5a*32 " OPT,
    "1234 8183 0001 0000 0003 0001" QUESTION "c010 002f" FIXED
    "0016 {mail.example} 00 06 400100000003"
    "c010 0032" FIXED "0026 01 00 000a 04 'salt' 14 61*20 00 06 400000000012"
    "c010 0030" FIXED "0014 0101 03 08 5a*16 " OPT,
    "1234 8180 0001 0002 0000 0000 {example.org} 002b 0001"
    "c00c 002b" FIXED "0024 1234 08 02 5a*32 c00c 0034" FIXED "0023 03 01 01 5a*32 ",
    // HTTPS, PTR, and others.
    "1234 8180 0001 0002 0000 0000 {example.org} 0041 0001"
    "c00c 0041" FIXED "000d 0001 00 0001 0006 02 'h2' 02 'h3'"
    "c00c 0041" FIXED "0007 0000 {a.b}",
    "1234 8180 0001 0001 0000 0000"
    "{1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa} 000c 0001"
    "c00c 000c" FIXED "0011 {www.example.org}",
    "1234 8180 0001 0006 0000 0000 {a.b} 00ff 0001" // RDATA at 33, and so on
    "c00c 0003" FIXED "0002 c00c c00c 0004" FIXED "0002 c00e c00c 0007" FIXED "0002 c00c"
    "c00c 0008" FIXED "0002 c00c c00c 0009" FIXED "0002 c00c c00c 000e" FIXED "0004 c00c c00e",
    "1234 8180 0001 0002 0000 0000 {version.bind} 0010 0003 c00c 0010 0003 00000000 0004 03 'abc'"
    "c00c ff01 0003 00000000 0002 c0ff",
    // Many labels through many pointers.
    "1234 8180 0001 0004 0000 0000 {d} 0002 0001 01 'c' c00c 0002" FIXED "0004 01 'b' c013"
    "01 'a' c021 0002" FIXED "0002 c013 01 'z' c025 0002" FIXED "0002 c025 c035 0002" FIXED
    "0002 c035",
    // Long labels.
    "1234 8180 0001 0001 0000 0000 3f 61*63 3f 62*63 3f 63*63 3d 64*61 00 0001 0001"
    "c04c 0005" FIXED "0042 3f 65*63 c04c",
    "1234 8185 0001 0000 0000 0000" QUESTION,
};

static void test_valid_messages(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(valid); i++) {
        struct wire wire = wire_of(valid[i]);
        struct tally tally = {0};
        struct dns_message message;

        if (dns_message_parse(&message, wire.bytes, wire.size) != 0)
            fail_with(&wire, "our parser refuses it");
        compare(wire.bytes, wire.size, &tally);
        // TSIG is kept apart by ldns.
        if (tally.accepted != 1 && !(i == 3 && tally.opaque_rdata == 1))
            fail_with(&wire, valid[i]);
        wire_free(&wire);
    }
}

static void test_mutations(void **state)
{
    enum { ROUNDS = 9000 };
    struct rng rng = {.state = 1035};
    struct tally tally = {0};

    for (size_t i = 0; i < ARRAY_LEN(valid); i++) {
        struct wire wire = wire_of(valid[i]);

        for (int round = 0; round < ROUNDS; round++) {
            uint8_t bytes[600];

            memcpy(bytes, wire.bytes, wire.size);
            compare(bytes, wire_mutate(&rng, bytes, wire.size, sizeof(bytes)), &tally);
        }
        wire_free(&wire);
    }
    print_message("both accept %lu, both refuse %lu; we pass on unread RDATA in %lu\n",
                  tally.accepted, tally.refused, tally.opaque_rdata);
    for (int fault = FAULT_NONE + 1; fault < FAULT_BROKEN; fault++)
        print_message("only we refuse: %s: %lu\n", fault_texts[fault], tally.fault[fault]);

    assert_true(tally.accepted > 10000);
    assert_true(tally.refused > 10000);
    assert_true(tally.opaque_rdata > 0);
}

// One message for each class: a class that nothing falls into would explain nothing.
static void test_each_class(void **state)
{
    static const struct {
        const char *message;
        enum fault fault;
    } cases[] = {
        {"1234 0100 0002 0000 0000 0000" QUESTION QUESTION, FAULT_QUESTIONS},
        {"1234 0100 0001 0000 0000 0000" QUESTION "00", FAULT_TRAILING},
        {"1234 0100 0001 0000 0000 0002" QUESTION OPT OPT, FAULT_OPT_TWICE},
        {"1234 0100 0001 0001 0000 0000" QUESTION OPT, FAULT_OPT_SECTION},
        {"1234 0100 0001 0000 0000 0001" QUESTION "{a} 0029 04d0 00000000 0000", FAULT_OPT_OWNER},
        {"1234 0100 0001 0000 0000 0001" QUESTION "00 0029 04d0 00000000 0001 00",
         FAULT_OPT_OPTIONS},
        {"1234 8180 0001 0001 0000 0000" QUESTION "c02d 0005" FIXED "0003 {a}",
         FAULT_POINTER_FORWARD},
        {"1234 8180 0001 0002 0000 0000" QUESTION "00 ff00" FIXED "0002 0b00 c02c ff00" FIXED
         "0000",
         FAULT_POINTER_OVERLAP},
        {"1234 8180 0001 0001 0000 0000" QUESTION "c006 ff00" FIXED "0000", FAULT_POINTER_HEADER},
        {"1234 8180 0001 0001 0000 0000" QUESTION "c00c 0005" FIXED "0000", FAULT_RDATA},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct wire wire = wire_of(cases[i].message);
        struct tally tally = {0};

        compare(wire.bytes, wire.size, &tally);
        if (tally.fault[cases[i].fault] != 1)
            fail_with(&wire, fault_texts[cases[i].fault]);
        wire_free(&wire);
    }
}

static void test_chain_of_pointers(void **state)
{
    uint8_t bytes[1000];
    struct writer w = writer_of(bytes, sizeof(bytes));
    struct tally tally = {0};

    // An opaque record that holds 127 pointers, each to the one before.
    wire_put(&w, "1234 8180 0001 0002 0000 0000 {a} 0001 0001 00 ff00 0001 00000000 00fe c00c");
    for (int i = 1; i < 127; i++)
        writer_u16(&w, (uint16_t)(0xc000 | (w.pos - 2)));
    size_t last = w.pos - 2;

    wire_put(&w, "c00c 0005 0001 00000000 0002");
    writer_u16(&w, (uint16_t)(0xc000 | (last - 2)));
    compare(bytes, w.pos, &tally);
    assert_int_equal(tally.accepted, 1);
    put_u16(bytes + w.pos - 2, (uint16_t)(0xc000 | last));
    compare(bytes, w.pos, &tally);
    assert_int_equal(tally.fault[FAULT_POINTER_CHAIN], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_valid_messages),
        cmocka_unit_test(test_mutations),
        cmocka_unit_test(test_each_class),
        cmocka_unit_test(test_chain_of_pointers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
