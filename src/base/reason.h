// Why something failed, in words, for whoever asked for it.
#pragma once

#include <stddef.h>

#include "base/compiler.h"

// Writes the text, cut if it is longer than `size`, and returns `code`: how a function ends that
// fails.
PRINTF(4, 5) NONNULL int reason_give(int code, char *reason, size_t size, const char *format, ...);
