// Errors in a configuration, put into words.
#pragma once

#include <stddef.h>

#include "base/compiler.h"
#include "config/config.h"

// Enough to recognise a value by, short enough for one line.
#define CONFIG_QUOTE_SIZE 100

// Writes the error's text; always returns E_INVALID. A text that is too long is cut.
PRINTF(2, 3) NONNULL int config_report(struct config_error *error, const char *format, ...);

// Quotes what a user wrote: "text", with what is not printable UTF-8 as \xNN, and cut with an
// ellipsis if long. Returns `quoted`.
NONNULL const char *config_quote(const char *text, char quoted[CONFIG_QUOTE_SIZE]);

// The word among `words` (ends with NULL) that `text` was probably meant to be, or NULL.
NONNULL const char *config_nearest(const char *text, const char *const *words);
