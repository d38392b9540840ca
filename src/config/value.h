// Scalars: the values that one word of YAML gives.
#pragma once

#include "base/compiler.h"
#include "config/schema.h"

#define VALUE_EXPECTED_SIZE 400

// Reads a value of a scalar kind into where it belongs. E_INVALID on failure: `*why` is then a
// static text that says what is wrong and what to write instead, or NULL: it is not what
// value_expected() says.
NONNULL NODISCARD int value_parse(const struct schema_row *row, void *at, const char *text,
                                  const char **why);

// The text of a value; value_parse() reads it back to the same.
NONNULL void value_print(const struct schema_row *row, const void *at, char text[SCHEMA_TEXT_SIZE]);

// What is expected of a row, of any kind: "a number from 1 to 64". Returns `expected`.
NONNULL const char *value_expected(const struct schema_row *row,
                                   char expected[VALUE_EXPECTED_SIZE]);

// Whether values of this row are text in YAML and JSON, not numbers or booleans.
NONNULL bool value_is_text(const struct schema_row *row);
