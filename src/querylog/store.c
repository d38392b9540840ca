#include "querylog/store.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/reason.h"

struct store {
    const struct store_ops *ops;
    void *state;
    usec_t limit;
};

static const struct store_ops *const stores[] = {
    &store_sqlite,
    &store_postgresql,
};

usec_t store_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (usec_t)now.tv_sec * USEC_SEC + (usec_t)now.tv_nsec / 1000;
}

static const struct store_ops *ops_of(const char *url)
{
    size_t scheme = strcspn(url, ":");

    for (size_t i = 0; i < ARRAY_LEN(stores); i++)
        if (strlen(stores[i]->scheme) == scheme && memcmp(stores[i]->scheme, url, scheme) == 0)
            return stores[i];
    return NULL;
}

struct store *store_open(const char *url, const char *password_file, char reason[STORE_REASON_SIZE])
{
    const struct store_ops *ops = ops_of(url);
    struct store *store;

    if (!ops) {
        reason_give(E_INVALID, reason, STORE_REASON_SIZE,
                    "%.200s: not a store that can be asked: write sqlite:///PATH or "
                    "postgresql://USER@HOST/DATABASE",
                    url);
        return NULL;
    }
    store = calloc(1, sizeof(*store));
    if (!store) {
        reason_give(E_NOMEM, reason, STORE_REASON_SIZE, "%s", error_text(E_NOMEM));
        return NULL;
    }
    store->ops = ops;
    store->limit = STORE_LIMIT_DEFAULT;
    store->state = ops->open(url, password_file, reason);
    if (!store->state) {
        free(store);
        return NULL;
    }
    return store;
}

void store_close(struct store *store)
{
    if (!store)
        return;
    store->ops->close(store->state);
    free(store);
}

void store_set_limit(struct store *store, usec_t limit)
{
    store->limit = limit;
}

int store_rows(struct store *store, const struct store_filter *filter,
               const struct store_page *page, store_row_fn *each, void *context,
               char reason[STORE_REASON_SIZE])
{
    *reason = '\0';
    return store->ops->rows(store->state, filter, page, store_now() + store->limit, each, context,
                            reason);
}

int store_newest(struct store *store, uint64_t *id, char reason[STORE_REASON_SIZE])
{
    *reason = '\0';
    return store->ops->newest(store->state, id, store_now() + store->limit, reason);
}

int store_top(struct store *store, const struct store_filter *filter, enum store_top_kind kind,
              uint32_t limit, store_top_fn *each, void *context, uint64_t *distinct,
              char reason[STORE_REASON_SIZE])
{
    uint64_t unwanted;

    *reason = '\0';
    return store->ops->top(store->state, filter, kind, MIN(limit, STORE_TOP_MAX),
                           store_now() + store->limit, each, context,
                           distinct ? distinct : &unwanted, reason);
}

int store_series(struct store *store, const struct store_filter *filter,
                 const struct store_series *series, struct store_figures *figures,
                 char reason[STORE_REASON_SIZE])
{
    *reason = '\0';
    if (series->width == 0 || series->count == 0 || series->count > STORE_SERIES_MAX ||
        series->start > INT64_MAX / 2 || series->width > INT64_MAX / 2 / series->count)
        return reason_give(E_INVALID, reason, STORE_REASON_SIZE,
                           "a series has 1 to %d intervals, none of them empty", STORE_SERIES_MAX);
    return store->ops->series(store->state, filter, series, store_now() + store->limit, figures,
                              reason);
}

int store_totals(struct store *store, const struct store_filter *filter,
                 struct store_totals *totals, char reason[STORE_REASON_SIZE])
{
    *reason = '\0';
    return store->ops->totals(store->state, filter, store_now() + store->limit, totals, reason);
}

static const char *const top_kinds[] = {
#define X(name, text) text,
    STORE_TOP_LIST(X)
#undef X
};

const char *store_top_kind_name(enum store_top_kind kind)
{
    return top_kinds[kind];
}

enum store_top_kind store_top_kind_of(const char *text)
{
    unsigned kind = 0;

    while (kind < STORE_TOP_KINDS && strcmp(text, top_kinds[kind]) != 0)
        kind++;
    return kind;
}
