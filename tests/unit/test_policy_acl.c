// Who is allowed, and how that is written.
#include "policy/acl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"

static struct policy_acl acl;

// The same, not compiled.
static struct policy_prefix prefixes[POLICY_PREFIXES_MAX];
static uint32_t prefix_count;

static struct policy_prefix prefix_of(const char *text)
{
    struct policy_prefix prefix;
    const char *why;

    if (policy_prefix_parse(&prefix, text, &why) != E_OK)
        fail_msg("%s: %s", text, why ? why : "(no reason)");
    return prefix;
}

// Of "a b c".
static void compile(const char *list)
{
    char copy[4096], *rest = NULL;

    prefix_count = 0;
    snprintf(copy, sizeof(copy), "%s", list);
    for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
        prefixes[prefix_count++] = prefix_of(word);
    policy_acl_compile(&acl, prefixes, prefix_count);
}

static bool allows(const char *client)
{
    struct address address;

    if (address_parse(&address, client, 4242) != E_OK)
        fail_msg("%s", client);
    return policy_acl_allows(&acl, &address);
}

static bool has(const char *client)
{
    struct address address;

    assert_int_equal(address_parse(&address, client, 4242), E_OK);
    return policy_prefixes_have(prefixes, prefix_count, &address);
}

static const struct {
    const char *allow, *in, *out; // lists
} sets[] = {
    {"", "", "127.0.0.1 ::1 0.0.0.0 :: ::ffff:127.0.0.1"},
    {"private",
     "127.0.0.1 127.255.255.255 10.0.0.0 10.255.255.255 172.16.0.0 172.31.255.255 192.168.0.0 "
     "192.168.255.255 100.64.0.0 100.127.255.255 169.254.0.0 169.254.255.255 ::1 fc00:: "
     "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff fe80::1 fe80::1%1 febf:ffff::1 ::ffff:192.168.1.1",
     "0.0.0.0 126.255.255.255 128.0.0.0 9.255.255.255 11.0.0.0 172.15.255.255 172.32.0.0 "
     "192.167.255.255 192.169.0.0 100.63.255.255 100.128.0.0 169.253.255.255 169.255.0.0 :: ::2 "
     "0:0:0:1::1 fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff fe00:: fe7f:ffff:: fec0:: 2001:db8::1 "
     "::ffff:8.8.8.8 ::127.0.0.1 255.255.255.255"},
    {"any", "127.0.0.1 8.8.8.8 0.0.0.0 255.255.255.255 :: ::1 2001:db8::1 ::ffff:8.8.8.8", ""},
    {"0.0.0.0/0", "0.0.0.0 127.0.0.1 255.255.255.255 ::ffff:8.8.8.8", "::1 :: 2001:db8::1"},
    {"::/0", ":: ::1 2001:db8::1 ffff::", "127.0.0.1 ::ffff:127.0.0.1"},
    {"::ffff:0:0/96", "8.8.8.8 ::ffff:8.8.8.8", "::1 2001:db8::1"},
    {"192.0.2.0/25", "192.0.2.0 192.0.2.127", "192.0.2.128 192.0.1.255 193.0.2.0"},
    {"192.0.2.7", "192.0.2.7 ::ffff:192.0.2.7", "192.0.2.6 192.0.2.8"},
    {"192.0.2.7/32", "192.0.2.7", "192.0.2.6 192.0.2.8"},
    {"192.0.2.6/31", "192.0.2.6 192.0.2.7", "192.0.2.5 192.0.2.8"},
    {"::ffff:192.0.2.0/120", "192.0.2.0 192.0.2.255", "192.0.3.0 192.0.1.255 ::"},
    {"2001:db8::/32", "2001:db8:: 2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
     "2001:db7:ffff:: 2001:db9:: 32.1.13.184"},
    {"2001:db8:0:1::/64", "2001:db8:0:1:: 2001:db8:0:1:ffff:ffff:ffff:ffff",
     "2001:db8:0:0:ffff:ffff:ffff:ffff 2001:db8:0:2::"},
    {"2001:db8::8000:0:0:0/65", "2001:db8:0:0:8000:: 2001:db8::ffff:ffff:ffff:ffff",
     "2001:db8:: 2001:db8::7fff:ffff:ffff:ffff 2001:db8:0:1::"},
    {"2001:db8::4/126", "2001:db8::4 2001:db8::7", "2001:db8::3 2001:db8::8"},
    {"2001:db8::7", "2001:db8::7", "2001:db8::6 2001:db8::8 ::7"},
    {"8000::/1", "8000:: ffff::", "7fff:ffff:: ::"},
    // Whatever the order, and one in another.
    {"10.1.0.0/16 10.0.0.0/8 10.0.0.0/16 10.0.0.1 10.255.255.255",
     "10.0.0.0 10.2.0.0 10.255.255.255", "9.255.255.255 11.0.0.0"},
    {"10.0.0.0/8 10.0.0.0/16 10.0.0.0/24 10.0.0.0", "10.0.0.0 10.0.1.0 10.1.0.0 10.255.0.0",
     "9.255.255.255 11.0.0.0"},
    {"10.0.0.0 10.0.0.0/24 10.0.0.0/16 10.0.0.0/8", "10.0.0.0 10.0.1.0 10.1.0.0 10.255.0.0",
     "9.255.255.255 11.0.0.0"},
    {"203.0.113.5 198.51.100.0/24 192.0.2.0/24 203.0.113.1 198.51.100.7",
     "192.0.2.1 198.51.100.255 203.0.113.1 203.0.113.5",
     "192.0.3.0 198.51.99.255 203.0.113.0 203.0.113.2 203.0.113.4 203.0.113.6"},
    {"private 192.0.2.0/24 private 2001:db8::/32", "127.0.0.1 192.0.2.9 2001:db8::9 ::1",
     "192.0.3.9 2001:db9::9"},
    {"192.0.2.1 any", "8.8.8.8 2001:db8::1", ""},
};

static void check(const char *set, const char *list, bool expected)
{
    char copy[4096], *rest = NULL;

    snprintf(copy, sizeof(copy), "%s", list);
    for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
        if (allows(word) != expected || has(word) != expected)
            fail_msg("{%s} %s %s", set, expected ? "lacks" : "has", word);
}

static void test_sets(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(sets); i++) {
        compile(sets[i].allow);
        check(sets[i].allow, sets[i].in, true);
        check(sets[i].allow, sets[i].out, false);
    }
}

// Port, scope and flow label are nothing to it.
static void test_only_the_address_counts(void **state)
{
    struct address address;

    compile("192.0.2.1 fe80::/10");
    for (unsigned port = 0; port <= UINT16_MAX; port += 257) {
        assert_int_equal(address_parse(&address, "192.0.2.1", (uint16_t)port), E_OK);
        assert_true(policy_acl_allows(&acl, &address));
    }
    assert_int_equal(address_parse(&address, "[fe80::1%7]:53", 0), E_OK);
    address.v6.sin6_flowinfo = UINT32_MAX;
    assert_true(policy_acl_allows(&acl, &address));
}

static void test_client_without_an_address(void **state)
{
    const struct address nobody = {.family = AF_UNSPEC};

    compile("private 0.0.0.0/0 ::/0");
    assert_false(policy_acl_allows(&acl, &nobody));
    assert_false(policy_prefixes_have(prefixes, prefix_count, &nobody));
    compile("any");
    assert_true(policy_acl_allows(&acl, &nobody));
}

// As many as there may be, of either family, with everything in the list that makes more of one.
static void test_as_many_as_fit(void **state)
{
    struct policy_prefix allow[POLICY_PREFIXES_MAX] = {{.kind = POLICY_PREFIX_PRIVATE}};
    char text[32];

    for (unsigned i = 1; i < POLICY_PREFIXES_MAX; i++) {
        snprintf(text, sizeof(text), "%u.%u.8.0/30", 20 + i % 3, i);
        allow[i] = prefix_of(text);
    }
    policy_acl_compile(&acl, allow, POLICY_PREFIXES_MAX);
    for (unsigned i = 1; i < POLICY_PREFIXES_MAX; i++) {
        snprintf(text, sizeof(text), "%u.%u.8.3", 20 + i % 3, i);
        assert_true(allows(text));
        snprintf(text, sizeof(text), "%u.%u.8.4", 20 + i % 3, i);
        assert_false(allows(text));
        snprintf(text, sizeof(text), "%u.%u.7.255", 20 + i % 3, i);
        assert_false(allows(text));
    }
    assert_true(allows("192.168.1.1") && allows("fd00::1"));
    for (unsigned i = 1; i < POLICY_PREFIXES_MAX; i++) {
        snprintf(text, sizeof(text), "2001:db8:%x::/48", i);
        allow[i] = prefix_of(text);
    }
    policy_acl_compile(&acl, allow, POLICY_PREFIXES_MAX);
    assert_true(allows("2001:db8:1:8::1") && allows("2001:db8:ff:ffff::1") && allows("::1"));
    assert_false(allows("2001:db8::1") || allows("2001:db8:100::1"));
}

// Against the plainest way to do it, for sets and clients that are close together.
static void test_like_a_plain_comparison(void **state)
{
    uint32_t seed = 1;

    for (unsigned round = 0; round < 2000; round++) {
        struct policy_prefix allow[12];
        struct address client = {.v4.sin_family = AF_INET};

        memset(allow, 0, sizeof(allow));
        for (size_t i = 0; i < ARRAY_LEN(allow); i++) {
            uint32_t bits;

            seed = seed * 1664525 + 1013904223;
            allow[i].kind = POLICY_PREFIX_IPV4;
            allow[i].length = (uint8_t)(4 + (seed >> 27) % 29);
            bits = (0x50000000 | (seed & 0x0f0f00ff)) & UINT32_MAX << (32 - allow[i].length);
            bits = htonl(bits);
            memcpy(allow[i].address, &bits, 4);
        }
        policy_acl_compile(&acl, allow, ARRAY_LEN(allow));
        for (unsigned i = 0; i < 50; i++) {
            bool expected = false;
            uint32_t bits;

            seed = seed * 1664525 + 1013904223;
            bits = 0x50000000 | (seed & 0x0f0f00ff);
            client.v4.sin_addr.s_addr = htonl(bits);
            for (size_t j = 0; j < ARRAY_LEN(allow); j++) {
                uint32_t prefix;

                memcpy(&prefix, allow[j].address, 4);
                expected |= ((ntohl(prefix) ^ bits) & UINT32_MAX << (32 - allow[j].length)) == 0;
            }
            assert_int_equal(policy_acl_allows(&acl, &client), expected);
        }
    }
}

static void test_open(void **state)
{
    static const struct {
        const char *allow;
        bool open;
    } cases[] = {
        {"any", true},
        {"private any", true},
        {"0.0.0.0/0", true},
        {"::/0", true},
        {"0.0.0.0/1 128.0.0.0/1", true},
        {"::ffff:0:0/96", true},
        {"private", false},
        {"", false},
        {"0.0.0.0/1", false},
        {"8000::/1", false},
        {"192.0.2.0/24 ::1", false},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        compile(cases[i].allow);
        if (policy_acl_is_open(&acl) != cases[i].open)
            fail_msg("%s", cases[i].allow);
    }
}

static void test_private_addresses(void **state)
{
    static const struct {
        const char *address;
        bool private;
    } cases[] = {
        {"127.0.0.1:53", true}, {"10.1.2.3", true}, {"[::1]:53", true},   {"fd00::1", true},
        {"0.0.0.0:53", false},  {"[::]:53", false}, {"192.0.2.1", false}, {"2001:db8::1", false},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct address address;

        assert_int_equal(address_parse(&address, cases[i].address, 53), E_OK);
        if (policy_address_is_private(&address) != cases[i].private)
            fail_msg("%s", cases[i].address);
    }
}

// ---- How they are written

static void test_canonical_form(void **state)
{
    static const char *const cases[][2] = {
        {"private", "private"},
        {"any", "any"},
        {"192.168.0.0/16", "192.168.0.0/16"},
        {"0.0.0.0/0", "0.0.0.0/0"},
        {"192.0.2.1/32", "192.0.2.1"},
        {"192.0.2.1", "192.0.2.1"},
        {"fd00::/8", "fd00::/8"},
        {"FD00:0:0::0/8", "fd00::/8"},
        {"::1/128", "::1"},
        {"::/0", "::/0"},
        {"::ffff:192.0.2.0/120", "192.0.2.0/24"},
        {"::ffff:192.0.2.1", "192.0.2.1"},
        {"::ffff:0.0.0.0/96", "0.0.0.0/0"},
        {"::ffff:255.255.255.255/128", "255.255.255.255"},
        {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127",
         "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[POLICY_PREFIX_TEXT_MAX];
        struct policy_prefix prefix = prefix_of(cases[i][0]), again;

        assert_string_equal(policy_prefix_to_text(&prefix, text), cases[i][1]);
        again = prefix_of(text);
        assert_memory_equal(&prefix, &again, sizeof(prefix));
    }
}

static void test_mistakes(void **state)
{
    static const char *const length = "a prefix has a length of up to 32 bits",
                             *const behind = "bits are set behind the prefix";
    static const struct {
        const char *text, *why; // NULL: nothing of the kind
    } cases[] = {
        {"", NULL},
        {"Private", NULL},
        {"any ", NULL},
        {"localhost", NULL},
        {"192.0.2", NULL},
        {"192.0.2.256", NULL},
        {"192.0.2.1:53", NULL},
        {"[::1]", NULL},
        {"fe80::1%eth0", NULL},
        {"/8", NULL},
        {"any/8", NULL},
        {"192.0.2.0-192.0.2.9", NULL},
        {"1:2:3:4:5:6:7:8:9", NULL},
        {"0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000", NULL},
        {"192.0.2.0/", length},
        {"192.0.2.0/33", length},
        {"192.0.2.0/024", length},
        {"192.0.2.0/00", length},
        {"192.0.2.0/-1", length},
        {"192.0.2.0/+8", length},
        {"192.0.2.0/24 ", length},
        {"192.0.2.0/255.255.255.0", length},
        {"192.0.2.0/4294967296", length},
        {"::/129", length},
        {"fd00::/8/8", length},
        {"192.0.2.1/24", behind},
        {"0.0.0.1/0", behind},
        {"fd00::1/64", behind},
        {"::1/127", behind},
        {"::ffff:192.0.2.1/120", behind},
        {"::ffff:192.0.2.0/64", behind},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct policy_prefix prefix;
        const char *why = "not set";

        if (policy_prefix_parse(&prefix, cases[i].text, &why) != E_INVALID)
            fail_msg("accepted: %s", cases[i].text);
        if (cases[i].why ? !why || strncmp(why, cases[i].why, strlen(cases[i].why)) != 0
                         : why != NULL)
            fail_msg("%s: %s", cases[i].text, why ? why : "(no reason)");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sets),
        cmocka_unit_test(test_only_the_address_counts),
        cmocka_unit_test(test_client_without_an_address),
        cmocka_unit_test(test_as_many_as_fit),
        cmocka_unit_test(test_like_a_plain_comparison),
        cmocka_unit_test(test_open),
        cmocka_unit_test(test_private_addresses),
        cmocka_unit_test(test_canonical_form),
        cmocka_unit_test(test_mistakes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
