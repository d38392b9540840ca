#include "metrics/histogram.h"

static const usec_t bounds[] = {
#define X(bound, text) bound,
    HISTOGRAM_BOUND_LIST(X)
#undef X
};

// Only one thread writes, so no locked instruction is needed.
static void add(_Atomic uint64_t *value, uint64_t amount)
{
    atomic_store_explicit(value, atomic_load_explicit(value, memory_order_relaxed) + amount,
                          memory_order_relaxed);
}

void histogram_add(struct histogram *histogram, usec_t took, uint64_t events)
{
    unsigned bucket = 0;

    while (bucket < HISTOGRAM_BOUNDS && took > bounds[bucket])
        bucket++;
    add(&histogram->buckets[bucket], events);
    add(&histogram->sum, took * events);
}

void histogram_read(const struct histogram *histogram, struct histogram_values *values)
{
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        values->buckets[i] += atomic_load_explicit(&histogram->buckets[i], memory_order_relaxed);
    values->sum += atomic_load_explicit(&histogram->sum, memory_order_relaxed);
}

uint64_t histogram_events(const struct histogram_values *values)
{
    uint64_t events = 0;

    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        events += values->buckets[i];
    return events;
}

const char *histogram_bound_text(unsigned bucket)
{
    static const char *const texts[] = {
#define X(bound, text) text,
        HISTOGRAM_BOUND_LIST(X)
#undef X
            "+Inf",
    };

    return texts[bucket];
}
