// Files that a sink appends to.
#pragma once

#include "base/compiler.h"
#include "querylog/sink.h"

// Opens a regular file for reading and appending, or makes it: its owner may read and write it, and
// its group read it, so that a collector of logs needs no more than membership there. Returns the
// descriptor; or a negative code with why in words, which begin with the path.
NONNULL NODISCARD int querylog_file_open(const char *path, char reason[QUERYLOG_REASON_SIZE]);

// The path in SCHEME:///PATH; NULL if the URL is none of this form.
NONNULL const char *querylog_file_path(const char *url);
