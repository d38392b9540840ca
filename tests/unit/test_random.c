#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct random source;

static int init(void **state)
{
    random_init(&source);
    return 0;
}

// Blocks are fetched when needed, whole, and each number of one is used once.
static void test_blocks_are_refilled(void **state)
{
    struct random before;

    assert_int_equal(source.left, 0);
    for (unsigned block = 0; block < 5; block++) {
        random_u16(&source);
        assert_int_equal(source.left, ARRAY_LEN(source.block) - 1);
        before = source;
        for (unsigned i = ARRAY_LEN(source.block) - 1; i > 0; i--)
            assert_int_equal(random_u16(&source), before.block[i - 1]);
        assert_int_equal(source.left, 0);
        random_u16(&source);
        // 512 octets the same again: less likely than anything else that may go wrong.
        assert_memory_not_equal(source.block, before.block, sizeof(source.block));
        random_init(&source);
    }
}

// A 32-bit number across the border of two blocks.
static void test_numbers_across_blocks(void **state)
{
    uint32_t any = 0, all = UINT32_MAX;

    for (unsigned i = 0; i < 10000; i++) {
        uint32_t number = random_u32(&source);

        any |= number;
        all &= number;
        if (i % 3 == 0)
            random_u16(&source);
    }
    // Each bit was seen set and clear.
    assert_int_equal(any, UINT32_MAX);
    assert_int_equal(all, 0);
}

// Of as many message IDs as there are about a share of 1/e does not come up, and none comes often.
// Bounds that a fair source misses less than once in 10^9 runs.
static void test_ids_spread(void **state)
{
    static unsigned char seen[65536];
    unsigned missing = 0, most = 0;

    memset(seen, 0, sizeof(seen));
    for (unsigned i = 0; i < 65536; i++)
        seen[random_u16(&source)]++;
    for (unsigned i = 0; i < 65536; i++) {
        missing += seen[i] == 0;
        most = MAX(most, seen[i]);
    }
    assert_in_range(missing, 23400, 24800); // 24109, standard deviation about 100
    assert_in_range(most, 3, 18);
}

static void test_neighbours_do_not_depend_on_each_other(void **state)
{
    unsigned counts[256] = {0};
    uint16_t last = random_u16(&source);

    for (unsigned i = 0; i < 256 * 1000; i++) {
        uint16_t next = random_u16(&source);

        counts[(uint8_t)(next - last)]++;
        last = next;
    }
    for (unsigned i = 0; i < 256; i++)
        assert_in_range(counts[i], 750, 1250); // standard deviation about 32
}

static void test_two_sources_differ(void **state)
{
    struct random other;
    unsigned same = 0;

    random_init(&other);
    for (unsigned i = 0; i < 1000; i++)
        same += random_u16(&source) == random_u16(&other);
    assert_in_range(same, 0, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_blocks_are_refilled, init),
        cmocka_unit_test_setup(test_numbers_across_blocks, init),
        cmocka_unit_test_setup(test_ids_spread, init),
        cmocka_unit_test_setup(test_neighbours_do_not_depend_on_each_other, init),
        cmocka_unit_test_setup(test_two_sources_differ, init),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
