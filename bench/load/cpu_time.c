#include "cpu_time.h"

#include <time.h>

uint64_t cpu_time_of(pid_t process)
{
    struct timespec spent;
    clockid_t clock;

    if (clock_getcpuclockid(process, &clock) != 0 || clock_gettime(clock, &spent) != 0)
        return 0;
    return (uint64_t)spent.tv_sec * 1000000000U + (uint64_t)spent.tv_nsec;
}
