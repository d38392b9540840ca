// What records hold, in words, the same in all sinks and views. For names, types, classes and
// rcodes see dns/name.h and dns/tables.h.
#pragma once

#include "base/compiler.h"
#include "querylog/record.h"

// An IPv6 address, "/128", and the NUL.
#define QUERYLOG_ADDRESS_TEXT_MAX 52

// "2024-01-31T23:59:59.123456Z" and the NUL; years have four digits until 9999.
#define QUERYLOG_TIME_TEXT_MAX 28

// The flags of a record by name, but for QUERYLOG_RESUMED, which is of the upstream.
#define QUERYLOG_FLAG_NAMES 9
extern const struct querylog_flag_name {
    uint16_t flag;
    const char *name;
} querylog_flag_names[QUERYLOG_FLAG_NAMES];

// The address without its port: "192.0.2.1"; "192.0.2.0/24" of one that is shown truncated; "" if
// there is none. Returns `text`.
NONNULL const char *querylog_address_text(const struct querylog_address *address,
                                          char text[QUERYLOG_ADDRESS_TEXT_MAX]);

// RFC 3339, UTC; `time` as in querylog_record. What is beyond the year 9999 is shown as its end.
// Returns `text`.
NONNULL const char *querylog_time_text(uint64_t time, char text[QUERYLOG_TIME_TEXT_MAX]);
