// The builders: what they write parses again and holds what was put in, keeps to its limits, and
// takes nothing from an upstream's OPT record but extended errors.
//
// The input is 14 octets that choose what is built, then an upstream's reply.
#include "dns/build.h"

#include <stdlib.h>
#include <string.h>

#include "dns/name.h"
#include "dns/tables.h"
#include "input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { UDP_SIZE = 1232 };

struct parameters {
    uint16_t id, flags, rcode;
    size_t limit, room;
    bool edns, keep_ad, letter_case;
    struct dns_opt opt;
};

static void parameters_read(struct parameters *p, struct reader *r)
{
    static const size_t blocks[] = {0, 1, 128, 468};
    uint8_t bits = reader_u8(r), more = reader_u8(r);

    *p = (struct parameters){.edns = bits & 1, .keep_ad = bits & 2, .letter_case = bits & 4};
    p->opt = dns_opt_plain(UDP_SIZE, bits & 8);
    p->opt.keepalive_ask = bits & 16;
    p->opt.keepalive = bits & 32 ? more * 1000 : -1;
    p->opt.ede = bits & 64 ? more : -1;
    p->opt.ede_text = bits & 128 ? "a text of some length, to be left out first" : NULL;
    p->opt.padding_block = blocks[more & 3];
    p->opt.padding_exact = more & 4 ? (size_t)more * more : 0;
    p->id = reader_u16(r);
    p->flags = reader_u16(r);
    p->rcode = reader_u16(r) & 0xfff;
    p->limit = reader_u16(r);
    p->limit = MAX(p->limit, (size_t)512);
    p->room = reader_u16(r);
    p->opt.padding_limit = reader_u16(r);
}

// Exactly the room that the builder is told of, so that AddressSanitizer sees a step too far.
static uint8_t *room_new(size_t size)
{
    uint8_t *room = malloc(size > 0 ? size : 1);

    if (!room)
        abort();
    return room;
}

static void check_opt(const struct parameters *p, const struct dns_message *built, uint16_t rcode,
                      bool passes_ede)
{
    struct dns_option option;
    size_t errors = 0;

    require(built->udp_size == UDP_SIZE && built->dnssec_ok == p->opt.dnssec_ok);
    require(built->edns_version == 0 && built->opt_records_behind == 0);
    require(built->extended_rcode == rcode >> 4);
    for (size_t pos = 0; dns_option_next(built, &pos, &option);) {
        switch (option.code) {
        case DNS_OPTION_KEEPALIVE:
            require(p->opt.keepalive_ask ? option.size == 0
                                         : option.size == 2 && p->opt.keepalive >= 0);
            break;
        case DNS_OPTION_EDE:
            errors++;
            require(option.size >= 2 && option.size <= 2 + DNS_EDE_TEXT_MAX);
            break;
        case DNS_OPTION_PADDING:
            require(pos == built->options_size); // the last
            for (size_t i = 0; i < option.size; i++)
                require(option.data[i] == 0);
            break;
        default:
            require(!"an option that we do not send");
        }
    }
    require(errors <= (size_t)(p->opt.ede >= 0) + (passes_ede ? DNS_EDE_PASSED : 0));
}

// What holds for each reply that we build.
static void check_reply(const struct parameters *p, const struct dns_reply_to *reply,
                        const struct dns_message *built, uint16_t rcode)
{
    const uint16_t copied = 0x7800 | DNS_FLAG_RD | DNS_FLAG_CD;

    require(built->size <= MIN(reply->limit, p->room));
    require(built->id == reply->id);
    require((built->flags & copied) == (reply->flags & copied));
    require((built->flags & DNS_FLAG_QR) && (built->flags & DNS_FLAG_RA));
    require(!(built->flags & 0x0040)); // Z
    require(built->question_count == (reply->question != NULL));
    require(built->question_size == reply->question_size);
    if (reply->question)
        require(!memcmp(dns_message_question(built), reply->question, reply->question_size));
    require(built->has_opt == p->edns);
    if (built->has_opt)
        check_opt(p, built, rcode, reply->opt->ede_from != NULL);
    if (built->has_opt || rcode <= 15)
        require(dns_message_rcode(built) == rcode);
    else
        require(dns_message_rcode(built) == DNS_RCODE_SERVFAIL);
}

static void check_query(const struct parameters *p, const uint8_t *question, size_t question_size)
{
    uint8_t *to = room_new(p->room);
    size_t size = dns_query_build(to, p->room, p->id, p->flags, question, question_size, &p->opt);
    struct dns_message built;

    if (p->room >= DNS_HEADER_SIZE + question_size + DNS_OPT_SIZE)
        require(size > 0);
    if (size > 0) {
        require(size <= p->room && dns_message_parse(&built, to, size) == 0);
        require(built.id == p->id && built.question_count == 1);
        require(built.flags == (p->flags & (DNS_FLAG_RD | DNS_FLAG_AD | DNS_FLAG_CD)));
        require(built.question_size == question_size);
        require(!memcmp(dns_message_question(&built), question, question_size));
        require(built.has_opt);
        check_opt(p, &built, 0, false);
        if (p->opt.padding_block > 0 && p->opt.padding_limit == 0 && p->room >= 2048)
            require(size % p->opt.padding_block == 0);
    }
    free(to);
}

static void check_empty(const struct parameters *p, const struct dns_reply_to *reply)
{
    uint8_t *to = room_new(p->room);
    size_t size = dns_reply_build_empty(to, p->room, reply, p->rcode);
    struct dns_message built;

    if (p->room >= 512)
        require(size > 0);
    if (size > 0) {
        require(dns_message_parse(&built, to, size) == 0);
        check_reply(p, reply, &built, p->rcode);
        require(built.count[0] == 0 && built.count[1] == 0 && built.count[2] == p->edns);
    }
    free(to);
}

// Records of our own, of whatever bytes there are.
static void check_local(const struct parameters *p, const struct dns_reply_to *reply,
                        const uint8_t *bytes, size_t bytes_size)
{
    uint8_t *to = room_new(p->room);
    uint16_t rdata_size = (uint16_t)MIN(bytes_size, (size_t)p->id);
    const struct dns_local_record records[] = {
        {.type = 65280, .class = p->id, .ttl = p->flags, .section = DNS_ANSWER},
        {.type = DNS_TYPE_TXT,
         .class = DNS_CLASS_IN,
         .rdata = bytes,
         .rdata_size = rdata_size,
         .section = DNS_ANSWER},
        {.owner = reply->question, .type = DNS_TYPE_A, .section = DNS_ADDITIONAL},
    };
    size_t size = dns_reply_build_local(to, p->room, reply, p->rcode, records, ARRAY_LEN(records));
    struct dns_message built;
    struct dns_record record;

    if (size > 0) {
        require(dns_message_parse(&built, to, size) == 0);
        check_reply(p, reply, &built, p->rcode);
        require(built.flags & DNS_FLAG_AA);

        size_t pos = built.section[DNS_ANSWER];

        for (size_t i = 0; !(built.flags & DNS_FLAG_TC) && i < ARRAY_LEN(records); i++) {
            uint8_t owner[DNS_NAME_MAX];
            size_t length;

            require(dns_record_next(&built, &pos, &record));
            require(record.type == records[i].type && record.class == records[i].class);
            require(record.ttl == records[i].ttl && record.rdata_size == records[i].rdata_size);
            if (record.rdata_size > 0)
                require(!memcmp(record.rdata, records[i].rdata, record.rdata_size));
            require(dns_name_copy(to, size, record.owner, owner, &length) > 0);
            require(dns_name_equal(owner, reply->question));
        }
    }
    free(to);
}

static bool same_owner(const struct dns_message *a, const struct dns_record *in_a,
                       const struct dns_message *b, const struct dns_record *in_b)
{
    uint8_t name_a[DNS_NAME_MAX], name_b[DNS_NAME_MAX];
    size_t length;

    return dns_name_copy(a->wire, a->size, in_a->owner, name_a, &length) > 0 &&
           dns_name_copy(b->wire, b->size, in_b->owner, name_b, &length) > 0 &&
           dns_name_equal(name_a, name_b);
}

// The records of `from` before its OPT record, and no others.
static void check_same_records(const struct dns_message *built, const struct dns_message *from)
{
    size_t pos = built->section[DNS_ANSWER], from_pos = from->section[DNS_ANSWER];
    struct dns_record a, b;

    while (dns_record_next(from, &from_pos, &b) && b.type != DNS_TYPE_OPT) {
        require(dns_record_next(built, &pos, &a));
        require(a.owner == b.owner && a.type == b.type && a.class == b.class);
        require(a.ttl == (b.ttl > INT32_MAX ? 0 : b.ttl));
        require(a.rdata_size == b.rdata_size && !memcmp(a.rdata, b.rdata, a.rdata_size));
        // A name that points into a TTL that was wrong is only its sender's to lose.
        require(from->ttl_invalid || same_owner(built, &a, from, &b));
    }
    require(built->count[DNS_ANSWER] == from->count[DNS_ANSWER]);
    require(built->count[DNS_AUTHORITY] == from->count[DNS_AUTHORITY]);
    if (built->has_opt)
        require(dns_record_next(built, &pos, &a) && a.type == DNS_TYPE_OPT);
    require(!dns_record_next(built, &pos, &a));
}

static void check_from_upstream(const struct parameters *p, const struct dns_reply_to *reply,
                                const struct dns_message *from)
{
    uint8_t *to = room_new(p->room);
    size_t size = dns_reply_build(to, p->room, reply, from, p->keep_ad);
    size_t needed = (from->has_opt ? from->opt_start : from->size) + (p->edns ? DNS_OPT_SIZE : 0);
    struct dns_message built;

    if (p->room >= MIN(needed, reply->limit))
        require(size > 0);
    if (size > 0) {
        require(dns_message_parse(&built, to, size) == 0);
        check_reply(p, reply, &built, dns_message_rcode(from));
        require((built.flags & DNS_FLAG_AA) == (from->flags & DNS_FLAG_AA));
        require((built.flags & DNS_FLAG_AD) == (p->keep_ad ? from->flags & DNS_FLAG_AD : 0));
        if (needed <= reply->limit) {
            require((built.flags & DNS_FLAG_TC) == (from->flags & DNS_FLAG_TC));
            check_same_records(&built, from);
        } else {
            require(built.flags & DNS_FLAG_TC);
            require(built.count[0] == 0 && built.count[1] == 0 && built.count[2] == p->edns);
        }
    }
    free(to);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader r = reader_of(data, size);
    struct parameters p;
    struct dns_message from;
    uint8_t question[DNS_QUESTION_MAX];

    parameters_read(&p, &r);
    if (r.failed || reader_left(&r) > DNS_MESSAGE_MAX ||
        dns_message_parse(&from, data + r.pos, reader_left(&r)) < 0 ||
        !(from.flags & DNS_FLAG_QR) || from.question_size == 0)
        return 0;

    // As the client wrote it: the same but for letter case. Not where an upstream could have hidden
    // a pointer within a label, of whose second octet the case matters: it harms only itself.
    memcpy(question, dns_message_question(&from), from.question_size);
    for (size_t i = 0; i < from.question_size - 4; i++)
        p.letter_case = p.letter_case && question[i] < 0xc0;
    if (p.letter_case)
        dns_name_lower(question, question, from.question_size - 4);

    struct dns_opt opt = p.opt;
    struct dns_reply_to reply = {.id = p.id,
                                 .flags = p.flags,
                                 .question = question,
                                 .question_size = from.question_size,
                                 .opt = p.edns ? &opt : NULL,
                                 .limit = p.limit};

    check_query(&p, question, from.question_size);
    check_local(&p, &reply, from.wire, from.size);
    check_empty(&p, &reply);
    opt.ede_from = &from;
    check_from_upstream(&p, &reply, &from);

    opt.ede_from = NULL;
    reply.question = NULL;
    reply.question_size = 0;
    check_empty(&p, &reply);
    return 0;
}
