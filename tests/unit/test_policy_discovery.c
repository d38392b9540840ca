#include "policy/discovery.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"

// What a client that asked at `asked` is told of endpoints, as the octets behind the name.
static const struct {
    const char *asked, *endpoints[POLICY_ENDPOINTS_MAX + 1];
    const char *services[POLICY_ENDPOINTS_MAX + 1]; // each is ALPN, port, and a hint
} cases[] = {
    // Over HTTPS.
    {"192.0.2.1",
     {"192.0.2.1:443/dns-query"},
     {"\0\1\0\3\2h2"
      "\0\4\0\4\xc0\0\2\1"
      "\0\7\0\x10/dns-query{?dns}"}},
    {"192.0.2.1",
     {"192.0.2.1:853/d", "192.0.2.1:443"},
     {"\0\1\0\3\2h2"
      "\0\3\0\2\3\x55"
      "\0\4\0\4\xc0\0\2\1"
      "\0\7\0\x8/d{?dns}",
      "\0\1\0\4\3dot"
      "\0\3\0\2\1\xbb"
      "\0\4\0\4\xc0\0\2\1"}},
    {"192.0.2.1",
     {"192.0.2.1:853"},
     {"\0\1\0\4\3dot"
      "\0\4\0\4\xc0\0\2\1"}},
    {"192.0.2.1",
     {"192.0.2.1:8530"},
     {"\0\1\0\4\3dot"
      "\0\3\0\2\x21\x52"
      "\0\4\0\4\xc0\0\2\1"}},
    // Elsewhere on the same machine, but not on its loopback.
    {"192.0.2.1",
     {"198.51.100.1:853"},
     {"\0\1\0\4\3dot"
      "\0\4\0\4\xc6\x33\x64\1"}},
    {"192.0.2.1", {"127.0.0.1:853"}, {NULL}},
    {"127.0.0.1",
     {"127.0.0.1:853"},
     {"\0\1\0\4\3dot"
      "\0\4\0\4\x7f\0\0\1"}},
    {"127.0.0.1", {"192.0.2.1:853"}, {NULL}},
    // Every address: where the client asked.
    {"::ffff:192.0.2.1",
     {"[::]:853"},
     {"\0\1\0\4\3dot"
      "\0\4\0\4\xc0\0\2\1"}},
    {"192.0.2.1",
     {"0.0.0.0:853"},
     {"\0\1\0\4\3dot"
      "\0\4\0\4\xc0\0\2\1"}},
    {"192.0.2.1",
     {"[::]:853"},
     {"\0\1\0\4\3dot"
      "\0\4\0\4\xc0\0\2\1"}},
    {"::1",
     {"[::]:853"},
     {"\0\1\0\4\3dot"
      "\0\6\0\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1"}},
    {"::1", {"0.0.0.0:853"}, {NULL}},
    {"", {"[::]:853"}, {"\0\1\0\4\3dot"}},
    {"",
     {"192.0.2.1:853"},
     {"\0\1\0\4\3dot"
      "\0\4\0\4\xc0\0\2\1"}},
    // As many as there are, the first the most wanted.
    {"192.0.2.1",
     {"127.0.0.1:853", "192.0.2.1:853", "192.0.2.2:853"},
     {"\0\1\0\4\3dot"
      "\0\4\0\4\xc0\0\2\1",
      "\0\1\0\4\3dot"
      "\0\4\0\4\xc0\0\2\2"}},
};

static const uint8_t name[] = "\3dns\4home\4arpa";

static void make(struct policy_discovery *discovery, const char *const *endpoints)
{
    memset(discovery, 0, sizeof(*discovery));
    for (; *endpoints; endpoints++) {
        struct policy_endpoint *endpoint = &discovery->endpoints[discovery->count++];
        size_t size = strcspn(*endpoints, "/");
        char address[ADDRESS_TEXT_MAX];

        memcpy(endpoint->name, name, sizeof(name));
        snprintf(address, sizeof(address), "%.*s", (int)size, *endpoints);
        assert_int_equal(address_parse(&endpoint->address, address, 853), E_OK);
        snprintf(endpoint->path, sizeof(endpoint->path), "%s", *endpoints + size);
    }
}

static void test_what_is_told(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct policy_answer answer = {.record_count = 0};
        struct address asked = {.family = AF_UNSPEC};
        struct policy_discovery discovery;
        size_t count = 0;

        make(&discovery, cases[i].endpoints);
        if (*cases[i].asked)
            assert_int_equal(address_parse(&asked, cases[i].asked, 53), E_OK);
        assert_int_equal(policy_answer_discovery(&discovery, &asked, &answer),
                         cases[i].services[0] != NULL);
        for (; cases[i].services[count]; count++) {
            const struct dns_local_record *record = &answer.records[count];
            const uint8_t priority[2] = {0, (uint8_t)(count + 1)};
            size_t head = sizeof(priority) + sizeof(name);

            assert_true(record->rdata_size > head);
            assert_memory_equal(record->rdata, priority, sizeof(priority));
            assert_memory_equal(record->rdata + sizeof(priority), name, sizeof(name));
            assert_memory_equal(record->rdata + head, cases[i].services[count],
                                record->rdata_size - head);
        }
        assert_int_equal(answer.record_count, count);
    }
}

static void test_each_under_its_name(void **state)
{
    const char *const endpoints[] = {"192.0.2.1:853", "192.0.2.1:854", NULL};
    static const uint8_t other[] = "\5other\4home\4arpa";
    const struct address asked = {.family = AF_UNSPEC};
    struct policy_answer answer = {.record_count = 0};
    struct policy_discovery discovery;

    make(&discovery, endpoints);
    memcpy(discovery.endpoints[1].name, other, sizeof(other));
    assert_true(policy_answer_discovery(&discovery, &asked, &answer));
    assert_int_equal(answer.record_count, 2);
    assert_memory_equal(answer.records[0].rdata + 2, name, sizeof(name));
    assert_memory_equal(answer.records[1].rdata + 2, other, sizeof(other));
}

// The longest name, and as many endpoints as there may be: all of them fit.
static void test_the_most_there_can_be(void **state)
{
    const char *const endpoints[] = {"[2001:db8::1]:1", "[2001:db8::2]:2", "[2001:db8::3]:3",
                                     "[2001:db8::4]:4", NULL};
    const struct address asked = {.family = AF_UNSPEC};
    struct policy_answer answer = {.record_count = 0};
    struct policy_discovery discovery;

    make(&discovery, endpoints);
    for (size_t e = 0; e < POLICY_ENDPOINTS_MAX; e++) {
        uint8_t *longest = discovery.endpoints[e].name;

        memset(longest, 'a', DNS_NAME_MAX);
        memset(discovery.endpoints[e].path, '/', POLICY_DOHPATH_SIZE - 1);
        for (size_t i = 0; i < 192; i += 64)
            longest[i] = 63;
        longest[192] = 61;
        longest[254] = 0;
    }
    assert_true(policy_answer_discovery(&discovery, &asked, &answer));
    assert_int_equal(answer.record_count, POLICY_ENDPOINTS_MAX);
    assert_int_equal(answer.records[3].rdata_size, 2 + 255 + 7 + 6 + 20 + 4 + 127 + 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_told),
        cmocka_unit_test(test_each_under_its_name),
        cmocka_unit_test(test_the_most_there_can_be),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
