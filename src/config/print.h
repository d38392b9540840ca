// From a struct to YAML, by a schema.
#pragma once

#include <stdio.h>

#include "base/compiler.h"
#include "config/schema.h"

// What config_print() does, for any section and the struct that it describes.
NONNULL void schema_print(const struct schema_row *section, const void *base, FILE *out);
