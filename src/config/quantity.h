// Durations and sizes as people write them.
#pragma once

#include <stdint.h>

#include "base/compiler.h"
#include "base/time.h"

// 20 digits, a unit and the NUL.
#define QUANTITY_TEXT_SIZE 24

// "250ms", "5s", "2m", "1h", "1d", "50us": a whole number and its unit, nothing else. E_INVALID if
// it is not of this form, E_RANGE if it is beyond what fits.
NONNULL NODISCARD int duration_parse(usec_t *duration, const char *text);

// In the largest unit that gives a whole number; reads back to the same. Returns `text`.
NONNULL const char *duration_to_text(usec_t duration, char text[QUANTITY_TEXT_SIZE]);

// "4096" (octets), "64KiB", "64MiB", "2GiB". Errors as of duration_parse().
NONNULL NODISCARD int size_parse(uint64_t *size, const char *text);
NONNULL const char *size_to_text(uint64_t size, char text[QUANTITY_TEXT_SIZE]);
