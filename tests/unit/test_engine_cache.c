// What the cache and the flights make of queries: who is answered from where, and what is asked.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "dns/build.h"
#include "dns/edns.h"
#include "engine/engine.h"
#include "fake_host.h"
#include "wire.h"

#define WORKERS 3
#define CLIENTS 64
#define REQUESTS 64

#define A_RECORD(ttl) "c00c 0001 0001 " ttl " 0004 c0000201 "
#define A_60 "8180 0001 0000 0000" A_RECORD("0000003c")
#define NXDOMAIN_60 "8183 0000 0001 0000 {test} 0006 0001 0000003c 0018 00 01 'a' 00 00*16 0000003c"
#define SERVFAIL "8182 0000 0000 0000"
#define REFUSED "8185 0000 0000 0000"
#define OPT "00 0029 04d0 00 00 0000 0000 "

struct client {
    struct engine_client engine_client;
    unsigned answers;
    uint8_t bytes[2048];
    size_t size;
    struct dns_message message; // of the last answer
};

struct worker {
    struct engine *engine;
    struct fake_host host;
    struct counters counters;
};

// What the upstreams were asked and have not answered, the oldest first.
static struct upstream_request *waiting[REQUESTS];
static unsigned waiting_count, asked;

static struct worker workers[WORKERS];
static struct client clients[CLIENTS];
static struct cache *cache;
static struct engine_options options;

static void resolve(void *upstreams, struct upstream_request *request)
{
    require(waiting_count < REQUESTS);
    asked++;
    waiting[waiting_count++] = request;
}

static const struct upstream_ops upstream_ops = {.resolve = resolve};

static struct upstream_request *take_request(void)
{
    struct upstream_request *request = waiting[0];

    require(waiting_count > 0);
    waiting_count--;
    memmove(waiting, waiting + 1, waiting_count * sizeof(waiting[0]));
    return request;
}

// The oldest question is answered: "FLAGS AN NS AR records".
static void answer(const char *text)
{
    struct upstream_request *request = take_request();
    struct wire body = wire_of(text);
    uint8_t bytes[1024];
    struct writer w = writer_of(bytes, sizeof(bytes));
    struct dns_message reply;

    writer_u16(&w, 0xbeef);
    writer_bytes(&w, body.bytes, 2);
    writer_u16(&w, 1);
    writer_bytes(&w, body.bytes + 2, 6);
    writer_bytes(&w, request->question, request->question_size);
    writer_bytes(&w, body.bytes + 8, body.size - 8);
    wire_free(&body);
    assert_false(w.failed);
    assert_int_equal(dns_message_parse(&reply, bytes, w.pos), 0);
    request->done(request, &(struct upstream_result){.reply = &reply});
}

static void answer_nothing(bool timed_out)
{
    struct upstream_request *request = take_request();

    request->done(request, &(struct upstream_result){
                               .ede = DNS_EDE_NETWORK_ERROR,
                               .reason = "unreachable",
                               .timed_out = timed_out,
                           });
}

static void on_answer(const struct engine_client *to, const uint8_t *message, size_t size)
{
    struct client *client = to->owner;

    require(message && size <= sizeof(client->bytes));
    client->answers++;
    client->size = size;
    memcpy(client->bytes, message, size);
    require(dns_message_parse(&client->message, client->bytes, size) == 0);
}

static const struct engine_client_ops client_ops = {.answer = on_answer};

static void pass(usec_t time)
{
    for (unsigned i = 0; i < WORKERS; i++)
        fake_host_pass(&workers[i].host, time);
}

// Messages between workers arrive, and turns end.
static void turn(void)
{
    pass(0);
}

static uint64_t count(enum counter counter)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < WORKERS; i++)
        sum += counter_get(&workers[i].counters, counter);
    return sum;
}

static void configure(void)
{
    for (unsigned i = 0; i < WORKERS; i++)
        engine_configure(workers[i].engine, &options);
}

static int begin_with(uint32_t max_in_flight)
{
    options = (struct engine_options){
        .max_in_flight = max_in_flight,
        .policy = {.allow_count = 1, .allow = {{.kind = POLICY_PREFIX_ANY}}},
        .cache =
            {
                .size = 1024 * 1024,
                .max_ttl = 86400 * USEC_SEC,
                .negative_max_ttl = 3600 * USEC_SEC,
                .failure_ttl = 5 * USEC_SEC,
                .stale_after = 1800 * USEC_MSEC,
                .stale_max = 86400 * USEC_SEC,
                .prefetch = true,
            },
    };
    waiting_count = asked = 0;
    memset(clients, 0, sizeof(clients));
    for (unsigned i = 0; i < CLIENTS; i++)
        clients[i].engine_client = (struct engine_client){
            .ops = &client_ops,
            .owner = &clients[i],
            .transport = ENGINE_UDP,
            .udp_max_size = 1232,
            .source.v4 = {.sin_family = AF_INET, .sin_addr.s_addr = i, .sin_port = 4242},
        };
    cache = cache_new(options.cache.size);
    for (unsigned i = 0; i < WORKERS; i++) {
        memset(&workers[i].counters, 0, sizeof(workers[i].counters));
        fake_host_init(&workers[i].host, 1000 * USEC_SEC);
        workers[i].engine = engine_new(&(struct engine_setup){
            .options = &options,
            .cache = cache,
            .host_ops = &fake_host_ops,
            .host = &workers[i].host,
            .upstream_ops = &upstream_ops,
            .upstreams = &workers[i],
            .counters = &workers[i].counters,
        });
    }
    return 0;
}

static int begin(void **state)
{
    return begin_with(1000);
}

static int begin_small(void **state)
{
    return begin_with(4);
}

static int end(void **state)
{
    while (waiting_count > 0)
        answer_nothing(false);
    turn();
    for (unsigned i = 0; i < WORKERS; i++) {
        assert_true(engine_is_idle(workers[i].engine));
        engine_free(workers[i].engine); // checks that all was given back
    }
    cache_free(cache);
    return 0;
}

// `how` is the header's flags, the counts, and what follows the question: "0100 0001 0000 0000
// 0000".
static struct client *ask_so(unsigned worker, unsigned who, const char *flags, const char *name,
                             const char *type, const char *opt)
{
    struct client *client = &clients[who];
    char text[256];
    struct wire query;

    snprintf(text, sizeof(text), "%04x %s 0001 0000 0000 %s {%s} %s 0001 %s", 0x1000 + who, flags,
             *opt ? "0001" : "0000", name, type, opt);
    query = wire_of(text);
    client->answers = 0;
    engine_query(workers[worker].engine, NULL, &client->engine_client, query.bytes, query.size);
    wire_free(&query);
    return client;
}

static struct client *ask(unsigned who, const char *name)
{
    return ask_so(0, who, "0100", name, "0001", OPT);
}

// One answer, of this rcode.
static void assert_answered(const struct client *client, unsigned rcode)
{
    assert_int_equal(client->answers, 1);
    assert_int_equal(client->message.id, 0x1000 + (client - clients));
    assert_int_equal(dns_message_rcode(&client->message), rcode);
}

// With the one address, and this TTL.
static void assert_address(const struct client *client, uint32_t ttl)
{
    size_t pos = client->message.section[DNS_ANSWER];
    struct dns_record record;

    assert_answered(client, DNS_RCODE_NOERROR);
    assert_int_equal(client->message.count[DNS_ANSWER], 1);
    assert_true(dns_record_next(&client->message, &pos, &record));
    assert_int_equal(record.ttl, ttl);
}

// The extended error, or -1.
static int ede_of(const struct client *client)
{
    struct dns_option option;

    if (!dns_option_find(&client->message, DNS_OPTION_EDE, &option))
        return -1;
    return get_u16(option.data);
}

// Fills the cache: name.test has an address for 60 s.
static void learn(const char *name)
{
    ask(0, name);
    answer(A_60);
    turn();
    asked = 0;
}

// ---- Fresh

static void test_the_second_answer_is_from_the_cache(void **state)
{
    struct client *client = ask(0, "a.test");

    answer(A_60);
    assert_address(client, 60);
    pass(10 * USEC_SEC);
    assert_address(ask(1, "a.test"), 50);
    assert_int_equal(ede_of(&clients[1]), -1);
    assert_int_equal(asked, 1);
    assert_int_equal(count(COUNTER_cache_hits), 1);
    assert_int_equal(count(COUNTER_cache_misses), 1);
    assert_int_equal(count(COUNTER_cache_inserts), 1);
    pass(49 * USEC_SEC);
    assert_address(ask_so(1, 2, "0100", "A.teST", "0001", OPT), 1);
    assert_int_equal(count(COUNTER_cache_hits), 2);
}

static void test_letter_case_is_each_clients_own(void **state)
{
    struct client *first = ask(0, "eXample.test"), *second;

    answer(A_60);
    second = ask(1, "ExAMPLE.tEst");
    assert_address(second, 60);
    assert_memory_equal(first->bytes + 12, "\7eXample\4test", 14);
    assert_memory_equal(second->bytes + 12, "\7ExAMPLE\4tEst", 14);
    assert_int_equal(asked, 1);
}

static void test_what_is_asked_otherwise_is_another_question(void **state)
{
    static const char *const flags[] = {"0100", "0110", "0100", "0110"};
    static const char *const opts[] = {OPT, OPT, "00 0029 04d0 0000 8000 0000",
                                       "00 0029 04d0 0000 8000 0000"};

    for (int round = 0; round < 2; round++)
        for (unsigned i = 0; i < ARRAY_LEN(flags); i++) {
            ask_so(0, i, flags[i], "a.test", "0001", opts[i]);
            if (round == 0)
                answer(A_60);
            assert_address(&clients[i], 60);
            assert_int_equal(clients[i].message.dnssec_ok, i >= 2);
            assert_int_equal(clients[i].message.flags & DNS_FLAG_CD, i % 2 ? DNS_FLAG_CD : 0);
        }
    assert_int_equal(asked, 4);
    ask_so(0, 4, "0100", "a.test", "001c", OPT);
    assert_int_equal(asked, 5);
}

static void test_without_rd_nothing_is_told_of_the_cache(void **state)
{
    struct client *client;

    learn("a.test");
    client = ask_so(0, 1, "0000", "a.test", "0001", OPT);
    assert_int_equal(client->answers, 0);
    answer(A_60);
    assert_address(client, 60);
    ask_so(0, 1, "0000", "a.test", "0001", OPT);
    assert_int_equal(asked, 2);
}

static void test_ad_is_for_who_asked_for_it(void **state)
{
    ask(0, "a.test");
    answer("81a0 0001 0000 0000" A_RECORD("0000003c"));
    assert_false(clients[0].message.flags & DNS_FLAG_AD);
    assert_false(ask(1, "a.test")->message.flags & DNS_FLAG_AD);
    assert_true(ask_so(0, 2, "0120", "a.test", "0001", OPT)->message.flags & DNS_FLAG_AD);
    assert_int_equal(asked, 1);
}

static void test_edns_is_each_clients_own(void **state)
{
    ask(0, "a.test");
    answer("8180 0001 0000 0001" A_RECORD("0000003c") "00 0029 0200 0000 0000 0006 000f 0002 0016");
    assert_int_equal(ede_of(&clients[0]), 22);
    assert_int_equal(ede_of(ask(1, "a.test")), -1);
    assert_false(ask_so(0, 2, "0100", "a.test", "0001", "")->message.has_opt);
    assert_int_equal(asked, 1);
}

static void test_what_is_too_large_for_a_client_is_cut_and_kept_whole(void **state)
{
    char text[2048] = "8180 0028 0000 0000";

    for (unsigned i = 0; i < 40; i++)
        strcat(text, A_RECORD("0000003c"));
    ask_so(0, 0, "0100", "a.test", "0001", "");
    answer(text);
    assert_true(clients[0].message.flags & DNS_FLAG_TC);
    assert_int_equal(clients[0].message.count[DNS_ANSWER], 0);
    assert_true(ask_so(0, 1, "0100", "a.test", "0001", "")->message.flags & DNS_FLAG_TC);
    pass(USEC_SEC);
    clients[2].engine_client.transport = ENGINE_TCP;
    ask(2, "a.test");
    assert_int_equal(clients[2].message.count[DNS_ANSWER], 40);
    assert_int_equal(asked, 1);
}

static void test_ttls_are_shown_as_they_are_kept(void **state)
{
    options.cache.max_ttl = 30 * USEC_SEC;
    options.cache.min_ttl = 20 * USEC_SEC;
    configure();
    ask(0, "long.test");
    answer(A_60);
    assert_address(&clients[0], 30);
    ask(0, "short.test");
    answer("8180 0001 0000 0000" A_RECORD("00000005"));
    assert_address(&clients[0], 20);
    ask(0, "once.test");
    answer("8180 0001 0000 0000" A_RECORD("00000000"));
    assert_address(&clients[0], 0);
    ask(0, "nothing.test");
    answer("8183 0000 0001 0000 {test} 0006 0001 0000003c 0018 00 01 'a' 00 00*16 00000000");
    assert_answered(&clients[0], DNS_RCODE_NXDOMAIN);
    assert_int_equal(get_u32(clients[0].bytes + 12 + 18 + 6 + 4), 0); // not the SOA's 60
    turn();
    assert_address(ask(1, "long.test"), 30);
    assert_address(ask(1, "short.test"), 20);
    assert_int_equal(ask(1, "once.test")->answers, 0);
}

static void test_a_failure_is_remembered_for_a_moment(void **state)
{
    ask(0, "a.test");
    answer(SERVFAIL);
    assert_answered(&clients[0], DNS_RCODE_SERVFAIL);
    assert_answered(ask(1, "a.test"), DNS_RCODE_SERVFAIL);
    assert_int_equal(ede_of(&clients[1]), DNS_EDE_CACHED_ERROR);
    assert_int_equal(asked, 1);
    pass(5 * USEC_SEC);
    assert_int_equal(ask(2, "a.test")->answers, 0);
    assert_int_equal(asked, 2);
}

static void test_what_no_upstream_said_is_not_remembered(void **state)
{
    ask(0, "a.test");
    answer_nothing(false);
    assert_answered(&clients[0], DNS_RCODE_SERVFAIL);
    assert_int_equal(ede_of(&clients[0]), DNS_EDE_NETWORK_ERROR);
    assert_int_equal(ask(1, "a.test")->answers, 0);
    assert_int_equal(asked, 2);
}

static void test_negative_answers_of_one_client_are_limited(void **state)
{
    char name[32];

    options.cache.negative_per_client = 1; // in bursts of ten
    configure();
    for (unsigned i = 0; i < 20; i++) {
        snprintf(name, sizeof(name), "%u.test", i);
        ask(0, name);
        answer(NXDOMAIN_60);
        assert_answered(&clients[0], DNS_RCODE_NXDOMAIN);
    }
    assert_int_equal(count(COUNTER_cache_inserts), 10);
    assert_int_equal(count(COUNTER_cache_negative_limited), 10);
    ask(1, "other.test");
    answer(NXDOMAIN_60);
    assert_int_equal(count(COUNTER_cache_inserts), 11);
}

// ---- One question, one upstream query

static void test_who_asks_the_same_waits_for_the_same(void **state)
{
    for (unsigned i = 0; i < 30; i++)
        ask_so(i % WORKERS, i, i % 2 ? "0100" : "0120", i % 5 ? "a.test" : "A.Test", "0001", OPT);
    assert_int_equal(asked, 1);
    answer("81a0 0001 0000 0000" A_RECORD("0000003c"));
    turn();
    for (unsigned i = 0; i < 30; i++) {
        assert_address(&clients[i], 60);
        assert_memory_equal(clients[i].bytes + 12, i % 5 ? "\1a\4test" : "\1A\4Test", 7);
        assert_int_equal(clients[i].message.flags & DNS_FLAG_AD, i % 2 ? 0 : DNS_FLAG_AD);
    }
    assert_int_equal(asked, 1);
    assert_int_equal(count(COUNTER_queries_joined), 29);
    assert_int_equal(count(COUNTER_queries_forwarded), 1);
}

static void test_so_do_those_whose_answers_are_not_kept(void **state)
{
    ask_so(0, 0, "0000", "a.test", "0001", OPT);
    ask_so(1, 1, "0000", "a.test", "0001", OPT);
    ask_so(2, 2, "0100", "a.test", "0001", OPT);
    assert_int_equal(asked, 2);
    answer(A_60);
    turn();
    assert_int_equal(clients[0].answers + clients[1].answers, 2);
    assert_int_equal(clients[2].answers, 0);
}

static void test_a_failure_is_everybodys(void **state)
{
    static const char *const failures[] = {SERVFAIL, REFUSED, NULL};

    options.cache.failure_ttl = 0;
    configure();
    for (unsigned i = 0; i < ARRAY_LEN(failures); i++) {
        ask_so(0, 0, "0100", "a.test", "0001", OPT);
        ask_so(1, 1, "0100", "a.test", "0001", OPT);
        if (failures[i])
            answer(failures[i]);
        else
            answer_nothing(false);
        turn();
        for (unsigned who = 0; who < 2; who++) {
            assert_answered(&clients[who], i == 1 ? DNS_RCODE_REFUSED : DNS_RCODE_SERVFAIL);
            assert_int_equal(ede_of(&clients[who]), failures[i] ? -1 : DNS_EDE_NETWORK_ERROR);
        }
    }
    assert_int_equal(asked, ARRAY_LEN(failures));
    assert_int_equal(count(COUNTER_queries_failed), 2);
}

// Each has as long as the first had, from when it came.
static void test_a_time_out_is_each_ones_own(void **state)
{
    ask_so(0, 0, "0100", "a.test", "0001", OPT);
    pass(100 * USEC_MSEC);
    ask_so(0, 1, "0100", "a.test", "0001", OPT);
    pass(2900 * USEC_MSEC);
    ask_so(0, 2, "0100", "a.test", "0001", OPT);
    ask_so(1, 3, "0100", "a.test", "0001", OPT);
    pass(1000 * USEC_MSEC);
    answer_nothing(true);
    turn();
    assert_answered(&clients[0], DNS_RCODE_SERVFAIL);
    assert_answered(&clients[1], DNS_RCODE_SERVFAIL);
    assert_int_equal(clients[2].answers + clients[3].answers, 0);
    assert_int_equal(asked, 2); // one for both
    pass(2900 * USEC_MSEC);
    assert_int_equal(clients[2].answers + clients[3].answers, 0);
    pass(200 * USEC_MSEC);
    assert_answered(&clients[2], DNS_RCODE_SERVFAIL);
    assert_answered(&clients[3], DNS_RCODE_SERVFAIL);
    assert_int_equal(waiting_count, 1);
}

static void test_the_late_get_what_comes_in_their_time(void **state)
{
    ask_so(0, 0, "0100", "a.test", "0001", OPT);
    pass(3 * USEC_SEC);
    ask_so(1, 1, "0100", "a.test", "0001", OPT);
    pass(USEC_SEC);
    answer_nothing(true);
    turn();
    pass(USEC_SEC);
    answer(A_60);
    turn();
    assert_answered(&clients[0], DNS_RCODE_SERVFAIL);
    assert_address(&clients[1], 60);
}

// The answer came in through another worker between our look into the cache and our taking the
// lead: cannot be made here without threads, but that nothing is asked twice in any order can.
static void test_one_worker_finds_what_another_kept(void **state)
{
    ask_so(0, 0, "0100", "a.test", "0001", OPT);
    answer(A_60);
    for (unsigned i = 1; i < WORKERS; i++)
        assert_address(ask_so(i, i, "0100", "a.test", "0001", OPT), 60);
    assert_int_equal(asked, 1);
}

static void test_no_room_for_more_questions(void **state)
{
    char name[32];

    for (unsigned i = 0; i < 4; i++) {
        snprintf(name, sizeof(name), "%u.test", i);
        ask(i, name);
    }
    assert_answered(ask(4, "4.test"), DNS_RCODE_SERVFAIL);
    assert_int_equal(count(COUNTER_queries_overload), 1);
    assert_int_equal(asked, 4);
}

// Not even then is a client without an answer that there could be.
static void test_no_room_for_more_questions_but_a_stale_answer(void **state)
{
    char name[32];

    learn("a.test");
    pass(100 * USEC_SEC);
    for (unsigned i = 0; i < 4; i++) {
        snprintf(name, sizeof(name), "%u.test", i);
        learn(name);
    }
    pass(61 * USEC_SEC);
    // Given stale answers, they are refreshed with nobody waiting: the flights are used up.
    for (unsigned i = 0; i < 4; i++) {
        snprintf(name, sizeof(name), "%u.test", i);
        ask(i, name);
    }
    pass(2 * USEC_SEC);
    assert_int_equal(waiting_count, 4);
    assert_address(ask(5, "a.test"), 30);
    assert_int_equal(count(COUNTER_queries_overload), 0);
    assert_answered(ask(6, "never.test"), DNS_RCODE_SERVFAIL);
    assert_int_equal(count(COUNTER_queries_overload), 1);
}

static int begin_with_16(void **state)
{
    return begin_with(16);
}

// What nobody waits for does not take the last places.
static void test_refreshes_leave_room_for_questions(void **state)
{
    char name[32];

    options.cache.stale_after = 0;
    configure();
    for (unsigned i = 0; i < 20; i++) {
        snprintf(name, sizeof(name), "%u.test", i);
        learn(name);
    }
    pass(61 * USEC_SEC);
    asked = 0;
    for (unsigned i = 0; i < 20; i++) {
        snprintf(name, sizeof(name), "%u.test", i);
        assert_address(ask(0, name), 30);
    }
    assert_int_equal(asked, 14);
    assert_int_equal(ask(1, "new.test")->answers, 0);
    assert_int_equal(ask(2, "newer.test")->answers, 0);
    assert_answered(ask(3, "newest.test"), DNS_RCODE_SERVFAIL);
}

static void on_drained(void *context)
{
    ++*(unsigned *)context;
}

static void test_it_is_not_done_while_another_worker_owes_an_answer(void **state)
{
    unsigned drained = 0;

    learn("a.test");
    pass(61 * USEC_SEC);
    ask_so(0, 0, "0100", "a.test", "0001", OPT);
    ask_so(1, 1, "0100", "a.test", "0001", OPT);
    pass(2 * USEC_SEC); // both have had a stale answer
    assert_int_equal(clients[0].answers + clients[1].answers, 2);
    engine_drain(workers[0].engine, on_drained, &drained);
    assert_int_equal(drained, 1);
    engine_drain(workers[1].engine, on_drained, &drained);
    assert_int_equal(drained, 1);
    answer(A_60);
    turn();
    assert_int_equal(drained, 2);
}

// ---- Stale

static void test_a_stale_answer_when_upstreams_take_long(void **state)
{
    learn("a.test");
    pass(100 * USEC_SEC);
    ask(1, "a.test");
    assert_int_equal(asked, 1);
    pass(1790 * USEC_MSEC);
    assert_int_equal(clients[1].answers, 0);
    pass(20 * USEC_MSEC);
    assert_address(&clients[1], 30);
    assert_int_equal(ede_of(&clients[1]), DNS_EDE_STALE_ANSWER);
    assert_int_equal(count(COUNTER_cache_stale), 1);
    // The others need not wait, and nothing more is asked.
    assert_address(ask(2, "a.test"), 30);
    assert_int_equal(asked, 1);
    // It is the cache that the answer is for now.
    answer(A_60);
    assert_int_equal(clients[1].answers, 1);
    assert_address(ask(3, "a.test"), 60);
    assert_int_equal(ede_of(&clients[3]), -1);
    assert_int_equal(asked, 1);
}

static void test_a_fresh_answer_in_time_is_better(void **state)
{
    learn("a.test");
    pass(100 * USEC_SEC);
    ask(1, "a.test");
    pass(1700 * USEC_MSEC);
    answer(A_60);
    assert_address(&clients[1], 60);
    pass(USEC_SEC);
    assert_int_equal(clients[1].answers, 1);
}

static void test_a_stale_answer_when_upstreams_fail(void **state)
{
    static const char *const failures[] = {SERVFAIL, REFUSED, NULL};

    learn("a.test");
    pass(100 * USEC_SEC);
    for (unsigned i = 0; i < ARRAY_LEN(failures); i++) {
        ask(1, "a.test");
        assert_int_equal(asked, i + 1);
        // Once refreshing it has failed, nobody waits for it.
        assert_int_equal(clients[1].answers, i > 0);
        if (failures[i])
            answer(failures[i]);
        else
            answer_nothing(false);
        assert_address(&clients[1], 30);
        assert_int_equal(ede_of(&clients[1]), DNS_EDE_STALE_ANSWER);
        // And for a moment nobody asks.
        assert_address(ask(2, "a.test"), 30);
        assert_int_equal(asked, i + 1);
        pass(USEC_SEC);
    }
    assert_int_equal(count(COUNTER_queries_failed), 0);
}

static void test_it_is_fresh_again_soon_after_upstreams_are_back(void **state)
{
    learn("a.test");
    pass(100 * USEC_SEC);
    ask(1, "a.test");
    answer_nothing(false);
    pass(1100 * USEC_MSEC);
    assert_address(ask(1, "a.test"), 30);
    answer(A_60);
    assert_address(ask(2, "a.test"), 60);
}

static void test_nothing_is_waited_for_if_so_configured(void **state)
{
    options.cache.stale_after = 0;
    configure();
    learn("a.test");
    pass(100 * USEC_SEC);
    assert_address(ask(1, "a.test"), 30);
    assert_address(ask(2, "a.test"), 30);
    assert_int_equal(asked, 1);
    answer(A_60);
    assert_address(ask(3, "a.test"), 60);
}

static void test_stale_for_so_long_and_not_longer(void **state)
{
    options.cache.stale_max = 1000 * USEC_SEC;
    configure();
    learn("a.test");
    pass(1059 * USEC_SEC);
    ask(1, "a.test");
    answer(SERVFAIL);
    assert_address(&clients[1], 30);
    pass(2 * USEC_SEC);
    ask(1, "a.test");
    answer(SERVFAIL);
    assert_answered(&clients[1], DNS_RCODE_SERVFAIL);
    options.cache.stale_max = 0;
    configure();
    learn("b.test");
    pass(60 * USEC_SEC);
    ask(1, "b.test");
    answer(SERVFAIL);
    assert_answered(&clients[1], DNS_RCODE_SERVFAIL);
}

static void test_stale_nxdomain_says_so(void **state)
{
    ask(0, "a.test");
    answer(NXDOMAIN_60);
    pass(61 * USEC_SEC);
    ask(1, "a.test");
    answer_nothing(false);
    assert_answered(&clients[1], DNS_RCODE_NXDOMAIN);
    assert_int_equal(ede_of(&clients[1]), DNS_EDE_STALE_NXDOMAIN_ANSWER);
}

static void test_an_answer_that_is_not_to_be_kept_ends_the_old_one(void **state)
{
    learn("a.test");
    pass(100 * USEC_SEC);
    ask(1, "a.test");
    answer("8180 0001 0000 0000" A_RECORD("00000000"));
    assert_address(&clients[1], 0);
    ask(1, "a.test");
    answer_nothing(false);
    assert_answered(&clients[1], DNS_RCODE_SERVFAIL);
}

static void test_a_time_out_with_a_stale_answer_asks_nobody_again(void **state)
{
    options.cache.stale_after = 30 * USEC_SEC;
    configure();
    learn("a.test");
    pass(100 * USEC_SEC);
    ask(1, "a.test");
    pass(3 * USEC_SEC);
    ask(2, "a.test");
    pass(USEC_SEC);
    answer_nothing(true);
    assert_address(&clients[1], 30);
    assert_address(&clients[2], 30);
    assert_int_equal(asked, 1);
}

// A refresh that is under way fails, but meanwhile another brought an answer.
static void test_a_failure_is_no_matter_when_there_is_an_answer(void **state)
{
    struct cache_verdict verdict;
    struct dns_message reply;
    struct cache_key key;
    struct wire wire = wire_of("0000 8180 0001 0001 0000 0000 {a.test} 0001 0001"
                               "c00c 0001 0001 0000003c 0004 c0000202");

    ask(1, "a.test");
    assert_int_equal(dns_message_parse(&reply, wire.bytes, wire.size), 0);
    cache_key_make(&key, cache_secret(cache), dns_message_question(&reply), reply.question_size,
                   DNS_FLAG_RD, false);
    cache_judge(&verdict, &options.cache, &key, &reply);
    cache_reader_online();
    cache_insert(cache,
                 &(struct cache_answer){
                     .key = &key,
                     .reply = &reply,
                     .verdict = &verdict,
                     .generation = cache_generation(cache),
                 },
                 &options.cache, workers[0].host.now, &workers[0].counters);
    wire_free(&wire);
    answer(SERVFAIL);
    assert_address(&clients[1], 60);
}

// ---- Prefetch

static void test_what_is_asked_often_is_refreshed_before_its_end(void **state)
{
    learn("a.test");
    assert_address(ask(1, "a.test"), 60);
    pass(53 * USEC_SEC);
    assert_address(ask(1, "a.test"), 7);
    assert_int_equal(asked, 0);
    pass(2 * USEC_SEC);
    assert_address(ask(1, "a.test"), 5);
    assert_int_equal(asked, 1); // and it did not wait
    assert_address(ask(2, "a.test"), 5);
    assert_int_equal(asked, 1);
    assert_int_equal(count(COUNTER_cache_prefetches), 1);
    answer(A_60);
    assert_address(ask(3, "a.test"), 60);
    assert_int_equal(count(COUNTER_cache_stale), 0);
}

static void test_what_is_asked_once_is_not(void **state)
{
    learn("a.test");
    pass(58 * USEC_SEC);
    assert_address(ask(1, "a.test"), 2);
    assert_int_equal(asked, 0);
}

static void test_nor_is_anything_if_so_configured(void **state)
{
    options.cache.prefetch = false;
    configure();
    learn("a.test");
    for (unsigned i = 1; i < 60; i++) {
        pass(USEC_SEC);
        assert_address(ask(1, "a.test"), 60 - i);
    }
    assert_int_equal(asked, 0);
}

static void test_a_refresh_that_fails_leaves_the_answer(void **state)
{
    learn("a.test");
    ask(1, "a.test");
    pass(55 * USEC_SEC);
    ask(1, "a.test");
    assert_int_equal(asked, 1);
    answer(SERVFAIL);
    assert_address(ask(1, "a.test"), 5);
    assert_int_equal(asked, 1);
}

static void test_who_comes_while_it_is_refreshed_waits_for_that(void **state)
{
    learn("a.test");
    ask(1, "a.test");
    pass(55 * USEC_SEC);
    ask(1, "a.test");
    pass(6 * USEC_SEC);
    ask(2, "a.test");
    assert_int_equal(asked, 1);
    answer(A_60);
    assert_address(&clients[2], 60);
}

// ---- Flushed

static void test_an_answer_asked_for_before_a_flush_is_not_kept(void **state)
{
    ask(0, "a.test");
    cache_reader_online();
    cache_flush(cache, NULL, false);
    cache_reader_offline();
    answer(A_60);
    assert_address(&clients[0], 60);
    ask(1, "a.test");
    assert_int_equal(asked, 2);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_the_second_answer_is_from_the_cache),
        CASE(test_letter_case_is_each_clients_own),
        CASE(test_what_is_asked_otherwise_is_another_question),
        CASE(test_without_rd_nothing_is_told_of_the_cache),
        CASE(test_ad_is_for_who_asked_for_it),
        CASE(test_edns_is_each_clients_own),
        CASE(test_what_is_too_large_for_a_client_is_cut_and_kept_whole),
        CASE(test_ttls_are_shown_as_they_are_kept),
        CASE(test_a_failure_is_remembered_for_a_moment),
        CASE(test_what_no_upstream_said_is_not_remembered),
        CASE(test_negative_answers_of_one_client_are_limited),
        CASE(test_who_asks_the_same_waits_for_the_same),
        CASE(test_so_do_those_whose_answers_are_not_kept),
        CASE(test_a_failure_is_everybodys),
        CASE(test_a_time_out_is_each_ones_own),
        CASE(test_the_late_get_what_comes_in_their_time),
        CASE(test_one_worker_finds_what_another_kept),
        cmocka_unit_test_setup_teardown(test_no_room_for_more_questions, begin_small, end),
        cmocka_unit_test_setup_teardown(test_refreshes_leave_room_for_questions, begin_with_16,
                                        end),
        cmocka_unit_test_setup_teardown(test_no_room_for_more_questions_but_a_stale_answer,
                                        begin_small, end),
        CASE(test_it_is_not_done_while_another_worker_owes_an_answer),
        CASE(test_a_stale_answer_when_upstreams_take_long),
        CASE(test_a_fresh_answer_in_time_is_better),
        CASE(test_a_stale_answer_when_upstreams_fail),
        CASE(test_it_is_fresh_again_soon_after_upstreams_are_back),
        CASE(test_nothing_is_waited_for_if_so_configured),
        CASE(test_stale_for_so_long_and_not_longer),
        CASE(test_stale_nxdomain_says_so),
        CASE(test_an_answer_that_is_not_to_be_kept_ends_the_old_one),
        CASE(test_a_time_out_with_a_stale_answer_asks_nobody_again),
        CASE(test_a_failure_is_no_matter_when_there_is_an_answer),
        CASE(test_what_is_asked_often_is_refreshed_before_its_end),
        CASE(test_what_is_asked_once_is_not),
        CASE(test_nor_is_anything_if_so_configured),
        CASE(test_a_refresh_that_fails_leaves_the_answer),
        CASE(test_who_comes_while_it_is_refreshed_waits_for_that),
        CASE(test_an_answer_asked_for_before_a_flush_is_not_kept),
    };

    return cmocka_run_group_tests(tests, fake_host_group_setup, fake_host_group_teardown);
}
