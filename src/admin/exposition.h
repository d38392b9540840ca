// Metrics as text: the Prometheus text format (version 0.0.4), and OpenMetrics 1.0. A family is
// begun, and then its samples follow; each family once.
//
// Names are given without the unit's prefix of the type: a counter's "_total" is put there.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/compiler.h"
#include "base/time.h"
#include "metrics/histogram.h"

#define EXPOSITION_TYPE_TEXT "text/plain; version=0.0.4; charset=utf-8"
#define EXPOSITION_TYPE_OPENMETRICS "application/openmetrics-text; version=1.0.0; charset=utf-8"

struct exposition {
    FILE *out;
    bool openmetrics;
    const char *name; // of the family that was begun
    bool is_counter;
};

struct exposition_label {
    const char *name; // NULL: none, and none follows
    const char *value;
};

#define EXPOSITION_LABELS_MAX 4

// Labels of a sample: LABELS({"reason", "idle"}), or NO_LABELS.
#define LABELS(...)                                                                                \
    (const struct exposition_label[EXPOSITION_LABELS_MAX])                                         \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define NO_LABELS NULL

// By a request's Accept header, or NULL: whether OpenMetrics is wanted rather than the other.
bool exposition_wants_openmetrics(const char *accept);

// The name begins with "sotto_" and must stay there until the next family.
NONNULL void exposition_counter(struct exposition *exposition, const char *name, const char *help);
NONNULL void exposition_gauge(struct exposition *exposition, const char *name, const char *help);
NONNULL void exposition_histogram(struct exposition *exposition, const char *name,
                                  const char *help);

void exposition_uint(struct exposition *exposition, const struct exposition_label *labels,
                     uint64_t value);
// In seconds; of a gauge or a counter.
void exposition_seconds(struct exposition *exposition, const struct exposition_label *labels,
                        double seconds);
void exposition_values(struct exposition *exposition, const struct exposition_label *labels,
                       const struct histogram_values *values);

// After the last family.
NONNULL void exposition_end(struct exposition *exposition);
