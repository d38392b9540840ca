// liburcu, as the cache uses it: freeing what readers may still hold. Included by src/cache/*.c
// only.
#pragma once

#include <urcu/urcu-qsbr.h>

// ThreadSanitizer does not see what liburcu does in assembly: it is told that what a thread did
// before it went offline, or handed something over to be freed, is over when that is freed.
#if defined(__SANITIZE_THREAD__)
#define RECLAIM_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RECLAIM_TSAN 1
#endif
#endif

#ifdef RECLAIM_TSAN
void __tsan_acquire(void *address);
void __tsan_release(void *address);
#define RECLAIM_TAG ((void *)urcu_qsbr_call_rcu)
#define reclaim_acquire() __tsan_acquire(RECLAIM_TAG)
#define reclaim_release() __tsan_release(RECLAIM_TAG)
#else
#define reclaim_acquire() ((void)0)
#define reclaim_release() ((void)0)
#endif

// Starts liburcu's thread. Else that would be done when it is first needed; and if it cannot be had
// (memory, the number of threads), the process ends, which then is at a better time.
static inline void reclaim_start(void)
{
    urcu_qsbr_get_default_call_rcu_data();
}

// Calls `free_it` on liburcu's thread when no reader can hold what `head` is embedded in. The
// caller is an online reader.
static inline void reclaim_later(struct rcu_head *head, void (*free_it)(struct rcu_head *head))
{
    reclaim_release();
    urcu_qsbr_call_rcu(head, free_it);
}

// Waits until all that was handed over before has been freed. The caller is a reader, offline.
void reclaim_wait(void);
