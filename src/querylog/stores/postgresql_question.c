#include "querylog/stores/postgresql_question.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "querylog/postgresql/rows.h"

int postgresql_question_init(struct postgresql_question *question)
{
    memset(question, 0, sizeof(*question));
    question->out = open_memstream(&question->sql, &question->size);
    return question->out ? E_OK : E_NOMEM;
}

void postgresql_question_deinit(struct postgresql_question *question)
{
    if (question->out)
        fclose(question->out);
    free(question->sql);
}

void postgresql_question_say(struct postgresql_question *question, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vfprintf(question->out, format, args);
    va_end(args);
}

// Its number in the text.
static unsigned add_value(struct postgresql_question *question, const char *value)
{
    require(question->count < POSTGRESQL_QUESTION_VALUES);
    question->values[question->count++] = value;
    return question->count;
}

// As a constant, by which the server knows beforehand which days it need not look at.
static void say_time(struct postgresql_question *question, const char *comparison, uint64_t time)
{
    time_t seconds;
    struct tm tm;
    char text[24];

    time = MIN(time, POSTGRESQL_TIME_MAX);
    seconds = (time_t)(time / USEC_SEC);
    gmtime_r(&seconds, &tm);
    strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm);
    postgresql_question_say(question, " AND time %s '%s.%06u+00'", comparison, text,
                            (unsigned)(time % USEC_SEC));
}

static void say_client(struct postgresql_question *question, const struct store_filter *filter)
{
    char text[POLICY_PREFIX_TEXT_MAX];

    if (!*filter->client_text) {
        postgresql_question_say(question, " AND client <<= '%s'",
                                policy_prefix_to_text(&filter->client, text));
        return;
    }
    const char *digits = filter->client_text + strcspn(filter->client_text, " ");
    postgresql_question_say(question, " AND client_key = %" PRId64,
                            (int64_t)strtoull(digits, NULL, 16));
}

static void say_name(struct postgresql_question *question, const struct store_filter *filter)
{
    unsigned key = add_value(question, filter->name_key);

    if (filter->name_below) // '/' is what follows '.'
        postgresql_question_say(question, " AND name_key >= $%u || '.' AND name_key < $%u || '/'",
                                key, key);
    else
        postgresql_question_say(question, " AND name_key = $%u", key);
}

// " AND COLUMN IN ('a', 'b')".
static void say_words(struct postgresql_question *question, const char *column, uint32_t bits,
                      const char *(*word)(unsigned))
{
    const char *before = "IN (";

    postgresql_question_say(question, " AND %s ", column);
    for (unsigned i = 0; i < 32; i++) {
        if (!(bits >> i & 1))
            continue;
        postgresql_question_say(question, "%s'%s'", before, word(i));
        before = ", ";
    }
    postgresql_question_say(question, ")");
}

void postgresql_question_where(struct postgresql_question *question,
                               const struct store_filter *filter)
{
    postgresql_question_say(question, " WHERE true");
    if (filter->since)
        say_time(question, ">=", filter->since);
    if (filter->until)
        say_time(question, "<", filter->until);
    if (filter->has_client)
        say_client(question, filter);
    if (*filter->name)
        say_name(question, filter);
    if (filter->type >= 0)
        postgresql_question_say(question, " AND type = %d", filter->type);
    if (filter->rcode >= 0)
        postgresql_question_say(question, " AND rcode = %d", filter->rcode);
    if (filter->outcomes)
        say_words(question, "outcome", filter->outcomes, querylog_outcome_name);
    if (filter->transports)
        say_words(question, "transport", filter->transports, querylog_transport_name);
    if (filter->slow)
        postgresql_question_say(question, " AND latency >= %" PRIu32,
                                (uint32_t)MIN(filter->slow, INT32_MAX));
    if (*filter->text)
        postgresql_question_say(question, " AND strpos(lower(name), $%u) > 0",
                                add_value(question, filter->text));
}

int postgresql_question_send(struct postgresql_question *question, PGconn *conn)
{
    int failed = ferror(question->out);

    failed |= fclose(question->out);
    question->out = NULL;
    if (failed)
        return E_NOMEM;
    return PQsendQueryParams(conn, question->sql, (int)question->count, NULL, question->values,
                             NULL, NULL, 0)
               ? E_OK
               : E_CLOSED;
}
