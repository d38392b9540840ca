// Quantities in words for people: rounded, in the unit that suits.
#pragma once

#include <stdint.h>

#include "base/compiler.h"
#include "base/time.h"

#define UNITS_TEXT_SIZE 32

// All return `text`.

// "12 s", "3 min 5 s", "4 h 12 min", "2 d 7 h"
NONNULL const char *units_duration(usec_t duration, char text[UNITS_TEXT_SIZE]);
// "0.25 ms", "12.3 ms", "1.20 s"
NONNULL const char *units_latency(usec_t latency, char text[UNITS_TEXT_SIZE]);
// "512 B", "12.3 KiB", "64.0 MiB"
NONNULL const char *units_size(uint64_t octets, char text[UNITS_TEXT_SIZE]);
