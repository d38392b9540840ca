#include "base/wheel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define TICK (UINT64_C(1) << WHEEL_TICK_SHIFT)
#define TURN (TICK * WHEEL_SLOTS)

// A monotonic clock of a machine that has been up for a while, at no tick's beginning.
#define START (UINT64_C(123456789) * USEC_MSEC + 7)

struct probe {
    struct wheel_timer timer;
    unsigned fired;
    usec_t fired_at;
    void (*then)(struct probe *probe);
};

static struct wheel wheel;
static usec_t now;

static void on_fire(struct wheel_timer *timer)
{
    struct probe *probe = container_of(timer, struct probe, timer);

    assert_false(wheel_timer_armed(timer));
    probe->fired++;
    probe->fired_at = now;
    if (probe->then)
        probe->then(probe);
}

static void probe_init(struct probe *probe, void (*then)(struct probe *probe))
{
    *probe = (struct probe){.then = then};
    wheel_timer_init(&probe->timer, on_fire);
}

static int set_up(void **state)
{
    now = START;
    wheel_init(&wheel, now);
    return 0;
}

// As the loop does: sleep until wheel_next() says so, then advance.
static void run_until(usec_t end)
{
    for (;;) {
        usec_t next = wheel_next(&wheel);

        if (next > end)
            break;
        assert_true(next > now); // or the loop would spin
        now = next;
        wheel_advance(&wheel, now);
    }
    now = end;
    wheel_advance(&wheel, now);
}

static void test_nothing_armed(void **state)
{
    assert_true(wheel_next(&wheel) == USEC_NEVER);
    wheel_advance(&wheel, now);
    now += 10 * TURN;
    wheel_advance(&wheel, now);
    assert_true(wheel_next(&wheel) == USEC_NEVER);
}

// Due times around ticks and turns: each fires once, not early, at most one tick late.
static void test_fires_in_time(void **state)
{
    static const usec_t delays[] = {0,
                                    1,
                                    TICK - 8,
                                    TICK - 7,
                                    TICK,
                                    TICK + 1,
                                    3 * TICK,
                                    500 * USEC_MSEC,
                                    5 * USEC_SEC,
                                    TURN - TICK,
                                    TURN - 1,
                                    TURN,
                                    TURN + 1,
                                    TURN + TICK,
                                    TURN * 2,
                                    TURN * 3 + 17,
                                    3600 * USEC_SEC};

    for (size_t i = 0; i < ARRAY_LEN(delays); i++) {
        struct probe probe;
        usec_t due = now + delays[i];

        probe_init(&probe, NULL);
        assert_false(wheel_timer_armed(&probe.timer));
        wheel_arm(&wheel, &probe.timer, due);
        assert_true(wheel_timer_armed(&probe.timer));
        run_until(due + TICK);
        assert_int_equal(probe.fired, 1);
        assert_true(probe.fired_at >= due);
        assert_true(probe.fired_at <= due + TICK);
        assert_int_equal(wheel.armed, 0);
        assert_true(wheel_next(&wheel) == USEC_NEVER);
    }
}

static void test_never_early_whenever_looked_at(void **state)
{
    struct probe probe;
    usec_t due = now + 20 * USEC_MSEC;

    probe_init(&probe, NULL);
    wheel_arm(&wheel, &probe.timer, due);
    for (; probe.fired == 0; now += 100) {
        wheel_advance(&wheel, now);
        assert_true(probe.fired == 0 || now >= due);
        assert_true(now <= due + TICK + 100);
    }
}

static void test_due_in_the_past_fires_at_the_next_tick(void **state)
{
    struct probe probe;
    usec_t armed_at = now;

    probe_init(&probe, NULL);
    wheel_arm(&wheel, &probe.timer, 0);
    wheel_advance(&wheel, now);
    run_until(armed_at + TICK);
    assert_int_equal(probe.fired, 1);
}

static void test_disarm(void **state)
{
    struct probe probe;

    probe_init(&probe, NULL);
    wheel_disarm(&wheel, &probe.timer); // not armed: nothing happens
    wheel_arm(&wheel, &probe.timer, now + TICK);
    wheel_disarm(&wheel, &probe.timer);
    assert_false(wheel_timer_armed(&probe.timer));
    wheel_disarm(&wheel, &probe.timer);
    assert_int_equal(wheel.armed, 0);
    assert_true(wheel_next(&wheel) == USEC_NEVER);
    run_until(now + 2 * TURN);
    assert_int_equal(probe.fired, 0);
}

static void test_moved_later_and_earlier(void **state)
{
    struct probe probe;
    usec_t start = now;

    probe_init(&probe, NULL);
    wheel_arm(&wheel, &probe.timer, start + USEC_SEC);
    wheel_arm(&wheel, &probe.timer, start + 2 * USEC_SEC);
    assert_int_equal(wheel.armed, 1);
    run_until(start + 2 * USEC_SEC - 1);
    assert_int_equal(probe.fired, 0);
    run_until(start + 2 * USEC_SEC + TICK);
    assert_int_equal(probe.fired, 1);

    start = now;
    wheel_arm(&wheel, &probe.timer, start + 20 * USEC_SEC);
    wheel_arm(&wheel, &probe.timer, start + USEC_SEC);
    run_until(start + USEC_SEC + TICK);
    assert_int_equal(probe.fired, 2);
    run_until(start + 30 * USEC_SEC);
    assert_int_equal(probe.fired, 2);
}

static void arm_again(struct probe *probe)
{
    wheel_arm(&wheel, &probe->timer, now + 100 * USEC_MSEC);
}

static void test_fire_may_arm_again(void **state)
{
    struct probe probe;

    probe_init(&probe, arm_again);
    wheel_arm(&wheel, &probe.timer, now + 100 * USEC_MSEC);
    run_until(now + 10 * USEC_SEC);
    assert_in_range(probe.fired, 10 * 1000 / (100 + 9), 100);
    wheel_disarm(&wheel, &probe.timer);
}

static void arm_now(struct probe *probe)
{
    wheel_arm(&wheel, &probe->timer, now);
}

// A timer that is always due does not keep wheel_advance() from returning.
static void test_arming_for_now_does_not_spin(void **state)
{
    struct probe probe;

    probe_init(&probe, arm_now);
    wheel_arm(&wheel, &probe.timer, now);
    now += TICK;
    wheel_advance(&wheel, now);
    assert_int_equal(probe.fired, 1);
    now += TICK;
    wheel_advance(&wheel, now);
    assert_int_equal(probe.fired, 2);
    wheel_disarm(&wheel, &probe.timer);
}

static void free_itself(struct probe *probe)
{
    free(probe);
}

static void test_fire_may_free_the_timer(void **state)
{
    for (int i = 0; i < 10; i++) {
        struct probe *probe = malloc(sizeof(*probe));

        assert_non_null(probe);
        probe_init(probe, free_itself);
        wheel_arm(&wheel, &probe->timer, now + TICK);
    }
    run_until(now + 3 * TICK);
    assert_int_equal(wheel.armed, 0);
}

static struct probe pair[2];

static void disarm_other(struct probe *probe)
{
    wheel_disarm(&wheel, &pair[probe == &pair[0]].timer);
}

static void move_other(struct probe *probe)
{
    wheel_arm(&wheel, &pair[probe == &pair[0]].timer, now + USEC_SEC);
}

static void test_fire_may_disarm_or_move_one_of_the_same_slot(void **state)
{
    for (int i = 0; i < 2; i++) {
        probe_init(&pair[0], i ? move_other : disarm_other);
        probe_init(&pair[1], i ? move_other : disarm_other);
        wheel_arm(&wheel, &pair[0].timer, now + TICK);
        wheel_arm(&wheel, &pair[1].timer, now + TICK);
        run_until(now + 3 * TICK);
        assert_int_equal(pair[0].fired, 1);
        assert_int_equal(pair[1].fired, 0);
        assert_int_equal(wheel.armed, i);
    }
    pair[1].then = NULL;
    run_until(now + USEC_SEC);
    assert_int_equal(pair[1].fired, 1);
    assert_int_equal(wheel.armed, 0);
}

// E2: after a pause of an hour all that was due fires, once; what is later does not.
static void test_long_pause(void **state)
{
    enum { COUNT = 3000 };
    static struct probe probes[COUNT];
    struct probe later;

    for (int i = 0; i < COUNT; i++) {
        probe_init(&probes[i], NULL);
        wheel_arm(&wheel, &probes[i].timer, now + (usec_t)i * 11 * USEC_MSEC); // to 33 s
    }
    probe_init(&later, NULL);
    wheel_arm(&wheel, &later.timer, now + 7200 * USEC_SEC);
    now += 3600 * USEC_SEC;
    wheel_advance(&wheel, now);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(probes[i].fired, 1);
    assert_int_equal(later.fired, 0);
    assert_int_equal(wheel.armed, 1);
    run_until(now + 3600 * USEC_SEC + TICK);
    assert_int_equal(later.fired, 1);
}

// A clock that stands still, or is handed an older time, does no harm.
static void test_time_that_does_not_advance(void **state)
{
    struct probe probe;
    usec_t due = now + USEC_SEC;

    probe_init(&probe, NULL);
    wheel_arm(&wheel, &probe.timer, due);
    wheel_advance(&wheel, now);
    wheel_advance(&wheel, now - 10 * TICK);
    assert_int_equal(probe.fired, 0);
    run_until(due + TICK);
    assert_int_equal(probe.fired, 1);
}

static void test_timer_that_never_comes(void **state)
{
    struct probe probe;

    probe_init(&probe, NULL);
    wheel_arm(&wheel, &probe.timer, USEC_NEVER);
    run_until(now + 100 * USEC_SEC);
    assert_int_equal(probe.fired, 0);
    wheel_disarm(&wheel, &probe.timer);
    assert_true(wheel_next(&wheel) == USEC_NEVER);
}

// Many timers, armed, moved and disarmed at random: each fires in its time and never else.
static void test_random_timers(void **state)
{
    enum { COUNT = 500 };
    static struct probe probes[COUNT];
    uint64_t random = 88172645463325252;

    for (int i = 0; i < COUNT; i++)
        probe_init(&probes[i], NULL);
    for (int step = 0; step < 100000; step++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;

        struct probe *probe = &probes[random % COUNT];
        usec_t delay = (random >> 20) % (20 * USEC_SEC);

        if (random >> 60 == 0) {
            wheel_disarm(&wheel, &probe->timer);
        } else if (!wheel_timer_armed(&probe->timer) || random >> 62 == 1) {
            probe->fired = 0;
            wheel_arm(&wheel, &probe->timer, now + delay);
        }
        run_until(now + (random >> 40) % (5 * USEC_MSEC));

        size_t armed = 0;

        for (int i = 0; step % 100 == 0 && i < COUNT; i++) {
            if (wheel_timer_armed(&probes[i].timer)) {
                armed++;
                assert_int_equal(probes[i].fired, 0);
                assert_true(now < probes[i].timer.due + TICK);
            } else if (probes[i].fired) {
                assert_int_equal(probes[i].fired, 1);
                assert_true(probes[i].fired_at >= probes[i].timer.due);
                assert_true(probes[i].fired_at <= probes[i].timer.due + TICK);
            }
        }
        if (step % 100 == 0)
            assert_int_equal(wheel.armed, armed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_nothing_armed, set_up),
        cmocka_unit_test_setup(test_fires_in_time, set_up),
        cmocka_unit_test_setup(test_never_early_whenever_looked_at, set_up),
        cmocka_unit_test_setup(test_due_in_the_past_fires_at_the_next_tick, set_up),
        cmocka_unit_test_setup(test_disarm, set_up),
        cmocka_unit_test_setup(test_moved_later_and_earlier, set_up),
        cmocka_unit_test_setup(test_fire_may_arm_again, set_up),
        cmocka_unit_test_setup(test_arming_for_now_does_not_spin, set_up),
        cmocka_unit_test_setup(test_fire_may_free_the_timer, set_up),
        cmocka_unit_test_setup(test_fire_may_disarm_or_move_one_of_the_same_slot, set_up),
        cmocka_unit_test_setup(test_long_pause, set_up),
        cmocka_unit_test_setup(test_time_that_does_not_advance, set_up),
        cmocka_unit_test_setup(test_timer_that_never_comes, set_up),
        cmocka_unit_test_setup(test_random_timers, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
