#include "cache/reader.h"

#include "cache/reclaim.h"

#ifdef RECLAIM_TSAN
const char *__tsan_default_suppressions(void);

// It sees calloc() and free() inside urcu_qsbr_barrier(), but not the atomic count between them.
const char *__tsan_default_suppressions(void)
{
    return "race:urcu_qsbr_barrier\n";
}
#endif

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
