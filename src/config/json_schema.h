// From a schema to a JSON Schema (draft 2020-12), which editors use to complete and to check.
#pragma once

#include <stdio.h>

#include "base/compiler.h"
#include "config/schema.h"

// `defaults` is the struct that the section describes, with every default.
NONNULL void schema_print_json(const struct schema_row *section, const void *defaults, FILE *out);
