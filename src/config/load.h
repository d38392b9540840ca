// From a tree of YAML into a struct, by a schema.
#pragma once

#include <stddef.h>

#include "base/compiler.h"
#include "config/config.h"
#include "config/schema.h"

// What config_load_text() does, for any section and the struct that it describes.
NONNULL NODISCARD int schema_load(const struct schema_row *section, void *base, const char *text,
                                  size_t size, const char *name, struct config_error *error);
