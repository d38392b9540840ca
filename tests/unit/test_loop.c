#include "net/loop.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"

// The real loop: what is due is waited for. A test that hangs is ended by the alarm.
static struct loop loop;

static int begin(void **state)
{
    alarm(60);
    return loop_init(&loop);
}

// Each test has run the loop to its end.
static int end(void **state)
{
    loop_deinit(&loop);
    alarm(0);
    return 0;
}

struct probe {
    struct wheel_timer timer;
    struct task task;
    usec_t due;
    unsigned ran;
    unsigned order; // when it ran, counted from 1
    void (*then)(struct probe *probe);
};

static unsigned ran;

static void on_run(struct probe *probe)
{
    probe->ran++;
    probe->order = ++ran;
    if (probe->then)
        probe->then(probe);
}

static void on_fire(struct wheel_timer *timer)
{
    struct probe *probe = container_of(timer, struct probe, timer);

    assert_true(loop_now(&loop) >= probe->due); // never early
    on_run(probe);
}

static void on_task(struct task *task)
{
    on_run(container_of(task, struct probe, task));
}

static void probe_init(struct probe *probe, void (*then)(struct probe *probe))
{
    *probe = (struct probe){.then = then};
    wheel_timer_init(&probe->timer, on_fire);
    task_init(&probe->task, on_task);
}

static void arm(struct probe *probe, usec_t after)
{
    probe->due = loop_now(&loop) + after;
    loop_arm(&loop, &probe->timer, probe->due);
}

static void stop(struct probe *probe)
{
    loop_stop(&loop);
}

static void run(void)
{
    ran = 0;
    loop_run(&loop);
}

static void test_timers_fire_in_order(void **state)
{
    static const unsigned msec[] = {150, 30, 90, 0, 60, 120}; // armed in this order
    static const unsigned order[] = {6, 2, 4, 1, 3, 5};
    struct probe probes[ARRAY_LEN(msec)];

    for (size_t i = 0; i < ARRAY_LEN(msec); i++) {
        probe_init(&probes[i], i == 0 ? stop : NULL);
        arm(&probes[i], msec[i] * USEC_MSEC);
    }
    run();
    for (size_t i = 0; i < ARRAY_LEN(msec); i++) {
        assert_int_equal(probes[i].ran, 1);
        assert_int_equal(probes[i].order, order[i]);
    }
}

static void test_disarmed_and_moved_timers(void **state)
{
    struct probe gone, later, last;

    probe_init(&gone, NULL);
    probe_init(&later, NULL);
    probe_init(&last, stop);
    arm(&gone, 20 * USEC_MSEC);
    arm(&later, 10 * USEC_MSEC);
    arm(&last, 100 * USEC_MSEC);
    loop_disarm(&loop, &gone.timer);
    arm(&later, 60 * USEC_MSEC);
    run();
    assert_int_equal(gone.ran, 0);
    assert_int_equal(later.ran, 1);
    assert_int_equal(last.order, 2);
}

static void arm_again(struct probe *probe)
{
    if (probe->ran < 5)
        arm(probe, 10 * USEC_MSEC);
    else
        loop_stop(&loop);
}

static void test_timer_armed_by_itself(void **state)
{
    struct probe probe;
    usec_t begin_at = loop_now(&loop);

    probe_init(&probe, arm_again);
    arm(&probe, 10 * USEC_MSEC);
    run();
    assert_int_equal(probe.ran, 5);
    assert_true(loop_now(&loop) - begin_at >= 50 * USEC_MSEC);
}

// An earlier timer is not kept waiting by a later one that the loop already sleeps for.
static struct probe early;

static void arm_early(struct probe *probe)
{
    arm(&early, 20 * USEC_MSEC);
}

static void disarm_late(struct probe *probe)
{
    loop_disarm(&loop, &container_of(probe, struct probe, timer)->timer);
    loop_stop(&loop);
}

static void test_earlier_timer_while_it_waits_for_a_later(void **state)
{
    struct probe late, first;
    usec_t begin_at = loop_now(&loop);

    probe_init(&late, NULL);
    probe_init(&first, arm_early);
    probe_init(&early, disarm_late);
    arm(&late, 50 * USEC_SEC);
    arm(&first, 10 * USEC_MSEC);
    run();
    assert_int_equal(early.order, 2);
    assert_int_equal(late.ran, 0);
    assert_true(loop_now(&loop) - begin_at < 30 * USEC_SEC);
    loop_disarm(&loop, &late.timer);
}

static void see_the_same_time(struct probe *probe)
{
    usec_t now = loop_now(&loop);

    usleep(2000);
    assert_true(loop_now(&loop) == now); // read once a turn
    loop_stop(&loop);
}

static void test_time_stands_still_within_a_turn(void **state)
{
    struct probe probe;

    probe_init(&probe, see_the_same_time);
    arm(&probe, 0);
    run();
    assert_int_equal(probe.ran, 1);
}

// Tasks of the turn's end.
static struct probe tasks[3];

static void register_tasks(struct probe *probe)
{
    for (unsigned i = 0; i < 3; i++)
        for (size_t j = 0; j < ARRAY_LEN(tasks); j++)
            loop_at_turn_end(&loop, &tasks[j].task);
    for (size_t j = 0; j < ARRAY_LEN(tasks); j++)
        assert_int_equal(tasks[j].ran, probe->ran - 1); // not now
    arm(probe->ran < 3 ? probe : &early, 10 * USEC_MSEC);
}

static void test_tasks_run_once_at_the_turns_end(void **state)
{
    struct probe probe;

    for (size_t i = 0; i < ARRAY_LEN(tasks); i++)
        probe_init(&tasks[i], NULL);
    probe_init(&probe, register_tasks);
    probe_init(&early, stop);
    arm(&probe, 0);
    run();
    assert_int_equal(probe.ran, 3);
    for (size_t i = 0; i < ARRAY_LEN(tasks); i++) {
        assert_int_equal(tasks[i].ran, 3);
        assert_int_equal(tasks[i].order, 3 * 4 - 2 + i); // behind the timer, in their order
    }
}

static void register_next(struct probe *probe)
{
    loop_at_turn_end(&loop, &tasks[1].task);
}

static void register_first(struct probe *probe)
{
    loop_at_turn_end(&loop, &tasks[0].task);
    loop_at_turn_end(&loop, &tasks[2].task);
    list_remove(&tasks[2].task.node); // thought better of it
    arm(&early, 0);
}

// A task may register another for this very turn's end; one that was taken back does not run.
static void test_task_registers_task(void **state)
{
    struct probe probe;

    probe_init(&tasks[0], register_next);
    probe_init(&tasks[1], NULL);
    probe_init(&tasks[2], NULL);
    probe_init(&early, stop);
    probe_init(&probe, register_first);
    arm(&probe, 0);
    run();
    assert_int_equal(probe.order, 1);
    assert_int_equal(tasks[0].order, 2);
    assert_int_equal(tasks[1].order, 3); // before the next turn's timer
    assert_int_equal(early.order, 4);
    assert_int_equal(tasks[2].ran, 0);
}

// Before the first turn there is a turn's end too: what start-up wrote goes out.
static void test_task_registered_before_the_loop_runs(void **state)
{
    struct probe probe;

    probe_init(&probe, stop);
    loop_at_turn_end(&loop, &probe.task);
    run();
    assert_int_equal(probe.ran, 1);
}

enum { POSTS = 1000, POSTERS = 2 };

static struct probe posts[POSTERS][POSTS];
static pthread_t loop_thread;

static void on_post(struct probe *probe)
{
    require(pthread_equal(pthread_self(), loop_thread));
    if (ran == POSTERS * POSTS)
        loop_stop(&loop);
}

static void *post_all(void *arg)
{
    struct probe *mine = arg;

    for (unsigned i = 0; i < POSTS; i++) {
        loop_post(&loop, &mine[i].task);
        if (i % 100 == 0)
            usleep(500);
    }
    return NULL;
}

static void test_posts_from_other_threads(void **state)
{
    pthread_t posters[POSTERS];

    loop_thread = pthread_self();
    for (unsigned i = 0; i < POSTERS; i++)
        for (unsigned j = 0; j < POSTS; j++)
            probe_init(&posts[i][j], on_post);
    ran = 0;
    for (unsigned i = 0; i < POSTERS; i++)
        assert_int_equal(pthread_create(&posters[i], NULL, post_all, posts[i]), 0);
    loop_run(&loop);
    for (unsigned i = 0; i < POSTERS; i++) {
        pthread_join(posters[i], NULL);
        for (unsigned j = 0; j < POSTS; j++) {
            assert_int_equal(posts[i][j].ran, 1);
            if (j > 0)
                assert_true(posts[i][j].order > posts[i][j - 1].order);
        }
    }
}

static void test_blocks_are_lent(void **state)
{
    uint8_t *blocks[10], *again;
    struct probe probe;

    for (size_t i = 0; i < ARRAY_LEN(blocks); i++) {
        blocks[i] = loop_block_take(&loop);
        assert_non_null(blocks[i]);
        memset(blocks[i], 0xa5, LOOP_BLOCK_SIZE);
    }
    for (size_t i = 0; i < ARRAY_LEN(blocks); i++)
        for (size_t j = 0; j < i; j++)
            assert_ptr_not_equal(blocks[i], blocks[j]);
    for (size_t i = 0; i < ARRAY_LEN(blocks); i++)
        loop_block_give(&loop, blocks[i]);
    // A few are kept for the next, the last one given first; idle memory stays small.
    assert_in_range(loop.blocks_free, 1, 8);
    again = loop_block_take(&loop);
    assert_non_null(again);
    memset(again, 0xa5, LOOP_BLOCK_SIZE);
    loop_block_give(&loop, again);
    assert_ptr_equal(loop_block_take(&loop), again);
    loop_block_give(&loop, again);

    probe_init(&probe, stop);
    loop_at_turn_end(&loop, &probe.task);
    run();
}

// A descriptor that is watched.
static struct {
    struct watcher watcher;
    int fd, other;
    unsigned readable, writable, closed;
} watched;

static void on_closed(struct watcher *watcher)
{
    watched.closed++;
    loop_stop(&loop);
}

static void on_ready(struct watcher *watcher, bool readable, bool writable)
{
    char byte;

    assert_int_equal(watched.closed, 0);
    watched.writable += writable;
    if (!readable)
        return;
    watched.readable++;
    if (read(watched.fd, &byte, 1) == 1)
        return;
    assert_int_equal(errno, 0); // the other end is closed
    watcher_close(watcher, on_closed);
    close(watched.fd);
}

static void write_byte(struct probe *probe)
{
    if (probe->ran <= 3) {
        assert_int_equal(write(watched.other, "x", 1), 1);
        arm(probe, 10 * USEC_MSEC);
    } else if (probe->ran == 4) {
        watcher_want(&watched.watcher, false, false); // for a while nobody listens
        assert_int_equal(write(watched.other, "x", 1), 1);
        arm(probe, 30 * USEC_MSEC);
    } else {
        assert_int_equal(watched.readable, 3);
        watcher_want(&watched.watcher, true, false);
        errno = 0;
        close(watched.other);
    }
}

static void test_watched_descriptor(void **state)
{
    struct probe probe;
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    memset(&watched, 0, sizeof(watched));
    watched.fd = ends[0];
    watched.other = ends[1];
    assert_int_equal(watcher_init(&watched.watcher, &loop, ends[0], on_ready), E_OK);
    watcher_want(&watched.watcher, true, false);
    probe_init(&probe, write_byte);
    arm(&probe, 0);
    run();
    assert_int_equal(watched.readable, 5); // four octets and the end
    assert_int_equal(watched.writable, 0);
    assert_int_equal(watched.closed, 1);
}

// ---- Handshakes

static unsigned admitted[3];

// As many as are let in, in each of three turns.
static void knock(struct probe *probe)
{
    while (admitted[probe->ran - 1] < 100 && loop_handshake_admit(&loop))
        admitted[probe->ran - 1]++;
    if (probe->ran < ARRAY_LEN(admitted))
        arm(probe, USEC_MSEC);
    else
        loop_stop(&loop);
}

static void test_a_turn_has_few_handshakes(void **state)
{
    struct probe probe;

    probe_init(&probe, knock);
    arm(&probe, USEC_MSEC);
    loop_run(&loop);
    for (size_t i = 0; i < ARRAY_LEN(admitted); i++)
        assert_in_range(admitted[i], 1, 10);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        CASE(test_a_turn_has_few_handshakes),
        CASE(test_timers_fire_in_order),
        CASE(test_disarmed_and_moved_timers),
        CASE(test_timer_armed_by_itself),
        CASE(test_earlier_timer_while_it_waits_for_a_later),
        CASE(test_time_stands_still_within_a_turn),
        CASE(test_tasks_run_once_at_the_turns_end),
        CASE(test_task_registers_task),
        CASE(test_task_registered_before_the_loop_runs),
        CASE(test_posts_from_other_threads),
        CASE(test_blocks_are_lent),
        CASE(test_watched_descriptor),
    };
#undef CASE

    return cmocka_run_group_tests(tests, NULL, NULL);
}
