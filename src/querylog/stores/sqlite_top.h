// The most frequent names, clients and so on, of the rows that a filter means.
#pragma once

#include "querylog/stores/sqlite_scan.h"

// Within a question (sqlite_scan_begin()). As store_top(), but returns an SQLite code.
NONNULL NODISCARD int sqlite_top(struct sqlite_scan *scan, enum store_top_kind kind, uint32_t limit,
                                 store_top_fn *each, void *context, uint64_t *distinct);
