#include "engine/engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "dns/build.h"
#include "dns/edns.h"
#include "dns/name.h"
#include "fake_host.h"
#include "policy/limit.h"
#include "wire.h"

#define QUESTION "{wWw.Example.org} 0001 0001 " // 21 octets, from 12 to 32
#define OTHER_CASE "{www.example.ORG} 0001 0001 "
#define A_RECORD "c00c 0001 0001 00000e10 0004 c0000201 "
#define A_RDATA "0001 0001 00000e10 0004 c0000201 "
#define OPT "00 0029 04d0 00 00 0000 0000 "    // a client's: 1232 octets
#define UP_OPT "00 0029 0200 00 00 0000 0000 " // an upstream's: 512
#define UDP_SIZE_MAX 1232                      // what our listener sends

// A stand-in for the upstreams: answers at once, or when told.
struct fake_upstream {
    bool async;
    // The reply but for ID and question: "FLAGS AN NS AR records", or NULL for a failure.
    const char *reply;
    const uint8_t *wire; // or a whole message, if not NULL
    size_t wire_size;
    enum dns_ede ede;
    const char *reason;
    // The requests that wait, and what was asked last.
    struct upstream_request *waiting[64];
    unsigned waiting_count;
    unsigned asked;
    uint16_t flags;
    bool dnssec_ok;
    uint8_t question[DNS_QUESTION_MAX];
    size_t question_size;
};

// A client that remembers what it got.
struct fake_client {
    struct engine_client engine_client;
    unsigned answers;
    bool silent;
    uint8_t message[DNS_MESSAGE_MAX];
    size_t size;
};

static struct fake_upstream upstream;
static struct fake_client client;
static struct fake_host host;
static struct cache *cache;
static struct engine *engine;
static struct counters counters;
static struct engine_options options;
static struct policy_rules *rules; // of the listener

static size_t make_reply(uint8_t *to, size_t size, const struct upstream_request *request)
{
    struct wire body = wire_of(upstream.reply);
    struct writer w = writer_of(to, size);

    writer_u16(&w, 0xbeef); // the ID of the upstream leg
    writer_bytes(&w, body.bytes, 2);
    writer_u16(&w, 1);
    writer_bytes(&w, body.bytes + 2, 6);
    writer_bytes(&w, request->question, request->question_size);
    writer_bytes(&w, body.bytes + 8, body.size - 8);
    require(!w.failed);
    wire_free(&body);
    return w.pos;
}

static void complete(struct upstream_request *request)
{
    static uint8_t buffer[DNS_MESSAGE_MAX];
    struct upstream_result result = {.ede = upstream.ede, .reason = upstream.reason};
    struct dns_message reply;
    struct wire wire;

    if (!upstream.reply && !upstream.wire) {
        request->done(request, &result);
        return;
    }
    if (upstream.wire)
        wire = wire_copy(upstream.wire, upstream.wire_size);
    else
        wire = wire_copy(buffer, make_reply(buffer, sizeof(buffer), request));
    require(dns_message_parse(&reply, wire.bytes, wire.size) == 0);
    result.reply = &reply;
    request->done(request, &result);
    wire_free(&wire);
}

static void resolve(void *upstreams, struct upstream_request *request)
{
    require(upstreams == &upstream);
    upstream.asked++;
    upstream.flags = request->flags;
    upstream.dnssec_ok = request->dnssec_ok;
    upstream.question_size = request->question_size;
    memcpy(upstream.question, request->question, request->question_size);
    if (!upstream.async) {
        complete(request);
        return;
    }
    require(upstream.waiting_count < ARRAY_LEN(upstream.waiting));
    upstream.waiting[upstream.waiting_count++] = request;
}

static void complete_all(void)
{
    while (upstream.waiting_count > 0)
        complete(upstream.waiting[--upstream.waiting_count]);
}

static const struct upstream_ops upstream_ops = {.resolve = resolve};

static void on_answer(const struct engine_client *to, const uint8_t *message, size_t size)
{
    struct fake_client *fake = to->owner;

    require(size <= sizeof(fake->message));
    require((message == NULL) == (size == 0));
    require(to->source.v4.sin_port == 4242); // it is told who asked
    fake->answers++;
    fake->silent = !message;
    fake->size = size;
    if (message)
        memcpy(fake->message, message, size);
}

static const struct engine_client_ops client_ops = {.answer = on_answer};

static void client_init(struct fake_client *fake, enum engine_transport transport)
{
    fake->answers = 0;
    fake->engine_client = (struct engine_client){
        .ops = &client_ops,
        .owner = fake,
        .transport = transport,
        .udp_max_size = UDP_SIZE_MAX,
        .keepalive = 100,
        .source.v4.sin_port = 4242,
    };
}

// Without a cache: test_engine_cache.c has what that changes.
static struct engine *make_engine(void)
{
    cache = cache_new(0);
    fake_host_init(&host, USEC_SEC);
    return engine_new(&(struct engine_setup){
        .options = &options,
        .cache = cache,
        .host_ops = &fake_host_ops,
        .host = &host,
        .upstream_ops = &upstream_ops,
        .upstreams = &upstream,
        .counters = &counters,
    });
}

static int begin(void **state)
{
    rules = NULL;
    upstream = (struct fake_upstream){.reply = "8180 0001 0000 0000" A_RECORD};
    memset(&counters, 0, sizeof(counters));
    options = (struct engine_options){
        .max_in_flight = 1000,
        .identity_version = "sotto test",
        .identity_id = "id",
        .policy = {.allow_count = 1, .allow = {{.kind = POLICY_PREFIX_ANY}}},
    };
    engine = make_engine();
    client_init(&client, ENGINE_UDP);
    return engine ? 0 : -1;
}

static int end(void **state)
{
    complete_all();
    fake_host_turn(&host);
    engine_free(engine); // checks that every query was given back
    cache_free(cache);
    return 0;
}

static void configure(enum engine_padding padding)
{
    options.padding = padding;
    engine_configure(engine, &options);
}

// From memory of exactly its size, and gone when the call returns.
static void query_wire(const uint8_t *bytes, size_t size)
{
    struct wire wire = wire_copy(bytes, size);

    engine_query(engine, rules, &client.engine_client, wire.bytes, wire.size);
    wire_free(&wire);
}

// Asks, lets the upstream answer, and sees that one answer came.
static void ask_wire(const char *what, const uint8_t *bytes, size_t size)
{
    unsigned asked = upstream.asked;

    client.answers = 0;
    query_wire(bytes, size);
    if (upstream.async && upstream.asked > asked) {
        if (client.answers != 0 || engine_in_flight(engine) != 1)
            fail_msg("%s: answered before the upstream did", what);
        complete_all();
    }
    if (client.answers != 1)
        fail_msg("%s: %u answers", what, client.answers);
    assert_int_equal(engine_in_flight(engine), 0);
}

static void ask(const char *what, const char *query)
{
    struct wire wire = wire_of(query);

    ask_wire(what, wire.bytes, wire.size);
    wire_free(&wire);
}

static void show(const uint8_t *bytes, size_t size)
{
    char line[3 * 32 + 1];

    for (size_t i = 0; i < MIN(size, (size_t)256); i += 32) {
        for (size_t j = 0; j < 32 && i + j < size; j++)
            snprintf(line + 3 * j, 4, "%02x ", bytes[i + j]);
        print_message("%s\n", line);
    }
}

static void assert_reply(const char *what, const char *expected_text)
{
    struct wire expected = wire_of(expected_text);
    bool same =
        client.size == expected.size && !memcmp(client.message, expected.bytes, expected.size);
    size_t size = expected.size;

    wire_free(&expected);
    if (!same) {
        show(client.message, client.size);
        fail_msg("%s: not what was expected (%zu octets, expected %zu)", what, client.size, size);
    }
}

static void client_parse(struct dns_message *message)
{
    assert_false(client.silent);
    assert_int_equal(dns_message_parse(message, client.message, client.size), 0);
}

// A query, what the upstream says to it (NULL: it must not be asked), and what the client gets
// (NULL: silence).
struct exchange {
    const char *what;
    enum engine_transport transport;
    const char *query, *upstream, *reply;
};

static void check_exchange(const struct exchange *exchange)
{
    unsigned asked = upstream.asked;

    upstream.reply = exchange->upstream;
    client_init(&client, exchange->transport);
    ask(exchange->what, exchange->query);
    if (upstream.asked != asked + (exchange->upstream != NULL))
        fail_msg("%s: the upstream was%s asked", exchange->what, exchange->upstream ? " not" : "");
    if (exchange->reply)
        assert_reply(exchange->what, exchange->reply);
    else if (!client.silent)
        fail_msg("%s: answered", exchange->what);
}

static void check_exchanges(const struct exchange *exchanges, size_t count)
{
    for (int async = 0; async < 2; async++) {
        upstream.async = async;
        for (size_t i = 0; i < count; i++)
            check_exchange(&exchanges[i]);
    }
}

static const struct exchange forwarded[] = {
    {"an answer", ENGINE_UDP, "1234 0100 0001 0000 0000 0000" QUESTION,
     "8180 0001 0000 0000" A_RECORD, "1234 8180 0001 0001 0000 0000" QUESTION A_RECORD},
    {"the same over TCP", ENGINE_TCP, "1234 0100 0001 0000 0000 0000" QUESTION,
     "8180 0001 0000 0000" A_RECORD, "1234 8180 0001 0001 0000 0000" QUESTION A_RECORD},
    {"NXDOMAIN", ENGINE_UDP, "1234 0100 0001 0000 0000 0000" QUESTION,
     "8183 0000 0001 0000 {org} 0006 0001 00000e10 0018 00 01 'a' 00 00*20",
     "1234 8183 0001 0000 0001 0000" QUESTION "{org} 0006 0001 00000e10 0018 00 01 'a' 00 00*20"},
    {"an upstream's SERVFAIL", ENGINE_UDP, "1234 0100 0001 0000 0000 0000" QUESTION,
     "8182 0000 0000 0000", "1234 8182 0001 0000 0000 0000" QUESTION},

    // EDNS is hop by hop.
    {"no EDNS here, EDNS there", ENGINE_UDP, "1234 0100 0001 0000 0000 0000" QUESTION,
     "8180 0001 0000 0001" A_RECORD UP_OPT, "1234 8180 0001 0001 0000 0000" QUESTION A_RECORD},
    {"EDNS here, none there", ENGINE_UDP, "1234 0100 0001 0000 0000 0001" QUESTION OPT,
     "8180 0001 0000 0000" A_RECORD, "1234 8180 0001 0001 0000 0001" QUESTION A_RECORD OPT},
    {"EDNS here and there", ENGINE_UDP, "1234 0100 0001 0000 0000 0001" QUESTION OPT,
     "8180 0001 0000 0001" A_RECORD UP_OPT, "1234 8180 0001 0001 0000 0001" QUESTION A_RECORD OPT},
    {"DO is copied", ENGINE_UDP,
     "1234 0100 0001 0000 0000 0001" QUESTION "00 0029 04d00000 8000 0000",
     "8180 0001 0000 0001" A_RECORD UP_OPT,
     "1234 8180 0001 0001 0000 0001" QUESTION A_RECORD "00 0029 04d00000 8000 0000"},
    {"only DO of the flags is copied", ENGINE_UDP,
     "1234 0100 0001 0000 0000 0001" QUESTION "00 0029 04d00000 ffff 0000",
     "8180 0001 0000 0001" A_RECORD "00 0029 04d00000 7fff 0000",
     "1234 8180 0001 0001 0000 0001" QUESTION A_RECORD "00 0029 04d00000 8000 0000"},
    {"a record behind the upstream's OPT goes with it", ENGINE_UDP,
     "1234 0100 0001 0000 0000 0001" QUESTION OPT, "8180 0001 0000 0002" A_RECORD UP_OPT A_RECORD,
     "1234 8180 0001 0001 0000 0001" QUESTION A_RECORD OPT},
    {"R7 extended rcode 23", ENGINE_UDP, "1234 0100 0001 0000 0000 0001" QUESTION OPT,
     "8187 0000 0000 0001 00 0029 0200 01 00 0000 0000",
     "1234 8187 0001 0000 0000 0001" QUESTION "00 0029 04d0 01 00 0000 0000"},
    {"R7 extended rcode without EDNS is SERVFAIL", ENGINE_UDP,
     "1234 0100 0001 0000 0000 0000" QUESTION, "8187 0000 0000 0001 00 0029 0200 01 00 0000 0000",
     "1234 8182 0001 0000 0000 0000" QUESTION},
    {"R10 cookie, ECS, NSID and keepalive of the upstream stay", ENGINE_TCP,
     "1234 0100 0001 0000 0000 0001" QUESTION OPT,
     "8180 0001 0000 0001" A_RECORD "00 0029 0200 00000000 0024 000a 0008 0102030405060708"
     "0008 0008 00011800 c0000200 0003 0002 'ns' 000b 0002 0064",
     "1234 8180 0001 0001 0000 0001" QUESTION A_RECORD OPT},
    {"EDE of the upstream is passed on", ENGINE_UDP, "1234 0100 0001 0000 0000 0001" QUESTION OPT,
     "8182 0000 0000 0001 00 0029 0200 00000000 0014 000f 0006 0006 'test' 000a 0000 000f 0002 "
     "0016",
     "1234 8182 0001 0000 0000 0001" QUESTION
     "00 0029 04d0 00000000 0010 000f 0006 0006 'test' 000f 0002 0016"},
    {"EDE of the upstream, client without EDNS", ENGINE_UDP,
     "1234 0100 0001 0000 0000 0000" QUESTION,
     "8182 0000 0000 0001 00 0029 0200 00000000 000a 000f 0006 0006 'test'",
     "1234 8182 0001 0000 0000 0000" QUESTION},

    // Flags.
    {"RD clear", ENGINE_UDP, "1234 0000 0001 0000 0000 0000" QUESTION,
     "8080 0001 0000 0000" A_RECORD, "1234 8080 0001 0001 0000 0000" QUESTION A_RECORD},
    {"RD is the client's, RA ours", ENGINE_UDP, "1234 0100 0001 0000 0000 0000" QUESTION,
     "8000 0001 0000 0000" A_RECORD, "1234 8180 0001 0001 0000 0000" QUESTION A_RECORD},
    {"AA is passed on", ENGINE_UDP, "1234 0100 0001 0000 0000 0000" QUESTION,
     "8580 0001 0000 0000" A_RECORD, "1234 8580 0001 0001 0000 0000" QUESTION A_RECORD},
    {"AA, RA, TC and Z in a query mean nothing", ENGINE_UDP,
     "1234 07c0 0001 0000 0000 0000" QUESTION, "8180 0001 0000 0000" A_RECORD,
     "1234 8180 0001 0001 0000 0000" QUESTION A_RECORD},
    {"AD not for who did not ask", ENGINE_UDP, "1234 0100 0001 0000 0000 0000" QUESTION,
     "81a0 0001 0000 0000" A_RECORD, "1234 8180 0001 0001 0000 0000" QUESTION A_RECORD},
    {"AD not for who only speaks EDNS", ENGINE_UDP, "1234 0100 0001 0000 0000 0001" QUESTION OPT,
     "81a0 0001 0000 0000" A_RECORD, "1234 8180 0001 0001 0000 0001" QUESTION A_RECORD OPT},
    {"AD for who asked by AD", ENGINE_UDP, "1234 0120 0001 0000 0000 0000" QUESTION,
     "81a0 0001 0000 0000" A_RECORD, "1234 81a0 0001 0001 0000 0000" QUESTION A_RECORD},
    {"AD for who asked by DO", ENGINE_UDP,
     "1234 0100 0001 0000 0000 0001" QUESTION "00 0029 04d00000 8000 0000",
     "81a0 0001 0000 0000" A_RECORD,
     "1234 81a0 0001 0001 0000 0001" QUESTION A_RECORD "00 0029 04d00000 8000 0000"},
    {"AD is never our invention", ENGINE_UDP, "1234 0120 0001 0000 0000 0000" QUESTION,
     "8180 0001 0000 0000" A_RECORD, "1234 8180 0001 0001 0000 0000" QUESTION A_RECORD},
    {"CD comes back", ENGINE_UDP, "1234 0110 0001 0000 0000 0000" QUESTION,
     "8180 0001 0000 0000" A_RECORD, "1234 8190 0001 0001 0000 0000" QUESTION A_RECORD},
    {"CD of the upstream's is not the client's", ENGINE_UDP,
     "1234 0100 0001 0000 0000 0000" QUESTION, "8190 0001 0000 0000" A_RECORD,
     "1234 8180 0001 0001 0000 0000" QUESTION A_RECORD},
    {"TC of the upstream is passed on", ENGINE_UDP, "1234 0100 0001 0000 0000 0000" QUESTION,
     "8380 0001 0000 0000" A_RECORD, "1234 8380 0001 0001 0000 0000" QUESTION A_RECORD},

    // What is in a query besides its question goes no further.
    {"Q5 a record behind the question", ENGINE_UDP,
     "1234 0100 0001 0000 0000 0001" QUESTION A_RECORD, "8180 0001 0000 0000" A_RECORD,
     "1234 8180 0001 0001 0000 0000" QUESTION A_RECORD},
    {"Q12 TSIG behind an OPT", ENGINE_UDP,
     "1234 0100 0001 0000 0000 0002" QUESTION OPT "{key} 00fa 00ff 00000000 0000",
     "8180 0001 0000 0000" A_RECORD, "1234 8180 0001 0001 0000 0001" QUESTION A_RECORD OPT},
    {"Q12 ECS with a bad prefix", ENGINE_UDP,
     "1234 0100 0001 0000 0000 0001" QUESTION
     "00 0029 04d00000 0000 000c 0008 0008 0001ffff 01020304",
     "8180 0001 0000 0000" A_RECORD, "1234 8180 0001 0001 0000 0001" QUESTION A_RECORD OPT},
    {"Q12 a cookie of one octet", ENGINE_UDP,
     "1234 0100 0001 0000 0000 0001" QUESTION "00 0029 04d00000 0000 0005 000a 0001 01",
     "8180 0001 0000 0000" A_RECORD, "1234 8180 0001 0001 0000 0001" QUESTION A_RECORD OPT},
    {"Q7 unknown options", ENGINE_UDP,
     "1234 0100 0001 0000 0000 0001" QUESTION "00 0029 04d00000 0000 0009 fde9 0001 01 ffff 0000",
     "8180 0001 0000 0000" A_RECORD, "1234 8180 0001 0001 0000 0001" QUESTION A_RECORD OPT},
    {"ANY is a question like others", ENGINE_UDP,
     "1234 0100 0001 0000 0000 0000 {example.org} 00ff 0001", "8180 0001 0000 0000" A_RECORD,
     "1234 8180 0001 0001 0000 0000 {example.org} 00ff 0001" A_RECORD},
    {"the root", ENGINE_UDP, "1234 0100 0001 0000 0000 0000 {} 0002 0001", "8180 0000 0000 0000",
     "1234 8180 0001 0000 0000 0000 {} 0002 0001"},
    {"a name compressed within itself cannot be; a class of no name", ENGINE_UDP,
     "1234 0100 0001 0000 0000 0000 {a.b} fe00 fe00", "8180 0000 0000 0000",
     "1234 8180 0001 0000 0000 0000 {a.b} fe00 fe00"},
};

static void test_forwarded(void **state)
{
    check_exchanges(forwarded, ARRAY_LEN(forwarded));
    assert_int_equal(counter_get(&counters, COUNTER_queries_forwarded), 2 * ARRAY_LEN(forwarded));
}

static const struct exchange ignored[] = {
    {"Q1 nothing", ENGINE_UDP, "", NULL, NULL},
    {"Q1 one octet", ENGINE_UDP, "12", NULL, NULL},
    {"Q1 11 octets", ENGINE_UDP, "1234 0100 0001 0000 0000 00", NULL, NULL},
    {"Q1 QR set", ENGINE_UDP, "1234 8100 0001 0000 0000 0000" QUESTION, NULL, NULL},
    {"Q1 QR set, malformed", ENGINE_UDP, "1234 8100 0001 0000 0000 0000 ff", NULL, NULL},
    {"Q1 QR set, opcode 5, over TCP", ENGINE_TCP, "1234 a800 0001 0000 0000 0000" QUESTION, NULL,
     NULL},
    {"Q1 a reply", ENGINE_UDP, "1234 8180 0001 0001 0000 0000" QUESTION A_RECORD, NULL, NULL},
};

static void test_silence(void **state)
{
    check_exchanges(ignored, ARRAY_LEN(ignored));
    assert_int_equal(counter_get(&counters, COUNTER_queries_ignored), 2 * ARRAY_LEN(ignored));
}

static const struct exchange malformed[] = {
    {"Q2 header only", ENGINE_UDP, "1234 0100 0000 0000 0000 0000", NULL,
     "1234 8181 0000 0000 0000 0000"},
    {"Q2 header only, question promised", ENGINE_UDP, "1234 0100 0001 0000 0000 0000", NULL,
     "1234 8181 0000 0000 0000 0000"},
    {"Q2 two questions", ENGINE_UDP, "1234 0100 0002 0000 0000 0000" QUESTION QUESTION, NULL,
     "1234 8181 0000 0000 0000 0000"},
    {"Q2 no question but EDNS", ENGINE_UDP, "1234 0110 0000 0000 0000 0001" OPT, NULL,
     "1234 8191 0000 0000 0000 0001" OPT},
    {"Q2 no question but a cookie", ENGINE_UDP,
     "1234 0100 0000 0000 0000 0001 00 0029 04d00000 0000 000c 000a 0008 0102030405060708", NULL,
     "1234 8181 0000 0000 0000 0001" OPT},
    {"Q3 label of 64", ENGINE_UDP, "1234 0100 0001 0000 0000 0000 40 61*64 00 0001 0001", NULL,
     "1234 8181 0000 0000 0000 0000"},
    {"Q3 name of 256", ENGINE_UDP,
     "1234 0100 0001 0000 0000 0000 3f 61*63 3f 61*63 3f 61*63 3e 61*62 00 0001 0001", NULL,
     "1234 8181 0000 0000 0000 0000"},
    {"Q3 name cut short", ENGINE_UDP, "1234 0100 0001 0000 0000 0000 03 'ww'", NULL,
     "1234 8181 0000 0000 0000 0000"},
    {"Q3 class missing", ENGINE_UDP, "1234 0100 0001 0000 0000 0000 {www} 0001", NULL,
     "1234 8181 0000 0000 0000 0000"},
    {"Q3 type cut", ENGINE_UDP, "1234 0100 0001 0000 0000 0000 {www} 00", NULL,
     "1234 8181 0000 0000 0000 0000"},
    {"Q4 pointer to itself", ENGINE_UDP, "1234 0100 0001 0000 0000 0000 c00c 0001 0001", NULL,
     "1234 8181 0000 0000 0000 0000"},
    {"Q4 pointer forward", ENGINE_UDP, "1234 0100 0001 0000 0000 0000 c00e 00 0001 0001", NULL,
     "1234 8181 0000 0000 0000 0000"},
    {"Q4 pointer into the header", ENGINE_UDP, "1234 0100 0001 0000 0000 0000 c004 0001 0001", NULL,
     "1234 8181 0000 0000 0000 0000"},
    {"Q5 trailing octet", ENGINE_UDP, "1234 0100 0001 0000 0000 0000" QUESTION "00", NULL,
     "1234 8181 0001 0000 0000 0000" QUESTION},
    {"Q5 count larger than the data", ENGINE_UDP, "1234 0100 0001 0000 0000 ffff" QUESTION OPT,
     NULL, "1234 8181 0001 0000 0000 0001" QUESTION OPT},
    {"Q5 record as answer", ENGINE_UDP, "1234 0100 0001 0001 0000 0000" QUESTION A_RECORD, NULL,
     "1234 8181 0001 0000 0000 0000" QUESTION},
    {"Q5 record as authority", ENGINE_TCP, "1234 0100 0001 0000 0001 0001" QUESTION A_RECORD OPT,
     NULL, "1234 8181 0001 0000 0000 0001" QUESTION OPT},
    {"Q6 two OPT", ENGINE_UDP, "1234 0100 0001 0000 0000 0002" QUESTION OPT OPT, NULL,
     "1234 8181 0001 0000 0000 0001" QUESTION OPT},
    {"Q6 OPT of a name", ENGINE_UDP,
     "1234 0100 0001 0000 0000 0001" QUESTION "{a} 0029 04d00000 0000 0000", NULL,
     "1234 8181 0001 0000 0000 0000" QUESTION},
    {"Q6 option past RDLENGTH", ENGINE_UDP,
     "1234 0100 0001 0000 0000 0001" QUESTION "00 0029 04d00000 0000 0006 000c 0003 0000", NULL,
     "1234 8181 0001 0000 0000 0000" QUESTION},
    {"Q6 RDLENGTH past the end", ENGINE_UDP,
     "1234 0100 0001 0000 0000 0001" QUESTION "00 0029 04d00000 0000 0005 00", NULL,
     "1234 8181 0001 0000 0000 0000" QUESTION},
};

static void test_malformed(void **state)
{
    check_exchanges(malformed, ARRAY_LEN(malformed));
    assert_int_equal(counter_get(&counters, COUNTER_queries_malformed), 2 * ARRAY_LEN(malformed));
}

static const struct exchange turned_away[] = {
    {"Q7 EDNS version 1", ENGINE_UDP,
     "1234 0100 0001 0000 0000 0001" QUESTION "00 0029 04d0 00 01 0000 0000", NULL,
     "1234 8180 0001 0000 0000 0001" QUESTION "00 0029 04d0 01 00 0000 0000"},
    {"Q7 EDNS version 255 with DO", ENGINE_TCP,
     "1234 0000 0001 0000 0000 0001" QUESTION "00 0029 04d0 00 ff 8000 0000", NULL,
     "1234 8080 0001 0000 0000 0001" QUESTION "00 0029 04d0 01 00 8000 0000"},
    {"Q8 IQUERY", ENGINE_UDP, "1234 0900 0001 0000 0000 0000" QUESTION, NULL,
     "1234 8984 0001 0000 0000 0000" QUESTION},
    {"Q8 STATUS, header only", ENGINE_UDP, "1234 1000 0000 0000 0000 0000", NULL,
     "1234 9084 0000 0000 0000 0000"},
    {"Q8 NOTIFY with EDNS", ENGINE_UDP, "1234 2000 0001 0000 0000 0001" QUESTION OPT, NULL,
     "1234 a084 0001 0000 0000 0001" QUESTION OPT},
    {"Q8 UPDATE with its records", ENGINE_TCP,
     "1234 2800 0001 0000 0001 0000 {example.org} 0006 0001 c00c 0001 00ff 00000000 0000", NULL,
     "1234 a884 0001 0000 0000 0000 {example.org} 0006 0001"},
    {"Q8 DSO keepalive (RFC 8490)", ENGINE_TCP,
     "1234 3000 0000 0000 0000 0000 0001 0008 00003a98 00003a98", NULL,
     "1234 b084 0000 0000 0000 0000"},
    {"Q8 opcode 15 and garbage", ENGINE_UDP, "1234 7800 ffff ffff ffff ffff ff", NULL,
     "1234 f884 0000 0000 0000 0000"},
    {"Q8 AXFR", ENGINE_TCP, "1234 0000 0001 0000 0000 0000 {example.org} 00fc 0001", NULL,
     "1234 8084 0001 0000 0000 0000 {example.org} 00fc 0001"},
    {"Q8 IXFR", ENGINE_UDP, "1234 0000 0001 0000 0000 0000 {example.org} 00fb 0001", NULL,
     "1234 8084 0001 0000 0000 0000 {example.org} 00fb 0001"},
    {"Q8 IXFR with its SOA", ENGINE_UDP,
     "1234 0000 0001 0000 0001 0000 {org} 00fb 0001 c00c 0006 0001 00000000 0016 00 00 00*20", NULL,
     "1234 8084 0001 0000 0000 0000 {org} 00fb 0001"},
    {"Q8 TKEY", ENGINE_UDP, "1234 0100 0001 0000 0000 0000 {a} 00f9 0001", NULL,
     "1234 8185 0001 0000 0000 0000 {a} 00f9 0001"},
    {"Q8 TSIG", ENGINE_UDP, "1234 0100 0001 0000 0000 0000 {a} 00fa 0001", NULL,
     "1234 8185 0001 0000 0000 0000 {a} 00fa 0001"},
    {"Q8 MAILB", ENGINE_UDP, "1234 0100 0001 0000 0000 0000 {a} 00fd 0001", NULL,
     "1234 8185 0001 0000 0000 0000 {a} 00fd 0001"},
    {"Q8 MAILA", ENGINE_UDP, "1234 0100 0001 0000 0000 0000 {a} 00fe 0001", NULL,
     "1234 8185 0001 0000 0000 0000 {a} 00fe 0001"},
    {"Q8 OPT as question", ENGINE_UDP, "1234 0100 0001 0000 0000 0000 {} 0029 0001", NULL,
     "1234 8185 0001 0000 0000 0000 {} 0029 0001"},
    {"Q8 class NONE", ENGINE_UDP, "1234 0100 0001 0000 0000 0000 {a} 0001 00fe", NULL,
     "1234 8185 0001 0000 0000 0000 {a} 0001 00fe"},
    {"Q8 class ANY", ENGINE_UDP, "1234 0100 0001 0000 0000 0001 {a} 0001 00ff" OPT, NULL,
     "1234 8185 0001 0000 0000 0001 {a} 0001 00ff" OPT},
};

static void test_turned_away(void **state)
{
    check_exchanges(turned_away, ARRAY_LEN(turned_away));
    assert_int_equal(counter_get(&counters, COUNTER_queries_badvers), 2 * 2);
    assert_int_equal(counter_get(&counters, COUNTER_queries_not_implemented), 2 * 9);
    assert_int_equal(counter_get(&counters, COUNTER_queries_refused), 2 * 7);
}

// ---- Clients that are not allowed

// Only they; and `refuse` is what others get.
static void allow_only(const char *text, enum policy_refuse refuse)
{
    const char *why;

    assert_int_equal(policy_prefix_parse(&options.policy.allow[0], text, &why), 0);
    options.policy.allow_count = 1;
    options.policy.refuse = refuse;
    engine_configure(engine, &options);
}

static void client_at(const char *text, enum engine_transport transport)
{
    client_init(&client, transport);
    assert_int_equal(address_parse(&client.engine_client.source, text, 4242), 0);
    client.engine_client.source.v4.sin_port = 4242;
}

// Whatever it is that is asked.
static const struct {
    const char *what, *query, *refused;
} from_elsewhere[] = {
    {"a query", "1234 0110 0001 0000 0000 0000" QUESTION, "1234 8195 0001 0000 0000 0000" QUESTION},
    {"with EDNS", "1234 0100 0001 0000 0000 0001" QUESTION OPT,
     "1234 8185 0001 0000 0000 0001" QUESTION "00 0029 04d0 00 00 0000 0006 000f 0002 0012"},
    {"with padding, for whomever it was forged",
     "1234 0100 0001 0000 0000 0001" QUESTION "00 0029 04d0 00 00 0000 0004 000c 0000",
     "1234 8185 0001 0000 0000 0001" QUESTION "00 0029 04d0 00 00 0000 0006 000f 0002 0012"},
    {"a local name", "1234 0100 0001 0000 0000 0000 {localhost} 0001 0001",
     "1234 8185 0001 0000 0000 0000 {localhost} 0001 0001"},
    {"who we are", "1234 0100 0001 0000 0000 0000 {version.bind} 0010 0003",
     "1234 8185 0001 0000 0000 0000 {version.bind} 0010 0003"},
    {"AXFR", "1234 0000 0001 0000 0000 0000 {test} 00fc 0001",
     "1234 8085 0001 0000 0000 0000 {test} 00fc 0001"},
    {"UPDATE", "1234 2800 0001 0000 0001 0000 {test} 0006 0001" A_RECORD,
     "1234 a885 0001 0000 0000 0000 {test} 0006 0001"},
    {"EDNS version 1", "1234 0100 0001 0000 0000 0001" QUESTION "00 0029 04d0 00 01 0000 0000",
     "1234 8185 0001 0000 0000 0001" QUESTION "00 0029 04d0 00 00 0000 0006 000f 0002 0012"},
    {"no question", "1234 0100 0000 0000 0000 0000", "1234 8185 0000 0000 0000 0000"},
    {"malformed", "1234 0100 0001 0000 0000 0000 {test} 0001", "1234 8185 0000 0000 0000 0000"},
};

static void test_clients_that_are_not_allowed(void **state)
{
    static const enum engine_transport transports[] = {ENGINE_UDP, ENGINE_TCP};
    static const char *const clients[] = {"198.51.100.1", "::ffff:198.51.100.1", "2001:db8::1"};
    uint64_t refused = 0;

    for (size_t i = 0; i < ARRAY_LEN(from_elsewhere); i++) {
        for (size_t j = 0; j < ARRAY_LEN(transports) * ARRAY_LEN(clients); j++) {
            client_at(clients[j / 2], transports[j % 2]);
            allow_only("192.0.2.0/24", POLICY_REFUSE_REFUSED);
            ask(from_elsewhere[i].what, from_elsewhere[i].query);
            assert_reply(from_elsewhere[i].what, from_elsewhere[i].refused);
            client.answers = 0;
            allow_only("192.0.2.0/24", POLICY_REFUSE_DROP);
            ask(from_elsewhere[i].what, from_elsewhere[i].query);
            assert_true(client.silent);
            refused += 2;
        }
    }
    assert_int_equal(counter_get(&counters, COUNTER_queries_not_allowed), refused);
    assert_int_equal(counter_get(&counters, COUNTER_queries_refused), 0);
    assert_int_equal(counter_get(&counters, COUNTER_queries_malformed), 0);
    assert_int_equal(upstream.asked, 0);
}

static void test_clients_that_are_allowed(void **state)
{
    const char *query = "1234 0100 0001 0000 0000 0000" QUESTION;

    allow_only("192.0.2.0/24", POLICY_REFUSE_DROP);
    client_at("192.0.2.255", ENGINE_UDP);
    ask("allowed", query);
    assert_reply("allowed", "1234 8180 0001 0001 0000 0000" QUESTION A_RECORD);
    client_at("::ffff:192.0.2.1", ENGINE_TCP);
    ask("allowed, mapped", query);
    assert_reply("allowed, mapped", "1234 8180 0001 0001 0000 0000" QUESTION A_RECORD);
    assert_int_equal(counter_get(&counters, COUNTER_queries_not_allowed), 0);
}

// A listener's own rules take the place of the general ones, for what they say; over each
// transport, and only by that listener.
static void test_rules_of_a_listener(void **state)
{
    static const enum engine_transport transports[] = {ENGINE_UDP, ENGINE_TCP, ENGINE_TLS,
                                                       ENGINE_HTTP};
    const char *query = "1234 0100 0001 0000 0000 0000" QUESTION;
    const char *answer = "1234 8180 0001 0001 0000 0000" QUESTION A_RECORD;
    const char *refused = "1234 8185 0001 0000 0000 0000" QUESTION;
    const char *why;
    struct policy_own own = {.allow_count = 1};
    struct policy_rules *allow = NULL, *drop = NULL;

    assert_int_equal(policy_prefix_parse(&own.allow[0], "198.51.100.0/24", &why), 0);
    allow_only("192.0.2.0/24", POLICY_REFUSE_REFUSED);
    assert_int_equal(policy_rules_new(&allow, &options.policy, &own), 0);
    own = (struct policy_own){.refuse = POLICY_OWN_REFUSE_DROP};
    assert_int_equal(policy_rules_new(&drop, &options.policy, &own), 0);
    for (size_t i = 0; i < ARRAY_LEN(transports); i++) {
        rules = allow;
        client_at("198.51.100.1", transports[i]);
        ask("its own", query);
        assert_reply("its own", answer);
        client_at("192.0.2.1", transports[i]);
        ask("another's", query);
        assert_reply("another's", refused);
        rules = drop;
        ask("who is allowed is not said", query);
        assert_reply("who is allowed is not said", answer);
        client_at("198.51.100.1", transports[i]);
        client.silent = false;
        ask("dropped", query);
        assert_true(client.silent);
        rules = NULL;
        ask("by another listener", query);
        assert_reply("by another listener", refused);
    }
    policy_rules_unref(allow);
    policy_rules_unref(drop);
}

// Loops are not started with them either.
static void test_a_response_from_elsewhere_gets_silence(void **state)
{
    allow_only("192.0.2.0/24", POLICY_REFUSE_REFUSED);
    client_at("198.51.100.1", ENGINE_UDP);
    ask("a response", "1234 8180 0001 0000 0000 0000" QUESTION);
    assert_true(client.silent);
    assert_int_equal(counter_get(&counters, COUNTER_queries_ignored), 1);
    assert_int_equal(counter_get(&counters, COUNTER_queries_not_allowed), 0);
}

// ---- Cookies: RFC 9018 appendix A, in queries

#define COOKIE_MADE 1559731985
#define COOKIE_OPT(size, content) "00 0029 04d0 00 00 0000 " size content
#define CLIENT_COOKIE "000a 0008 2464c4abcf10c957"
#define OUR_COOKIE "000a 0018 2464c4abcf10c957 010000005cf79f111f8130c3eee29480"
#define BAD_COOKIE "000a 0018 2464c4abcf10c957 010000005cf79f111f8130c3eee29481"
#define OTHER_COOKIE "000a 0008 0000000000000000"

static void speak_cookies(void)
{
    options.policy.cookie_secrets = (struct policy_cookie_secrets){
        .count = 1,
        .keys = {{0x3fa4b2a6e573e9e5, 0xcfbf379e84dce748}},
    };
    engine_configure(engine, &options);
    host.wall_seconds = COOKIE_MADE;
}

static const struct {
    const char *what, *query, *reply;
    bool forwarded;
} cookies[] = {
    {"only the client's",
     "1234 0100 0001 0000 0000 0001" QUESTION COOKIE_OPT("000c", CLIENT_COOKIE),
     "1234 8180 0001 0001 0000 0001" QUESTION A_RECORD COOKIE_OPT("001c", OUR_COOKIE), true},
    {"ours", "1234 0100 0001 0000 0000 0001" QUESTION COOKIE_OPT("001c", OUR_COOKIE),
     "1234 8180 0001 0001 0000 0001" QUESTION A_RECORD COOKIE_OPT("001c", OUR_COOKIE), true},
    {"a bad one is as good as none",
     "1234 0100 0001 0000 0000 0001" QUESTION COOKIE_OPT("001c", BAD_COOKIE),
     "1234 8180 0001 0001 0000 0001" QUESTION A_RECORD COOKIE_OPT("001c", OUR_COOKIE), true},
    {"a server cookie of another length",
     "1234 0100 0001 0000 0000 0001" QUESTION COOKIE_OPT("0014",
                                                         "000a 0010 2464c4abcf10c957 01*8 "),
     "1234 8180 0001 0001 0000 0001" QUESTION A_RECORD COOKIE_OPT("001c", OUR_COOKIE), true},
    {"the first counts",
     "1234 0100 0001 0000 0000 0001" QUESTION COOKIE_OPT("0018", CLIENT_COOKIE OTHER_COOKIE),
     "1234 8180 0001 0001 0000 0001" QUESTION A_RECORD COOKIE_OPT("001c", OUR_COOKIE), true},
    {"the first counts, also if malformed",
     "1234 0100 0001 0000 0000 0001" QUESTION COOKIE_OPT("0010", "000a 0000" CLIENT_COOKIE),
     "1234 8181 0001 0000 0000 0001" QUESTION OPT, false},
    {"Q12 of one octet",
     "1234 0100 0001 0000 0000 0001" QUESTION COOKIE_OPT("0005", "000a 0001 01"),
     "1234 8181 0001 0000 0000 0001" QUESTION OPT, false},
    {"of 15 octets",
     "1234 0100 0001 0000 0000 0001" QUESTION COOKIE_OPT("0013", "000a 000f 01*15 "),
     "1234 8181 0001 0000 0000 0001" QUESTION OPT, false},
    {"of 41 octets",
     "1234 0100 0001 0000 0000 0001" QUESTION COOKIE_OPT("002d", "000a 0029 01*41 "),
     "1234 8181 0001 0000 0000 0001" QUESTION OPT, false},
    {"a local answer has it too",
     "1234 0100 0001 0000 0000 0001 {localhost} 0001 0001" COOKIE_OPT("000c", CLIENT_COOKIE),
     "1234 8580 0001 0001 0000 0001 {localhost} 0001 0001 c00c 0001 0001 00015180 0004 "
     "7f000001" COOKIE_OPT("001c", OUR_COOKIE),
     false},
    {"a refusal has it too",
     "1234 0100 0001 0000 0000 0001 {a} 00f9 0001" COOKIE_OPT("000c", CLIENT_COOKIE),
     "1234 8185 0001 0000 0000 0001 {a} 00f9 0001" COOKIE_OPT("001c", OUR_COOKIE), false},
    {"BADVERS has it too",
     "1234 0100 0001 0000 0000 0001" QUESTION "00 0029 04d0 00 01 0000 000c" CLIENT_COOKIE,
     "1234 8180 0001 0000 0000 0001" QUESTION "00 0029 04d0 01 00 0000 001c" OUR_COOKIE, false},
    {"Q2 no question", "1234 0100 0000 0000 0000 0001" COOKIE_OPT("000c", CLIENT_COOKIE),
     "1234 8180 0000 0000 0000 0001" COOKIE_OPT("001c", OUR_COOKIE), false},
    {"Q2 no question, ours", "1234 0000 0000 0000 0000 0001" COOKIE_OPT("001c", OUR_COOKIE),
     "1234 8080 0000 0000 0000 0001" COOKIE_OPT("001c", OUR_COOKIE), false},
    {"Q2 no question, a bad one: BADCOOKIE",
     "1234 0000 0000 0000 0000 0001" COOKIE_OPT("001c", BAD_COOKIE),
     "1234 8087 0000 0000 0000 0001 00 0029 04d0 01 00 0000 001c" OUR_COOKIE, false},
    {"Q2 no question, malformed", "1234 0000 0000 0000 0000 0001" COOKIE_OPT("0004", "000a 0000"),
     "1234 8081 0000 0000 0000 0001" OPT, false},
    {"Q2 no question, but a record",
     "1234 0000 0000 0000 0001 0001 {a} 0001 0001 00000000 0000" COOKIE_OPT("000c", CLIENT_COOKIE),
     "1234 8081 0000 0000 0000 0001" COOKIE_OPT("001c", OUR_COOKIE), false},
    {"Q2 no question, another opcode",
     "1234 1000 0000 0000 0000 0001" COOKIE_OPT("000c", CLIENT_COOKIE),
     "1234 9084 0000 0000 0000 0001" COOKIE_OPT("001c", OUR_COOKIE), false},
};

static void test_cookies(void **state)
{
    speak_cookies();
    for (size_t i = 0; i < 2 * ARRAY_LEN(cookies); i++) {
        unsigned asked = upstream.asked;

        client_at("198.51.100.100", i % 2 ? ENGINE_TCP : ENGINE_UDP);
        ask(cookies[i / 2].what, cookies[i / 2].query);
        assert_reply(cookies[i / 2].what, cookies[i / 2].reply);
        assert_int_equal(upstream.asked - asked, cookies[i / 2].forwarded);
    }
    assert_int_equal(counter_get(&counters, COUNTER_cookies_valid), 2 * 2);
    assert_int_equal(counter_get(&counters, COUNTER_cookies_bad), 2 * 3);
    assert_int_equal(counter_get(&counters, COUNTER_queries_malformed), 2 * 6);
}

// Who changes address, or comes back after an hour, is given another.
static void test_cookies_of_others_and_of_yesterday(void **state)
{
    struct dns_message message;
    struct dns_option option;
    const char *query = "1234 0100 0001 0000 0000 0001" QUESTION COOKIE_OPT("001c", OUR_COOKIE);

    speak_cookies();
    client_at("198.51.100.101", ENGINE_UDP);
    ask("another address", query);
    client_at("198.51.100.100", ENGINE_UDP);
    host.wall_seconds += 3601;
    ask("an hour later", query);
    assert_int_equal(counter_get(&counters, COUNTER_cookies_bad), 2);
    client_parse(&message);
    assert_true(dns_option_find(&message, DNS_OPTION_COOKIE, &option));
    assert_int_equal(get_u32(option.data + 12), COOKIE_MADE + 3601);
}

static void test_no_cookies_without_a_secret(void **state)
{
    client_at("198.51.100.100", ENGINE_UDP);
    ask("not spoken", "1234 0100 0001 0000 0000 0001" QUESTION COOKIE_OPT("000c", CLIENT_COOKIE));
    assert_reply("not spoken", "1234 8180 0001 0001 0000 0001" QUESTION A_RECORD OPT);
}

// ---- The rate limit

static void limit_rate(uint32_t rate)
{
    options.policy.rate_limit =
        (struct policy_rate_limit){.rate = rate, .ipv4_prefix = 32, .ipv6_prefix = 64, .slip = 2};
    engine_configure(engine, &options);
}

static void use_up(const char *from, unsigned rate)
{
    client_at(from, ENGINE_UDP);
    for (unsigned i = 0; i < rate * POLICY_LIMIT_BURST / USEC_SEC; i++) {
        client.answers = 0;
        ask("below the limit", "1234 0100 0001 0000 0000 0000" QUESTION);
        assert_reply("below the limit", "1234 8180 0001 0001 0000 0000" QUESTION A_RECORD);
    }
}

// What a source that is over the limit gets, once it is its turn to be told.
static const struct exchange limited[] = {
    {"TC", ENGINE_UDP, "1234 0110 0001 0000 0000 0000" QUESTION, NULL,
     "1234 8390 0001 0000 0000 0000" QUESTION},
    {"TC with EDNS, not padded", ENGINE_UDP,
     "1234 0100 0001 0000 0000 0001" QUESTION "00 0029 04d0 00 00 8000 0004 000c 0000", NULL,
     "1234 8380 0001 0000 0000 0001" QUESTION "00 0029 04d0 00 00 8000 0000"},
    {"a local name", ENGINE_UDP, "1234 0100 0001 0000 0000 0000 {localhost} 0001 0001", NULL,
     "1234 8380 0001 0000 0000 0000 {localhost} 0001 0001"},
    {"malformed", ENGINE_UDP, "1234 0100 0001 0000 0000 0000 {localhost} 0001", NULL,
     "1234 8380 0000 0000 0000 0000"},
    {"BADCOOKIE", ENGINE_UDP,
     "1234 0100 0001 0000 0000 0001" QUESTION COOKIE_OPT("000c", CLIENT_COOKIE), NULL,
     "1234 8187 0001 0000 0000 0001" QUESTION "00 0029 04d0 01 00 0000 001c" OUR_COOKIE},
    {"BADCOOKIE for a bad one", ENGINE_UDP,
     "1234 0100 0001 0000 0000 0001" QUESTION COOKIE_OPT("001c", BAD_COOKIE), NULL,
     "1234 8187 0001 0000 0000 0001" QUESTION "00 0029 04d0 01 00 0000 001c" OUR_COOKIE},
};

static void test_rate_limit(void **state)
{
    speak_cookies();
    limit_rate(2);
    use_up("198.51.100.100", 2);
    for (size_t i = 0; i < ARRAY_LEN(limited); i++) {
        struct exchange dropped = limited[i];

        dropped.reply = NULL;
        for (int told = 0; told < 2; told++) {
            const struct exchange *expected = told ? &limited[i] : &dropped;

            client_at("198.51.100.100", ENGINE_UDP);
            ask(expected->what, expected->query);
            if (told)
                assert_reply(expected->what, expected->reply);
            else
                assert_true(client.silent);
        }
    }
    assert_int_equal(upstream.asked, 10);
    assert_int_equal(counter_get(&counters, COUNTER_queries_limited_dropped), ARRAY_LEN(limited));
    assert_int_equal(counter_get(&counters, COUNTER_queries_limited_slipped), ARRAY_LEN(limited));
    host.now += USEC_SEC / 2;
    ask("later", "1234 0100 0001 0000 0000 0000" QUESTION);
    assert_reply("later", "1234 8180 0001 0001 0000 0000" QUESTION A_RECORD);
}

static void test_whom_the_rate_limit_spares(void **state)
{
    const char *query = "1234 0100 0001 0000 0000 0000" QUESTION;
    const char *cookie = "1234 0100 0001 0000 0000 0001" QUESTION COOKIE_OPT("001c", OUR_COOKIE);

    speak_cookies();
    limit_rate(1);
    use_up("198.51.100.100", 1);
    for (unsigned i = 0; i < 20; i++) {
        client_at("198.51.100.100", ENGINE_TCP);
        ask("over TCP", query);
        assert_reply("over TCP", "1234 8180 0001 0001 0000 0000" QUESTION A_RECORD);
        client_at("198.51.100.100", ENGINE_UDP);
        ask("with our cookie", cookie);
        assert_reply(
            "with our cookie",
            "1234 8180 0001 0001 0000 0001" QUESTION A_RECORD COOKIE_OPT("001c", OUR_COOKIE));
    }
    client_at("198.51.100.101", ENGINE_UDP);
    ask("another", query);
    assert_reply("another", "1234 8180 0001 0001 0000 0000" QUESTION A_RECORD);
    assert_int_equal(counter_get(&counters, COUNTER_queries_limited_dropped), 0);
    client_at("198.51.100.100", ENGINE_UDP);
    ask("without it", query);
    assert_int_equal(counter_get(&counters, COUNTER_queries_limited_dropped), 1);
    limit_rate(0);
    ask("no limit any more", query);
    assert_reply("no limit any more", "1234 8180 0001 0001 0000 0000" QUESTION A_RECORD);
}

// Refusals are no better to be flooded with.
static void test_refusals_are_limited(void **state)
{
    const char *query = "1234 0100 0001 0000 0000 0000" QUESTION;
    unsigned told = 0;

    allow_only("192.0.2.0/24", POLICY_REFUSE_REFUSED);
    limit_rate(1);
    for (unsigned i = 0; i < 20; i++) {
        client_at("198.51.100.100", ENGINE_UDP);
        ask("refused", query);
        told += !client.silent;
    }
    assert_int_equal(told, POLICY_LIMIT_BURST / USEC_SEC);
    assert_int_equal(counter_get(&counters, COUNTER_queries_not_allowed), 20);
}

// A listener's own rate counts its own queries; what another lets pass is not counted there.
static void test_rate_limit_of_a_listener(void **state)
{
    const char *query = "1234 0100 0001 0000 0000 0000" QUESTION;
    struct policy_own own = {.rate_limit = 2 + 1};
    struct policy_rules *limited_rules, *unlimited;

    limit_rate(1);
    assert_int_equal(policy_rules_new(&limited_rules, &options.policy, &own), 0);
    own.rate_limit = 0 + 1; // none
    assert_int_equal(policy_rules_new(&unlimited, &options.policy, &own), 0);
    rules = limited_rules;
    use_up("198.51.100.100", 2);
    client_at("198.51.100.100", ENGINE_UDP);
    ask("over its limit", query);
    assert_true(client.silent);
    rules = unlimited;
    for (unsigned i = 0; i < 20; i++) {
        ask("without a limit", query);
        assert_reply("without a limit", "1234 8180 0001 0001 0000 0000" QUESTION A_RECORD);
    }
    rules = NULL;
    use_up("198.51.100.100", 1);
    assert_int_equal(counter_get(&counters, COUNTER_queries_limited_dropped), 1);
    ask("over the general limit", query);
    assert_int_equal(counter_get(&counters, COUNTER_queries_limited_dropped), 2);
    policy_rules_unref(limited_rules);
    policy_rules_unref(unlimited);
}

static const struct exchange local[] = {
    {"localhost", ENGINE_UDP, "1234 0100 0001 0000 0000 0001 {LocalHost} 0001 0001" OPT, NULL,
     "1234 8580 0001 0001 0000 0001 {LocalHost} 0001 0001"
     "c00c 0001 0001 00015180 0004 7f000001" OPT},
    {"x.onion", ENGINE_TCP, "1234 0100 0001 0000 0000 0000 {x.onion} 0001 0001", NULL,
     "1234 8583 0001 0000 0001 0000 {x.onion} 0001 0001"
     "{onion} 0006 0001 00002a30 002b {onion} {nobody.invalid}"
     "00000001 00000e10 000004b0 00093a80 00002a30"},
    {"version.bind", ENGINE_UDP, "1234 0100 0001 0000 0000 0000 {version.bind} 0010 0003", NULL,
     "1234 8580 0001 0001 0000 0000 {version.bind} 0010 0003"
     "c00c 0010 0003 00000000 000b 0a 'sotto test'"},
    {"1.0.0.10.in-addr.arpa", ENGINE_UDP,
     "1234 0110 0001 0000 0000 0000 {10.in-addr.arpa} 0002 0001", NULL,
     "1234 8590 0001 0001 0000 0000 {10.in-addr.arpa} 0002 0001"
     "c00c 0002 0001 00002a30 0011 {10.in-addr.arpa}"},
};

static void test_answered_locally(void **state)
{
    check_exchanges(local, ARRAY_LEN(local));
    assert_int_equal(counter_get(&counters, COUNTER_queries_local), 2 * ARRAY_LEN(local));
    assert_int_equal(counter_get(&counters, COUNTER_queries_forwarded), 0);
}

static void test_private_reverse_as_configured(void **state)
{
    const char *query = "1234 0100 0001 0000 0000 0000 {1.10.in-addr.arpa} 000c 0001";

    ask("answered here", query);
    assert_int_equal(upstream.asked, 0);
    options.private_reverse = ENGINE_PRIVATE_REVERSE_FORWARD;
    engine_configure(engine, &options);
    ask("forwarded", query);
    assert_int_equal(upstream.asked, 1);
}

// What the upstream is asked: the question as it was written, RD, CD and DO; nothing else but AD,
// always, since the answer is for others too.
static void test_what_the_upstream_is_asked(void **state)
{
    struct wire question = wire_of(QUESTION);
    struct wire query = wire_of("1234 0000 0001 0000 0000 0001" QUESTION
                                "00 0029 ffff 00 00 0000 000c 0008 0008 00011800 c0000200");

    for (unsigned bits = 0; bits < 0x800; bits++) {
        bool dnssec_ok = bits & 1;

        put_u16(query.bytes + 2, (uint16_t)bits);
        query.bytes[33 + 7] = dnssec_ok ? 0x80 : 0;
        ask_wire("flags", query.bytes, query.size);
        assert_int_equal(upstream.flags, (bits & (DNS_FLAG_RD | DNS_FLAG_CD)) | DNS_FLAG_AD);
        assert_int_equal(upstream.dnssec_ok, dnssec_ok);
        assert_int_equal(upstream.question_size, question.size);
        assert_memory_equal(upstream.question, question.bytes, question.size);
    }
    wire_free(&query);
    wire_free(&question);
}

static void test_types_and_classes_pass_untouched(void **state)
{
    struct wire query = wire_of("1234 0100 0001 0000 0000 0000" QUESTION);

    for (unsigned i = 0; i <= UINT16_MAX; i++) {
        unsigned asked = upstream.asked;

        if (i == DNS_TYPE_OPT || (i >= DNS_TYPE_TKEY && i <= DNS_TYPE_MAILA))
            continue;
        put_u16(query.bytes + query.size - 4, (uint16_t)i);
        put_u16(query.bytes + query.size - 2,
                i == DNS_CLASS_NONE || i == DNS_CLASS_ANY ? DNS_CLASS_IN : (uint16_t)~i);
        if (get_u16(query.bytes + query.size - 2) == DNS_CLASS_NONE ||
            get_u16(query.bytes + query.size - 2) == DNS_CLASS_ANY)
            continue;
        ask_wire("type", query.bytes, query.size);
        assert_int_equal(upstream.asked, asked + 1);
        assert_int_equal(upstream.question_size, query.size - DNS_HEADER_SIZE);
        assert_memory_equal(upstream.question, query.bytes + DNS_HEADER_SIZE,
                            upstream.question_size);
        assert_memory_equal(client.message + DNS_HEADER_SIZE, upstream.question,
                            upstream.question_size);
    }
    wire_free(&query);
}

// Q9: any octets, to the upstream and back.
static void test_names_byte_for_byte(void **state)
{
    static const char *const names[] = {
        "01 00",
        "01 '.'",
        "03 'a b'",
        "08 '<script>'",
        "01 '%'",
        "01 0a",
        "04 ffffffff",
        "05 'UPPER' 05 'lower'",
        "01 '_' 04 '_tcp'",
        "0f 'xn--strae-oqa0x'",
        "02 c3a9",
        "",
    };

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char query[200];
        char reply[200];

        snprintf(query, sizeof(query), "1234 0100 0001 0000 0000 0000 %s 00 0001 0001", names[i]);
        snprintf(reply, sizeof(reply), "1234 8180 0001 0001 0000 0000 %s 00 0001 0001" A_RECORD,
                 names[i]);
        ask(names[i], query);
        assert_reply(names[i], reply);
    }
    for (unsigned first = 0; first < 256; first++) {
        uint8_t query[12 + 255 + 4] = {0x12, 0x34, 1, 0, 0, 1};
        struct writer w = writer_of(query, sizeof(query));

        (void)writer_take(&w, DNS_HEADER_SIZE);
        for (unsigned label = 0; label < 127; label++) { // the most there can be
            writer_u8(&w, 1);
            writer_u8(&w, (uint8_t)(first + label));
        }
        writer_u8(&w, 0);
        writer_u32(&w, 0x00010001);
        assert_false(w.failed);
        ask_wire("127 labels", query, w.pos);
        assert_int_equal(upstream.question_size, DNS_QUESTION_MAX);
        assert_memory_equal(upstream.question, query + DNS_HEADER_SIZE, DNS_QUESTION_MAX);
        assert_memory_equal(client.message + DNS_HEADER_SIZE, query + DNS_HEADER_SIZE,
                            DNS_QUESTION_MAX);
    }
}

// A reply in another letter case (as a shared cache would have it): the client sees its own.
static void test_letter_case_given_back(void **state)
{
    struct wire wire = wire_of("beef 8180 0001 0001 0000 0000" OTHER_CASE A_RECORD);

    upstream.wire = wire.bytes;
    upstream.wire_size = wire.size;
    ask("other case", "1234 0100 0001 0000 0000 0000" QUESTION);
    assert_reply("other case", "1234 8180 0001 0001 0000 0000" QUESTION A_RECORD);
    wire_free(&wire);
}

// A reply to QUESTION that is `size` octets large without OPT: one TXT record.
static struct wire reply_of_size(size_t size)
{
    static uint8_t buffer[DNS_MESSAGE_MAX];
    struct wire head = wire_of("beef 8180 0001 0001 0000 0000" QUESTION "c00c 0010 0001 00000e10");
    struct writer w = writer_of(buffer, size);

    writer_bytes(&w, head.bytes, head.size);
    writer_u16(&w, (uint16_t)(size - head.size - 2));
    writer_zeros(&w, size - head.size - 2);
    require(!w.failed && w.pos == size);
    wire_free(&head);
    return wire_copy(buffer, size);
}

static void upstream_says(struct wire *wire)
{
    upstream.wire = wire->bytes;
    upstream.wire_size = wire->size;
}

// What a client says that it takes over UDP (-1: it has no EDNS), and what it gets at most.
static const struct {
    int said;
    size_t limit;
} udp_sizes[] = {
    {-1, 512},  {0, 512},     {1, 512},     {511, 512},   {512, 512},
    {513, 513}, {1231, 1231}, {1232, 1232}, {4096, 1232}, {65535, 1232},
};

static void test_udp_sizes(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(udp_sizes); i++) {
        bool edns = udp_sizes[i].said >= 0;
        size_t fits = udp_sizes[i].limit - (edns ? DNS_OPT_SIZE : 0);
        struct wire query = edns ? wire_of("1234 0100 0001 0000 0000 0001" QUESTION OPT)
                                 : wire_of("1234 0100 0001 0000 0000 0000" QUESTION);

        if (edns)
            put_u16(query.bytes + query.size - 8, (uint16_t)udp_sizes[i].said);
        for (size_t size = fits - 2; size <= fits + 2; size++) {
            struct wire reply = reply_of_size(size);
            struct dns_message message;

            upstream_says(&reply);
            ask_wire("size", query.bytes, query.size);
            client_parse(&message);
            assert_int_equal(message.has_opt, edns);
            if (edns)
                assert_int_equal(message.udp_size, UDP_SIZE_MAX); // ours, whatever was said
            assert_in_range(client.size, 33, udp_sizes[i].limit);
            assert_int_equal((message.flags & DNS_FLAG_TC) != 0, size > fits);
            assert_int_equal(message.count[DNS_ANSWER], size <= fits);
            wire_free(&reply);
        }
        wire_free(&query);
    }
    assert_int_equal(counter_get(&counters, COUNTER_replies_truncated), 2 * ARRAY_LEN(udp_sizes));
}

// R9: whole over TCP, and only told of over UDP. Whatever size a client names.
static void test_64_kb(void **state)
{
    static const char *const queries[] = {
        "1234 0100 0001 0000 0000 0000" QUESTION,
        "1234 0100 0001 0000 0000 0001" QUESTION "00 0029 0200 00 00 0000 0000",
        "1234 0100 0001 0000 0000 0001" QUESTION "00 0029 ffff 00 00 0000 0000",
    };

    for (size_t i = 0; i < ARRAY_LEN(queries); i++) {
        struct wire reply = reply_of_size(DNS_MESSAGE_MAX - (i > 0 ? DNS_OPT_SIZE : 0));
        struct dns_message message;

        upstream_says(&reply);
        client_init(&client, ENGINE_TCP);
        ask("TCP", queries[i]);
        client_parse(&message);
        assert_int_equal(client.size, DNS_MESSAGE_MAX);
        assert_int_equal(message.flags & DNS_FLAG_TC, 0);
        assert_int_equal(message.count[DNS_ANSWER], 1);

        client_init(&client, ENGINE_UDP);
        ask("UDP", queries[i]);
        client_parse(&message);
        assert_in_range(client.size, 33, 44);
        assert_true(message.flags & DNS_FLAG_TC);
        assert_int_equal(message.count[DNS_ANSWER], 0);
        wire_free(&reply);
    }
}

// No room for our OPT next to 65,535 octets: even over TCP there is nothing but TC.
static void test_64_kb_without_room_for_edns(void **state)
{
    struct wire reply = reply_of_size(DNS_MESSAGE_MAX);
    struct dns_message message;

    upstream_says(&reply);
    client_init(&client, ENGINE_TCP);
    ask("TCP", "1234 0100 0001 0000 0000 0001" QUESTION OPT);
    client_parse(&message);
    assert_true(message.flags & DNS_FLAG_TC);
    wire_free(&reply);
}

static void assert_ede(const char *what, uint16_t code, const char *text, size_t text_size)
{
    struct dns_message message;
    struct dns_option option;

    client_parse(&message);
    assert_int_equal(dns_message_rcode(&message), DNS_RCODE_SERVFAIL);
    if (!dns_option_find(&message, DNS_OPTION_EDE, &option))
        fail_msg("%s: no extended error", what);
    assert_int_equal(get_u16(option.data), code);
    assert_int_equal(option.size, 2 + text_size);
    assert_memory_equal(option.data + 2, text, text_size);
}

static void test_failure_says_why(void **state)
{
    const char *query = "1234 0100 0001 0000 0000 0001" QUESTION OPT;
    const char *reason = "cloudflare: verify: the certificate is for other.test, not for dot.test";
    char long_reason[301];

    upstream.reply = NULL;
    upstream.ede = DNS_EDE_NETWORK_ERROR;
    upstream.reason = reason;
    for (int async = 0; async < 2; async++) {
        upstream.async = async;
        ask("why", query);
        assert_ede("why", DNS_EDE_NETWORK_ERROR, reason, strlen(reason));
    }
    assert_int_equal(counter_get(&counters, COUNTER_queries_failed), 2);

    memset(long_reason, 'x', 300);
    long_reason[300] = '\0';
    upstream.reason = long_reason;
    ask("long", query);
    assert_ede("long", DNS_EDE_NETWORK_ERROR, long_reason, DNS_EDE_TEXT_MAX);

    upstream.reason = NULL;
    upstream.ede = DNS_EDE_NO_REACHABLE_AUTHORITY;
    ask("no text", query);
    assert_ede("no text", DNS_EDE_NO_REACHABLE_AUTHORITY, "", 0);

    ask("no EDNS", "1234 0100 0001 0000 0000 0000" QUESTION);
    assert_reply("no EDNS", "1234 8182 0001 0000 0000 0000" QUESTION);
}

static size_t padding_of(const struct dns_message *message)
{
    struct dns_option option;

    // 4 octets of code and length; 0 for no option at all.
    return dns_option_find(message, DNS_OPTION_PADDING, &option) ? option.size + (size_t)4 : 0;
}

#define PADDED_OPT "00 0029 04d0 00 00 0000 0008 000c 0004 00000000"

// How large a reply is without padding, and how large it then goes out.
static const struct {
    enum engine_padding padding;
    enum engine_transport transport;
    bool padded; // the client did
    size_t size, padded_size;
} paddings[] = {
    {ENGINE_PADDING_AUTO, ENGINE_UDP, true, 100, 468},
    {ENGINE_PADDING_AUTO, ENGINE_TCP, true, 100, 468},
    {ENGINE_PADDING_AUTO, ENGINE_TCP, true, 464, 468},
    {ENGINE_PADDING_AUTO, ENGINE_TCP, true, 465, 936},
    {ENGINE_PADDING_AUTO, ENGINE_UDP, true, 932, 936},
    {ENGINE_PADDING_AUTO, ENGINE_UDP, true, 933, 1232}, // as far as the client's size goes
    {ENGINE_PADDING_AUTO, ENGINE_UDP, true, 1228, 1232},
    {ENGINE_PADDING_AUTO, ENGINE_UDP, true, 1229, 1229}, // no room for the option: never TC for it
    {ENGINE_PADDING_AUTO, ENGINE_UDP, true, 1232, 1232},
    {ENGINE_PADDING_AUTO, ENGINE_TCP, true, 1233, 1404},
    {ENGINE_PADDING_AUTO, ENGINE_TCP, true, 65000, 65052},
    {ENGINE_PADDING_AUTO, ENGINE_TCP, true, 65100, 65520},
    {ENGINE_PADDING_AUTO, ENGINE_TCP, true, 65525, 65535},
    {ENGINE_PADDING_AUTO, ENGINE_TCP, true, 65535, 65535},
    {ENGINE_PADDING_AUTO, ENGINE_UDP, false, 100, 100},
    {ENGINE_PADDING_AUTO, ENGINE_TCP, false, 100, 100},
    {ENGINE_PADDING_OFF, ENGINE_UDP, true, 100, 100},
    {ENGINE_PADDING_OFF, ENGINE_TCP, true, 100, 100},
    {ENGINE_PADDING_MIRROR, ENGINE_TCP, true, 100, 100}, // this upstream does not pad
};

static void test_padding(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(paddings); i++) {
        struct wire reply = reply_of_size(paddings[i].size - DNS_OPT_SIZE);
        struct dns_message message;

        configure(paddings[i].padding);
        client_init(&client, paddings[i].transport);
        upstream_says(&reply);
        ask("padding", paddings[i].padded ? "1234 0100 0001 0000 0000 0001" QUESTION PADDED_OPT
                                          : "1234 0100 0001 0000 0000 0001" QUESTION OPT);
        client_parse(&message);
        assert_int_equal(message.flags & DNS_FLAG_TC, 0);
        assert_int_equal(client.size, paddings[i].padded_size);
        assert_int_equal(padding_of(&message), paddings[i].padded_size - paddings[i].size);
        wire_free(&reply);
    }
}

static void test_padding_of_our_own_replies(void **state)
{
    static const char *const queries[] = {
        "1234 0100 0001 0000 0000 0001 {localhost} 0001 0001" PADDED_OPT,
        "1234 0100 0001 0000 0000 0001 {a} 00fc 0001" PADDED_OPT,
        "1234 0100 0001 0001 0000 0001" QUESTION A_RECORD PADDED_OPT,
        "1234 0100 0001 0000 0000 0001" QUESTION PADDED_OPT,
    };

    upstream.reply = NULL;
    upstream.reason = "of some length";
    for (size_t i = 0; i < ARRAY_LEN(queries); i++) {
        ask(queries[i], queries[i]);
        assert_int_equal(client.size, 468);
    }
}

// The upstream's padding, to be looked at; and what of it fits.
static const struct {
    size_t size; // of the upstream's option
    enum engine_transport transport;
    size_t passed; // with its 4 octets
} mirrored[] = {
    {0, ENGINE_UDP, 4},       {1, ENGINE_UDP, 5},
    {300, ENGINE_UDP, 304},   {4096, ENGINE_UDP, 1232 - 44}, // R9
    {4096, ENGINE_TCP, 4100},
};

static void test_padding_mirrored(void **state)
{
    configure(ENGINE_PADDING_MIRROR);
    for (size_t i = 0; i < ARRAY_LEN(mirrored); i++) {
        char reply[300];
        struct dns_message message;

        snprintf(reply, sizeof(reply),
                 "8180 0000 0000 0001 00 0029 0200 00000000 %04zx 000c %04zx 00*%zu",
                 mirrored[i].size + 4, mirrored[i].size, mirrored[i].size);
        upstream.reply = reply;
        client_init(&client, mirrored[i].transport);
        ask("mirror", "1234 0100 0001 0000 0000 0001" QUESTION OPT);
        client_parse(&message);
        assert_int_equal(padding_of(&message), mirrored[i].passed);
        ask("mirror, no EDNS", "1234 0100 0001 0000 0000 0000" QUESTION);
        assert_reply("mirror, no EDNS", "1234 8180 0001 0000 0000 0000" QUESTION);
    }

    // In the other modes the upstream's is its own affair.
    for (enum engine_padding padding = ENGINE_PADDING_AUTO; padding <= ENGINE_PADDING_OFF;
         padding++) {
        configure(padding);
        upstream.reply = "8180 0000 0000 0001 00 0029 0200 00000000 0008 000c 0004 00000000";
        ask("not mirrored", "1234 0100 0001 0000 0000 0001" QUESTION OPT);
        assert_reply("not mirrored", "1234 8180 0001 0000 0000 0001" QUESTION OPT);
    }
}

#define KEEPALIVE_OPT "00 0029 04d0 00 00 0000 0004 000b 0000"

// RFC 7828: over TCP, to a client that asked; over UDP never.
static void test_keepalive(void **state)
{
    static const struct exchange exchanges[] = {
        {"TCP", ENGINE_TCP, "1234 0100 0001 0000 0000 0001" QUESTION KEEPALIVE_OPT,
         "8180 0001 0000 0000" A_RECORD,
         "1234 8180 0001 0001 0000 0001" QUESTION A_RECORD
         "00 0029 04d0 00 00 0000 0006 000b 0002 0064"},
        {"TCP, with a time in it (which a client must not)", ENGINE_TCP,
         "1234 0100 0001 0000 0000 0001" QUESTION "00 0029 04d0 00 00 0000 0006 000b 0002 ffff",
         "8180 0001 0000 0000" A_RECORD,
         "1234 8180 0001 0001 0000 0001" QUESTION A_RECORD
         "00 0029 04d0 00 00 0000 0006 000b 0002 0064"},
        {"TCP, on our own reply", ENGINE_TCP,
         "1234 0100 0001 0000 0000 0001 {a} 00fa 0001" KEEPALIVE_OPT, NULL,
         "1234 8185 0001 0000 0000 0001 {a} 00fa 0001 00 0029 04d0 00 00 0000 0006 000b 0002 0064"},
        {"TCP, not asked for", ENGINE_TCP, "1234 0100 0001 0000 0000 0001" QUESTION OPT,
         "8180 0001 0000 0000" A_RECORD, "1234 8180 0001 0001 0000 0001" QUESTION A_RECORD OPT},
        {"UDP", ENGINE_UDP, "1234 0100 0001 0000 0000 0001" QUESTION KEEPALIVE_OPT,
         "8180 0001 0000 0000" A_RECORD, "1234 8180 0001 0001 0000 0001" QUESTION A_RECORD OPT},
    };

    check_exchanges(exchanges, ARRAY_LEN(exchanges));
}

// Q12: as many options as fit into a message.
static void test_endless_options(void **state)
{
    static const uint16_t codes[] = {
        0, 3, DNS_OPTION_COOKIE, DNS_OPTION_KEEPALIVE, DNS_OPTION_PADDING, DNS_OPTION_EDE, 65001};
    static uint8_t bytes[DNS_MESSAGE_MAX];
    struct wire head = wire_of("1234 0100 0001 0000 0000 0001" QUESTION "00 0029 04d0 00000000");
    size_t count = (sizeof(bytes) - head.size - 2) / 4;

    client_init(&client, ENGINE_TCP);
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        struct writer w = writer_of(bytes, sizeof(bytes));
        struct dns_message message;

        writer_bytes(&w, head.bytes, head.size);
        writer_u16(&w, (uint16_t)(4 * count));
        for (size_t j = 0; j < count; j++)
            writer_u32(&w, (uint32_t)codes[i] << 16);
        assert_false(w.failed);
        ask_wire("options", bytes, w.pos);
        client_parse(&message);
        assert_int_equal(dns_message_rcode(&message), DNS_RCODE_NOERROR);
        assert_in_range(client.size, 1, 468);
    }
    wire_free(&head);
}

static void test_counts_by_transport(void **state)
{
    ask("UDP", "1234 0100 0001 0000 0000 0000" QUESTION);
    ask("UDP", "1234 0100 0001 0000 0000 0000" QUESTION);
    client_init(&client, ENGINE_TCP);
    ask("TCP", "1234 0100 0001 0000 0000 0000" QUESTION);
    assert_int_equal(counter_get(&counters, COUNTER_queries_udp), 2);
    assert_int_equal(counter_get(&counters, COUNTER_queries_tcp), 1);
}

// Many at once, answered in another order: each gets its own.
static void test_each_query_its_own_answer(void **state)
{
    static struct fake_client clients[ARRAY_LEN(upstream.waiting)];

    upstream.async = true;
    for (unsigned i = 0; i < ARRAY_LEN(clients); i++) {
        char query[100];
        struct wire wire;

        snprintf(query, sizeof(query), "%04x 0100 0001 0000 0000 0000 {a%u} 0001 0001", i, i);
        wire = wire_of(query);
        client_init(&clients[i], i % 2 ? ENGINE_TCP : ENGINE_UDP);
        engine_query(engine, NULL, &clients[i].engine_client, wire.bytes, wire.size);
        wire_free(&wire);
        assert_int_equal(engine_in_flight(engine), i + 1);
    }
    complete_all();
    assert_int_equal(engine_in_flight(engine), 0);
    for (unsigned i = 0; i < ARRAY_LEN(clients); i++) {
        char reply[100];

        assert_int_equal(clients[i].answers, 1);
        snprintf(reply, sizeof(reply), "%04x 8180 0001 0001 0000 0000 {a%u} 0001 0001" A_RECORD, i,
                 i);
        memcpy(client.message, clients[i].message, clients[i].size);
        client.size = clients[i].size;
        assert_reply("its own", reply);
    }
}

static void fill(unsigned count)
{
    static uint16_t type = 0x1000; // each another: of the same question there is one
    upstream.async = true;
    for (unsigned i = 0; i < count; i++) {
        struct wire wire = wire_of("1234 0100 0001 0000 0000 0000" QUESTION);

        put_u16(wire.bytes + wire.size - 4, type++);
        query_wire(wire.bytes, wire.size);
        wire_free(&wire);
    }
}

static void limit_in_flight(unsigned limit)
{
    options.max_in_flight = limit;
    engine_configure(engine, &options);
}

static void assert_overload(void)
{
    unsigned asked = upstream.asked;
    const char *text = "too many queries in flight";
    uint64_t before = counter_get(&counters, COUNTER_queries_overload);

    client_init(&client, ENGINE_UDP);
    struct wire wire = wire_of("4321 0110 0001 0000 0000 0001" QUESTION PADDED_OPT);
    query_wire(wire.bytes, wire.size);
    wire_free(&wire);
    assert_int_equal(client.answers, 1);
    assert_ede("overload", DNS_EDE_OTHER, text, strlen(text));
    assert_int_equal(get_u16(client.message), 0x4321);
    assert_int_equal(client.size, 468);
    assert_int_equal(upstream.asked, asked);
    assert_int_equal(counter_get(&counters, COUNTER_queries_overload), before + 1);

    client.answers = 0;
    wire = wire_of("4321 0100 0001 0000 0000 0000" QUESTION);
    query_wire(wire.bytes, wire.size);
    wire_free(&wire);
    assert_int_equal(client.answers, 1);
    assert_reply("overload, no EDNS", "4321 8182 0001 0000 0000 0000" QUESTION);

    // Silence stays silence.
    client.answers = 0;
    query_wire((const uint8_t *)"x", 1);
    assert_int_equal(client.answers, 1);
    assert_true(client.silent);
}

static int begin_small(void **state)
{
    begin(state);
    engine_free(engine);
    cache_free(cache);
    options.max_in_flight = 20;
    engine = make_engine();
    return engine ? 0 : -1;
}

static void test_overload(void **state)
{
    fill(20);
    assert_int_equal(client.answers, 0);
    assert_int_equal(engine_in_flight(engine), 20);
    assert_overload();
    assert_int_equal(engine_in_flight(engine), 20);

    // With one gone there is room for one.
    client.answers = 0;
    complete(upstream.waiting[--upstream.waiting_count]);
    assert_int_equal(client.answers, 1);
    fill(1);
    assert_int_equal(client.answers, 1);
    assert_overload();
    client.answers = 0;
    complete_all();
    assert_int_equal(client.answers, 20);
}

static void test_limit_is_reloaded(void **state)
{
    fill(20);
    limit_in_flight(30);
    fill(10);
    assert_int_equal(engine_in_flight(engine), 30);
    assert_overload();
    limit_in_flight(10);
    assert_overload();
    while (upstream.waiting_count > 10)
        complete(upstream.waiting[--upstream.waiting_count]);
    assert_int_equal(engine_in_flight(engine), 10);
    assert_overload();
    complete(upstream.waiting[--upstream.waiting_count]);
    client.answers = 0;
    fill(1);
    assert_int_equal(client.answers, 0);
    assert_overload();
    complete_all();
}

// A question of its own, from this address; returns whether it waits for the upstream.
static bool waits(const char *from, const char *name)
{
    char query[100];
    struct wire wire;

    client_at(from, ENGINE_UDP);
    snprintf(query, sizeof(query), "1234 0100 0001 0000 0000 0000 {%s} 0001 0001", name);
    wire = wire_of(query);
    query_wire(wire.bytes, wire.size);
    wire_free(&wire);
    if (client.answers == 0)
        return true;
    assert_int_equal(client.message[3] & 15, DNS_RCODE_SERVFAIL);
    return false;
}

static unsigned fill_from(const char *from, const char *prefix)
{
    unsigned count = 0;
    char name[32];

    do
        snprintf(name, sizeof(name), "%s%u.test", prefix, count);
    while (waits(from, name) && ++count < 100);
    return count;
}

// The last places are for those who have few.
static void test_fair_share(void **state)
{
    struct wire wire;

    upstream.async = true;
    assert_int_equal(fill_from("192.0.2.1", "a"), 18);
    assert_int_equal(counter_get(&counters, COUNTER_queries_overload), 1);
    assert_true(waits("192.0.2.2", "b.test"));
    assert_false(waits("192.0.2.2", "c.test"));
    assert_true(waits("2001:db8::1", "d.test"));
    assert_false(waits("198.51.100.1", "e.test")); // there is none left
    // What need not wait is answered, whoever asks.
    complete(upstream.waiting[--upstream.waiting_count]);
    client_at("192.0.2.1", ENGINE_UDP);
    wire = wire_of("1234 0100 0001 0000 0000 0000 {localhost} 0001 0001");
    query_wire(wire.bytes, wire.size);
    wire_free(&wire);
    assert_int_equal(client.answers, 1);
    assert_int_equal(client.message[3] & 15, DNS_RCODE_NOERROR);
    assert_false(waits("192.0.2.1", "f.test"));
    // Nobody holds any longer what was answered.
    complete_all();
    assert_int_equal(fill_from("192.0.2.3", "g"), 18);
    assert_int_equal(fill_from("192.0.2.1", "h"), 1);
}

// All who ask the same wait for one flight, and have their shares of the room to wait.
static void test_fair_share_of_one_question(void **state)
{
    unsigned count = 0;

    upstream.async = true;
    while (waits("192.0.2.1", "same.test"))
        count++;
    assert_int_equal(count, 18);
    assert_int_equal(upstream.asked, 1);
    assert_true(waits("192.0.2.2", "same.test"));
    assert_true(waits("192.0.2.3", "other.test"));
}

static unsigned drained;

static void on_drained(void *context)
{
    assert_ptr_equal(context, &drained);
    assert_int_equal(engine_in_flight(engine), 0);
    drained++;
}

static void test_drained_at_once(void **state)
{
    drained = 0;
    engine_drain(engine, on_drained, &drained);
    assert_int_equal(drained, 1);
    ask("a query afterwards", "1234 0100 0001 0000 0000 0000" QUESTION);
    assert_int_equal(drained, 1);
}

static void test_drained_with_the_last_answer(void **state)
{
    drained = 0;
    fill(3);
    engine_drain(engine, on_drained, &drained);
    while (upstream.waiting_count > 0) {
        assert_int_equal(drained, 0);
        complete(upstream.waiting[--upstream.waiting_count]);
    }
    assert_int_equal(drained, 1);
    assert_int_equal(client.answers, 3);
    ask("a query afterwards", "1234 0100 0001 0000 0000 0000" QUESTION);
    assert_int_equal(drained, 1);
}

// The answer comes before the word that all are answered.
static void test_drained_by_a_query_that_is_answered_locally(void **state)
{
    drained = 0;
    fill(1);
    engine_drain(engine, on_drained, &drained);
    struct wire wire = wire_of("1234 0100 0001 0000 0000 0000 {localhost} 0001 0001");
    query_wire(wire.bytes, wire.size);
    wire_free(&wire);
    assert_int_equal(client.answers, 1);
    assert_int_equal(drained, 0);
    complete_all();
    assert_int_equal(drained, 1);
}

// Q10: whatever comes, there is one answer to it or deliberate silence, and nothing is left.
static void test_broken_queries_are_answered_once(void **state)
{
    static const char *const seeds[] = {
        "1234 0100 0001 0000 0000 0001" QUESTION OPT,
        "1234 0100 0001 0000 0000 0001 {version.bind} 0010 0003" PADDED_OPT,
        "1234 0100 0001 0000 0000 0002 {1.16.172.in-addr.arpa} 000c 0001" OPT A_RECORD,
        "1234 2800 0001 0001 0001 0001" QUESTION A_RECORD A_RECORD KEEPALIVE_OPT,
    };
    struct rng rng = {.state = 20240611};

    for (unsigned i = 0; i < 40000; i++) {
        struct wire seed = wire_of(seeds[i % ARRAY_LEN(seeds)]);
        uint8_t bytes[256];
        size_t size = seed.size;
        struct dns_message message;

        memcpy(bytes, seed.bytes, seed.size);
        wire_free(&seed);
        size = wire_mutate(&rng, bytes, size, sizeof(bytes));
        client_init(&client, i % 3 ? ENGINE_UDP : ENGINE_TCP);
        upstream.async = i % 2;
        ask_wire("mutated", bytes, size);
        assert_int_equal(client.silent, size < DNS_HEADER_SIZE || bytes[2] & 0x80);
        if (client.silent)
            continue;
        client_parse(&message);
        assert_int_equal(message.id, get_u16(bytes));
        assert_true(message.flags & DNS_FLAG_QR);
        assert_int_equal(DNS_OPCODE(message.flags), DNS_OPCODE(get_u16(bytes + 2)));
    }
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        CASE(test_forwarded),
        CASE(test_silence),
        CASE(test_malformed),
        CASE(test_turned_away),
        CASE(test_clients_that_are_not_allowed),
        CASE(test_rules_of_a_listener),
        CASE(test_clients_that_are_allowed),
        CASE(test_a_response_from_elsewhere_gets_silence),
        CASE(test_cookies),
        CASE(test_cookies_of_others_and_of_yesterday),
        CASE(test_no_cookies_without_a_secret),
        CASE(test_rate_limit),
        CASE(test_rate_limit_of_a_listener),
        CASE(test_whom_the_rate_limit_spares),
        CASE(test_refusals_are_limited),
        CASE(test_answered_locally),
        CASE(test_private_reverse_as_configured),
        CASE(test_what_the_upstream_is_asked),
        CASE(test_types_and_classes_pass_untouched),
        CASE(test_names_byte_for_byte),
        CASE(test_letter_case_given_back),
        CASE(test_udp_sizes),
        CASE(test_64_kb),
        CASE(test_64_kb_without_room_for_edns),
        CASE(test_failure_says_why),
        CASE(test_padding),
        CASE(test_padding_of_our_own_replies),
        CASE(test_padding_mirrored),
        CASE(test_keepalive),
        CASE(test_endless_options),
        CASE(test_counts_by_transport),
        CASE(test_each_query_its_own_answer),
        cmocka_unit_test_setup_teardown(test_overload, begin_small, end),
        cmocka_unit_test_setup_teardown(test_limit_is_reloaded, begin_small, end),
        cmocka_unit_test_setup_teardown(test_fair_share, begin_small, end),
        cmocka_unit_test_setup_teardown(test_fair_share_of_one_question, begin_small, end),
        CASE(test_drained_at_once),
        CASE(test_drained_with_the_last_answer),
        CASE(test_drained_by_a_query_that_is_answered_locally),
        CASE(test_broken_queries_are_answered_once),
    };
#undef CASE

    return cmocka_run_group_tests(tests, fake_host_group_setup, fake_host_group_teardown);
}
