// The check of an upstream's reply: what it lets pass is an answer to the question that was asked,
// can be walked to its end, and can be made into a reply for any client within that client's limit.
//
// The input is two octets that choose how it is checked and for whom it is rebuilt, then the reply.
#include "upstream/reply.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "dns/build.h"
#include "dns/name.h"
#include "dns/tables.h"
#include "engine/upstream.h"
#include "input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    OTHER_QUESTION = 0x01, // one octet of the question that was asked differs
    EDNS = 0x02,
    PADDED = 0x04,
    LOWER_CASE = 0x08, // the client asked in lower case
    KEEP_AD = 0x10,
};

static void check_walk(const struct dns_message *reply)
{
    size_t pos = reply->section[DNS_ANSWER], records = 0, opts = 0;
    struct dns_record record;

    for (; dns_record_next(reply, &pos, &record); records++) {
        uint8_t owner[DNS_NAME_MAX];
        size_t length;

        require(pos <= reply->size);
        require(record.rdata + record.rdata_size == reply->wire + pos);
        require(record.ttl_pos + 4 <= reply->size);
        require(get_u32(reply->wire + record.ttl_pos) == record.ttl);
        require(dns_name_copy(reply->wire, reply->size, record.owner, owner, &length) > 0);
        opts += record.type == DNS_TYPE_OPT;
    }
    require(pos == reply->size && reply->end == reply->size);
    require(records == (size_t)reply->count[DNS_ANSWER] + reply->count[DNS_AUTHORITY] +
                           reply->count[DNS_ADDITIONAL]);
    require(opts == reply->has_opt);
}

static void check_rebuild(const struct dns_message *from, uint8_t choice, size_t limit)
{
    uint8_t *to = malloc(limit);
    uint8_t question[DNS_QUESTION_MAX];
    struct dns_opt opt = dns_opt_plain(1232, false);
    struct dns_message built;

    if (!to)
        abort();
    memcpy(question, dns_message_question(from), from->question_size);
    if (choice & LOWER_CASE)
        dns_name_lower(question, question, from->question_size - 4);
    opt.ede_from = from;
    if (choice & PADDED)
        opt.padding_block = 468;

    const struct dns_reply_to reply = {
        .id = 0x1234,
        .flags = DNS_FLAG_RD,
        .question = question,
        .question_size = from->question_size,
        .opt = choice & EDNS ? &opt : NULL,
        .limit = limit,
    };
    size_t size = dns_reply_build(to, limit, &reply, from, choice & KEEP_AD);

    require(size >= DNS_HEADER_SIZE + from->question_size && size <= limit);
    require(dns_message_parse(&built, to, size) == E_OK);
    require(built.id == 0x1234 && (built.flags & DNS_FLAG_QR));
    require(built.question_size == from->question_size);
    require(memcmp(dns_message_question(&built), question, built.question_size) == 0);
    require(built.has_opt == ((choice & EDNS) != 0));
    if (!(built.flags & DNS_FLAG_TC)) {
        require(built.count[DNS_ANSWER] == from->count[DNS_ANSWER]);
        require(built.count[DNS_AUTHORITY] == from->count[DNS_AUTHORITY]);
    }
    check_walk(&built);
    free(to);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t limits[] = {512, 1232, 4096, DNS_MESSAGE_MAX};
    struct reader r = reader_of(data, size);
    uint8_t choice = reader_u8(&r), at = reader_u8(&r);
    const uint8_t *wire = data + r.pos;
    size_t wire_size = reader_left(&r);
    uint8_t question[DNS_QUESTION_MAX] = {0};
    size_t question_size = 5; // the root
    struct dns_message reply;

    if (r.failed || wire_size > DNS_MESSAGE_MAX)
        return 0;

    // What was asked is mostly what the reply says.
    if (dns_message_parse(&reply, wire, wire_size) == E_OK && reply.question_size > 0) {
        question_size = reply.question_size;
        memcpy(question, dns_message_question(&reply), question_size);
    }
    if (choice & OTHER_QUESTION)
        question[at % question_size] ^= 0x20;

    int err = upstream_reply_check(&reply, wire, wire_size, question, question_size);

    if (err != E_OK) {
        require(err == E_SHORT || err == E_MALFORMED || err == E_BADEDNS || err == E_MISMATCH);
        return 0;
    }
    require((reply.flags & DNS_FLAG_QR) && DNS_OPCODE(reply.flags) == DNS_OPCODE_QUERY);
    require(reply.question_count == 1 && reply.question_size == question_size);
    require(memcmp(dns_message_question(&reply), question, question_size) == 0);
    (void)upstream_reply_is_failure(&reply);
    check_walk(&reply);
    for (size_t i = 0; i < ARRAY_LEN(limits); i++)
        check_rebuild(&reply, choice, limits[i]);
    return 0;
}
