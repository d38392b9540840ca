#include "base/slab.h"

#include <setjmp.h>
#include <signal.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { MANY = 1000 };

static void test_objects_do_not_overlap(void **state)
{
    static const size_t sizes[] = {1, 7, 8, 100, 4096, 20000}; // the last is larger than a chunk

    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        unsigned char *objects[MANY];
        struct slab slab;

        slab_init(&slab, sizes[i], MANY);
        for (int j = 0; j < MANY; j++) {
            objects[j] = slab_take(&slab);
            assert_non_null(objects[j]);
            assert_int_equal((uintptr_t)objects[j] % alignof(max_align_t), 0);
            memset(objects[j], j, sizes[i]);
        }
        for (int j = 0; j < MANY; j++) {
            assert_int_equal(objects[j][0], j & 0xff);
            assert_int_equal(objects[j][sizes[i] - 1], j & 0xff);
            slab_give(&slab, objects[j]);
        }
        slab_deinit(&slab);
    }
}

static void test_limit(void **state)
{
    static const size_t limits[] = {0, 1, 2, 3, 1000};

    for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
        void *objects[MANY];
        struct slab slab;

        slab_init(&slab, 64, limits[i]);
        for (size_t j = 0; j < limits[i]; j++) {
            objects[j] = slab_take(&slab);
            assert_non_null(objects[j]);
        }
        assert_int_equal(slab.used, limits[i]);
        assert_null(slab_take(&slab));
        assert_null(slab_take(&slab));
        assert_int_equal(slab.used, limits[i]);
        if (limits[i] > 0) {
            // One given back is one to be had.
            slab_give(&slab, objects[0]);
            objects[0] = slab_take(&slab);
            assert_non_null(objects[0]);
            assert_null(slab_take(&slab));
        }
        for (size_t j = 0; j < limits[i]; j++)
            slab_give(&slab, objects[j]);
        assert_int_equal(slab.used, 0);
        slab_deinit(&slab);
    }
}

static void test_memory_is_used_again(void **state)
{
    struct slab slab;
    void *first;
    size_t made;

    slab_init(&slab, 100, SIZE_MAX);
    first = slab_take(&slab);
    assert_non_null(first);
    slab_give(&slab, first);
    made = slab.made;
    for (int i = 0; i < MANY; i++) {
        void *object = slab_take(&slab);

        assert_ptr_equal(object, first); // the one last given back, still in the CPU's cache
        slab_give(&slab, object);
    }
    assert_int_equal(slab.made, made);
    slab_deinit(&slab);
}

static void test_unused_slab(void **state)
{
    struct slab slab;

    slab_init(&slab, 100, 10);
    slab_deinit(&slab);
}

// An object that was not given back is a bug of ours: it ends the process.
static void test_imbalance_is_found(void **state)
{
    int status;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        struct slab slab;

        signal(SIGABRT, SIG_DFL); // cmocka and sanitizers would say much
        if (!freopen("/dev/null", "w", stderr))
            _exit(1);
        slab_init(&slab, 100, 10);
        if (!slab_take(&slab))
            _exit(1);
        slab_deinit(&slab);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_objects_do_not_overlap), cmocka_unit_test(test_limit),
        cmocka_unit_test(test_memory_is_used_again),   cmocka_unit_test(test_unused_slab),
        cmocka_unit_test(test_imbalance_is_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
