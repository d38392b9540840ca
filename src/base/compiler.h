// What is said to the compiler, and the check for our own bugs.
#pragma once

#include <stddef.h>
#include <sys/param.h> // MIN, MAX

#define NODISCARD __attribute__((warn_unused_result))
#define NONNULL __attribute__((nonnull))
#define PRINTF(string, first) __attribute__((format(printf, string, first)))

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

// The object whose `member` is at `ptr`.
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

// Ends the process with the place and the condition: for what only a bug of ours can cause, kept
// in release builds. Nothing that a peer sends may reach one.
#define require(condition)                                                                         \
    do {                                                                                           \
        if (UNLIKELY(!(condition)))                                                                \
            require_failed(#condition, __FILE__, __LINE__);                                        \
    } while (0)

_Noreturn void require_failed(const char *condition, const char *file, int line);
