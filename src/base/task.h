// Something to be run later, once: at the end of a turn, or on another thread (net/loop.h).
// Embedded in what it is about.
#pragma once

#include "base/list.h"

struct task {
    struct list node; // linked while it waits to be run
    void (*run)(struct task *task);
};

static inline void task_init(struct task *task, void (*run)(struct task *task))
{
    list_init(&task->node);
    task->run = run;
}
