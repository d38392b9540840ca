// The worker that an engine runs in, for tests: time passes when they say so.
#pragma once

#include <string.h>

#include "cache/reader.h"
#include "engine/engine.h"

struct fake_host {
    usec_t now;
    uint32_t wall_seconds;
    struct wheel wheel;
    struct list turn_end, mail;
};

static usec_t fake_host_now(void *host)
{
    return ((struct fake_host *)host)->now;
}

static usec_t fake_host_clock(void *host)
{
    return fake_host_now(host);
}

static uint32_t fake_host_wall_seconds(void *host)
{
    return ((struct fake_host *)host)->wall_seconds;
}

static void fake_host_arm(void *host, struct wheel_timer *timer, usec_t due)
{
    wheel_arm(&((struct fake_host *)host)->wheel, timer, due);
}

static void fake_host_disarm(void *host, struct wheel_timer *timer)
{
    wheel_disarm(&((struct fake_host *)host)->wheel, timer);
}

static void fake_host_at_turn_end(void *host, struct task *task)
{
    list_append(&((struct fake_host *)host)->turn_end, &task->node);
}

static void fake_host_post(void *host, struct task *task)
{
    list_append(&((struct fake_host *)host)->mail, &task->node);
}

static const struct engine_host_ops fake_host_ops = {
    .now = fake_host_now,
    .clock = fake_host_clock,
    .wall_seconds = fake_host_wall_seconds,
    .arm = fake_host_arm,
    .disarm = fake_host_disarm,
    .at_turn_end = fake_host_at_turn_end,
    .post = fake_host_post,
};

static inline void fake_host_init(struct fake_host *host, usec_t now)
{
    memset(host, 0, sizeof(*host));
    host->now = now;
    wheel_init(&host->wheel, now);
    list_init(&host->turn_end);
    list_init(&host->mail);
}

static inline void fake_host_run(struct list *tasks)
{
    for (struct list *node; (node = list_pop(tasks));) {
        struct task *task = list_entry(node, struct task, node);

        task->run(task);
    }
}

// Other workers' messages arrive, and the turn ends.
static inline void fake_host_turn(struct fake_host *host)
{
    fake_host_run(&host->mail);
    fake_host_run(&host->turn_end);
}

// A turn at a later time, at which timers may be due.
static inline void fake_host_pass(struct fake_host *host, usec_t time)
{
    host->now += time;
    wheel_advance(&host->wheel, host->now);
    fake_host_turn(host);
}

// For the whole group: the tests' one thread is a reader of the cache.
static inline int fake_host_group_setup(void **state)
{
    cache_reader_start();
    return 0;
}

static inline int fake_host_group_teardown(void **state)
{
    cache_reader_stop();
    return 0;
}
