// For the tests of the cache: replies in the notation of wire.h, keys, options, and records with a
// TTL that can be read.
#pragma once

#include <inttypes.h>

#include "cache/cache.h"
#include "dns/tables.h"
#include "wire.h"

// TTLs.
#define T0 "00000000 "
#define T1 "00000001 "
#define T10 "0000000a "
#define T30 "0000001e "
#define T60 "0000003c "
#define T100 "00000064 "
#define T300 "0000012c "
#define T600 "00000258 "
#define HOUR "00000e10 "
#define DAY "00015180 "
#define WEEK "00093a80 "

// The question, octets 12 to 32, and names that point into it.
#define QUESTION "{www.example.org} 0001 0001 "
#define WWW "c00c "
#define EXAMPLE "c010 "
#define ORG "c018 "

#define A(owner, ttl) owner "0001 0001 " ttl "0004 c0000201 "
#define SOA(owner, ttl, minimum)                                                                   \
    owner "0006 0001 " ttl "0016 00 00 00000001 00000e10 00000258 00015180 " minimum
#define NS(owner, ttl) owner "0002 0001 " ttl "0002 c00c "
#define TXT(owner, ttl) owner "0010 0001 " ttl "0004 03 'abc' "

// A reply whose header is `flags`, with as many records as `counts` says.
#define REPLY(flags, counts) "1234 " flags "0001 " counts
#define NOERROR "8180 "
#define NXDOMAIN "8183 "
#define SERVFAIL "8182 "

#define PLAIN_OPT "00 0029 04d0 00000000 0000 "

// A parsed reply, in memory of exactly its size.
struct reply {
    struct wire wire;
    struct dns_message message;
};

static inline void reply_parse(struct reply *reply, const char *what)
{
    if (dns_message_parse(&reply->message, reply->wire.bytes, reply->wire.size) == 0)
        return;
    fprintf(stderr, "not a message: %s\n", what);
    abort();
}

static inline struct reply reply_of(const char *text)
{
    struct reply reply = {.wire = wire_of(text)};

    reply_parse(&reply, text);
    return reply;
}

static inline struct reply reply_of_bytes(const uint8_t *bytes, size_t size)
{
    struct reply reply = {.wire = wire_copy(bytes, size)};

    reply_parse(&reply, "bytes");
    return reply;
}

static inline void reply_free(struct reply *reply)
{
    wire_free(&reply->wire);
}

// `how` is CACHE_KEY_…
static inline void key_of(struct cache_key *key, const struct siphash_key *secret,
                          const uint8_t *question, size_t size, unsigned how)
{
    uint16_t flags = (uint16_t)((how & CACHE_KEY_NO_RECURSION ? 0 : DNS_FLAG_RD) |
                                (how & CACHE_KEY_CHECKING_DISABLED ? DNS_FLAG_CD : 0));

    memset(key, 0xa5, sizeof(*key));
    cache_key_make(key, secret, question, size, flags, how & CACHE_KEY_DNSSEC_OK);
}

static inline void key_of_text(struct cache_key *key, const struct siphash_key *secret,
                               const char *question, unsigned how)
{
    struct wire wire = wire_of(question);

    key_of(key, secret, wire.bytes, wire.size, how);
    wire_free(&wire);
}

static inline void key_of_reply(struct cache_key *key, const struct siphash_key *secret,
                                const struct reply *reply, unsigned how)
{
    key_of(key, secret, dns_message_question(&reply->message), reply->message.question_size, how);
}

static const struct cache_options usual_options = {
    .size = 1024 * 1024,
    .max_ttl = 86400 * USEC_SEC,
    .negative_max_ttl = 3600 * USEC_SEC,
    .failure_ttl = 5 * USEC_SEC,
    .stale_max = 86400 * USEC_SEC,
    .prefetch = true,
};
