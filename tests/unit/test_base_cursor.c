#include "base/cursor.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_highest_bits_are_kept(void **state)
{
    static const uint8_t bytes[] = {0xff, 0xfe, 0xfd, 0xfc};

    assert_int_equal(get_u16(bytes), 0xfffe);
    assert_int_equal(get_u32(bytes), 0xfffefdfc);
}

static void test_sizes_do_not_overflow(void **state)
{
    uint8_t bytes[4] = {0};
    struct writer w = writer_of(bytes, sizeof(bytes));

    writer_u8(&w, 0);
    assert_null(writer_take(&w, SIZE_MAX));
    assert_true(w.failed);
}

static void test_writes_in_network_order(void **state)
{
    static const uint8_t expected[] = {0xff, 0x89, 0xab, 0xfe, 0xdc, 0xba, 0x98, 'x', 'y', 0, 0};
    uint8_t bytes[sizeof(expected)];
    struct writer w = writer_of(bytes, sizeof(bytes));

    memset(bytes, 0xa5, sizeof(bytes));
    writer_u8(&w, 0xff);
    writer_u16(&w, 0x89ab);
    writer_u32(&w, 0xfedcba98);
    assert_int_equal(writer_left(&w), 4);
    writer_bytes(&w, "xy", 2);
    writer_zeros(&w, 2);
    writer_bytes(&w, NULL, 0);
    assert_false(w.failed);
    assert_int_equal(writer_left(&w), 0);
    assert_memory_equal(bytes, expected, sizeof(expected));
}

static void test_write_error_sticks(void **state)
{
    uint8_t bytes[4] = {1, 2, 3, 4};
    struct writer w = writer_of(bytes, 3);

    writer_u16(&w, 0xffff);
    writer_u16(&w, 0xffff);
    assert_true(w.failed);
    assert_int_equal(writer_left(&w), 0);
    assert_int_equal(w.pos, 2);
    // There would be room for these.
    writer_u8(&w, 0xff);
    writer_bytes(&w, "x", 1);
    writer_zeros(&w, 1);
    assert_null(writer_take(&w, 0));
    assert_int_equal(w.pos, 2);
    assert_int_equal(bytes[2], 3);
    assert_int_equal(bytes[3], 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_highest_bits_are_kept),
        cmocka_unit_test(test_sizes_do_not_overflow),
        cmocka_unit_test(test_writes_in_network_order),
        cmocka_unit_test(test_write_error_sticks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
