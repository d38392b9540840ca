#include "metrics/query_counts.h"

#include <assert.h>

static_assert(QUERY_TYPES <= QUERY_TYPE_PLACES, "each has its place");

const uint8_t query_type_of[DNS_TYPE_CAA + 1] = {
#define X(name) [DNS_TYPE_##name] = QUERY_TYPE_##name,
    QUERY_TYPE_LIST(X)
#undef X
};

static void read_all(const _Atomic uint64_t *values, uint64_t *sums, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        sums[i] += atomic_load_explicit(&values[i], memory_order_relaxed);
}

void query_counts_read(const struct query_counts *counts, struct query_sums *sums)
{
    for (unsigned t = 0; t < QUERY_TRANSPORTS; t++)
        for (unsigned f = 0; f < QUERY_FAMILIES; f++)
            read_all(counts->queries[t][f], sums->queries[t][f], QUERY_TYPES);
    for (unsigned o = 0; o < QUERY_OUTCOMES; o++)
        read_all(counts->responses[o], sums->responses[o], QUERY_RCODES);
    histogram_read(&counts->hits, &sums->hits);
    histogram_read(&counts->misses, &sums->misses);
}

const char *query_type_name(unsigned type)
{
    static const char *const names[] = {"other",
#define X(name) #name,
                                        QUERY_TYPE_LIST(X)
#undef X
    };

    return names[type];
}
