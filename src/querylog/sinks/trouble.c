#include "querylog/sinks/trouble.h"

#include <time.h>

usec_t querylog_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (usec_t)now.tv_sec * USEC_SEC + (usec_t)now.tv_nsec / 1000;
}

void querylog_trouble_begin(struct querylog_trouble *trouble, const char *why)
{
    uint32_t suppressed;

    if (trouble->failing)
        return;
    trouble->failing = true;
    trouble->said = log_limit_pass(&trouble->limit, querylog_now(), &suppressed);
    if (trouble->said)
        log_warning(trouble->log, "querylog",
                    "%s: %s: records wait, and are dropped when there is no more room for them",
                    trouble->place, why);
}

void querylog_trouble_end(struct querylog_trouble *trouble)
{
    if (trouble->said)
        log_info(trouble->log, "querylog", "%s: records are written again", trouble->place);
    trouble->failing = trouble->said = false;
}
