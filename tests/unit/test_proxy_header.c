// The header of the PROXY protocol: what is one, what is none, and how soon that is known.
#include "net/proxy_header.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "wire.h"

#define SIGNATURE "0d 0a 0d 0a 00 0d 0a 'QUIT' 0a "
#define IPV4 "c0 00 02 01 c6 33 64 02 12 34 00 35 "
#define IPV6                                                                                       \
    "20 01 0d b8 00*11 01 "                                                                        \
    "fd 00*14 02 "                                                                                 \
    "12 34 00 35 "

// Each is followed by octets that are not the header's. `source`: NULL for LOCAL.
static const struct {
    const char *header, *source;
} right[] = {
    {SIGNATURE "21 11 00 0c " IPV4, "192.0.2.1:4660"},
    {SIGNATURE "21 12 00 0c " IPV4, "192.0.2.1:4660"},
    {SIGNATURE "21 21 00 24 " IPV6, "[2001:db8::1]:4660"},
    {SIGNATURE "21 22 00 24 " IPV6, "[2001:db8::1]:4660"},
    {SIGNATURE "21 11 00 0c 00*12", "0.0.0.0:0"},
    // With TLVs: of no octets, of one, two of them, and as many as may be.
    {SIGNATURE "21 11 00 0f " IPV4 "04 00 00", "192.0.2.1:4660"},
    {SIGNATURE "21 11 00 10 " IPV4 "ea 00 01 ff", "192.0.2.1:4660"},
    {SIGNATURE "21 22 00 2e " IPV6 "04 00 03 00 00 00 03 00 01 00", "[2001:db8::1]:4660"},
    {SIGNATURE "21 11 02 18 " IPV4 "04 02 09 00*521", "192.0.2.1:4660"},
    {SIGNATURE "21 21 02 18 " IPV6 "04 01 f1 00*497", "[2001:db8::1]:4660"},
    // Who speaks for himself may say about it what he likes.
    {SIGNATURE "20 00 00 00", NULL},
    {SIGNATURE "20 11 00 0c " IPV4, NULL},
    {SIGNATURE "20 11 00 01 00", NULL},
    {SIGNATURE "20 31 00 d8 2f*216", NULL},
    {SIGNATURE "20 ff 00 05 ff ff ff ff ff", NULL},
    {SIGNATURE "20 00 02 18 ff*536", NULL},
};

// From memory of exactly its size, so that AddressSanitizer sees a step too far.
static int parse(struct proxy_header *header, const uint8_t *bytes, size_t size)
{
    struct wire part = wire_copy(bytes, size);
    int err = proxy_header_parse(header, part.bytes, size);

    wire_free(&part);
    return err;
}

static void assert_is(const struct proxy_header *header, size_t size, const char *source)
{
    char text[ADDRESS_TEXT_MAX];

    assert_int_equal(header->size, size);
    assert_int_equal(header->proxied, source != NULL);
    if (source)
        assert_string_equal(address_to_text(&header->source, text), source);
}

static void test_right(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(right); i++) {
        struct wire wire = wire_of(right[i].header);
        uint8_t longer[PROXY_HEADER_MAX + 4] = {0};
        struct proxy_header header;

        for (size_t size = 0; size < wire.size; size++)
            if (parse(&header, wire.bytes, size) != E_AGAIN)
                fail_msg("%s: %zu of its octets", right[i].header, size);
        if (parse(&header, wire.bytes, wire.size) != E_OK)
            fail_msg("%s", right[i].header);
        assert_is(&header, wire.size, right[i].source);
        memcpy(longer, wire.bytes, wire.size);
        assert_int_equal(parse(&header, longer, sizeof(longer)), E_OK);
        assert_is(&header, wire.size, right[i].source);
        wire_free(&wire);
    }
}

// `known_by`: with so many octets it is clear that it is wrong, and not with fewer.
static const struct {
    const char *header;
    size_t known_by;
} wrong[] = {
    {"'PROXY TCP4 192.0.2.1 198.51.100.2 4660 53' 0d 0a", 1},
    {"16 03 01 02 00 01", 1}, // a ClientHello
    {"00 1d 12 34", 1},       // a message over TCP
    {"00*16", 1},
    {"0d 0a 0d 0a 00 0d 0a 'QUIS' 0a 21 11 00 0c " IPV4, 11},
    {"0d 0a 0d 0a 00 0d 0a 'QUIT' 0d 21 11 00 0c " IPV4, 12},
    {SIGNATURE "11 11 00 0c " IPV4, 13}, // version 1, 3
    {SIGNATURE "31 11 00 0c " IPV4, 13},
    {SIGNATURE "22 11 00 0c " IPV4, 13}, // no such command
    {SIGNATURE "2f 11 00 0c " IPV4, 13},
    {SIGNATURE "21 00 00 00", 14}, // nobody is named
    {SIGNATURE "21 00 00 0c " IPV4, 14},
    {SIGNATURE "21 01 00 0c " IPV4, 14},
    {SIGNATURE "21 10 00 0c " IPV4, 14},
    {SIGNATURE "21 13 00 0c " IPV4, 14},
    {SIGNATURE "21 20 00 24 " IPV6, 14},
    {SIGNATURE "21 31 00 d8 00*216", 14}, // a path
    {SIGNATURE "21 32 00 d8 00*216", 14},
    {SIGNATURE "21 41 00 24 " IPV6, 14},
    // Lengths that do not hold the addresses, or are over the bound.
    {SIGNATURE "21 11 00 00", 16},
    {SIGNATURE "21 11 00 0b " IPV4, 16},
    {SIGNATURE "21 21 00 0c " IPV4, 16},
    {SIGNATURE "21 21 00 23 " IPV6, 16},
    {SIGNATURE "21 11 02 19 " IPV4 "04 02 0a 00*522", 16},
    {SIGNATURE "21 11 ff ff " IPV4, 16},
    {SIGNATURE "20 00 02 19 00*537", 16},
    {SIGNATURE "20 00 ff ff", 16},
    // TLVs that do not end where the header does.
    {SIGNATURE "21 11 00 0d " IPV4 "04", 29},
    {SIGNATURE "21 11 00 0e " IPV4 "04 00", 30},
    {SIGNATURE "21 11 00 0f " IPV4 "04 00 01", 31},
    {SIGNATURE "21 11 00 10 " IPV4 "04 00 00 04", 32},
    {SIGNATURE "21 11 00 10 " IPV4 "04 ff ff 00", 32},
    {SIGNATURE "21 22 00 28 " IPV6 "04 00 02 00", 56},
    // A length that takes the beginning of a query for TLVs.
    {SIGNATURE "21 11 00 1c " IPV4 "12 34 01 00 00 01 00 00 00 00 00 00 04 'name' 04 'test' 00",
     44},
};

static void test_wrong(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct wire wire = wire_of(wrong[i].header);
        struct proxy_header header;

        for (size_t size = 0; size <= wire.size; size++)
            if (parse(&header, wire.bytes, size) !=
                (size < wrong[i].known_by ? E_AGAIN : E_MALFORMED))
                fail_msg("%s: %zu of its octets", wrong[i].header, size);
        assert_true(wire.size >= wrong[i].known_by);
        wire_free(&wire);
    }
}

// In pieces of so many octets, followed by what is not the header's.
static int feed(const struct wire *wire, size_t piece, size_t *fed, struct proxy_header *header)
{
    struct proxy_header_reader *reader = calloc(1, sizeof(*reader));
    int err = E_AGAIN;
    size_t used;

    require(reader != NULL);
    for (*fed = 0; err == E_AGAIN && *fed < wire->size; *fed += used) {
        struct wire part = wire_copy(wire->bytes + *fed, MIN(piece, wire->size - *fed));

        err = proxy_header_feed(reader, header, part.bytes, part.size, &used);
        assert_true(used <= part.size && (err != E_AGAIN || used == part.size));
        wire_free(&part);
    }
    free(reader);
    return err;
}

static void test_in_pieces(void **state)
{
    static const size_t pieces[] = {1, 2, 7, 15, 16, 17, 28, 300, 1000};
    struct proxy_header header;
    size_t fed;

    for (size_t p = 0; p < ARRAY_LEN(pieces); p++) {
        for (size_t i = 0; i < ARRAY_LEN(right); i++) {
            struct wire wire = wire_of(right[i].header);
            uint8_t longer[PROXY_HEADER_MAX + 40] = {0};
            struct wire whole = {.bytes = longer, .size = wire.size + 40};

            memcpy(longer, wire.bytes, wire.size);
            assert_int_equal(feed(&whole, pieces[p], &fed, &header), E_OK);
            assert_int_equal(fed, wire.size);
            assert_is(&header, wire.size, right[i].source);
            assert_int_equal(feed(&wire, pieces[p], &fed, &header), E_OK);
            wire.size--;
            assert_int_equal(feed(&wire, pieces[p], &fed, &header), E_AGAIN);
            wire_free(&wire);
        }
        for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
            struct wire wire = wire_of(wrong[i].header);

            assert_int_equal(feed(&wire, pieces[p], &fed, &header), E_MALFORMED);
            wire_free(&wire);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_right),
        cmocka_unit_test(test_wrong),
        cmocka_unit_test(test_in_pieces),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
