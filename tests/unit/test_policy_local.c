#include "policy/local.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "dns/name.h"
#include "dns/tables.h"
#include "wire.h"

// What becomes of a question.
enum outcome {
    FORWARD,  // not ours
    NXDOMAIN, // with the zone's SOA
    NODATA,   // with the zone's SOA
    SOA,      // the SOA as the answer
    NS,       // the NS as the answer
    LOOP_V4,  // 127.0.0.1
    LOOP_V6,  // ::1
    LOOP_PTR, // localhost.
};

static const struct policy_local_options usual = {
    .private_reverse = true,
    .identity_version = "sotto 0.1.0",
    .identity_id = "an.id",
};

struct question {
    const char *name;
    uint16_t type;
    enum outcome outcome;
    const char *zone; // whose SOA or NS is in the answer
};

static const struct question special_names[] = {
    {"localhost", DNS_TYPE_A, LOOP_V4, NULL},
    {"localhost", DNS_TYPE_AAAA, LOOP_V6, NULL},
    {"a.b.localhost", DNS_TYPE_A, LOOP_V4, NULL},
    {"a.b.localhost", DNS_TYPE_AAAA, LOOP_V6, NULL},
    {"LOCALhost", DNS_TYPE_A, LOOP_V4, NULL},
    {"www.lOCALHOSt", DNS_TYPE_AAAA, LOOP_V6, NULL},
    {"localhost", DNS_TYPE_MX, NODATA, "localhost"},
    {"www.localhost", DNS_TYPE_TXT, NODATA, "localhost"},
    {"localhost", DNS_TYPE_ANY, LOOP_V4, NULL},
    {"localhost", 65280, NODATA, "localhost"},
    {"invalid", DNS_TYPE_A, NXDOMAIN, "invalid"},
    {"a.b.c.INVALID", DNS_TYPE_AAAA, NXDOMAIN, "invalid"},
    {"onion", DNS_TYPE_A, NXDOMAIN, "onion"},
    {"duckduckgogg42xjoc72x3sjasowoarfbgcmvfimaftt6twagswzczad.onion", DNS_TYPE_A, NXDOMAIN,
     "onion"},
    {"x.Onion", DNS_TYPE_SOA, NXDOMAIN, "onion"},
    {"use-application-dns.net", DNS_TYPE_A, NXDOMAIN, "use-application-dns.net"},
    {"use-application-dns.net", DNS_TYPE_AAAA, NXDOMAIN, "use-application-dns.net"},
    {"USE-application-DNS.Net", DNS_TYPE_ANY, NXDOMAIN, "use-application-dns.net"},
    {"www.use-application-dns.net", DNS_TYPE_A, NXDOMAIN, "use-application-dns.net"},
    {"resolver.arpa", DNS_TYPE_A, NODATA, "resolver.arpa"},
    {"_dns.resolver.arpa", DNS_TYPE_SVCB, NODATA, "resolver.arpa"},
    {"_DNS.Resolver.ARPA", DNS_TYPE_SVCB, NODATA, "resolver.arpa"},

    // Names that only look like these.
    {"localhost.example.org", DNS_TYPE_A, FORWARD, NULL},
    {"mylocalhost", DNS_TYPE_A, FORWARD, NULL},
    {"local-host", DNS_TYPE_A, FORWARD, NULL},
    {"localhos", DNS_TYPE_A, FORWARD, NULL},
    {"localhost1", DNS_TYPE_A, FORWARD, NULL},
    {"x\\009localhost", DNS_TYPE_A, FORWARD, NULL}, // the octets of the zone, within one label
    {"a\\.localhost", DNS_TYPE_A, FORWARD, NULL},
    {"localdomain", DNS_TYPE_A, FORWARD, NULL},
    {"local", DNS_TYPE_A, FORWARD, NULL},
    {"test", DNS_TYPE_A, FORWARD, NULL},
    {"example", DNS_TYPE_A, FORWARD, NULL},
    {"invalid.org", DNS_TYPE_A, FORWARD, NULL},
    {"notinvalid", DNS_TYPE_A, FORWARD, NULL},
    {"onion.org", DNS_TYPE_A, FORWARD, NULL},
    {"onions", DNS_TYPE_A, FORWARD, NULL},
    {"application-dns.net", DNS_TYPE_A, FORWARD, NULL},
    {"xuse-application-dns.net", DNS_TYPE_A, FORWARD, NULL},
    {"use-application-dns.net.org", DNS_TYPE_A, FORWARD, NULL},
    {"use-application-dns\\.net", DNS_TYPE_A, FORWARD, NULL},
    {"use-application-dns.com", DNS_TYPE_A, FORWARD, NULL},
    {"net", DNS_TYPE_NS, FORWARD, NULL},
    {"arpa", DNS_TYPE_NS, FORWARD, NULL},
    {"myresolver.arpa", DNS_TYPE_A, FORWARD, NULL},
    {"resolver.arpa.org", DNS_TYPE_A, FORWARD, NULL},
    {"resolver", DNS_TYPE_A, FORWARD, NULL},
    {"version.bind", DNS_TYPE_TXT, FORWARD, NULL}, // of the class IN it is a name like others
    {"id.server", DNS_TYPE_TXT, FORWARD, NULL},
    {".", DNS_TYPE_NS, FORWARD, NULL},
    {"www.example.org", DNS_TYPE_A, FORWARD, NULL},
};

#define V6_ZEROS_31 "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0."

static const struct question reverse_names[] = {
    // PTR of this machine.
    {"1.0.0.127.in-addr.arpa", DNS_TYPE_PTR, LOOP_PTR, NULL},
    {"1.0.0.127.IN-ADDR.Arpa", DNS_TYPE_PTR, LOOP_PTR, NULL},
    {"1." V6_ZEROS_31 "ip6.arpa", DNS_TYPE_PTR, LOOP_PTR, NULL},
    {"1." V6_ZEROS_31 "IP6.ARPA", DNS_TYPE_PTR, LOOP_PTR, NULL},
    {"1.0.0.127.in-addr.arpa", DNS_TYPE_ANY, LOOP_PTR, NULL},
    {"1." V6_ZEROS_31 "ip6.arpa", DNS_TYPE_ANY, LOOP_PTR, NULL},
    // That name exists, and so do those between it and its zone (RFC 8020).
    {"1.0.0.127.in-addr.arpa", DNS_TYPE_A, NODATA, "127.in-addr.arpa"},
    {"0.0.127.in-addr.arpa", DNS_TYPE_PTR, NODATA, "127.in-addr.arpa"},
    {"0.127.in-addr.arpa", DNS_TYPE_PTR, NODATA, "127.in-addr.arpa"},
    {"x.1.0.0.127.in-addr.arpa", DNS_TYPE_PTR, NXDOMAIN, "127.in-addr.arpa"},
    {"2.0.0.127.in-addr.arpa", DNS_TYPE_PTR, NXDOMAIN, "127.in-addr.arpa"},
    {"1.1.0.127.in-addr.arpa", DNS_TYPE_PTR, NXDOMAIN, "127.in-addr.arpa"},
    {"1." V6_ZEROS_31 "ip6.arpa", DNS_TYPE_A, NODATA, "1." V6_ZEROS_31 "ip6.arpa"},

    // A name in each zone, and some that have its look.
    {"1.2.3.10.in-addr.arpa", DNS_TYPE_PTR, NXDOMAIN, "10.in-addr.arpa"},
    {"3.10.IN-addr.ARPA", DNS_TYPE_ANY, NXDOMAIN, "10.in-addr.arpa"},
    {"1.0.168.192.in-addr.arpa", DNS_TYPE_PTR, NXDOMAIN, "168.192.in-addr.arpa"},
    {"0.0.0.0.in-addr.arpa", DNS_TYPE_PTR, NXDOMAIN, "0.in-addr.arpa"},
    {"9.9.254.169.in-addr.arpa", DNS_TYPE_PTR, NXDOMAIN, "254.169.in-addr.arpa"},
    {"1.2.0.192.in-addr.arpa", DNS_TYPE_PTR, NXDOMAIN, "2.0.192.in-addr.arpa"},
    {"1.100.51.198.in-addr.arpa", DNS_TYPE_PTR, NXDOMAIN, "100.51.198.in-addr.arpa"},
    {"1.113.0.203.in-addr.arpa", DNS_TYPE_PTR, NXDOMAIN, "113.0.203.in-addr.arpa"},
    {"255.255.255.255.in-addr.arpa", DNS_TYPE_PTR, NODATA, "255.255.255.255.in-addr.arpa"},
    {"0." V6_ZEROS_31 "ip6.arpa", DNS_TYPE_PTR, NODATA, "0." V6_ZEROS_31 "ip6.arpa"},
    {"a.b.c.d.f.ip6.arpa", DNS_TYPE_PTR, NXDOMAIN, "d.f.ip6.arpa"},
    {"a.B.c.D.F.ip6.arpa", DNS_TYPE_PTR, NXDOMAIN, "d.f.ip6.arpa"},
    {"0.8.e.f.ip6.arpa", DNS_TYPE_PTR, NXDOMAIN, "8.e.f.ip6.arpa"},
    {"0.9.e.f.ip6.arpa", DNS_TYPE_PTR, NXDOMAIN, "9.e.f.ip6.arpa"},
    {"0.a.e.f.ip6.arpa", DNS_TYPE_PTR, NXDOMAIN, "a.e.f.ip6.arpa"},
    {"0.B.E.F.ip6.arpa", DNS_TYPE_PTR, NXDOMAIN, "b.e.f.ip6.arpa"},
    {"1.8.b.d.0.1.0.0.2.ip6.arpa", DNS_TYPE_PTR, NXDOMAIN, "8.b.d.0.1.0.0.2.ip6.arpa"},

    {"1.2.3.9.in-addr.arpa", DNS_TYPE_PTR, FORWARD, NULL},
    {"1.2.3.11.in-addr.arpa", DNS_TYPE_PTR, FORWARD, NULL},
    {"1.2.10.1.in-addr.arpa", DNS_TYPE_PTR, FORWARD, NULL},
    {"10.in-addr.arpa.org", DNS_TYPE_PTR, FORWARD, NULL},
    {"10.in-addr.example", DNS_TYPE_PTR, FORWARD, NULL},
    {"110.in-addr.arpa", DNS_TYPE_PTR, FORWARD, NULL},
    {"010.in-addr.arpa", DNS_TYPE_PTR, FORWARD, NULL},
    {"1.0.167.192.in-addr.arpa", DNS_TYPE_PTR, FORWARD, NULL},
    {"192.in-addr.arpa", DNS_TYPE_NS, FORWARD, NULL},
    {"126.in-addr.arpa", DNS_TYPE_PTR, FORWARD, NULL},
    {"128.in-addr.arpa", DNS_TYPE_PTR, FORWARD, NULL},
    {"253.169.in-addr.arpa", DNS_TYPE_PTR, FORWARD, NULL},
    {"1.1.0.192.in-addr.arpa", DNS_TYPE_PTR, FORWARD, NULL},
    {"1.101.51.198.in-addr.arpa", DNS_TYPE_PTR, FORWARD, NULL},
    {"1.112.0.203.in-addr.arpa", DNS_TYPE_PTR, FORWARD, NULL},
    {"254.255.255.255.in-addr.arpa", DNS_TYPE_PTR, FORWARD, NULL},
    {"255.255.255.in-addr.arpa", DNS_TYPE_PTR, FORWARD, NULL},
    {"in-addr.arpa", DNS_TYPE_NS, FORWARD, NULL},
    {"ip6.arpa", DNS_TYPE_NS, FORWARD, NULL},
    {"2." V6_ZEROS_31 "ip6.arpa", DNS_TYPE_PTR, FORWARD, NULL},
    {V6_ZEROS_31 "ip6.arpa", DNS_TYPE_PTR, FORWARD, NULL},
    {"f.ip6.arpa", DNS_TYPE_PTR, FORWARD, NULL},
    {"c.f.ip6.arpa", DNS_TYPE_PTR, FORWARD, NULL}, // fc00::/8 is not assigned (RFC 6303 4.4)
    {"e.f.ip6.arpa", DNS_TYPE_PTR, FORWARD, NULL},
    {"7.e.f.ip6.arpa", DNS_TYPE_PTR, FORWARD, NULL},
    {"c.e.f.ip6.arpa", DNS_TYPE_PTR, FORWARD, NULL},
    {"9.b.d.0.1.0.0.2.ip6.arpa", DNS_TYPE_PTR, FORWARD, NULL},
    {"b.d.0.1.0.0.2.ip6.arpa", DNS_TYPE_PTR, FORWARD, NULL},
    {"10.ip6.arpa", DNS_TYPE_PTR, FORWARD, NULL},
    {"d.f.in-addr.arpa", DNS_TYPE_PTR, FORWARD, NULL},

    // The edges of the ranges 172.16/12 (RFC 6303) and 100.64/10 (RFC 7793).
    {"1.0.15.172.in-addr.arpa", DNS_TYPE_PTR, FORWARD, NULL},
    {"1.0.16.172.in-addr.arpa", DNS_TYPE_PTR, NXDOMAIN, "16.172.in-addr.arpa"},
    {"1.0.31.172.IN-ADDR.ARPA", DNS_TYPE_PTR, NXDOMAIN, "31.172.IN-ADDR.ARPA"},
    {"1.0.32.172.in-addr.arpa", DNS_TYPE_PTR, FORWARD, NULL},
    {"1.0.63.100.in-addr.arpa", DNS_TYPE_PTR, FORWARD, NULL},
    {"1.0.64.100.in-addr.arpa", DNS_TYPE_PTR, NXDOMAIN, "64.100.in-addr.arpa"},
    {"1.0.127.100.in-addr.arpa", DNS_TYPE_PTR, NXDOMAIN, "127.100.in-addr.arpa"},
    {"1.0.128.100.in-addr.arpa", DNS_TYPE_PTR, FORWARD, NULL},
    {"16.172.in-addr.arpa", DNS_TYPE_PTR, NODATA, "16.172.in-addr.arpa"},
    {"172.in-addr.arpa", DNS_TYPE_PTR, FORWARD, NULL},
    {"100.in-addr.arpa", DNS_TYPE_PTR, FORWARD, NULL},
    {"16.16.in-addr.arpa", DNS_TYPE_PTR, FORWARD, NULL},
    {"1.16.173.in-addr.arpa", DNS_TYPE_PTR, FORWARD, NULL},
    {"20.5.172.in-addr.arpa", DNS_TYPE_PTR, FORWARD, NULL},
    {"1.172.in-addr.arpa", DNS_TYPE_PTR, FORWARD, NULL},
    {"016.172.in-addr.arpa", DNS_TYPE_PTR, FORWARD, NULL},
    {"0016.172.in-addr.arpa", DNS_TYPE_PTR, FORWARD, NULL},
    {"1a.172.in-addr.arpa", DNS_TYPE_PTR, FORWARD, NULL},
    {"a16.172.in-addr.arpa", DNS_TYPE_PTR, FORWARD, NULL},
    {"4294967312.172.in-addr.arpa", DNS_TYPE_PTR, FORWARD, NULL}, // 2^32 and 16
    {"272.172.in-addr.arpa", DNS_TYPE_PTR, FORWARD, NULL},        // 2^8 and 16
    {"999.172.in-addr.arpa", DNS_TYPE_PTR, FORWARD, NULL},
};

static bool ask(const struct policy_local_options *options, const char *text, uint16_t type,
                uint16_t class, struct policy_answer *answer)
{
    static uint8_t name[DNS_NAME_MAX]; // the answer may point to it

    if (dns_name_from_text(text, name) != 0)
        fail_msg("%s is no name", text);
    memset(answer, 0xa5, sizeof(*answer));
    return policy_answer_local(options, name, type, class, answer);
}

static void assert_record(const struct question *question, const struct policy_answer *answer,
                          enum dns_section section, uint16_t type, const char *rdata_text)
{
    const struct dns_local_record *record = answer->records;
    struct wire rdata = wire_of(rdata_text);

    if (answer->record_count != 1 || record->section != section || record->type != type ||
        record->class != DNS_CLASS_IN || record->ttl == 0 || record->rdata_size != rdata.size ||
        memcmp(record->rdata, rdata.bytes, rdata.size) != 0)
        fail_msg("%s type %u: not the record that was expected", question->name, question->type);
    wire_free(&rdata);
}

// RFC 6303 section 3.
static void assert_soa(const struct question *question, const struct policy_answer *answer,
                       enum dns_section section)
{
    char rdata[1024];
    uint8_t zone[DNS_NAME_MAX];

    snprintf(rdata, sizeof(rdata),
             "{%s} {nobody.invalid} 00000001 00000e10 000004b0 00093a80 00002a30", question->zone);
    assert_record(question, answer, section, DNS_TYPE_SOA, rdata);
    assert_int_equal(answer->records[0].ttl, 10800);
    assert_int_equal(dns_name_from_text(question->zone, zone), 0);
    // NULL would be the question's name.
    assert_non_null(answer->records[0].owner);
    assert_true(dns_name_equal(answer->records[0].owner, zone));
}

static void check(const struct question *question)
{
    struct policy_answer answer;
    bool ours = ask(&usual, question->name, question->type, DNS_CLASS_IN, &answer);
    uint16_t rcode = question->outcome == NXDOMAIN ? DNS_RCODE_NXDOMAIN : DNS_RCODE_NOERROR;
    char rdata[1024];

    if (ours != (question->outcome != FORWARD))
        fail_msg("%s type %u: %s", question->name, question->type,
                 ours ? "answered" : "not answered");
    if (!ours)
        return;
    if (answer.rcode != rcode)
        fail_msg("%s type %u: rcode %u", question->name, question->type, answer.rcode);
    switch (question->outcome) {
    case NXDOMAIN:
    case NODATA:
        assert_soa(question, &answer, DNS_AUTHORITY);
        break;
    case SOA:
        assert_soa(question, &answer, DNS_ANSWER);
        break;
    case NS:
        snprintf(rdata, sizeof(rdata), "{%s}", question->zone);
        assert_record(question, &answer, DNS_ANSWER, DNS_TYPE_NS, rdata);
        break;
    case LOOP_V4:
        assert_record(question, &answer, DNS_ANSWER, DNS_TYPE_A, "7f000001");
        break;
    case LOOP_V6:
        assert_record(question, &answer, DNS_ANSWER, DNS_TYPE_AAAA, "00*15 01");
        break;
    case LOOP_PTR:
        assert_record(question, &answer, DNS_ANSWER, DNS_TYPE_PTR, "{localhost}");
        break;
    case FORWARD:
        break;
    }
}

static void test_special_names(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(special_names); i++)
        check(&special_names[i]);
}

static void test_reverse_names(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(reverse_names); i++)
        check(&reverse_names[i]);
}

// Each zone of RFC 6303 and RFC 7793 has an SOA and NS at its apex, and a name below none.
static void check_zone(const char *zone)
{
    char below[300];
    const struct question questions[] = {
        {zone, DNS_TYPE_SOA, SOA, zone},       {zone, DNS_TYPE_NS, NS, zone},
        {zone, DNS_TYPE_A, NODATA, zone},      {below, DNS_TYPE_PTR, NXDOMAIN, zone},
        {below, DNS_TYPE_SOA, NXDOMAIN, zone}, {below, DNS_TYPE_NS, NXDOMAIN, zone},
        {below, DNS_TYPE_ANY, NXDOMAIN, zone}, {below, 65280, NXDOMAIN, zone},
    };

    snprintf(below, sizeof(below), "9.%s", zone);
    for (size_t i = 0; i < ARRAY_LEN(questions); i++)
        check(&questions[i]);
}

static void test_every_reverse_zone(void **state)
{
    static const char *const zones[] = {
        "10.in-addr.arpa",
        "168.192.in-addr.arpa",
        "0.in-addr.arpa",
        "127.in-addr.arpa",
        "254.169.in-addr.arpa",
        "2.0.192.in-addr.arpa",
        "100.51.198.in-addr.arpa",
        "113.0.203.in-addr.arpa",
        "255.255.255.255.in-addr.arpa",
        "0." V6_ZEROS_31 "ip6.arpa",
        "1." V6_ZEROS_31 "ip6.arpa",
        "d.f.ip6.arpa",
        "8.e.f.ip6.arpa",
        "9.e.f.ip6.arpa",
        "a.e.f.ip6.arpa",
        "b.e.f.ip6.arpa",
        "8.b.d.0.1.0.0.2.ip6.arpa",
    };

    for (size_t i = 0; i < ARRAY_LEN(zones); i++)
        check_zone(zones[i]);
    for (unsigned octet = 0; octet < 256; octet++) {
        char zone[64];
        struct question question = {.name = zone, .type = DNS_TYPE_SOA};

        snprintf(zone, sizeof(zone), "%u.172.in-addr.arpa", octet);
        if (octet >= 16 && octet <= 31)
            check_zone(zone);
        else
            check(&question);
        snprintf(zone, sizeof(zone), "%u.100.in-addr.arpa", octet);
        if (octet >= 64 && octet <= 127)
            check_zone(zone);
        else
            check(&question);
    }
}

// As configured: the reverse zones are forwarded, the special names are not.
static void test_private_reverse_off(void **state)
{
    struct policy_local_options options = usual;
    struct policy_answer answer;

    options.private_reverse = false;
    for (size_t i = 0; i < ARRAY_LEN(reverse_names); i++)
        assert_false(
            ask(&options, reverse_names[i].name, reverse_names[i].type, DNS_CLASS_IN, &answer));
    for (size_t i = 0; i < ARRAY_LEN(special_names); i++)
        assert_int_equal(
            ask(&options, special_names[i].name, special_names[i].type, DNS_CLASS_IN, &answer),
            special_names[i].outcome != FORWARD);
}

static void test_other_classes_are_not_ours(void **state)
{
    static const uint16_t classes[] = {2, DNS_CLASS_CH, DNS_CLASS_HS, 65280};
    struct policy_answer answer;

    for (size_t i = 0; i < ARRAY_LEN(classes); i++) {
        assert_false(ask(&usual, "localhost", DNS_TYPE_A, classes[i], &answer));
        assert_false(ask(&usual, "10.in-addr.arpa", DNS_TYPE_PTR, classes[i], &answer));
        if (classes[i] != DNS_CLASS_CH)
            assert_false(ask(&usual, "version.bind", DNS_TYPE_TXT, classes[i], &answer));
    }
}

// CH TXT (RFC 4892). `text`: NULL if not ours, "" if there is no record.
static const struct {
    const char *name;
    uint16_t type;
    const char *text;
} identities[] = {
    {"version.bind", DNS_TYPE_TXT, "sotto 0.1.0"},
    {"VERSION.Bind", DNS_TYPE_TXT, "sotto 0.1.0"},
    {"version.server", DNS_TYPE_TXT, "sotto 0.1.0"},
    {"version.server", DNS_TYPE_ANY, "sotto 0.1.0"},
    {"id.server", DNS_TYPE_TXT, "an.id"},
    {"hostname.bind", DNS_TYPE_TXT, "an.id"},
    {"ID.SERVER", DNS_TYPE_ANY, "an.id"},
    {"version.bind", DNS_TYPE_A, ""},
    {"id.server", DNS_TYPE_NS, ""},
    {"hostname.server", DNS_TYPE_TXT, NULL},
    {"a.version.bind", DNS_TYPE_TXT, NULL},
    {"bind", DNS_TYPE_TXT, NULL},
    {"version\\.bind", DNS_TYPE_TXT, NULL},
    {"authors.bind", DNS_TYPE_TXT, NULL},
    {".", DNS_TYPE_TXT, NULL},
};

static void test_identity(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(identities); i++) {
        const char *text = identities[i].text;
        struct policy_answer answer;
        bool ours = ask(&usual, identities[i].name, identities[i].type, DNS_CLASS_CH, &answer);

        assert_int_equal(ours, text != NULL);
        if (!ours)
            continue;
        assert_int_equal(answer.rcode, DNS_RCODE_NOERROR);
        assert_int_equal(answer.record_count, *text != '\0');
        if (!*text)
            continue;
        assert_int_equal(answer.records[0].type, DNS_TYPE_TXT);
        assert_int_equal(answer.records[0].class, DNS_CLASS_CH);
        assert_int_equal(answer.records[0].ttl, 0);
        assert_int_equal(answer.records[0].section, DNS_ANSWER);
        assert_null(answer.records[0].owner);
        assert_int_equal(answer.records[0].rdata_size, 1 + strlen(text));
        assert_int_equal(answer.records[0].rdata[0], strlen(text));
        assert_memory_equal(answer.records[0].rdata + 1, text, strlen(text));
    }
}

static void test_identity_kept_to_ourselves(void **state)
{
    struct policy_local_options options = usual;
    struct policy_answer answer;

    options.identity_version = "";
    assert_true(ask(&options, "version.bind", DNS_TYPE_TXT, DNS_CLASS_CH, &answer));
    assert_int_equal(answer.rcode, DNS_RCODE_REFUSED);
    assert_int_equal(answer.record_count, 0);
    assert_true(ask(&options, "id.server", DNS_TYPE_TXT, DNS_CLASS_CH, &answer));
    assert_int_equal(answer.rcode, DNS_RCODE_NOERROR);

    options.identity_id = "";
    assert_true(ask(&options, "hostname.bind", DNS_TYPE_TXT, DNS_CLASS_CH, &answer));
    assert_int_equal(answer.rcode, DNS_RCODE_REFUSED);
}

static void test_longest_identity(void **state)
{
    struct policy_local_options options = usual;
    struct policy_answer answer;
    char text[256];

    memset(text, 'x', 255);
    text[255] = '\0';
    options.identity_id = text;
    assert_true(ask(&options, "id.server", DNS_TYPE_TXT, DNS_CLASS_CH, &answer));
    assert_int_equal(answer.records[0].rdata_size, 256);
    assert_int_equal(answer.records[0].rdata[0], 255);
}

// The longest name below a zone: its SOA's RDATA has to fit.
static void test_longest_names(void **state)
{
    static const char *const zones[] = {"invalid", "1." V6_ZEROS_31 "ip6.arpa"};

    for (size_t i = 0; i < ARRAY_LEN(zones); i++) {
        char text[600] = "";
        uint8_t name[DNS_NAME_MAX];
        struct policy_answer answer;

        for (size_t labels = (254 - strlen(zones[i]) - 1) / 2; labels > 0; labels--)
            strcat(text, "x.");
        strcat(text, zones[i]);
        assert_int_equal(dns_name_from_text(text, name), 0);
        assert_true(policy_answer_local(&usual, name, DNS_TYPE_A, DNS_CLASS_IN, &answer));
        assert_int_equal(answer.rcode, DNS_RCODE_NXDOMAIN);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_special_names),
        cmocka_unit_test(test_reverse_names),
        cmocka_unit_test(test_every_reverse_zone),
        cmocka_unit_test(test_private_reverse_off),
        cmocka_unit_test(test_other_classes_are_not_ours),
        cmocka_unit_test(test_identity),
        cmocka_unit_test(test_identity_kept_to_ourselves),
        cmocka_unit_test(test_longest_identity),
        cmocka_unit_test(test_longest_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
