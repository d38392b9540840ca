#include "histogram.h"

// Values below 2 * STEPS have a bucket each; above, each power of two has STEPS buckets.
static unsigned bucket_of(uint64_t value)
{
    unsigned shift = 0;

    while (value >> shift >= 2 * HISTOGRAM_STEPS)
        shift++;

    unsigned bucket = shift * HISTOGRAM_STEPS + (unsigned)(value >> shift);

    return bucket < HISTOGRAM_SIZE ? bucket : HISTOGRAM_SIZE - 1;
}

static uint64_t end_of(unsigned bucket)
{
    if (bucket < 2 * HISTOGRAM_STEPS)
        return bucket;

    unsigned shift = bucket / HISTOGRAM_STEPS - 1;

    return ((uint64_t)(bucket - shift * HISTOGRAM_STEPS + 1) << shift) - 1;
}

void histogram_add(struct histogram *histogram, uint64_t value)
{
    histogram->counts[bucket_of(value)]++;
    histogram->total++;
    histogram->sum += value;
    if (value > histogram->max)
        histogram->max = value;
}

uint64_t histogram_at(const struct histogram *histogram, double share)
{
    double wanted = share * (double)histogram->total;
    uint64_t passed = 0;

    for (unsigned i = 0; i < HISTOGRAM_SIZE; i++) {
        passed += histogram->counts[i];
        if (passed > 0 && (double)passed >= wanted)
            return end_of(i) < histogram->max ? end_of(i) : histogram->max;
    }
    return 0;
}

double histogram_mean(const struct histogram *histogram)
{
    return histogram->total > 0 ? (double)histogram->sum / (double)histogram->total : 0;
}
