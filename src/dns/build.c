#include "dns/build.h"

#include "dns/name.h"
#include "dns/tables.h"
#include "dns/ttl.h"

#define FLAGS_OPCODE 0x7800

// A compression pointer to the question's name.
#define POINTER_TO_QUESTION (0xc000 | DNS_HEADER_SIZE)

// Header and question. The header's counts and flags follow in head_fill().
static void head_write(struct writer *w, const uint8_t *question, size_t question_size)
{
    writer_zeros(w, DNS_HEADER_SIZE);
    if (question)
        writer_bytes(w, question, question_size);
}

static void head_fill(uint8_t *to, uint16_t id, uint16_t flags, bool question,
                      const uint16_t count[DNS_SECTIONS], bool opt)
{
    put_u16(to, id);
    put_u16(to + 2, flags);
    put_u16(to + 4, question);
    put_u16(to + 6, count[DNS_ANSWER]);
    put_u16(to + 8, count[DNS_AUTHORITY]);
    put_u16(to + 10, (uint16_t)(count[DNS_ADDITIONAL] + opt));
}

static const uint16_t no_records[DNS_SECTIONS];

size_t dns_query_build(uint8_t *to, size_t size, uint16_t id, uint16_t flags,
                       const uint8_t *question, size_t question_size, const struct dns_opt *opt)
{
    struct writer w = writer_of(to, size);

    head_write(&w, question, question_size);
    dns_opt_write(&w, opt);
    if (w.failed)
        return 0;
    flags &= DNS_FLAG_RD | DNS_FLAG_AD | DNS_FLAG_CD;
    head_fill(to, id, flags, true, no_records, true);
    return w.pos;
}

static struct writer reply_begin(uint8_t *to, size_t size, const struct dns_reply_to *reply)
{
    struct writer w = writer_of(to, MIN(size, reply->limit));

    head_write(&w, reply->question, reply->question_size);
    return w;
}

// Adds the OPT record and fills the header. Returns the whole size, or 0 if it does not fit.
static size_t reply_end(struct writer *w, const struct dns_reply_to *reply, uint16_t flags,
                        uint16_t rcode, const uint16_t count[DNS_SECTIONS])
{
    if (reply->opt) {
        struct dns_opt opt = *reply->opt;

        opt.extended_rcode = (uint8_t)(rcode >> 4);
        dns_opt_write(w, &opt);
    } else if (rcode > 15) {
        rcode = DNS_RCODE_SERVFAIL; // no place for its upper bits
    }
    if (w->failed)
        return 0;
    flags |= DNS_FLAG_QR | DNS_FLAG_RA;
    flags |= reply->flags & (FLAGS_OPCODE | DNS_FLAG_RD | DNS_FLAG_CD);
    flags |= rcode & 15;
    head_fill(w->base, reply->id, flags, reply->question != NULL, count, reply->opt != NULL);
    return w->pos;
}

// As reply_end(); where the records do not fit into the client's limit, a reply without them.
static size_t reply_end_or_truncate(struct writer *w, size_t size, const struct dns_reply_to *reply,
                                    uint16_t flags, uint16_t rcode,
                                    const uint16_t count[DNS_SECTIONS])
{
    size_t whole = reply_end(w, reply, flags, rcode, count);

    if (LIKELY(whole > 0) || size < reply->limit)
        return whole;
    *w = reply_begin(w->base, size, reply);
    return reply_end(w, reply, flags | DNS_FLAG_TC, rcode, no_records);
}

size_t dns_reply_build_empty(uint8_t *to, size_t size, const struct dns_reply_to *reply,
                             uint16_t rcode)
{
    struct writer w = reply_begin(to, size, reply);

    return reply_end(&w, reply, 0, rcode, no_records);
}

size_t dns_reply_build_truncated(uint8_t *to, size_t size, const struct dns_reply_to *reply)
{
    struct writer w = reply_begin(to, size, reply);

    return reply_end(&w, reply, DNS_FLAG_TC, DNS_RCODE_NOERROR, no_records);
}

static void record_write(struct writer *w, const struct dns_local_record *record)
{
    if (record->owner)
        writer_bytes(w, record->owner, dns_name_length(record->owner));
    else
        writer_u16(w, POINTER_TO_QUESTION);
    writer_u16(w, record->type);
    writer_u16(w, record->class);
    writer_u32(w, record->ttl);
    writer_u16(w, record->rdata_size);
    writer_bytes(w, record->rdata, record->rdata_size);
}

size_t dns_reply_build_local(uint8_t *to, size_t size, const struct dns_reply_to *reply,
                             uint16_t rcode, const struct dns_local_record *records,
                             size_t record_count)
{
    struct writer w = reply_begin(to, size, reply);
    uint16_t count[DNS_SECTIONS] = {0};

    for (size_t i = 0; i < record_count; i++) {
        record_write(&w, &records[i]);
        count[records[i].section]++;
    }
    return reply_end_or_truncate(&w, size, reply, DNS_FLAG_AA, rcode, count);
}

size_t dns_reply_build(uint8_t *to, size_t size, const struct dns_reply_to *reply,
                       const struct dns_message *from, bool keep_ad)
{
    struct writer w = reply_begin(to, size, reply);
    size_t records = from->section[DNS_ANSWER];
    size_t records_end = from->has_opt ? from->opt_start : from->end;
    uint16_t count[DNS_SECTIONS] = {from->count[DNS_ANSWER], from->count[DNS_AUTHORITY],
                                    from->count[DNS_ADDITIONAL]};
    uint16_t flags = from->flags & (DNS_FLAG_AA | DNS_FLAG_TC);

    // Names in the records point into the question.
    if (reply->question_size != from->question_size)
        return 0;
    if (from->has_opt)
        count[DNS_ADDITIONAL] = (uint16_t)(count[DNS_ADDITIONAL] - 1 - from->opt_records_behind);
    if (keep_ad)
        flags |= from->flags & DNS_FLAG_AD;
    writer_bytes(&w, from->wire + records, records_end - records);
    if (UNLIKELY(from->ttl_invalid || reply->bound_ttls) && !w.failed)
        dns_ttl_bound(to, from, records_end, reply->bound_ttls ? reply->ttl_min : 0,
                      reply->bound_ttls ? reply->ttl_max : DNS_TTL_MAX);
    return reply_end_or_truncate(&w, size, reply, flags, dns_message_rcode(from), count);
}
