// A record as a line of JSON.
#pragma once

#include <stdio.h>

#include "base/compiler.h"
#include "querylog/record.h"

// Writes the entry as one object in one line, its newline included. What does not apply is null.
// Errors are those of the stream.
NONNULL void querylog_json_line(FILE *out, const struct querylog_entry *entry,
                                const char *instance);
