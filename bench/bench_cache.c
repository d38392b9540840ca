// What the cache costs: memory for each answer, and time for a hit, a miss and an insertion, by the
// number of names. It uses one thread and says what it measured. bench/run shows it.
//
// Usage: bench_cache [MOST_NAMES]
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cache/cache.h"
#include "cache/reader.h"
#include "dns/tables.h"

#define LOOKUPS 2000000

static const struct cache_options options = {
    .max_ttl = 86400 * USEC_SEC,
    .negative_max_ttl = 3600 * USEC_SEC,
    .stale_max = 86400 * USEC_SEC,
};

static double now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static double resident(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");

    if (!file || fscanf(file, "%*s %ld", &pages) != 1)
        pages = 0;
    if (file)
        fclose(file);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

// The question for an address of "www.NUMBER.bench.test", of the same size for all numbers.
static size_t make_question(uint8_t *to, unsigned number)
{
    char digits[16];
    struct writer w = writer_of(to, DNS_QUESTION_MAX);

    snprintf(digits, sizeof(digits), "%08u", number);
    writer_bytes(&w, "\3www\10", 5);
    writer_bytes(&w, digits, 8);
    writer_bytes(&w, "\5bench\4test\0\0\1\0\1", 16);
    return w.pos;
}

// As an upstream would send it: one address, and an OPT with nothing in it.
static size_t make_reply(uint8_t *to, const uint8_t *question, size_t size)
{
    struct writer w = writer_of(to, 512);

    writer_bytes(&w, "\0\0\x81\x80\0\1\0\1\0\0\0\1", 12);
    writer_bytes(&w, question, size);
    writer_bytes(&w, "\xc0\x0c\0\1\0\1\0\1\x51\x80\0\4\300\0\2\1", 16);
    writer_bytes(&w, "\0\0\x29\4\xd0\0\0\0\0\0\0", 11);
    return w.pos;
}

static void make_key(struct cache_key *key, const struct cache *cache, unsigned number)
{
    uint8_t question[DNS_QUESTION_MAX];
    size_t size = make_question(question, number);

    cache_key_make(key, cache_secret(cache), question, size, DNS_FLAG_RD, false);
}

static size_t insert(struct cache *cache, unsigned number, struct counters *counters)
{
    uint8_t question[DNS_QUESTION_MAX], bytes[512];
    size_t size = make_question(question, number);
    struct cache_verdict verdict;
    struct dns_message reply;
    struct cache_key key;

    size = make_reply(bytes, question, size);
    if (dns_message_parse(&reply, bytes, size) != 0)
        abort();
    make_key(&key, cache, number);
    cache_judge(&verdict, &options, &key, &reply);
    cache_insert(cache,
                 &(struct cache_answer){
                     .key = &key,
                     .reply = &reply,
                     .verdict = &verdict,
                     .generation = cache_generation(cache),
                 },
                 &options, USEC_SEC, counters);
    return size - 11;
}

// Nanoseconds for a lookup; every one must be as said.
static double time_lookups(struct cache *cache, unsigned first, unsigned names,
                           enum cache_state expected)
{
    struct cache_found found;
    struct cache_key key;
    uint32_t random = 12345;
    double start = now_ns();

    for (unsigned i = 0; i < LOOKUPS; i++) {
        random = random * 1664525 + 1013904223;
        make_key(&key, cache, first + (unsigned)((uint64_t)random * names >> 32));
        if (cache_lookup(cache, &key, &options, USEC_SEC, &found) != expected)
            abort();
    }
    return (now_ns() - start) / LOOKUPS;
}

static void measure(unsigned names)
{
    static struct counters counters;
    double before = resident();
    struct cache *cache = cache_new((uint64_t)names * 200 + (1 << 20));
    struct cache_usage usage;
    double start = now_ns();
    size_t wire = 0;

    if (!cache)
        abort();
    cache_reader_online();
    for (unsigned i = 0; i < names; i++)
        wire = insert(cache, i, &counters);

    double insertion = (now_ns() - start) / names;
    double grown = resident() - before;

    cache_usage(cache, &usage);
    if (usage.entries != names)
        abort();
    printf("%9u %6zu %9.1f %9.1f %9.1f %9.0f %9.0f %9.0f\n", names, wire,
           (double)usage.bytes / names, (double)usage.bytes / names - (double)wire, grown / names,
           time_lookups(cache, 0, names, CACHE_FRESH),
           time_lookups(cache, names, names, CACHE_MISS), insertion);
    cache_reader_offline();
    cache_free(cache);
}

int main(int argc, char **argv)
{
    static const unsigned names[] = {10000, 100000, 1000000, 5000000};
    unsigned most = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : UINT_MAX;

    cache_reader_start();
    printf("Answers with one address, as kept without OPT. Octets for each, tables included: as "
           "counted\nagainst cache.size, beyond the answer itself, and as resident memory grew. "
           "Nanoseconds, key\nincluded, names in random order.\n\n"
           "    names answer   counted    beyond  resident       hit      miss    insert\n");
    for (size_t i = 0; i < ARRAY_LEN(names) && names[i] <= most; i++)
        measure(names[i]);
    cache_reader_stop();
    return 0;
}
