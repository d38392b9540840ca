// What a YAML scalar is by its spelling.
#pragma once

#include <stdbool.h>
#include <yaml.h>

#include "base/compiler.h"
#include "config/report.h"

#define SCALAR_DESCRIPTION_SIZE (CONFIG_QUOTE_SIZE + 32)

// By the core schema of YAML 1.2 (section 10.3.2); quoted scalars are text.
enum scalar_type { SCALAR_NULL, SCALAR_BOOL, SCALAR_NUMBER, SCALAR_TEXT };

NONNULL enum scalar_type scalar_type(const yaml_node_t *node);
NONNULL bool scalar_is_quoted(const yaml_node_t *node);
NONNULL const char *scalar_text(const yaml_node_t *node);

// Of any node, for an error: "nothing", "the number 5", "\"text\"", "a list". Returns `text`.
NONNULL const char *scalar_describe(const yaml_node_t *node, char text[SCALAR_DESCRIPTION_SIZE]);

// Whether some reader of YAML, be it of version 1.1, takes this for text without quotes, wherever
// it stands in block style.
NONNULL bool scalar_is_plain(const char *text);
