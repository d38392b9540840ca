// The metrics: the status, as Prometheus reads it. Names begin with sotto_, but for what every
// program has (process_…, as Prometheus' own libraries call it). No label holds what a client sent.
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "admin/status.h"
#include "base/compiler.h"

// `ready`: whether /readyz says so. `wall_seconds`: seconds since 1970 UTC.
NONNULL void prometheus_print(const struct status *status, bool ready, double wall_seconds,
                              bool openmetrics, FILE *out);
