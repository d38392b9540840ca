// The file that the cache survives a restart in: whatever it holds, what comes into the cache is a
// message that would have been kept had an upstream sent it, is found under its own question, can
// be made into a reply, and comes out of the next file as it went in.
//
// The input is an octet that chooses how it is read. Without FRAMED the rest is the file. With it
// the rest are records, each with its age, TTL, key flags and size as in the file; a file whose
// frame and checksum are right is made around them.
#include "cache/archive.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "cache/reader.h"
#include "dns/build.h"
#include "dns/tables.h"
#include "input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FRAMED = 0x01, CLOCK_WENT_BACK = 0x02, NOTHING_STALE = 0x04, LONG_MINIMUM = 0x08 };

enum { HEADER_SIZE = 32, HEAD_SIZE = 11, END_SIZE = 20, CACHE_SIZE = 256 * 1024 };

#define ORIGIN 42
#define CLOCK UINT64_C(1700000000)
#define NOW (UINT64_C(1000) * USEC_SEC)

static struct cache *cache;
static struct cache_options options;
static struct counters counters;

// In memory of exactly its size, so that AddressSanitizer sees a step too far.
struct file {
    uint8_t *bytes;
    size_t size;
};

static uint64_t checksum_add(uint64_t checksum, const uint8_t *bytes, size_t size)
{
    const struct siphash_key key = {checksum, UINT64_C(0x736f74746f)};

    return siphash(&key, bytes, size);
}

// Goes over the records, and cuts the last to what is left. Writes the file, if there is one to
// write. Returns the size of the records.
static size_t frame(struct file *file, struct reader records, uint64_t checksum, uint64_t *count)
{
    size_t total = 0;

    for (*count = 0; reader_left(&records) >= HEAD_SIZE; ++*count) {
        uint8_t head[HEAD_SIZE];
        size_t size;
        const uint8_t *message;

        memcpy(head, reader_take(&records, HEAD_SIZE), HEAD_SIZE);
        size = MIN(get_u16(head + 9), reader_left(&records));
        put_u16(head + 9, (uint16_t)size);
        message = reader_take(&records, size);
        if (file->bytes) {
            checksum = checksum_add(checksum, head, HEAD_SIZE);
            checksum = checksum_add(checksum, message, size);
            memcpy(file->bytes + HEADER_SIZE + total, head, HEAD_SIZE);
            memcpy(file->bytes + HEADER_SIZE + total + HEAD_SIZE, message, size);
        }
        total += HEAD_SIZE + size;
    }
    if (file->bytes) {
        uint8_t *end = file->bytes + HEADER_SIZE + total;

        memset(end, 0xff, 4);
        put_u32(end + 4, 0);
        put_u32(end + 8, (uint32_t)*count);
        checksum = checksum_add(checksum, end, 12);
        put_u32(end + 12, (uint32_t)(checksum >> 32));
        put_u32(end + 16, (uint32_t)checksum);
    }
    return total;
}

static struct file file_of_size(size_t size)
{
    struct file file = {.bytes = malloc(size > 0 ? size : 1), .size = size};

    if (!file.bytes)
        abort();
    return file;
}

static struct file framed_file(struct reader records, uint64_t *count)
{
    struct file none = {0};
    struct file file = file_of_size(HEADER_SIZE + frame(&none, records, 0, count) + END_SIZE);

    memcpy(file.bytes, "sotto cache\0\0\0\0\1", 16);
    memset(file.bytes + 16, 0, 16);
    file.bytes[23] = ORIGIN;
    put_u32(file.bytes + 28, (uint32_t)CLOCK);
    frame(&file, records, checksum_add(0, file.bytes, HEADER_SIZE), count);
    return file;
}

static void check_reply(const struct cache_found *found, enum cache_state state)
{
    struct dns_opt opt = dns_opt_plain(1232, false);
    const struct dns_reply_to reply = {
        .flags = DNS_FLAG_RD,
        .question = dns_message_question(&found->message),
        .question_size = found->message.question_size,
        .opt = &opt,
        .limit = DNS_MESSAGE_MAX,
    };
    size_t room = found->message.size + DNS_OPT_SIZE, size;
    uint8_t *to = malloc(room);
    struct dns_message built;

    if (!to)
        abort();
    size = dns_reply_build(to, room, &reply, &found->message, false);
    require(size > 0);
    if (!(get_u16(to + 2) & DNS_FLAG_TC)) // our OPT may make it too large
        cache_found_set_ttls(found, state, to);
    require(dns_message_parse(&built, to, size) == E_OK && !built.ttl_invalid);

    size_t pos = built.section[DNS_ANSWER];
    struct dns_record record;

    while (dns_record_next(&built, &pos, &record))
        require(record.type == DNS_TYPE_OPT || record.ttl > 0);
    free(to);
}

struct visits {
    uint64_t count;
};

static bool on_visit(void *context, const struct cache_visit *visit)
{
    struct visits *visits = context;
    uint16_t flags =
        visit->key_flags & CACHE_KEY_CHECKING_DISABLED ? DNS_FLAG_RD | DNS_FLAG_CD : DNS_FLAG_RD;
    struct dns_message message;
    struct cache_verdict verdict;
    struct cache_found found;
    enum cache_state state;
    struct cache_key key;

    visits->count++;
    require(!(visit->key_flags & CACHE_KEY_NO_RECURSION));
    require(dns_message_parse(&message, visit->message, visit->size) == E_OK);
    require((message.flags & DNS_FLAG_QR) && !(message.flags & (DNS_FLAG_AA | DNS_FLAG_TC)));
    require(message.question_size > 0 && !message.has_opt && !message.ttl_invalid);
    require(visit->ttl <= 30 * 24 * 3600);
    cache_key_make(&key, cache_secret(cache), dns_message_question(&message), message.question_size,
                   flags, visit->key_flags & CACHE_KEY_DNSSEC_OK);
    require(memcmp(key.question, dns_message_question(&message), key.size) == 0); // lower-case
    cache_judge(&verdict, &options, &key, &message);
    require(verdict.keep && verdict.kind != CACHE_FAILURE);
    state = cache_lookup(cache, &key, &options, NOW, &found);
    require(state == (visit->age < visit->ttl * USEC_SEC ? CACHE_FRESH : CACHE_STALE));
    require(found.message.wire == visit->message && found.message.size == visit->size);
    require(found.kind == verdict.kind);
    check_reply(&found, state);
    return true;
}

static bool on_write(void *context, const uint8_t *bytes, size_t size)
{
    struct file *file = context;

    require(size <= cache_archive_limit(CACHE_SIZE) - file->size);
    memcpy(file->bytes + file->size, bytes, size);
    file->size += size;
    return true;
}

static uint64_t entries(void)
{
    struct cache_usage usage;

    cache_usage(cache, &usage);
    require(usage.bytes <= usage.size);
    return usage.entries;
}

static void flush(void)
{
    cache_reader_online();
    cache_flush(cache, NULL, false);
    cache_reader_offline();
}

// What is in the cache now comes back from a file of it.
static void check_next_file(void)
{
    struct file file = file_of_size(cache_archive_limit(CACHE_SIZE));
    struct cache_archive_writer writer = {.write = on_write, .context = &file};
    struct cache_archive_result result;
    uint64_t kept = entries();

    file.size = 0;
    require(cache_archive_write(&writer, cache, &options,
                                &(struct cache_archive_stamp){ORIGIN, CLOCK}, NOW));
    flush();
    cache_archive_read(&result, cache, &options, file.bytes, file.size,
                       &(struct cache_archive_stamp){ORIGIN, CLOCK}, NOW, &counters);
    require(!result.problem && result.records == kept && result.restored == kept);
    require(entries() == kept);
    flush();
    free(file.bytes);
}

static void check_file(const struct file *file, uint8_t choice, const uint64_t *count)
{
    uint64_t clock = choice & CLOCK_WENT_BACK ? CLOCK - 1 : CLOCK + 10;
    struct cache_archive_result result;
    struct visits visits = {0};

    cache_archive_read(&result, cache, &options, file->bytes, file->size,
                       &(struct cache_archive_stamp){ORIGIN, clock}, NOW, &counters);
    require(result.restored <= result.records && entries() <= result.restored);
    if (count)
        require(!result.problem && result.records == *count);
    if (result.problem)
        require(result.restored == 0);
    cache_walk(cache, &options, NOW, on_visit, &visits);
    require(visits.count == entries());
    if (visits.count > 0)
        check_next_file();
}

static void start(void)
{
    cache_reader_start();
    cache = cache_new(CACHE_SIZE);
    if (!cache)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader r = reader_of(data, size);
    uint8_t choice = reader_u8(&r);
    uint64_t count;
    struct file file;

    if (!cache)
        start();
    options = (struct cache_options){
        .size = CACHE_SIZE,
        .min_ttl = choice & LONG_MINIMUM ? 3600 * USEC_SEC : 0,
        .max_ttl = 86400 * USEC_SEC,
        .negative_max_ttl = 3600 * USEC_SEC,
        .failure_ttl = 5 * USEC_SEC,
        .stale_max = choice & NOTHING_STALE ? 0 : 86400 * USEC_SEC,
    };
    if (choice & FRAMED) {
        struct reader records = reader_of(data + r.pos, reader_left(&r));

        file = framed_file(records, &count);
        check_file(&file, choice, &count);
    } else {
        file = file_of_size(reader_left(&r));
        if (file.size > 0)
            memcpy(file.bytes, data + r.pos, file.size);
        check_file(&file, choice, NULL);
    }
    free(file.bytes);
    return 0;
}
