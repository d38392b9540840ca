// Which of the records in a store are meant: in the words of operators, and compiled.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/time.h"
#include "policy/prefix.h"
#include "querylog/name_text.h"

#define STORE_REASON_SIZE 320
#define STORE_TEXT_SIZE 256

// The keys of store_filter_take(), which are also those of `sotto log` (--KEY) and of the JSON API.
#define STORE_FILTER_LIST(X)                                                                       \
    X(SINCE, "since")         /* "1h": ago; or a time, see store_time_parse() */                   \
    X(UNTIL, "until")         /* the same */                                                       \
    X(CLIENT, "client")       /* "192.0.2.1", "192.0.2.0/24", or a pseudonym as it is shown */     \
    X(NAME, "name")           /* "www.example.com"; "*.example.com": all names below it */         \
    X(TYPE, "type")           /* "AAAA", "TYPE65" or "28" */                                       \
    X(OUTCOME, "outcome")     /* "error"; several: "error,stale" */                                \
    X(RCODE, "rcode")         /* "NXDOMAIN" or "3" */                                              \
    X(TRANSPORT, "transport") /* "https"; several: "tls,https" */                                  \
    X(SLOW, "slow")           /* "100ms": it took at least that long */                            \
    X(TEXT, "text")           /* what the name contains, in any letters */

enum store_filter_key {
#define X(name, text) STORE_FILTER_##name,
    STORE_FILTER_LIST(X)
#undef X
        STORE_FILTER_KEYS,
};

// All conditions hold at once. store_filter_init() makes one that all records fulfil.
struct store_filter {
    uint64_t since, until; // microseconds since 1970: since <= time < until; 0: no bound
    bool has_client;
    struct policy_prefix client;            // IPv4 or IPv6, unless there is a pseudonym
    char client_text[STORE_TEXT_SIZE];      // "": none; else a pseudonym, exactly this text
    char name[QUERYLOG_NAME_TEXT_SIZE];     // "": any; lower case, as querylog_name_text() makes it
    char name_key[QUERYLOG_NAME_TEXT_SIZE]; // the same name as querylog_name_key() makes it
    bool name_below;                        // not the name, but all below it; of "*" alone: any
    int type, rcode;                        // -1: any
    uint32_t outcomes, transports;          // a bit each (1 << enum querylog_outcome); 0: any
    uint32_t slow;                          // microseconds: latency >= slow
    char text[STORE_TEXT_SIZE];             // "": any; lower case; part of the name's text
};

NONNULL void store_filter_init(struct store_filter *filter);

// Takes one condition. `now` is the time in microseconds since 1970. E_INVALID with why, and what
// to write instead.
NONNULL NODISCARD int store_filter_take(struct store_filter *filter, enum store_filter_key key,
                                        const char *value, uint64_t now,
                                        char reason[STORE_REASON_SIZE]);

// The word of a key.
const char *store_filter_key_name(enum store_filter_key key);

// "2026-01-31", "2026-01-31T12:00", "2026-01-31 12:00:00.5", each with "Z" or "+01:00" behind it,
// or in local time; "@1700000000": seconds since 1970; or a duration, which is how long ago.
// E_INVALID.
NONNULL NODISCARD int store_time_parse(uint64_t *time, const char *text, uint64_t now);

// "100us", "30ms", "1s", "5m", "1h", "2d", "1w"; also with a fraction: "1.5h". E_INVALID, E_RANGE.
NONNULL NODISCARD int store_duration_parse(usec_t *duration, const char *text);
