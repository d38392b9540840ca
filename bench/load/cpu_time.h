// What a process has spent.
#pragma once

#include <stdint.h>
#include <sys/types.h>

// Nanoseconds on a CPU, user and system, of all its threads, also of those that have ended: the
// same clock as in /proc/PID/task/*/schedstat. 0 if it is gone.
uint64_t cpu_time_of(pid_t process);
