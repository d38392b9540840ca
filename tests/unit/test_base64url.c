#include "base/base64url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "wire.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static const struct {
    const char *text, *octets;
} right[] = {
    // RFC 4648 section 10, without padding
    {"", ""},
    {"Zg", "'f'"},
    {"Zm8", "'fo'"},
    {"Zm9v", "'foo'"},
    {"Zm9vYg", "'foob'"},
    {"Zm9vYmE", "'fooba'"},
    {"Zm9vYmFy", "'foobar'"},
    // RFC 8484 section 4.1.1
    {"AAABAAABAAAAAAAAA3d3dwdleGFtcGxlA2NvbQAAAQAB",
     "0000 0100 0001 0000 0000 0000 {www.example.com} 0001 0001"},
    // All digits.
    {alphabet, "00 10 83 10 51 87 20 92 8b 30 d3 8f 41 14 93 51 55 97 61 96 9b 71 d7 9f 82 18 a3 92"
               "59 a7 a2 9a ab b2 db af c3 1c b3 d3 5d b7 e3 9e bb f3 df bf"},
    {"-_-_", "fb ff bf"},
    {"AA", "00"},
    {"AAA", "00 00"},
    {"_w", "ff"},
    {"__8", "ff ff"},
};

// From memory of exactly its size, into such memory.
static int decode(struct wire *to, const char *text, size_t length)
{
    struct wire from = wire_copy(text, length);
    size_t size = 0x5555;
    int err = base64url_decode(to->bytes, to->size, &size, (const char *)from.bytes, length);

    wire_free(&from);
    if (err == E_OK)
        to->size = size;
    return err;
}

static void test_right(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(right); i++) {
        struct wire expected = wire_of(right[i].octets);
        struct wire exact = wire_copy(expected.bytes, expected.size);
        struct wire larger = wire_of("00*100");

        memset(exact.bytes, 0, exact.size);
        assert_int_equal(base64url_decoded_size(strlen(right[i].text)), expected.size);
        if (decode(&exact, right[i].text, strlen(right[i].text)) != E_OK)
            fail_msg("%s", right[i].text);
        assert_int_equal(exact.size, expected.size);
        assert_memory_equal(exact.bytes, expected.bytes, expected.size);
        assert_int_equal(decode(&larger, right[i].text, strlen(right[i].text)), E_OK);
        assert_int_equal(larger.size, expected.size);
        if (expected.size > 0) {
            exact.size--;
            assert_int_equal(decode(&exact, right[i].text, strlen(right[i].text)), E_RANGE);
        }
        wire_free(&expected);
        wire_free(&exact);
        wire_free(&larger);
    }
}

static const char *const wrong[] = {
    "A",
    "AAAAA",
    "Zg==",
    "Zg=",
    "Zm8=",
    "Zm9v====",
    "=",
    "====",
    // Other texts for the same octets: bits that are not 0 at the end.
    "Zh",
    "ZH",
    "Z_",
    "Zm9",
    "Zm-",
    "Zm_",
    "Zm9vYh",
    // The other alphabet.
    "+_-_",
    "-/-_",
    // White space, percent-encoding.
    " Zm9",
    "Zm9v ",
    "Zm\n9",
    "Zm9v%3D",
};

static void test_wrong(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct wire to = wire_of("00*100");

        if (decode(&to, wrong[i], strlen(wrong[i])) != E_INVALID)
            fail_msg("%s", wrong[i]);
        wire_free(&to);
    }
}

// Whatever the octet, and wherever it stands.
static void test_each_octet(void **state)
{
    for (unsigned octet = 0; octet < 256; octet++) {
        bool is_digit = octet != 0 && strchr(alphabet, (int)octet);

        for (size_t at = 0; at < 8; at++) {
            struct wire to = wire_of("00*6");
            char text[] = "AAAAAAAA";

            text[at] = (char)octet;
            if (decode(&to, text, strlen("AAAAAAAA")) != (is_digit ? E_OK : E_INVALID))
                fail_msg("%02x at %zu", octet, at);
            wire_free(&to);
        }
    }
}

static size_t encode(char *text, const uint8_t *octets, size_t size)
{
    size_t length = 0;

    for (size_t bit = 0; bit < 8 * size; bit += 6) {
        unsigned two = (unsigned)octets[bit / 8] << 8;

        if (bit / 8 + 1 < size)
            two |= octets[bit / 8 + 1];
        text[length++] = alphabet[two >> (10 - bit % 8) & 63];
    }
    return length;
}

static void test_any_octets(void **state)
{
    struct rng rng = {.state = 1};

    for (size_t round = 0; round < 5000; round++) {
        uint8_t octets[100];
        char text[sizeof(octets) * 2];
        size_t size = rng_below(&rng, sizeof(octets)), length;
        struct wire to;

        for (size_t i = 0; i < size; i++)
            octets[i] = (uint8_t)rng_next(&rng);
        to = wire_copy(octets, size);
        memset(to.bytes, 0, size);
        length = encode(text, octets, size);
        assert_int_equal(decode(&to, text, length), E_OK);
        assert_int_equal(to.size, size);
        assert_memory_equal(to.bytes, octets, size);
        wire_free(&to);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_right),
        cmocka_unit_test(test_wrong),
        cmocka_unit_test(test_each_octet),
        cmocka_unit_test(test_any_octets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
