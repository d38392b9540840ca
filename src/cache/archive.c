#include "cache/archive.h"

#include <string.h>

#include "base/error.h"
#include "cache/reader.h"

#define VERSION 1

static const uint8_t magic[12] = "sotto cache";

enum {
    HEADER_SIZE = sizeof(magic) + 4 + 8 + 8,
    RECORD_SIZE = 4 + 4 + 1 + 2, // before the message
    END_SIZE = 4 + 8 + 8,
    END_MARK_SIZE = END_SIZE - 8, // what the checksum covers of it
};

// In the place of an age, which is never as high.
#define END_MARK UINT32_MAX

// A checksum against accidents, not a signature: the key is no secret.
static uint64_t checksum_add(uint64_t checksum, const uint8_t *bytes, size_t size)
{
    const struct siphash_key key = {.k0 = checksum, .k1 = UINT64_C(0x736f74746f)};

    return siphash(&key, bytes, size);
}

static void put_u64(uint8_t *at, uint64_t value)
{
    put_u32(at, (uint32_t)(value >> 32));
    put_u32(at + 4, (uint32_t)value);
}

static uint64_t get_u64(const uint8_t *at)
{
    return (uint64_t)get_u32(at) << 32 | get_u32(at + 4);
}

uint64_t cache_archive_limit(uint64_t cache_size)
{
    // An entry in memory is larger than its record.
    return HEADER_SIZE + cache_size + END_SIZE;
}

// ---- Writing

static bool write_part(struct cache_archive_writer *writer, const uint8_t *bytes, size_t size)
{
    writer->checksum = checksum_add(writer->checksum, bytes, size);
    writer->failed |= !writer->write(writer->context, bytes, size);
    return !writer->failed;
}

static bool write_record(void *context, const struct cache_visit *visit)
{
    struct cache_archive_writer *writer = context;
    uint8_t head[RECORD_SIZE];

    put_u32(head, (uint32_t)(visit->age / USEC_SEC));
    put_u32(head + 4, visit->ttl);
    head[8] = visit->key_flags;
    put_u16(head + 9, visit->size);
    writer->records++;
    return write_part(writer, head, sizeof(head)) &&
           write_part(writer, visit->message, visit->size);
}

bool cache_archive_write(struct cache_archive_writer *writer, struct cache *cache,
                         const struct cache_options *options,
                         const struct cache_archive_stamp *stamp, usec_t now)
{
    uint8_t header[HEADER_SIZE], end[END_SIZE];

    writer->records = 0;
    writer->checksum = 0;
    writer->failed = false;
    memcpy(header, magic, sizeof(magic));
    put_u32(header + sizeof(magic), VERSION);
    put_u64(header + sizeof(magic) + 4, stamp->origin);
    put_u64(header + sizeof(magic) + 12, stamp->clock);
    if (!write_part(writer, header, sizeof(header)))
        return false;
    cache_walk(cache, options, now, write_record, writer);
    if (writer->failed)
        return false;
    put_u32(end, END_MARK);
    put_u64(end + 4, writer->records);
    put_u64(end + END_MARK_SIZE, checksum_add(writer->checksum, end, END_MARK_SIZE));
    return writer->write(writer->context, end, sizeof(end));
}

// ---- Reading

struct record {
    uint32_t age, ttl;
    uint8_t key_flags;
    const uint8_t *message;
    uint16_t size;
};

// The record at `*pos` of `size` octets; false if it goes beyond them.
static bool read_record(struct record *record, const uint8_t *bytes, size_t size, size_t *pos)
{
    const uint8_t *at = bytes + *pos;

    if (size - *pos < RECORD_SIZE)
        return false;
    *record = (struct record){
        .age = get_u32(at),
        .ttl = get_u32(at + 4),
        .key_flags = at[8],
        .message = at + RECORD_SIZE,
        .size = get_u16(at + 9),
    };
    if (record->size > size - *pos - RECORD_SIZE)
        return false;
    *pos += RECORD_SIZE + (size_t)record->size;
    return true;
}

// Whether the file is whole. Fills in the number of its records.
static const char *check_frame(const uint8_t *bytes, size_t size, uint64_t origin,
                               uint64_t *records)
{
    size_t pos = HEADER_SIZE;
    uint64_t checksum;
    struct record record;

    *records = 0;
    if (size < sizeof(magic) || memcmp(bytes, magic, sizeof(magic)) != 0)
        return "it is no file of sotto's cache";
    if (size < HEADER_SIZE + END_SIZE)
        return "it is cut short";
    if (get_u32(bytes + sizeof(magic)) != VERSION)
        return "it is of another version";
    checksum = checksum_add(0, bytes, HEADER_SIZE);
    while (size - pos > END_SIZE) {
        const uint8_t *head = bytes + pos;

        if (!read_record(&record, bytes, size - END_SIZE, &pos))
            return "it is damaged";
        checksum = checksum_add(checksum, head, RECORD_SIZE);
        checksum = checksum_add(checksum, record.message, record.size);
        (*records)++;
    }
    if (get_u32(bytes + pos) != END_MARK || get_u64(bytes + pos + 4) != *records ||
        get_u64(bytes + pos + END_MARK_SIZE) != checksum_add(checksum, bytes + pos, END_MARK_SIZE))
        return "it is damaged";
    // Last: of a damaged file we know nothing.
    if (get_u64(bytes + sizeof(magic) + 4) != origin)
        return "its answers are those of other upstreams";
    return NULL;
}

// A record of a whole file: taken as if an upstream had just sent it, but for its age.
static bool restore(struct cache *cache, const struct cache_options *options,
                    const struct record *record, usec_t age, usec_t now, struct counters *counters)
{
    uint16_t flags = (record->key_flags & CACHE_KEY_CHECKING_DISABLED ? DNS_FLAG_CD : 0) |
                     (record->key_flags & CACHE_KEY_NO_RECURSION ? 0 : DNS_FLAG_RD);
    struct dns_message message;
    struct cache_verdict verdict;
    struct cache_key key;

    if (dns_message_parse(&message, record->message, record->size) != E_OK ||
        !(message.flags & DNS_FLAG_QR) || message.question_count != 1 || message.has_opt)
        return false;
    cache_key_make(&key, cache_secret(cache), dns_message_question(&message), message.question_size,
                   flags, record->key_flags & CACHE_KEY_DNSSEC_OK);
    cache_judge(&verdict, options, &key, &message);
    if (!verdict.keep || verdict.kind == CACHE_FAILURE)
        return false;
    verdict.ttl = MIN(verdict.ttl, record->ttl);
    if (age >= (usec_t)verdict.ttl * USEC_SEC + options->stale_max)
        return false;
    cache_insert(cache,
                 &(struct cache_answer){
                     .key = &key,
                     .reply = &message,
                     .verdict = &verdict,
                     .generation = cache_generation(cache),
                     .age = age,
                 },
                 options, now, counters);
    return true;
}

void cache_archive_read(struct cache_archive_result *result, struct cache *cache,
                        const struct cache_options *options, const uint8_t *bytes, size_t size,
                        const struct cache_archive_stamp *stamp, usec_t now,
                        struct counters *counters)
{
    struct record record;
    uint64_t written, left;
    size_t pos = HEADER_SIZE;

    *result = (struct cache_archive_result){0};
    result->problem = check_frame(bytes, size, stamp->origin, &result->records);
    if (result->problem)
        return;
    written = get_u64(bytes + sizeof(magic) + 12);
    for (left = result->records; left > 0 && read_record(&record, bytes, size, &pos); left--) {
        // How long ago that was nobody knows if the clock has gone back since.
        uint64_t age = record.age + (stamp->clock >= written ? stamp->clock - written : record.ttl);

        age = MIN(age, (uint64_t)UINT32_MAX);
        cache_reader_online();
        result->restored += restore(cache, options, &record, age * USEC_SEC, now, counters);
        cache_reader_offline(); // what was evicted meanwhile may be freed
    }
}
