// Reading what sinks have kept: the questions of `sotto log` and of the dashboard.
//
// A store is opened by the URL of the sink that fills it, read-only, and may be filled meanwhile.
// Questions are answered in the caller's thread, one at a time for each store, and take no longer
// than the store's limit. Rows have ids that rise in the order in which they were written, which is
// almost that of their times: "newest first" is by id.
//
// Errors of questions: E_INVALID: this store has no such; E_AGAIN: it took longer than the limit,
// and what was given so far is a part of the answer; E_SYSTEM: anything else. Always with a reason
// in words: what happened and what to do.
#pragma once

#include "base/compiler.h"
#include "base/time.h"
#include "querylog/record.h"
#include "querylog/store_filter.h"

struct store;

#define STORE_LIMIT_DEFAULT (10 * USEC_SEC)

// `password_file` may be NULL. NULL, with the reason.
NODISCARD struct store *store_open(const char *url, const char *password_file,
                                   char reason[STORE_REASON_SIZE]);
void store_close(struct store *store);

// How long a question may take from now on.
NONNULL void store_set_limit(struct store *store, usec_t limit);

// A record as it was kept. Texts are printable ASCII, as name_text.h makes them; they live until
// the callback that gets them returns.
struct store_row {
    uint64_t id;
    uint64_t time; // microseconds since 1970
    uint32_t latency, upstream_latency;
    const char *name;   // in the letters of the query
    const char *client; // "": none
    uint16_t client_port;
    const char *upstream;         // URL; "": none
    const char *upstream_address; // with port; "": none
    const char *instance;         // ""
    uint16_t type, class;
    uint16_t message_id;
    uint16_t rcode;
    int16_t ede; // or QUERYLOG_NO_EDE
    uint16_t flags;
    uint16_t query_size, reply_size;
    uint8_t transport, outcome, attempts, tls_version;
};

// Whether to go on.
typedef bool store_row_fn(void *context, const struct store_row *row);

// Which part of the rows. Newest first from below `before` (0: from the newest); or, if `forward`,
// oldest first from above `after`: for following.
struct store_page {
    bool forward;
    uint64_t before, after;
    uint32_t limit; // at most so many
};

// The cursor for the next page is the id of the last row.
NODISCARD int store_rows(struct store *store, const struct store_filter *filter,
                         const struct store_page *page, store_row_fn *each, void *context,
                         char reason[STORE_REASON_SIZE]);

// The id of the newest row; 0 if there is none: from where to follow.
NONNULL NODISCARD int store_newest(struct store *store, uint64_t *id,
                                   char reason[STORE_REASON_SIZE]);

#define STORE_TOP_LIST(X)                                                                          \
    X(NAMES, "names") /* in lower case */                                                          \
    X(CLIENTS, "clients")                                                                          \
    X(TYPES, "types")                                                                              \
    X(OUTCOMES, "outcomes")                                                                        \
    X(UPSTREAMS, "upstreams") /* by URL */                                                         \
    X(RCODES, "rcodes")                                                                            \
    X(TRANSPORTS, "transports")

enum store_top_kind {
#define X(name, text) STORE_TOP_##name,
    STORE_TOP_LIST(X)
#undef X
        STORE_TOP_KINDS,
};

const char *store_top_kind_name(enum store_top_kind kind);
// STORE_TOP_KINDS if there is no such.
NONNULL enum store_top_kind store_top_kind_of(const char *text);

#define STORE_TOP_MAX 1000

struct store_top {
    const char *text;      // until the callback returns; "": records without one (no upstream)
    uint64_t count;        // of records
    uint64_t errors;       // of them, those whose outcome is an error
    uint64_t mean_latency; // in microseconds
};

typedef bool store_top_fn(void *context, const struct store_top *top);

// The most frequent first, at most `limit` (STORE_TOP_MAX). `*distinct` (may be NULL) is how many
// different ones there are.
NODISCARD int store_top(struct store *store, const struct store_filter *filter,
                        enum store_top_kind kind, uint32_t limit, store_top_fn *each, void *context,
                        uint64_t *distinct, char reason[STORE_REASON_SIZE]);

// Figures of some records. Percentiles are within 4 % of the true ones.
struct store_figures {
    uint64_t count;
    uint64_t outcomes[QUERYLOG_OUTCOMES]; // how many of each: hits, errors, …
    uint32_t p50, p95, p99, max;          // latency in microseconds; 0 if there are none
};

#define STORE_SERIES_MAX 2000

// Intervals one after the other: the first from `start`, each `width` microseconds.
struct store_series {
    uint64_t start, width;
    uint32_t count; // up to STORE_SERIES_MAX
};

// Writes series->count figures. The bounds of the filter hold as well.
NONNULL NODISCARD int store_series(struct store *store, const struct store_filter *filter,
                                   const struct store_series *series, struct store_figures *figures,
                                   char reason[STORE_REASON_SIZE]);

struct store_totals {
    struct store_figures figures;
    uint64_t oldest, newest; // times of the first and last of them; 0 if there are none
};

NONNULL NODISCARD int store_totals(struct store *store, const struct store_filter *filter,
                                   struct store_totals *totals, char reason[STORE_REASON_SIZE]);

// The interface of src/querylog/stores/, one file a store. `deadline` is in monotonic time
// (store_now()); a question ends with E_AGAIN when it has passed.
struct store_ops {
    const char *scheme; // of its URLs
    void *(*open)(const char *url, const char *password_file, char reason[STORE_REASON_SIZE]);
    void (*close)(void *store);
    int (*rows)(void *store, const struct store_filter *filter, const struct store_page *page,
                usec_t deadline, store_row_fn *each, void *context, char reason[STORE_REASON_SIZE]);
    int (*newest)(void *store, uint64_t *id, usec_t deadline, char reason[STORE_REASON_SIZE]);
    int (*top)(void *store, const struct store_filter *filter, enum store_top_kind kind,
               uint32_t limit, usec_t deadline, store_top_fn *each, void *context,
               uint64_t *distinct, char reason[STORE_REASON_SIZE]);
    int (*series)(void *store, const struct store_filter *filter, const struct store_series *series,
                  usec_t deadline, struct store_figures *figures, char reason[STORE_REASON_SIZE]);
    int (*totals)(void *store, const struct store_filter *filter, usec_t deadline,
                  struct store_totals *totals, char reason[STORE_REASON_SIZE]);
};

usec_t store_now(void);

extern const struct store_ops store_sqlite, store_postgresql;
