#include "cache/reader.h"

#include <pthread.h>
#include <stdbool.h>

#include "base/compiler.h"
#include "cache/reclaim.h"

void cache_reader_start(void)
{
    urcu_qsbr_register_thread();
    urcu_qsbr_thread_offline();
}

void cache_reader_stop(void)
{
    urcu_qsbr_unregister_thread();
}

void cache_reader_online(void)
{
    urcu_qsbr_thread_online();
}

void cache_reader_offline(void)
{
    reclaim_release();
    urcu_qsbr_thread_offline();
}

struct last {
    struct rcu_head head;
    pthread_mutex_t lock;
    pthread_cond_t freed;
    bool done;
};

static void on_last(struct rcu_head *head)
{
    struct last *last = container_of(head, struct last, head);

    reclaim_acquire();
    pthread_mutex_lock(&last->lock);
    last->done = true;
    pthread_cond_signal(&last->freed);
    pthread_mutex_unlock(&last->lock);
}

// What is handed over last is freed last. (urcu_qsbr_barrier() does the same, but by means that
// ThreadSanitizer does not see.)
void reclaim_wait(void)
{
    struct last last = {.lock = PTHREAD_MUTEX_INITIALIZER, .freed = PTHREAD_COND_INITIALIZER};

    urcu_qsbr_thread_online();
    reclaim_later(&last.head, on_last);
    cache_reader_offline();
    pthread_mutex_lock(&last.lock);
    while (!last.done)
        pthread_cond_wait(&last.freed, &last.lock);
    pthread_mutex_unlock(&last.lock);
    pthread_cond_destroy(&last.freed);
    pthread_mutex_destroy(&last.lock);
}
