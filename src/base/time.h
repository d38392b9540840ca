// Time: microseconds, monotonic. Functions that need the time take `now`; only the loop reads the
// clock.
#pragma once

#include <stdint.h>

typedef uint64_t usec_t;

#define USEC_MSEC UINT64_C(1000)
#define USEC_SEC UINT64_C(1000000)

// A point in time that never comes.
#define USEC_NEVER UINT64_MAX
