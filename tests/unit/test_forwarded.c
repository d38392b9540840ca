// For whom a proxy says that it asks: the nodes of Forwarded and X-Forwarded-For.
#include "net/forwarded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire.h"

#define EIGHTY "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

// `nodes`: each followed by a space; "?" is one without an address.
static const struct {
    enum forwarded_kind kind;
    const char *value, *nodes;
} cases[] = {
    {X_FORWARDED_FOR, "", ""},
    {X_FORWARDED_FOR, " ,\t, ,", ""},
    {X_FORWARDED_FOR, "192.0.2.1", "192.0.2.1:0 "},
    {X_FORWARDED_FOR, "192.0.2.1:80", "192.0.2.1:80 "},
    {X_FORWARDED_FOR, "2001:db8::1", "[2001:db8::1]:0 "},
    {X_FORWARDED_FOR, "[2001:db8::1]", "[2001:db8::1]:0 "},
    {X_FORWARDED_FOR, "[2001:db8::1]:80", "[2001:db8::1]:80 "},
    {X_FORWARDED_FOR, "::ffff:192.0.2.1", "[::ffff:192.0.2.1]:0 "},
    {X_FORWARDED_FOR, "\t192.0.2.1 , 192.0.2.2,,2001:db8::1 ,",
     "192.0.2.1:0 192.0.2.2:0 [2001:db8::1]:0 "},
    {X_FORWARDED_FOR, "unknown, 192.0.2.1", "? 192.0.2.1:0 "},
    {X_FORWARDED_FOR, "fe80::1%lo, fe80::1%1, [fe80::1%1]:80, 192.0.2.1", "? ? ? 192.0.2.1:0 "},
    {X_FORWARDED_FOR,
     "192.0.2.1 80, 192.0.2, 192.0.2.256, 192.0.2.1:65536, 192.0.2.1:", "? ? ? ? ? "},
    {X_FORWARDED_FOR, "192.0.2.1:_x, [::1], [::1, ::1], [192.0.2.1], for=192.0.2.1",
     "? [::1]:0 ? ? ? ? "},
    // No quotes are known here, so that they hide nothing.
    {X_FORWARDED_FOR, "\"192.0.2.1\", \"192.0.2.2, 192.0.2.3", "? ? 192.0.2.3:0 "},
    {X_FORWARDED_FOR, EIGHTY "," EIGHTY "a, 192.0.2.1", "? ? 192.0.2.1:0 "},

    {FORWARDED, "", ""},
    {FORWARDED, " , ,\t", ""},
    {FORWARDED, "for=192.0.2.1", "192.0.2.1:0 "},
    {FORWARDED, "for=\"192.0.2.1\"", "192.0.2.1:0 "},
    {FORWARDED, "For=\"[2001:db8::1]:4711\"", "[2001:db8::1]:4711 "},
    {FORWARDED, "FOR=\"[2001:db8::1]\"", "[2001:db8::1]:0 "},
    {FORWARDED, "for=\"[::ffff:192.0.2.1]\"", "[::ffff:192.0.2.1]:0 "},
    {FORWARDED, "for=192.0.2.1:80, for=[2001:db8::1]:80", "192.0.2.1:80 [2001:db8::1]:80 "},
    {FORWARDED, "for=192.0.2.43, for=198.51.100.17", "192.0.2.43:0 198.51.100.17:0 "},
    {FORWARDED, "for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60:0 "},
    {FORWARDED, "by=\"203.0.113.43:1\";host=a;for=192.0.2.60", "192.0.2.60:0 "},
    {FORWARDED, " ;for=192.0.2.1; ;\tproto=http ;,,;", "192.0.2.1:0 ? "},
    {FORWARDED, "for=unknown, for=_hidden, for=\"_hidden:80\", for=192.0.2.1",
     "? ? ? 192.0.2.1:0 "},
    {FORWARDED, "by=192.0.2.1, proto=http;fort=192.0.2.1, for=192.0.2.2", "? ? 192.0.2.2:0 "},
    // Ports that are obfuscated, addresses without brackets, two ports.
    {FORWARDED, "for=\"192.0.2.1:_x\", for=\"[2001:db8::1]:_a.b-c\"",
     "192.0.2.1:0 [2001:db8::1]:0 "},
    {FORWARDED, "for=\"192.0.2.1:_\", for=\"192.0.2.1:\", for=\"[::1]x_y\"", "? ? ? "},
    {FORWARDED, "for=\"2001:db8::1\", for=2001:db8::1, for=\"::1\"", "? ? ? "},
    {FORWARDED, "for=\"192.0.2.1:80:_x\", for=\"[::1]:80:_x\", for=\"[::1]:80:80\"", "? ? ? "},
    {FORWARDED, "for=\"[fe80::1%1]\", for=\"[fe80::1%lo]:80\"", "? ? "},
    {FORWARDED, "for=\"[192.0.2.1]\", for=\"[::1\", for=\"192.0.2.1:65536\"", "? ? ? "},
    // Quoted strings: what they hold separates nothing, and may be escaped.
    {FORWARDED, "host=\"a, for=192.0.2.1;\";for=192.0.2.2, for=192.0.2.3",
     "192.0.2.2:0 192.0.2.3:0 "},
    {FORWARDED, "x=\"\\\", for=192.0.2.1, \\\\\";for=192.0.2.2", "192.0.2.2:0 "},
    {FORWARDED, "for=\"\\1\\92.0.2.1\\:80\"", "192.0.2.1:80 "},
    {FORWARDED, "x=\"\";for=192.0.2.1", "192.0.2.1:0 "},
    {FORWARDED, "for=\"\", for=\" 192.0.2.1\", for=\"192.0.2.1 \", for=\"192.0.2.1,80\"",
     "? ? ? ? "},
    // One without an end takes what is left with it.
    {FORWARDED, "for=192.0.2.1, for=\"192.0.2.2, for=192.0.2.3", "192.0.2.1:0 ? "},
    {FORWARDED, "for=\"192.0.2.2\\\", for=192.0.2.3", "? "},
    {FORWARDED, "for=\"192.0.2.2\\", "? "},
    {FORWARDED, "\"", "? "},
    {FORWARDED, "for=192.0.2.1\", for=192.0.2.3", "? "},
    // Pairs that are none spoil their element, and no other.
    {FORWARDED, "for, for=, =192.0.2.1, 192.0.2.1, for=192.0.2.1", "? ? ? ? 192.0.2.1:0 "},
    {FORWARDED, "for =192.0.2.1, for= 192.0.2.1, for=192.0.2.1 x, for=192.0.2.1",
     "? ? ? 192.0.2.1:0 "},
    {FORWARDED, "for=192.0.2.1;x, for=192.0.2.1;x=\"a\"b, x=a\"b\";for=192.0.2.1", "? ? ? "},
    {FORWARDED, "for=192.0.2.1/80, for=192.0.2.1 for=192.0.2.2, for==192.0.2.1", "? ? ? "},
    {FORWARDED, "for=\"192.0.2.1\"\"\", \"for\"=192.0.2.1, f\\or=192.0.2.1", "? ? ? "},
    {FORWARDED, "for=192.0.2.1;for=192.0.2.1, for=unknown;FOR=192.0.2.1", "? ? "},
    {FORWARDED, "for=\"\";for=192.0.2.1, for=192.0.2.1;by=x;for=", "? ? "},
    {FORWARDED, "for=" EIGHTY ", for=\"" EIGHTY "a\", x=" EIGHTY "b;for=192.0.2.1",
     "? ? 192.0.2.1:0 "},
};

// Writes the nodes of a value, which lies in memory of exactly its size.
static void read_nodes(const void *bytes, size_t size, enum forwarded_kind kind, char *nodes,
                       size_t room)
{
    struct wire copy = wire_copy(bytes, size);
    struct http_text value = {.bytes = (const char *)copy.bytes, .size = size};
    struct address address, untouched;
    enum forwarded_node node;
    size_t used = 0;
    char text[ADDRESS_TEXT_MAX];

    nodes[0] = '\0';
    memset(&untouched, 0xa5, sizeof(untouched));
    for (;;) {
        const char *before = value.bytes;

        address = untouched;
        node = forwarded_next(&value, kind, &address);
        assert_true(value.bytes + value.size == (const char *)copy.bytes + size);
        if (node == FORWARDED_END)
            break;
        assert_true(value.bytes > before);
        if (node == FORWARDED_UNKNOWN)
            assert_memory_equal(&address, &untouched, sizeof(address));
        used += (size_t)snprintf(nodes + used, room - used, "%s ",
                                 node == FORWARDED_ADDRESS ? address_to_text(&address, text) : "?");
        assert_true(used < room);
    }
    assert_int_equal(value.size, 0);
    assert_int_equal(forwarded_next(&value, kind, &address), FORWARDED_END);
    wire_free(&copy);
}

static void test_nodes(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char nodes[500];

        read_nodes(cases[i].value, strlen(cases[i].value), cases[i].kind, nodes, sizeof(nodes));
        if (strcmp(nodes, cases[i].nodes) != 0)
            fail_msg("%s: %s", cases[i].value, nodes);
    }
}

// No field has such octets; if one had, no address ends before them.
static void test_octets_that_no_text_has(void **state)
{
    static const char in_list[] = "192.0.2.1\0, 192.0.2.2", in_pair[] = "for=\"192.0.2.1\0\"",
                      in_token[] = "for=192.0.2.1\0";
    char nodes[100];

    read_nodes(in_list, sizeof(in_list) - 1, X_FORWARDED_FOR, nodes, sizeof(nodes));
    assert_string_equal(nodes, "? 192.0.2.2:0 ");
    read_nodes(in_pair, sizeof(in_pair) - 1, FORWARDED, nodes, sizeof(nodes));
    assert_string_equal(nodes, "? ");
    read_nodes(in_token, sizeof(in_token) - 1, FORWARDED, nodes, sizeof(nodes));
    assert_string_equal(nodes, "? ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nodes),
        cmocka_unit_test(test_octets_that_no_text_has),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
