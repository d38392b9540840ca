// A question in SQL. Values never become part of its text, but for numbers and words that we made.
#pragma once

#include <libpq-fe.h>
#include <stdio.h>

#include "base/compiler.h"
#include "querylog/store.h"

#define POSTGRESQL_QUESTION_VALUES 8

struct postgresql_question {
    char *sql;
    size_t size;
    FILE *out; // writes to `sql`; whether that failed is seen at its end
    const char *values[POSTGRESQL_QUESTION_VALUES];
    unsigned count;
};

// E_NOMEM. Whatever it returned, postgresql_question_deinit() frees it.
NONNULL NODISCARD int postgresql_question_init(struct postgresql_question *question);
NONNULL void postgresql_question_deinit(struct postgresql_question *question);

PRINTF(2, 3)
NONNULL void postgresql_question_say(struct postgresql_question *question, const char *format, ...);
// " WHERE " and the conditions of the filter, whose texts must live as long as the question.
NONNULL void postgresql_question_where(struct postgresql_question *question,
                                       const struct store_filter *filter);
// Nothing can be said after it. E_NOMEM; E_CLOSED.
NONNULL NODISCARD int postgresql_question_send(struct postgresql_question *question, PGconn *conn);
