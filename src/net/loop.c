#include "net/loop.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"

// Blocks kept when nobody borrows them: about as many connections write in one turn.
#define BLOCKS_KEPT 4

// Steps of handshakes in a turn: one or two milliseconds, that a query may have to wait.
#define HANDSHAKES_PER_TURN 4

usec_t loop_now(struct loop *loop)
{
    if (!loop->now_known) {
        loop->now = loop_clock();
        loop->now_known = true;
    }
    return loop->now;
}

uint32_t loop_wall_seconds(struct loop *loop)
{
    if (!loop->wall_known) {
        loop->wall_seconds = (uint32_t)time(NULL);
        loop->wall_known = true;
    }
    return loop->wall_seconds;
}

usec_t loop_clock(void)
{
    struct timespec now;

    // Goes on while the machine sleeps: answers grow old and connections die then, too.
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (usec_t)now.tv_sec * USEC_SEC + (usec_t)now.tv_nsec / 1000;
}

static void run_tasks(struct list *tasks)
{
    for (struct list *node; (node = list_pop(tasks));) {
        struct task *task = list_entry(node, struct task, node);

        task->run(task);
    }
}

static void on_timer(uv_timer_t *timer);

// Makes the one libuv timer go off when the wheel next has something to look at.
static void schedule(struct loop *loop, usec_t due)
{
    loop->timer_due = due;
    if (due == USEC_NEVER) {
        uv_timer_stop(&loop->timer);
        return;
    }

    // libuv counts from its own time, in milliseconds.
    usec_t now = loop_now(loop);
    uint64_t wait = due > now ? (due - now + 999) / 1000 : 0;

    uv_update_time(&loop->uv);
    uv_timer_start(&loop->timer, on_timer, wait, 0);
}

static void on_timer(uv_timer_t *timer)
{
    struct loop *loop = timer->data;

    wheel_advance(&loop->wheel, loop_now(loop));
    schedule(loop, wheel_next(&loop->wheel));
}

void loop_arm(struct loop *loop, struct wheel_timer *timer, usec_t due)
{
    wheel_arm(&loop->wheel, timer, due);
    if (due < loop->timer_due && !uv_is_closing((uv_handle_t *)&loop->timer)) {
        usec_t next = wheel_next(&loop->wheel);

        if (next < loop->timer_due)
            schedule(loop, next);
    }
}

void loop_disarm(struct loop *loop, struct wheel_timer *timer)
{
    wheel_disarm(&loop->wheel, timer);
}

bool loop_handshake_admit(struct loop *loop)
{
    return loop->handshakes++ < HANDSHAKES_PER_TURN;
}

static void end_turn(struct loop *loop)
{
    run_tasks(&loop->turn_end);
    loop->now_known = false;
    loop->wall_known = false;
    loop->handshakes = 0;
}

// Before the loop waits: whatever timers or closing handles left to be written.
static void on_prepare(uv_prepare_t *prepare)
{
    end_turn(prepare->data);
}

// After the events of the turn.
static void on_check(uv_check_t *check)
{
    struct loop *loop = check->data;

    // libuv's timers stand still while the machine sleeps: what woke us may have come before them.
    if (loop->now_known && loop->timer_due <= loop->now)
        schedule(loop, loop->now);
    end_turn(loop);
}

static void on_wake(uv_async_t *wake)
{
    struct loop *loop = wake->data;
    struct list mail;

    list_init(&mail);
    uv_mutex_lock(&loop->mail_lock);
    list_splice(&mail, &loop->mail);
    uv_mutex_unlock(&loop->mail_lock);
    run_tasks(&mail);
}

void loop_post(struct loop *loop, struct task *task)
{
    uv_mutex_lock(&loop->mail_lock);
    list_append(&loop->mail, &task->node);
    uv_mutex_unlock(&loop->mail_lock);
    uv_async_send(&loop->wake);
}

int loop_init(struct loop *loop)
{
    memset(loop, 0, sizeof(*loop));
    list_init(&loop->turn_end);
    list_init(&loop->mail);
    loop->timer_due = USEC_NEVER;
    loop->received = malloc(LOOP_BLOCK_SIZE);
    loop->decrypted = malloc(LOOP_RECORD_SIZE);
    if (!loop->received || !loop->decrypted)
        goto fail_memory;
    if (uv_loop_init(&loop->uv) != 0)
        goto fail_memory;
    if (uv_mutex_init(&loop->mail_lock) != 0)
        goto fail_loop;
    if (uv_async_init(&loop->uv, &loop->wake, on_wake) != 0)
        goto fail_mutex;
    uv_timer_init(&loop->uv, &loop->timer);
    uv_prepare_init(&loop->uv, &loop->prepare);
    uv_check_init(&loop->uv, &loop->check);
    loop->wake.data = loop->timer.data = loop->prepare.data = loop->check.data = loop;
    uv_prepare_start(&loop->prepare, on_prepare);
    uv_check_start(&loop->check, on_check);
    wheel_init(&loop->wheel, loop_now(loop));
    return E_OK;

fail_mutex:
    uv_mutex_destroy(&loop->mail_lock);
fail_loop:
    uv_loop_close(&loop->uv);
fail_memory:
    free(loop->received);
    free(loop->decrypted);
    return E_SYSTEM;
}

void loop_run(struct loop *loop)
{
    uv_run(&loop->uv, UV_RUN_DEFAULT);
}

void loop_stop(struct loop *loop)
{
    uv_close((uv_handle_t *)&loop->wake, NULL);
    uv_close((uv_handle_t *)&loop->timer, NULL);
    uv_close((uv_handle_t *)&loop->prepare, NULL);
    uv_close((uv_handle_t *)&loop->check, NULL);
}

void loop_deinit(struct loop *loop)
{
    require(uv_loop_close(&loop->uv) == 0);
    uv_mutex_destroy(&loop->mail_lock);
    free(loop->received);
    free(loop->decrypted);
    while (loop->blocks) {
        void *block = loop->blocks;

        memcpy(&loop->blocks, block, sizeof(block));
        free(block);
    }
}

uint8_t *loop_block_take(struct loop *loop)
{
    void *block = loop->blocks;

    if (!block)
        return malloc(LOOP_BLOCK_SIZE);
    memcpy(&loop->blocks, block, sizeof(block));
    loop->blocks_free--;
    return block;
}

void loop_block_give(struct loop *loop, uint8_t *block)
{
    if (loop->blocks_free == BLOCKS_KEPT) {
        free(block);
        return;
    }
    memcpy(block, &loop->blocks, sizeof(loop->blocks));
    loop->blocks = block;
    loop->blocks_free++;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct watcher *watcher = poll->data;

    // After an error libuv has stopped watching. Both directions are ready: reading or writing
    // tells what it is.
    if (status < 0) {
        events = watcher->events;
        watcher->events = 0;
        watcher_want(watcher, events & UV_READABLE, events & UV_WRITABLE);
    }
    watcher->ready(watcher, events & UV_READABLE, events & UV_WRITABLE);
}

int watcher_init(struct watcher *watcher, struct loop *loop, int fd,
                 void (*ready)(struct watcher *, bool, bool))
{
    if (uv_poll_init(&loop->uv, &watcher->poll, fd) != 0)
        return E_SYSTEM;
    watcher->poll.data = watcher;
    watcher->events = 0;
    watcher->ready = ready;
    return E_OK;
}

void watcher_want(struct watcher *watcher, bool readable, bool writable)
{
    int events = (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0);

    if (events == watcher->events)
        return;
    watcher->events = events;
    uv_poll_start(&watcher->poll, events, on_poll);
}

static void on_closed(uv_handle_t *handle)
{
    struct watcher *watcher = handle->data;

    watcher->closed(watcher);
}

void watcher_close(struct watcher *watcher, void (*closed)(struct watcher *))
{
    watcher->closed = closed;
    uv_close((uv_handle_t *)&watcher->poll, on_closed);
}
