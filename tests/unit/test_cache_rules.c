#include "cache/rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "cache_text.h"

static const struct siphash_key secret = {1, 2};

// `usual_options`, and some that bound the TTLs more than most records do.
static const struct cache_options raised = {
    .min_ttl = 60 * USEC_SEC,
    .max_ttl = 600 * USEC_SEC,
    .negative_max_ttl = 30 * USEC_SEC,
    .failure_ttl = 1 * USEC_SEC,
};
static const struct cache_options nothing_long = {.max_ttl = 0, .negative_max_ttl = 0};
static const struct cache_options longest = {
    .min_ttl = 0, .max_ttl = USEC_NEVER, .negative_max_ttl = USEC_NEVER};

// min-ttl over max-ttl: what is shown must not be older than what upstreams said.
static const struct cache_options crossed = {
    .min_ttl = 600 * USEC_SEC, .max_ttl = 60 * USEC_SEC, .negative_max_ttl = 3600 * USEC_SEC};

#define NOT_KEPT 0xff
#define YES CACHE_POSITIVE

#define CNAME_B(owner, ttl) owner "0005 0001 " ttl "0008 {b.test} "
#define CNAME_C(owner, ttl) owner "0005 0001 " ttl "0008 {c.test} "
#define DNAME(owner, ttl) owner "0027 0001 " ttl "0006 {test} "
#define RRSIG_A(owner, ttl)                                                                        \
    owner "002e 0001 " ttl "0018 0001 0d 03 0000012c 6a000000 69000000 1234 00 00000000 00 "

struct rule {
    const char *what, *reply;
    unsigned kind; // enum cache_kind, or NOT_KEPT
    uint32_t ttl;
};

static void check(const struct rule *rule, const struct cache_options *options, unsigned how)
{
    struct reply reply = reply_of(rule->reply);
    struct cache_verdict verdict;
    struct cache_key key;

    key_of_reply(&key, &secret, &reply, how);
    memset(&verdict, 0xa5, sizeof(verdict));
    cache_judge(&verdict, options, &key, &reply.message);
    if (verdict.keep != (rule->kind != NOT_KEPT))
        fail_msg("%s: %s", rule->what, verdict.keep ? "kept" : "not kept");
    if (verdict.keep && (verdict.kind != rule->kind || verdict.ttl != rule->ttl))
        fail_msg("%s: kind %u, TTL %u", rule->what, verdict.kind, verdict.ttl);
    if (verdict.keep && verdict.kind != CACHE_FAILURE)
        assert_in_range(verdict.ttl, verdict.ttl_min, verdict.ttl_max);
    assert_true(verdict.ttl_min <= verdict.ttl_max);
    reply_free(&reply);
}

static void check_all(const struct rule *rules, size_t count, const struct cache_options *options)
{
    for (size_t i = 0; i < count; i++)
        check(&rules[i], options, 0);
}

// ---- TTLs of positive answers

static const struct rule ttls[] = {
    {"one record", REPLY(NOERROR, "0001 0000 0000") QUESTION A(WWW, T300), YES, 300},
    {"the lowest is the last of the answer",
     REPLY(NOERROR, "0003 0000 0000") QUESTION A(WWW, T300) A(WWW, T600) A(WWW, T60), YES, 60},
    {"the lowest is the first of the answer",
     REPLY(NOERROR, "0002 0000 0000") QUESTION A(WWW, T10) A(WWW, T600), YES, 10},
    {"the lowest is in the authority section",
     REPLY(NOERROR, "0001 0001 0001") QUESTION A(WWW, T300) NS(EXAMPLE, T30) A(WWW, T300), YES, 30},
    {"the lowest is in the additional section",
     REPLY(NOERROR, "0001 0001 0001") QUESTION A(WWW, T300) NS(EXAMPLE, T300) A(WWW, T30), YES, 30},
    {"a TTL of 1", REPLY(NOERROR, "0001 0000 0000") QUESTION A(WWW, T1), YES, 1},
    {"a day is the most", REPLY(NOERROR, "0001 0000 0000") QUESTION A(WWW, WEEK), YES, 86400},
    {"exactly a day", REPLY(NOERROR, "0001 0000 0000") QUESTION A(WWW, DAY), YES, 86400},
    {"R8 2^31 - 1", REPLY(NOERROR, "0001 0000 0000") QUESTION A(WWW, "7fffffff "), YES, 86400},
    {"R8 2^31 is 0", REPLY(NOERROR, "0001 0000 0000") QUESTION A(WWW, "80000000 "), NOT_KEPT, 0},
    {"R8 2^32 - 1 is 0", REPLY(NOERROR, "0001 0000 0000") QUESTION A(WWW, "ffffffff "), NOT_KEPT,
     0},
    {"R8 the top bit in one of many",
     REPLY(NOERROR, "0002 0000 0000") QUESTION A(WWW, T300) A(WWW, "80000001 "), NOT_KEPT, 0},
    {"R8 the top bit in the additional section",
     REPLY(NOERROR, "0001 0000 0001") QUESTION A(WWW, T300) A(EXAMPLE, "ffffffff "), NOT_KEPT, 0},
    {"R8 0", REPLY(NOERROR, "0001 0000 0000") QUESTION A(WWW, T0), NOT_KEPT, 0},
    {"R8 0 in one of many", REPLY(NOERROR, "0002 0000 0000") QUESTION A(WWW, T300) A(WWW, T0),
     NOT_KEPT, 0},
    {"R8 0 in the authority section",
     REPLY(NOERROR, "0001 0001 0000") QUESTION A(WWW, T300) NS(EXAMPLE, T0), NOT_KEPT, 0},
    {"R8 0 in the additional section",
     REPLY(NOERROR, "0001 0000 0001") QUESTION A(WWW, T300) A(EXAMPLE, T0), NOT_KEPT, 0},
    {"an OPT has no TTL", REPLY(NOERROR, "0001 0000 0001") QUESTION A(WWW, T300) PLAIN_OPT, YES,
     300},
    {"an OPT with DO has none either",
     REPLY(NOERROR, "0001 0000 0001") QUESTION A(WWW, T300) "00 0029 04d0 00008000 0000", YES, 300},
    {"a SOA's MINIMUM is nothing to a positive answer",
     REPLY(NOERROR, "0001 0001 0000") QUESTION A(WWW, T300) SOA(EXAMPLE, T600, T10), YES, 300},
};

static void test_ttls(void **state)
{
    check_all(ttls, ARRAY_LEN(ttls), &usual_options);
}

// min-ttl 60, max-ttl 600, negative-max-ttl 30.
static const struct rule raised_ttls[] = {
    {"min-ttl raises", REPLY(NOERROR, "0001 0000 0000") QUESTION A(WWW, T10), YES, 60},
    {"exactly min-ttl", REPLY(NOERROR, "0001 0000 0000") QUESTION A(WWW, T60), YES, 60},
    {"between", REPLY(NOERROR, "0001 0000 0000") QUESTION A(WWW, T300), YES, 300},
    {"max-ttl", REPLY(NOERROR, "0001 0000 0000") QUESTION A(WWW, HOUR), YES, 600},
    {"the lowest is raised, not the others' business",
     REPLY(NOERROR, "0002 0000 0000") QUESTION A(WWW, HOUR) A(WWW, T1), YES, 60},
    {"min-ttl does not raise 0", REPLY(NOERROR, "0001 0000 0000") QUESTION A(WWW, T0), NOT_KEPT, 0},
    {"nor 0 among others", REPLY(NOERROR, "0002 0000 0000") QUESTION A(WWW, T300) A(WWW, T0),
     NOT_KEPT, 0},
    {"nor what is 0 for its top bit", REPLY(NOERROR, "0001 0000 0000") QUESTION A(WWW, "80000000 "),
     NOT_KEPT, 0},
    {"min-ttl does not raise NODATA",
     REPLY(NOERROR, "0000 0001 0000") QUESTION SOA(EXAMPLE, T10, T10), CACHE_NODATA, 10},
    {"nor NXDOMAIN", REPLY(NXDOMAIN, "0000 0001 0000") QUESTION SOA(EXAMPLE, T300, T10),
     CACHE_NXDOMAIN, 10},
    {"negative-max-ttl, not max-ttl, bounds NODATA",
     REPLY(NOERROR, "0000 0001 0000") QUESTION SOA(EXAMPLE, T300, T300), CACHE_NODATA, 30},
    {"and NXDOMAIN", REPLY(NXDOMAIN, "0000 0001 0000") QUESTION SOA(EXAMPLE, T300, T300),
     CACHE_NXDOMAIN, 30},
    {"a failure has a TTL of its own", REPLY(SERVFAIL, "0000 0000 0000") QUESTION, CACHE_FAILURE,
     1},
};

static void test_options_bound_the_ttls(void **state)
{
    static const struct rule capped[] = {
        {"max-ttl 0", REPLY(NOERROR, "0001 0000 0000") QUESTION A(WWW, T300), NOT_KEPT, 0},
        {"negative-max-ttl 0", REPLY(NXDOMAIN, "0000 0001 0000") QUESTION SOA(EXAMPLE, T300, T300),
         NOT_KEPT, 0},
        {"failure-ttl 0", REPLY(SERVFAIL, "0000 0000 0000") QUESTION, NOT_KEPT, 0},
    };
    static const struct rule unbounded[] = {
        {"the longest TTL", REPLY(NOERROR, "0001 0000 0000") QUESTION A(WWW, "7fffffff "), YES,
         INT32_MAX},
        {"the longest negative TTL",
         REPLY(NXDOMAIN, "0000 0001 0000") QUESTION SOA(EXAMPLE, "7fffffff ", "7fffffff "),
         CACHE_NXDOMAIN, INT32_MAX},
    };
    static const struct rule nonsense[] = {
        {"max-ttl wins", REPLY(NOERROR, "0001 0000 0000") QUESTION A(WWW, T10), YES, 60},
    };

    check_all(raised_ttls, ARRAY_LEN(raised_ttls), &raised);
    check_all(capped, ARRAY_LEN(capped), &nothing_long);
    check_all(unbounded, ARRAY_LEN(unbounded), &longest);
    check_all(nonsense, ARRAY_LEN(nonsense), &crossed);
}

// ---- Negative answers (RFC 2308); the most is an hour

static const struct rule negatives[] = {
    {"NODATA", REPLY(NOERROR, "0000 0001 0000") QUESTION SOA(EXAMPLE, T300, T300), CACHE_NODATA,
     300},
    {"NXDOMAIN", REPLY(NXDOMAIN, "0000 0001 0000") QUESTION SOA(EXAMPLE, T300, T300),
     CACHE_NXDOMAIN, 300},
    {"the SOA's MINIMUM is lower",
     REPLY(NXDOMAIN, "0000 0001 0000") QUESTION SOA(EXAMPLE, T600, T60), CACHE_NXDOMAIN, 60},
    {"the SOA's TTL is lower", REPLY(NXDOMAIN, "0000 0001 0000") QUESTION SOA(EXAMPLE, T60, T600),
     CACHE_NXDOMAIN, 60},
    {"R8 a week of both", REPLY(NXDOMAIN, "0000 0001 0000") QUESTION SOA(EXAMPLE, WEEK, WEEK),
     CACHE_NXDOMAIN, 3600},
    {"R8 MINIMUM of a week, NODATA",
     REPLY(NOERROR, "0000 0001 0000") QUESTION SOA(EXAMPLE, DAY, WEEK), CACHE_NODATA, 3600},
    {"R8 MINIMUM 0", REPLY(NXDOMAIN, "0000 0001 0000") QUESTION SOA(EXAMPLE, T300, T0), NOT_KEPT,
     0},
    {"R8 MINIMUM 2^31 is 0",
     REPLY(NXDOMAIN, "0000 0001 0000") QUESTION SOA(EXAMPLE, T300, "80000000 "), NOT_KEPT, 0},
    {"R8 SOA with TTL 0", REPLY(NXDOMAIN, "0000 0001 0000") QUESTION SOA(EXAMPLE, T0, T300),
     NOT_KEPT, 0},
    {"R8 SOA with TTL 2^31",
     REPLY(NXDOMAIN, "0000 0001 0000") QUESTION SOA(EXAMPLE, "80000000 ", T300), NOT_KEPT, 0},
    {"another record's TTL is lower",
     REPLY(NXDOMAIN, "0000 0002 0000") QUESTION SOA(EXAMPLE, T600, T600) NS(EXAMPLE, T30),
     CACHE_NXDOMAIN, 30},
    {"a record of the additional section is lower",
     REPLY(NOERROR, "0000 0001 0001") QUESTION SOA(EXAMPLE, T600, T600) A(EXAMPLE, T30),
     CACHE_NODATA, 30},
    {"signatures beside the SOA",
     REPLY(NXDOMAIN, "0000 0002 0000") QUESTION RRSIG_A(EXAMPLE, T600) SOA(EXAMPLE, T600, T300),
     CACHE_NXDOMAIN, 300},
    {"of two SOA, the lower MINIMUM is last",
     REPLY(NXDOMAIN, "0000 0002 0000") QUESTION SOA(EXAMPLE, T600, T300) SOA(EXAMPLE, T600, T60),
     CACHE_NXDOMAIN, 60},
    {"of two SOA, the lower MINIMUM is first",
     REPLY(NXDOMAIN, "0000 0002 0000") QUESTION SOA(EXAMPLE, T600, T60) SOA(EXAMPLE, T600, T300),
     CACHE_NXDOMAIN, 60},
    {"the SOA is that of the name itself",
     REPLY(NOERROR, "0000 0001 0000") QUESTION SOA(WWW, T300, T300), CACHE_NODATA, 300},
    {"the SOA is the root's", REPLY(NXDOMAIN, "0000 0001 0000") QUESTION SOA("00 ", T300, T300),
     CACHE_NXDOMAIN, 300},
    {"the SOA's owner in other letters",
     REPLY(NXDOMAIN, "0000 0001 0000") QUESTION SOA("{eXaMPLE.ORG} ", T300, T300), CACHE_NXDOMAIN,
     300},
    {"the question in other letters",
     REPLY(NXDOMAIN, "0000 0001 0000") "{WWW.Example.oRG} 0001 0001 " SOA("{example.org} ", T300,
                                                                          T300),
     CACHE_NXDOMAIN, 300},

    {"R7 NODATA without SOA", REPLY(NOERROR, "0000 0000 0000") QUESTION, NOT_KEPT, 0},
    {"R7 NXDOMAIN without SOA", REPLY(NXDOMAIN, "0000 0000 0000") QUESTION, NOT_KEPT, 0},
    {"R7 NODATA with OPT only", REPLY(NOERROR, "0000 0000 0001") QUESTION PLAIN_OPT, NOT_KEPT, 0},
    {"a referral", REPLY(NOERROR, "0000 0001 0001") QUESTION NS(EXAMPLE, T300) A(EXAMPLE, T300),
     NOT_KEPT, 0},
    {"NXDOMAIN with NS only", REPLY(NXDOMAIN, "0000 0001 0000") QUESTION NS(EXAMPLE, T300),
     NOT_KEPT, 0},
    {"the SOA is in the additional section",
     REPLY(NXDOMAIN, "0000 0000 0001") QUESTION SOA(EXAMPLE, T300, T300), NOT_KEPT, 0},
    {"the SOA is in the answer section",
     REPLY(NXDOMAIN, "0001 0000 0000") QUESTION SOA(EXAMPLE, T300, T300), NOT_KEPT, 0},
    {"R6 the SOA is below the name",
     REPLY(NXDOMAIN, "0000 0001 0000") QUESTION SOA("01 'x' " WWW, T300, T300), NOT_KEPT, 0},
    {"R6 the SOA is beside the name",
     REPLY(NXDOMAIN, "0000 0001 0000") QUESTION SOA("{www2.example.org} ", T300, T300), NOT_KEPT,
     0},
    {"R6 the SOA's labels end like the name, but are others",
     REPLY(NXDOMAIN, "0000 0001 0000") QUESTION SOA("{xample.org} ", T300, T300), NOT_KEPT, 0},
    {"R6 the SOA is elsewhere",
     REPLY(NOERROR, "0000 0001 0000") QUESTION SOA("{example.com} ", T300, T300), NOT_KEPT, 0},
    {"R6 the SOA is elsewhere, another above",
     REPLY(NOERROR, "0000 0002 0000") QUESTION SOA("{example.com} ", T300, T30)
         SOA(EXAMPLE, T300, T100),
     CACHE_NODATA, 100},
    {"NXDOMAIN and yet a record of the name",
     REPLY(NXDOMAIN, "0001 0001 0000") QUESTION A(WWW, T300) SOA(EXAMPLE, T300, T300), NOT_KEPT, 0},
};

static void test_negative_answers(void **state)
{
    check_all(negatives, ARRAY_LEN(negatives), &usual_options);
}

// ---- Whose records the answer section has

#define SOA_TEST(ttl, minimum) SOA("{test} ", ttl, minimum)

static const struct rule chains[] = {
    {"a CNAME and what it leads to",
     REPLY(NOERROR, "0002 0000 0000") QUESTION CNAME_B(WWW, T300) A("{b.test} ", T60), YES, 60},
    {"a CNAME with the lower TTL",
     REPLY(NOERROR, "0002 0000 0000") QUESTION CNAME_B(WWW, T10) A("{b.test} ", T60), YES, 10},
    {"two CNAMEs",
     REPLY(NOERROR, "0003 0000 0000") QUESTION CNAME_B(WWW, T300) CNAME_C("{b.test} ", T300)
         A("{c.test} ", T300),
     YES, 300},
    {"a CNAME in other letters",
     REPLY(NOERROR, "0002 0000 0000") QUESTION CNAME_B("{wWw.example.ORG} ", T300)
         A("{B.tEST} ", T60),
     YES, 60},
    {"the name in other letters",
     REPLY(NOERROR, "0001 0000 0000") QUESTION A("{WWW.example.ORG} ", T60), YES, 60},
    {"the question in other letters",
     REPLY(NOERROR, "0001 0000 0000") "{WwW.eXample.ORG} 0001 0001 " A("{www.example.org} ", T60),
     YES, 60},
    {"signatures in between",
     REPLY(NOERROR, "0004 0000 0000") QUESTION CNAME_B(WWW, T300) RRSIG_A(WWW, T300)
         A("{b.test} ", T60) RRSIG_A("{b.test} ", T60),
     YES, 60},
    {"signatures in front",
     REPLY(NOERROR, "0002 0000 0000") QUESTION RRSIG_A(WWW, T300) A(WWW, T300), YES, 300},
    {"a CNAME that was asked for",
     REPLY(NOERROR, "0001 0000 0000") "{www.example.org} 0005 0001 " CNAME_B(WWW, T300), YES, 300},
    {"the SOA that was asked for",
     REPLY(NOERROR, "0001 0000 0000") "{www.example.org} 0006 0001 " SOA(WWW, T300, T10), YES, 300},
    {"a DNAME and the CNAME made from it",
     REPLY(NOERROR, "0003 0000 0000") QUESTION DNAME(EXAMPLE, T300) WWW
     "0005 0001 " T300 "000a {www.test} " A("{www.test} ", T60),
     YES, 60},
    {"a CNAME that leads to itself",
     REPLY(NOERROR, "0001 0000 0000") QUESTION WWW "0005 0001 " T300 "0002 c00c ", NOT_KEPT, 0},
    {"CNAMEs in a circle",
     REPLY(NOERROR, "0002 0000 0000") QUESTION CNAME_B(WWW, T300) "{b.test} 0005 0001 " T300
                                                                  "0002 c00c ",
     NOT_KEPT, 0},
    {"a CNAME that leads out of what was given",
     REPLY(NOERROR, "0001 0000 0000") QUESTION CNAME_B(WWW, T300), NOT_KEPT, 0},
    {"R6 a CNAME, and a record elsewhere",
     REPLY(NOERROR, "0002 0000 0000") QUESTION CNAME_B(WWW, T300) A("{c.test} ", T300), NOT_KEPT,
     0},
    {"R6 a CNAME, and a record of another type where it leads",
     REPLY(NOERROR, "0002 0000 0000") QUESTION CNAME_B(WWW, T300) TXT("{b.test} ", T300), NOT_KEPT,
     0},
    {"R6 nothing of the question's name",
     REPLY(NOERROR, "0001 0000 0000") QUESTION A("{www.example.com} ", T300), NOT_KEPT, 0},
    {"R6 the zone's record for the name's",
     REPLY(NOERROR, "0001 0000 0000") QUESTION A(EXAMPLE, T300), NOT_KEPT, 0},
    {"R6 a record of a name below",
     REPLY(NOERROR, "0001 0000 0000") QUESTION A("01 'x' " WWW, T300), NOT_KEPT, 0},
    {"R6 the type only at another name",
     REPLY(NOERROR, "0002 0000 0000") QUESTION TXT(WWW, T300) A(EXAMPLE, T300), NOT_KEPT, 0},
    {"R6 the answer is in the additional section",
     REPLY(NOERROR, "0000 0000 0001") QUESTION A(WWW, T300), NOT_KEPT, 0},
    {"R6 the answer is in the authority section",
     REPLY(NOERROR, "0000 0001 0000") QUESTION A(WWW, T300), NOT_KEPT, 0},
    {"another type than was asked", REPLY(NOERROR, "0001 0000 0000") QUESTION TXT(WWW, T300),
     NOT_KEPT, 0},

    {"NODATA at the end of a CNAME",
     REPLY(NOERROR, "0001 0001 0000") QUESTION CNAME_B(WWW, T300) SOA_TEST(T600, T60), CACHE_NODATA,
     60},
    {"NODATA, the CNAME's TTL is lower",
     REPLY(NOERROR, "0001 0001 0000") QUESTION CNAME_B(WWW, T30) SOA_TEST(T600, T60), CACHE_NODATA,
     30},
    {"NODATA at the end of two CNAMEs",
     REPLY(NOERROR, "0002 0001 0000") QUESTION CNAME_B(WWW, T300) CNAME_C("{b.test} ", T300)
         SOA_TEST(T600, T60),
     CACHE_NODATA, 60},
    {"NXDOMAIN at the end of a CNAME",
     REPLY(NXDOMAIN, "0001 0001 0000") QUESTION CNAME_B(WWW, T300) SOA_TEST(T600, T60),
     CACHE_NXDOMAIN, 60},
    {"NXDOMAIN, the CNAME's TTL is 0",
     REPLY(NXDOMAIN, "0001 0001 0000") QUESTION CNAME_B(WWW, T0) SOA_TEST(T600, T60), NOT_KEPT, 0},
    {"NXDOMAIN at the end of a CNAME, without SOA",
     REPLY(NXDOMAIN, "0001 0000 0000") QUESTION CNAME_B(WWW, T300), NOT_KEPT, 0},
    {"R6 NXDOMAIN, the SOA is not above the CNAME's end",
     REPLY(NXDOMAIN, "0001 0001 0000") QUESTION CNAME_B(WWW, T300) SOA(EXAMPLE, T600, T60),
     NOT_KEPT, 0},
    {"R6 NXDOMAIN, the CNAME is another's",
     REPLY(NXDOMAIN, "0001 0001 0000") QUESTION CNAME_B(EXAMPLE, T300) SOA(EXAMPLE, T600, T60),
     NOT_KEPT, 0},
    {"R6 NODATA, the CNAME is another's",
     REPLY(NOERROR, "0001 0001 0000") QUESTION CNAME_B(EXAMPLE, T300) SOA(EXAMPLE, T600, T60),
     NOT_KEPT, 0},
    {"NXDOMAIN, and yet a record where the CNAME leads",
     REPLY(NXDOMAIN, "0002 0001 0000") QUESTION CNAME_B(WWW, T300) A("{b.test} ", T300)
         SOA_TEST(T600, T60),
     NOT_KEPT, 0},
    {"the root's NS", REPLY(NOERROR, "0001 0000 0000") "{} 0002 0001 " NS("00 ", DAY), YES, 86400},
    {"names of 255 octets",
     REPLY(NOERROR, "0002 0000 0000") "3f 61*63 3f 62*63 3f 63*63 3d 64*61 00 0001 0001 c00c 0005 "
                                      "0001 " T300 "00ff 3f 65*63 3f 66*63 3f 67*63 3d 68*61 00 " A(
                                          "3f 45*63 3f 46*63 3f 47*63 3d 48*61 00 ", T60),
     YES, 60},
};

static void test_whose_records(void **state)
{
    check_all(chains, ARRAY_LEN(chains), &usual_options);
}

// CNAMEs n0 to n1 to n2…, and an address of the last.
static struct reply long_chain(unsigned count, bool in_order)
{
    static uint8_t bytes[WIRE_MAX];
    struct writer w = writer_of(bytes, sizeof(bytes));
    char text[200];

    snprintf(text, sizeof(text), REPLY(NOERROR, "%04x 0000 0000") "{n0.test} 0001 0001 ",
             count + 1);
    wire_put(&w, text);
    if (!in_order) {
        snprintf(text, sizeof(text), "{n%u.test} 0001 0001 " T60 "0004 c0000201 ", count);
        wire_put(&w, text);
    }
    for (unsigned i = 0; i < count; i++) {
        unsigned at = in_order ? i : count - 1 - i;
        char target[20];
        int length = snprintf(target, sizeof(target), "n%u.test", at + 1);

        snprintf(text, sizeof(text), "{n%u.test} 0005 0001 " T300 "%04x {%s} ", at, length + 2,
                 target);
        wire_put(&w, text);
    }
    if (in_order) {
        snprintf(text, sizeof(text), "{n%u.test} 0001 0001 " T60 "0004 c0000201 ", count);
        wire_put(&w, text);
    }
    return reply_of_bytes(bytes, w.pos);
}

// R13: hundreds of CNAMEs, in the order that resolvers give them, are followed; out of order they
// are not, since that would take the square of the work.
static void test_long_chains(void **state)
{
    for (unsigned count = 1; count <= 1000; count *= 10) {
        for (int in_order = 0; in_order <= 1; in_order++) {
            struct reply reply = long_chain(count, in_order);
            struct cache_verdict verdict;
            struct cache_key key;

            key_of_reply(&key, &secret, &reply, 0);
            cache_judge(&verdict, &usual_options, &key, &reply.message);
            assert_int_equal(verdict.keep, in_order);
            if (in_order)
                assert_int_equal(verdict.ttl, 60);
            reply_free(&reply);
        }
    }
}

// ---- What is never kept

#define OF_TYPE(type) "{www.example.org} " type " 0001 "
#define RECORD(type) WWW type " 0001 " T300 "0000 "

static const struct rule questions[] = {
    {"A is kept", REPLY(NOERROR, "0001 0000 0000") OF_TYPE("0001") A(WWW, T300), YES, 300},
    {"type 65280 is kept", REPLY(NOERROR, "0001 0000 0000") OF_TYPE("ff00") RECORD("ff00"), YES,
     300},
    {"DS is kept", REPLY(NOERROR, "0001 0000 0000") OF_TYPE("002b") RECORD("002b"), YES, 300},
    {"HTTPS is kept", REPLY(NOERROR, "0001 0000 0000") OF_TYPE("0041") RECORD("0041"), YES, 300},
    {"URI is kept", REPLY(NOERROR, "0001 0000 0000") OF_TYPE("0100") RECORD("0100"), YES, 300},
    {"CAA is kept", REPLY(NOERROR, "0001 0000 0000") OF_TYPE("0101") RECORD("0101"), YES, 300},
    {"type 127 is kept", REPLY(NOERROR, "0001 0000 0000") OF_TYPE("007f") RECORD("007f"), YES, 300},
    {"type 128", REPLY(NOERROR, "0001 0000 0000") OF_TYPE("0080") RECORD("0080"), NOT_KEPT, 0},
    {"TKEY", REPLY(NOERROR, "0001 0000 0000") OF_TYPE("00f9") RECORD("00f9"), NOT_KEPT, 0},
    {"TSIG", REPLY(NOERROR, "0001 0000 0000") OF_TYPE("00fa") RECORD("00fa"), NOT_KEPT, 0},
    {"IXFR", REPLY(NOERROR, "0001 0000 0000") OF_TYPE("00fb") SOA(WWW, T300, T300), NOT_KEPT, 0},
    {"AXFR", REPLY(NOERROR, "0001 0000 0000") OF_TYPE("00fc") SOA(WWW, T300, T300), NOT_KEPT, 0},
    {"MAILB", REPLY(NOERROR, "0001 0000 0000") OF_TYPE("00fd") RECORD("00fd"), NOT_KEPT, 0},
    {"MAILA", REPLY(NOERROR, "0001 0000 0000") OF_TYPE("00fe") RECORD("00fe"), NOT_KEPT, 0},
    {"ANY", REPLY(NOERROR, "0001 0000 0000") OF_TYPE("00ff") A(WWW, T300), NOT_KEPT, 0},
    {"ANY, HINFO (RFC 8482)",
     REPLY(NOERROR, "0001 0000 0000") OF_TYPE("00ff") WWW "000d 0001 " T300 "0009 07 'RFC8482' 00 ",
     NOT_KEPT, 0},
    {"ANY, a record of type ANY", REPLY(NOERROR, "0001 0000 0000") OF_TYPE("00ff") RECORD("00ff"),
     NOT_KEPT, 0},
    {"OPT", REPLY(NOERROR, "0001 0000 0000") OF_TYPE("0029") A(WWW, T300), NOT_KEPT, 0},
    {"NODATA for OPT", REPLY(NOERROR, "0000 0001 0000") OF_TYPE("0029") SOA(EXAMPLE, T300, T300),
     NOT_KEPT, 0},
    {"NXDOMAIN for type 0",
     REPLY(NXDOMAIN, "0000 0001 0000") OF_TYPE("0000") SOA(EXAMPLE, T300, T300), NOT_KEPT, 0},
    {"NXDOMAIN for ANY", REPLY(NXDOMAIN, "0000 0001 0000") OF_TYPE("00ff") SOA(EXAMPLE, T300, T300),
     NOT_KEPT, 0},
    {"NODATA for AXFR", REPLY(NOERROR, "0000 0001 0000") OF_TYPE("00fc") SOA(EXAMPLE, T300, T300),
     NOT_KEPT, 0},
    {"SERVFAIL for ANY", REPLY(SERVFAIL, "0000 0000 0000") OF_TYPE("00ff"), NOT_KEPT, 0},

    {"class CH", REPLY(NOERROR, "0001 0000 0000") "{a} 0010 0003 c00c 0010 0003 " T300 "0001 00 ",
     NOT_KEPT, 0},
    {"class HS", REPLY(NOERROR, "0001 0000 0000") "{a} 0010 0004 c00c 0010 0004 " T300 "0001 00 ",
     NOT_KEPT, 0},
    {"class NONE", REPLY(NOERROR, "0001 0000 0000") "{a} 0010 00fe c00c 0010 00fe " T300 "0001 00 ",
     NOT_KEPT, 0},
    {"class ANY", REPLY(NOERROR, "0001 0000 0000") "{a} 0010 00ff c00c 0010 0001 " T300 "0001 00 ",
     NOT_KEPT, 0},
    {"NXDOMAIN of class CH",
     REPLY(NXDOMAIN, "0000 0001 0000") "{a} 0010 0003 " SOA("00 ", T300, T300), NOT_KEPT, 0},
    {"SERVFAIL of class CH", REPLY(SERVFAIL, "0000 0000 0000") "{a} 0010 0003 ", NOT_KEPT, 0},
    {"a record of class CH in the answer",
     REPLY(NOERROR, "0002 0000 0000") QUESTION A(WWW, T300) "c00c 0001 0003 " T300 "0004 c0000201 ",
     NOT_KEPT, 0},
    {"a record of class CH in front of the others",
     REPLY(NOERROR, "0002 0000 0000") QUESTION "c00c 0001 0003 " T300 "0004 c0000201 " A(WWW, T300),
     NOT_KEPT, 0},
    {"a record of class CH as the answer",
     REPLY(NOERROR, "0001 0000 0000") QUESTION "c00c 0001 0003 " T300 "0004 c0000201 ", NOT_KEPT,
     0},
    {"a record of class HS in the authority section",
     REPLY(NOERROR, "0001 0001 0000") QUESTION A(WWW, T300) "c00c 0001 0004 " T300 "0004 c0000201 ",
     NOT_KEPT, 0},
    {"a SOA of class CH",
     REPLY(NXDOMAIN, "0000 0001 0000") QUESTION
     "c010 0006 0003 " T300 "0016 00 00 00000001 00000e10 00000258 00015180 " T300,
     NOT_KEPT, 0},
    {"a TSIG at the end",
     REPLY(NOERROR, "0001 0000 0001") QUESTION A(WWW, T300) "{key} 00fa 00ff 00000000 0003 '...' ",
     NOT_KEPT, 0},
};

static void test_questions(void **state)
{
    check_all(questions, ARRAY_LEN(questions), &usual_options);
}

#define GOOD_A(flags) REPLY(flags, "0001 0000 0000") QUESTION A(WWW, T300)
#define WITH_OPT(flags, opt) REPLY(flags, "0001 0000 0001") QUESTION A(WWW, T300) opt
#define NEGATIVE_WITH_OPT(opt)                                                                     \
    REPLY(NXDOMAIN, "0000 0001 0001") QUESTION SOA(EXAMPLE, T300, T300) opt
#define FAILURE_WITH_OPT(opt) REPLY(SERVFAIL, "0000 0000 0001") QUESTION opt

static const struct rule headers[] = {
    {"AA, AD, CD do not matter", GOOD_A("85b0 "), YES, 300},
    {"R7 TC", GOOD_A("8380 "), NOT_KEPT, 0},
    {"R7 TC, no records", REPLY("8380 ", "0000 0000 0000") QUESTION, NOT_KEPT, 0},
    {"R7 TC, NXDOMAIN", REPLY("8383 ", "0000 0001 0000") QUESTION SOA(EXAMPLE, T300, T300),
     NOT_KEPT, 0},
    {"R7 TC, SERVFAIL", REPLY("8382 ", "0000 0000 0000") QUESTION, NOT_KEPT, 0},
    {"R7 FORMERR", GOOD_A("8181 "), NOT_KEPT, 0},
    {"R7 NOTIMP", GOOD_A("8184 "), NOT_KEPT, 0},
    {"R7 REFUSED", GOOD_A("8185 "), NOT_KEPT, 0},
    {"R7 REFUSED with a SOA", REPLY("8185 ", "0000 0001 0000") QUESTION SOA(EXAMPLE, T300, T300),
     NOT_KEPT, 0},
    {"YXDOMAIN", GOOD_A("8186 "), NOT_KEPT, 0},
    {"YXDOMAIN with a DNAME", REPLY("8186 ", "0001 0000 0000") QUESTION DNAME(EXAMPLE, T300),
     NOT_KEPT, 0},
    {"NXRRSET", GOOD_A("8188 "), NOT_KEPT, 0},
    {"NOTAUTH", GOOD_A("8189 "), NOT_KEPT, 0},
    {"rcode 15", GOOD_A("818f "), NOT_KEPT, 0},

    {"OPT", WITH_OPT(NOERROR, PLAIN_OPT), YES, 300},
    {"OPT with an option", WITH_OPT(NOERROR, "00 0029 04d0 00000000 0006 000b 0002 0064 "), YES,
     300},
    {"OPT with padding and extended error",
     WITH_OPT(NOERROR, "00 0029 04d0 00000000 000c 000c 0002 0000 000f 0002 0004 "), YES, 300},
    {"R7 BADVERS", WITH_OPT(NOERROR, "00 0029 04d0 01000000 0000 "), NOT_KEPT, 0},
    {"R7 extended rcode 18: no SERVFAIL", FAILURE_WITH_OPT("00 0029 04d0 01000000 0000 "), NOT_KEPT,
     0},
    {"R7 extended rcode 19: no NXDOMAIN", NEGATIVE_WITH_OPT("00 0029 04d0 01000000 0000 "),
     NOT_KEPT, 0},
    {"R7 extended rcode 4095", WITH_OPT("818f ", "00 0029 04d0 ff000000 0000 "), NOT_KEPT, 0},
    {"EDNS version 1", WITH_OPT(NOERROR, "00 0029 04d0 00010000 0000 "), NOT_KEPT, 0},
    {"EDNS version 255, NXDOMAIN", NEGATIVE_WITH_OPT("00 0029 04d0 00ff0000 0000 "), NOT_KEPT, 0},
    {"EDNS version 1, SERVFAIL", FAILURE_WITH_OPT("00 0029 04d0 00010000 0000 "), NOT_KEPT, 0},
    {"R10 client subnet",
     WITH_OPT(NOERROR, "00 0029 04d0 00000000 000b 0008 0007 0001 18 18 c00002 "), NOT_KEPT, 0},
    {"R10 client subnet behind another option",
     WITH_OPT(NOERROR, "00 0029 04d0 00000000 0011 000b 0002 0064 0008 0007 0001 18 18 c00002 "),
     NOT_KEPT, 0},
    {"R10 client subnet of scope 0",
     WITH_OPT(NOERROR, "00 0029 04d0 00000000 000b 0008 0007 0001 18 00 c00002 "), NOT_KEPT, 0},
    {"R10 an empty client subnet", WITH_OPT(NOERROR, "00 0029 04d0 00000000 0004 0008 0000 "),
     NOT_KEPT, 0},
    {"R10 client subnet, NXDOMAIN",
     NEGATIVE_WITH_OPT("00 0029 04d0 00000000 000b 0008 0007 0001 18 18 c00002 "), NOT_KEPT, 0},
    {"R10 client subnet, SERVFAIL",
     FAILURE_WITH_OPT("00 0029 04d0 00000000 000b 0008 0007 0001 18 18 c00002 "), NOT_KEPT, 0},
    {"R5 a name that leads into a TTL",
     REPLY(NOERROR, "0001 0001 0000") QUESTION A(WWW, "00000200 ") NS("c02a ", T600), NOT_KEPT, 0},
    {"R5 a name that leads to a pointer in a TTL",
     REPLY(NOERROR, "0001 0001 0000") QUESTION A(WWW, "0000c00c ") NS("c029 ", DAY), NOT_KEPT, 0},
    {"R5 a label that ends in a TTL",
     REPLY(NOERROR, "0001 0001 0000") QUESTION A(WWW, "00000100 ") NS("c026 ", T600), NOT_KEPT, 0},
    {"R5 a name in RDATA that leads into a TTL",
     REPLY(NOERROR, "0001 0001 0000") QUESTION A(WWW, "00000200 ") EXAMPLE "0002 0001 " T600
                                                                           "0002 c02a ",
     NOT_KEPT, 0},
    {"R5 a name that leads into its own record's TTL",
     REPLY(NOERROR, "0001 0001 0000") QUESTION A(WWW, T300) EXAMPLE
     "0006 0001 " T300 "0017 c037 00 00000001 00000e10 00000258 00015180 " T300,
     NOT_KEPT, 0},
    {"a name that leads behind a TTL",
     REPLY(NOERROR, "0001 0001 0000") QUESTION WWW "0001 0001 " T300 "0004 01 'a' 00 00 "
                                                   "c02d 0002 0001 " T300 "0002 c00c ",
     YES, 300},
    {"R5 a record in front of the OPT",
     REPLY(NOERROR, "0001 0000 0002") QUESTION A(WWW, T300) A(EXAMPLE, T60) PLAIN_OPT, YES, 60},
    {"R5 a record behind the OPT",
     REPLY(NOERROR, "0001 0000 0002") QUESTION A(WWW, T300) PLAIN_OPT A(EXAMPLE, T300), NOT_KEPT,
     0},
    {"R5 a TSIG behind the OPT",
     REPLY(NOERROR, "0001 0000 0002") QUESTION A(WWW, T300) PLAIN_OPT
     "{key} 00fa 00ff 00000000 0003 '...' ",
     NOT_KEPT, 0},
    {"R5 NXDOMAIN with a record behind the OPT",
     REPLY(NXDOMAIN, "0000 0001 0002") QUESTION SOA(EXAMPLE, T300, T300) PLAIN_OPT A(EXAMPLE, T300),
     NOT_KEPT, 0},

    {"SERVFAIL", REPLY(SERVFAIL, "0000 0000 0000") QUESTION, CACHE_FAILURE, 5},
    {"SERVFAIL with OPT and extended error",
     FAILURE_WITH_OPT("00 0029 04d0 00000000 0006 000f 0002 0016 "), CACHE_FAILURE, 5},
    {"SERVFAIL with records of TTL 0 and of a day",
     REPLY(SERVFAIL, "0001 0001 0000") QUESTION A(WWW, T0) SOA(EXAMPLE, DAY, DAY), CACHE_FAILURE,
     5},
};

static void test_headers(void **state)
{
    check_all(headers, ARRAY_LEN(headers), &usual_options);
}

// Without RD the answer is what an upstream happens to know; with DO and CD it is like any other.
static void test_how_it_was_asked(void **state)
{
    static const struct rule kept[] = {
        {"positive", GOOD_A(NOERROR), YES, 300},
        {"NXDOMAIN", REPLY(NXDOMAIN, "0000 0001 0000") QUESTION SOA(EXAMPLE, T300, T300),
         CACHE_NXDOMAIN, 300},
        {"SERVFAIL", REPLY(SERVFAIL, "0000 0000 0000") QUESTION, CACHE_FAILURE, 5},
    };

    for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
        struct rule not_kept = kept[i];

        not_kept.kind = NOT_KEPT;
        for (unsigned how = 0; how < 8; how++)
            check(how & CACHE_KEY_NO_RECURSION ? &not_kept : &kept[i], &usual_options, how);
    }
}

// ---- What is shown to clients, kept or not

static const struct {
    const char *what;
    const struct cache_options *options;
    const char *reply;
    uint32_t min, max;
    bool adjust;
} bounds[] = {
    {"within", &raised, REPLY(NOERROR, "0002 0000 0000") QUESTION A(WWW, T60) A(WWW, T600), 60, 600,
     false},
    {"one below", &raised, REPLY(NOERROR, "0002 0000 0000") QUESTION A(WWW, T30) A(WWW, T600), 60,
     600, true},
    {"one above", &raised, REPLY(NOERROR, "0002 0000 0000") QUESTION A(WWW, HOUR) A(WWW, T60), 60,
     600, true},
    {"one above in the additional section", &raised,
     REPLY(NOERROR, "0001 0000 0001") QUESTION A(WWW, T60) A(EXAMPLE, HOUR), 60, 600, true},
    {"no lower bound", &usual_options, REPLY(NOERROR, "0001 0000 0000") QUESTION A(WWW, T1), 0,
     86400, false},
    {"no lower bound, one above", &usual_options,
     REPLY(NOERROR, "0002 0000 0000") QUESTION A(WWW, T1) A(WWW, WEEK), 0, 86400, true},
    {"not kept: TC", &raised, REPLY("8380 ", "0001 0000 0000") QUESTION A(WWW, HOUR), 60, 600,
     true},
    {"not kept: client subnet", &raised,
     REPLY(NOERROR, "0001 0000 0001") QUESTION A(WWW, HOUR) "00 0029 04d0 00000000 0004 0008 0000 ",
     60, 600, true},
    {"not kept: a TTL of 0 beside one above", &raised,
     REPLY(NOERROR, "0002 0000 0000") QUESTION A(WWW, T0) A(WWW, HOUR), 60, 600, true},
    {"not kept: ANY", &raised, REPLY(NOERROR, "0001 0000 0000") OF_TYPE("00ff") A(WWW, T1), 60, 600,
     true},
    {"not kept: class CH", &raised,
     REPLY(NOERROR, "0001 0000 0000") "{a} 0010 0003 c00c 0010 0003 " HOUR "0001 00 ", 60, 600,
     true},

    // The SOA's TTL is shown as how long the answer is valid (RFC 2308 section 5).
    {"negative", &usual_options, REPLY(NXDOMAIN, "0000 0001 0000") QUESTION SOA(EXAMPLE, T600, T60),
     0, 60, true},
    {"negative, bounded", &raised,
     REPLY(NXDOMAIN, "0000 0001 0000") QUESTION SOA(EXAMPLE, T600, T60), 0, 30, true},
    {"negative, short", &raised, REPLY(NOERROR, "0000 0001 0000") QUESTION SOA(EXAMPLE, T10, T600),
     0, 10, false},
    {"negative, without SOA", &raised, REPLY(NXDOMAIN, "0000 0001 0000") QUESTION NS(EXAMPLE, T600),
     0, 30, true},
};

static void test_bounds_of_what_is_shown(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(bounds); i++) {
        struct reply reply = reply_of(bounds[i].reply);
        struct cache_verdict verdict;
        struct cache_key key;

        key_of_reply(&key, &secret, &reply, 0);
        memset(&verdict, 0xa5, sizeof(verdict));
        cache_judge(&verdict, bounds[i].options, &key, &reply.message);
        if (verdict.ttl_min != bounds[i].min || verdict.ttl_max != bounds[i].max ||
            verdict.adjust != bounds[i].adjust)
            fail_msg("%s: %u to %u, %d", bounds[i].what, verdict.ttl_min, verdict.ttl_max,
                     verdict.adjust);
        reply_free(&reply);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ttls),
        cmocka_unit_test(test_options_bound_the_ttls),
        cmocka_unit_test(test_negative_answers),
        cmocka_unit_test(test_whose_records),
        cmocka_unit_test(test_long_chains),
        cmocka_unit_test(test_questions),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_how_it_was_asked),
        cmocka_unit_test(test_bounds_of_what_is_shown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
