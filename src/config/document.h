// A YAML file as a tree, made safe to walk: what would need unbounded work (deep nesting, anchors
// and aliases) and what the configuration has no use for (tags, several documents) is refused.
#pragma once

#include <stddef.h>
#include <yaml.h>

#include "base/compiler.h"
#include "config/config.h"

// Parses the text. E_INVALID with the error, which names the place. On success the caller owes
// yaml_document_delete(). An empty text gives a document without a root node.
NONNULL NODISCARD int document_load(yaml_document_t *document, const char *text, size_t size,
                                    const char *name, struct config_error *error);
