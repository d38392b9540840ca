#include "policy/admit.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/error.h"
#include "dns/tables.h"
#include "wire.h"

#define QUESTION "{www.example.org} 0001 0001 "
#define A_RECORD "c00c 0001 0001 00000e10 0004 c0000201 "
#define OPT "00 0029 04d0 00 00 0000 0000 "

static uint16_t admit(const char *text)
{
    struct wire wire = wire_of(text);
    struct dns_message query;
    uint16_t rcode;

    assert_int_equal(dns_message_parse(&query, wire.bytes, wire.size), E_OK);
    rcode = policy_admit(&query);
    wire_free(&wire);
    return rcode;
}

static const struct {
    const char *what, *query;
    uint16_t rcode;
} queries[] = {
    {"a query", "1234 0100 0001 0000 0000 0000" QUESTION, DNS_RCODE_NOERROR},
    {"a query with EDNS", "1234 0100 0001 0000 0000 0001" QUESTION OPT, DNS_RCODE_NOERROR},
    {"every flag but QR", "1234 07ff 0001 0000 0000 0000" QUESTION, DNS_RCODE_NOERROR},
    {"Q2 no question", "1234 0100 0000 0000 0000 0000", DNS_RCODE_FORMERR},
    {"Q2 no question, EDNS", "1234 0100 0000 0000 0000 0001" OPT, DNS_RCODE_FORMERR},
    {"Q2 no question, only a cookie",
     "1234 0100 0000 0000 0000 0001 00 0029 04d0 00000000 000c 000a 0008 0102030405060708",
     DNS_RCODE_FORMERR},
    {"Q5 record as answer", "1234 0100 0001 0001 0000 0000" QUESTION A_RECORD, DNS_RCODE_FORMERR},
    {"Q5 record as authority", "1234 0100 0001 0000 0001 0000" QUESTION A_RECORD,
     DNS_RCODE_FORMERR},
    {"Q5 record as additional: ignored", "1234 0100 0001 0000 0000 0001" QUESTION A_RECORD,
     DNS_RCODE_NOERROR},
    {"Q5 EDNS version 1 and a record as answer",
     "1234 0100 0001 0001 0000 0001" QUESTION A_RECORD "00 0029 04d0 00 01 0000 0000",
     DNS_RCODE_BADVERS},
    {"Q8 IXFR with the SOA that belongs to it",
     "1234 0000 0001 0000 0001 0000 {org} 00fb 0001 c00c 0006 0001 00000000 0016 00 00 00*20",
     DNS_RCODE_NOTIMP},
    {"Q8 TSIG and a record as authority", "1234 0000 0001 0000 0001 0000 {org} 00fa 0001" A_RECORD,
     DNS_RCODE_FORMERR},
    {"Q12 TSIG at the end: ignored",
     "1234 0100 0001 0000 0000 0001" QUESTION "{key} 00fa 00ff 00000000 0000", DNS_RCODE_NOERROR},
    {"Q7 EDNS version 1", "1234 0100 0001 0000 0000 0001" QUESTION "00 0029 04d0 00 01 0000 0000",
     DNS_RCODE_BADVERS},
    {"Q7 EDNS version 255", "1234 0100 0001 0000 0000 0001" QUESTION "00 0029 04d0 00 ff 0000 0000",
     DNS_RCODE_BADVERS},
    {"Q7 EDNS version 1, AXFR",
     "1234 0100 0001 0000 0000 0001 {test} 00fc 0001 00 0029 04d0 00 01 0000 0000",
     DNS_RCODE_BADVERS},
    {"Q7 extended rcode and flags are ignored",
     "1234 0100 0001 0000 0000 0001" QUESTION "00 0029 04d0 ff 00 7fff 0000", DNS_RCODE_NOERROR},
    {"Q8 NOTIFY", "1234 2400 0001 0001 0000 0000" QUESTION A_RECORD, DNS_RCODE_NOTIMP},
    {"Q8 UPDATE with its records", "1234 2800 0001 0000 0001 0000 {test} 0006 0001" A_RECORD,
     DNS_RCODE_NOTIMP},
    {"Q8 STATUS without a question", "1234 1000 0000 0000 0000 0000", DNS_RCODE_NOTIMP},
    {"Q8 NOTIMP before BADVERS",
     "1234 2800 0001 0000 0000 0001" QUESTION "00 0029 04d0 00 01 0000 0000", DNS_RCODE_NOTIMP},
};

static void test_queries(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(queries); i++)
        if (admit(queries[i].query) != queries[i].rcode)
            fail_msg("%s: %u", queries[i].what, admit(queries[i].query));
}

static void test_opcodes(void **state)
{
    struct wire wire = wire_of("1234 0000 0001 0000 0000 0000" QUESTION);
    struct dns_message query;

    for (unsigned opcode = 0; opcode < 16; opcode++) {
        put_u16(wire.bytes + 2, (uint16_t)(opcode << 11 | DNS_FLAG_RD));
        assert_int_equal(dns_message_parse(&query, wire.bytes, wire.size), E_OK);
        assert_int_equal(policy_admit(&query),
                         opcode == DNS_OPCODE_QUERY ? DNS_RCODE_NOERROR : DNS_RCODE_NOTIMP);
    }
    wire_free(&wire);
}

static uint16_t rcode_of_type(unsigned type)
{
    switch (type) {
    case 251: // IXFR
    case 252: // AXFR
        return DNS_RCODE_NOTIMP;
    case 41:  // OPT
    case 249: // TKEY
    case 250: // TSIG
    case 253: // MAILB
    case 254: // MAILA
        return DNS_RCODE_REFUSED;
    default: // ANY among them
        return DNS_RCODE_NOERROR;
    }
}

static void test_types_and_classes(void **state)
{
    struct wire wire = wire_of("1234 0100 0001 0000 0000 0000 {www.example.org} 0001 0001");
    uint8_t *type = wire.bytes + wire.size - 4, *class = wire.bytes + wire.size - 2;
    struct dns_message query;

    for (unsigned i = 0; i <= UINT16_MAX; i++) {
        put_u16(type, (uint16_t)i);
        put_u16(class, DNS_CLASS_IN);
        assert_int_equal(dns_message_parse(&query, wire.bytes, wire.size), E_OK);
        assert_int_equal(policy_admit(&query), rcode_of_type(i));

        put_u16(type, DNS_TYPE_A);
        put_u16(class, (uint16_t)i);
        assert_int_equal(dns_message_parse(&query, wire.bytes, wire.size), E_OK);
        assert_int_equal(policy_admit(&query), i == DNS_CLASS_NONE || i == DNS_CLASS_ANY
                                                   ? DNS_RCODE_REFUSED
                                                   : DNS_RCODE_NOERROR);
    }
    wire_free(&wire);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_queries),
        cmocka_unit_test(test_opcodes),
        cmocka_unit_test(test_types_and_classes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
