// A sink that cannot write says so once, and once that it can again.
#pragma once

#include <stdbool.h>

#include "base/compiler.h"
#include "base/log.h"
#include "base/time.h"

// Begin with `log` and `place` alone set.
struct querylog_trouble {
    struct log *log;
    const char *place; // where the records go, for the log
    bool failing;
    bool said;
    struct log_limit limit; // for what goes and comes all the time
};

// Monotonic; for sinks, which have a thread and no loop.
usec_t querylog_now(void);

// Records cannot be written. `why` in words.
NONNULL void querylog_trouble_begin(struct querylog_trouble *trouble, const char *why);

// They can. Nothing is said if there was no trouble.
NONNULL void querylog_trouble_end(struct querylog_trouble *trouble);
