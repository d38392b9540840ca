// For how long a message may be shown again as it is.
#include "dns/ttl.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/error.h"
#include "dns/tables.h"
#include "wire.h"

#define QUESTION "{www.example.org} 0001 0001 "
#define A(ttl) "c00c 0001 0001 " ttl " 0004 c0000201 "
#define CNAME(ttl) "c00c 0005 0001 " ttl " 0002 c010 "
#define NS(ttl) "c010 0002 0001 " ttl " 0002 c00c "
#define SOA(ttl, minimum)                                                                          \
    "c010 0006 0001 " ttl " 0018 c00c c010 "                                                       \
    "00*16 " minimum " "
#define OPT "00 0029 04d0 00 00 0000 0000 "
#define BADVERS_OPT "00 0029 04d0 01 00 0000 0000 "

#define NOERROR "1234 8180 "
#define SERVFAIL "1234 8182 "
#define NXDOMAIN "1234 8183 "
#define REFUSED "1234 8185 "

static const struct {
    const char *what, *message;
    uint32_t ttl;
} messages[] = {
    {"an answer", NOERROR "0001 0001 0000 0000" QUESTION A("00000e10"), 3600},
    {"the first is the lowest",
     NOERROR "0001 0003 0000 0000" QUESTION A("00000001") A("00000e10") A("00000002"), 1},
    {"the last is the lowest",
     NOERROR "0001 0003 0000 0000" QUESTION CNAME("00000e10") A("00000e10") A("0000003c"), 60},
    {"0", NOERROR "0001 0002 0000 0000" QUESTION A("00000e10") A("00000000"), 0},
    {"the largest", NOERROR "0001 0001 0000 0000" QUESTION A("7fffffff"), 0x7fffffff},
    {"over the largest", NOERROR "0001 0001 0000 0000" QUESTION A("80000000"), 0},
    {"one over the largest", NOERROR "0001 0002 0000 0000" QUESTION A("00000e10") A("ffffffff"), 0},
    {"other sections say nothing of an answer",
     NOERROR "0001 0001 0001 0001" QUESTION A("00000e10") NS("00000001") A("00000002"), 3600},
    {"OPT has no TTL", NOERROR "0001 0001 0000 0001" QUESTION A("00000e10") OPT, 3600},
    {"a SOA that was asked for is an answer like others",
     NOERROR "0001 0001 0000 0000" QUESTION SOA("00000e10", "0000000a"), 3600},

    {"NODATA, the SOA's TTL",
     NOERROR "0001 0000 0001 0001" QUESTION SOA("0000003c", "00000e10") OPT, 60},
    {"NODATA, the SOA's MINIMUM",
     NOERROR "0001 0000 0001 0001" QUESTION SOA("00000e10", "0000003c") OPT, 60},
    {"NXDOMAIN", NXDOMAIN "0001 0000 0001 0000" QUESTION SOA("00000e10", "0000003c"), 60},
    {"MINIMUM 0", NXDOMAIN "0001 0000 0001 0000" QUESTION SOA("00000e10", "00000000"), 0},
    {"MINIMUM over the largest",
     NXDOMAIN "0001 0000 0001 0000" QUESTION SOA("00000e10", "80000000"), 0},
    {"the SOA's TTL over the largest",
     NXDOMAIN "0001 0000 0001 0000" QUESTION SOA("80000001", "00000e10"), 0},
    {"the SOA among others",
     NXDOMAIN "0001 0000 0003 0001" QUESTION NS("00000005") SOA("00000e10", "0000012c")
         NS("00000006") A("00000007"),
     300},
    {"a SOA elsewhere", NOERROR "0001 0000 0000 0001" QUESTION SOA("00000e10", "0000003c"), 0},
    {"no SOA", NXDOMAIN "0001 0000 0000 0000" QUESTION, 0},
    {"a referral", NOERROR "0001 0000 0001 0000" QUESTION NS("00000e10"), 0},
    // RFC 8484 says it of responses without answers; it holds as well where a CNAME leads nowhere.
    {"a CNAME to what is not there",
     NXDOMAIN "0001 0001 0001 0000" QUESTION CNAME("00000e10") SOA("00000e10", "0000003c"), 60},
    {"a CNAME that goes before",
     NXDOMAIN "0001 0001 0001 0000" QUESTION CNAME("0000000a") SOA("00000e10", "0000003c"), 10},

    {"SERVFAIL", SERVFAIL "0001 0000 0000 0000" QUESTION, 0},
    {"SERVFAIL with records",
     SERVFAIL "0001 0001 0001 0000" QUESTION A("00000e10") SOA("00000e10", "0000003c"), 0},
    {"REFUSED", REFUSED "0001 0001 0000 0000" QUESTION A("00000e10"), 0},
    {"an rcode in EDNS", NOERROR "0001 0001 0000 0001" QUESTION A("00000e10") BADVERS_OPT, 0},
    {"truncated", "1234 8380 0001 0001 0000 0000" QUESTION A("00000e10"), 0},
    {"a header", NOERROR "0000 0000 0000 0000", 0},
    {"no question", NOERROR "0000 0001 0000 0000 {} 0001 0001 00000e10 0004 c0000201", 3600},
    {"a query", "1234 0100 0001 0001 0000 0000" QUESTION A("00000e10"), 0},
    {"a query with a SOA too small",
     "1234 0100 0001 0000 0001 0000" QUESTION "c00c 0006 0001 00000e10 0000", 0},
};

static void test_messages(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(messages); i++) {
        struct wire wire = wire_of(messages[i].message);
        struct dns_message message;

        if (dns_message_parse(&message, wire.bytes, wire.size) != E_OK)
            fail_msg("%s: not parsed", messages[i].what);
        if (dns_ttl_of_message(&message) != messages[i].ttl)
            fail_msg("%s: %u", messages[i].what, dns_ttl_of_message(&message));
        wire_free(&wire);
    }
}

static void test_soa(void **state)
{
    static const struct {
        const char *minimum;
        uint32_t ttl;
    } minimums[] = {
        {"00000000", 0}, {"00000e10", 3600}, {"7fffffff", 0x7fffffff},
        {"80000000", 0}, {"ffffffff", 0},
    };

    for (size_t i = 0; i < ARRAY_LEN(minimums); i++) {
        struct wire wire = wire_of(NOERROR "0001 0000 0001 0000" QUESTION);
        uint8_t bytes[100];
        struct writer w = writer_of(bytes, sizeof(bytes));
        struct dns_message message;
        struct dns_record record;
        size_t pos;

        writer_bytes(&w, wire.bytes, wire.size);
        wire_put(&w, "{} 0006 0001 00000001 0016 {} {} 00000002 00000003 00000004 00000005 ");
        wire_put(&w, minimums[i].minimum);
        wire_free(&wire);
        assert_int_equal(dns_message_parse(&message, bytes, w.pos), E_OK);
        pos = message.section[DNS_AUTHORITY];
        assert_true(dns_record_next(&message, &pos, &record));
        assert_int_equal(dns_ttl_of_soa(&record), minimums[i].ttl);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_soa),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
