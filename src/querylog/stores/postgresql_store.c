// Questions to what sinks/postgresql.c has kept; see postgresql/schema.h for the tables.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/reason.h"
#include "dns/tables.h"
#include "querylog/postgresql/exchange.h"
#include "querylog/postgresql/rows.h"
#include "querylog/postgresql/schema.h"
#include "querylog/postgresql/target.h"
#include "querylog/stores/postgresql_question.h"

// What is asked besides, and takes no time.
#define SMALL_LIMIT (5 * USEC_SEC)

// The server ends a question by itself, before we lose patience: then the connection lives on.
#define GRACE (500 * USEC_MSEC)

#define STRING_OF(x) #x
#define STRING(x) STRING_OF(x)

struct postgresql_store {
    struct postgresql_target target;
    PGconn *conn; // NULL: none at the moment
};

// ---- Connection

static void disconnect(struct postgresql_store *store)
{
    PQfinish(store->conn);
    store->conn = NULL;
}

static int connect_to_server(struct postgresql_store *store, char reason[STORE_REASON_SIZE])
{
    // Nothing but questions. The planner cannot tell how few groups there will be, takes them to be
    // as many as records, and would let one process alone sort them on disk. Compiling what is
    // short takes longer than doing it.
    static const char session[] = "SET default_transaction_read_only = on; SET TimeZone = 'UTC';"
                                  "SET work_mem = '64MB'; SET parallel_setup_cost = 100;"
                                  "SET parallel_tuple_cost = 0.001; SET jit = off";
    struct postgresql_parameters parameters;
    struct postgresql_problem problem;
    const char *hint = "";

    postgresql_target_refresh(&store->target);
    postgresql_target_parameters(&store->target, false, &parameters);
    store->conn = PQconnectdbParams(parameters.keywords, parameters.values, 0);
    if (!store->conn)
        return reason_give(E_SYSTEM, reason, STORE_REASON_SIZE, "%s", error_text(E_NOMEM));
    if (PQstatus(store->conn) != CONNECTION_OK || PQsetnonblocking(store->conn, 1) != 0)
        postgresql_problem_of(store->conn, NULL, &problem);
    else if (postgresql_do(store->conn, session, SMALL_LIMIT, &problem) == E_OK)
        return E_OK;
    if (PQconnectionNeedsPassword(store->conn))
        hint = "; write it into a file, and name that as password-file";
    else if (PQconnectionUsedPassword(store->conn))
        hint = "; look at the user and the password";
    reason_give(E_SYSTEM, reason, STORE_REASON_SIZE, "%.80s: %.150s%s", store->target.shown,
                problem.text, hint);
    disconnect(store);
    return E_SYSTEM;
}

static void close_store(void *state)
{
    struct postgresql_store *store = state;

    disconnect(store);
    postgresql_target_deinit(&store->target);
    free(store);
}

static void *open_store(const char *url, const char *password_file, char reason[STORE_REASON_SIZE])
{
    struct postgresql_store *store = calloc(1, sizeof(*store));
    struct querylog_sink_options options = {.url = ""};

    if (!store || strlen(url) >= sizeof(options.url) ||
        (password_file && strlen(password_file) >= sizeof(options.password_file))) {
        reason_give(E_INVALID, reason, STORE_REASON_SIZE, "%s",
                    store ? "the URL or the path is too long" : error_text(E_NOMEM));
        free(store);
        return NULL;
    }
    strcpy(options.url, url);
    if (password_file)
        strcpy(options.password_file, password_file);
    if (postgresql_target_init(&store->target, &options, reason) == E_OK &&
        connect_to_server(store, reason) == E_OK)
        return store;
    close_store(store);
    return NULL;
}

// ---- Questions in common

static int tell(const struct postgresql_store *store, const struct postgresql_problem *problem,
                char reason[STORE_REASON_SIZE])
{
    if (strcmp(problem->sqlstate, "57014") == 0)
        return reason_give(E_AGAIN, reason, STORE_REASON_SIZE,
                           "%.180s: the question took too long: ask about less time",
                           store->target.shown);
    if (strcmp(problem->sqlstate, "42P01") == 0 || strcmp(problem->sqlstate, "3F000") == 0)
        return reason_give(E_SYSTEM, reason, STORE_REASON_SIZE,
                           "%.180s: no record was ever written there", store->target.shown);
    return reason_give(E_SYSTEM, reason, STORE_REASON_SIZE, "%.120s: %.180s", store->target.shown,
                       problem->text);
}

// A connection that answers, with the question's limit.
static int begin(struct postgresql_store *store, usec_t deadline, char reason[STORE_REASON_SIZE])
{
    usec_t now = postgresql_now();
    struct postgresql_problem problem;
    char sql[64];

    snprintf(sql, sizeof(sql), "SET statement_timeout = %" PRIu64,
             deadline > now ? (deadline - now) / USEC_MSEC + 1 : 1);
    // It may be that the one there is was lost since the last question.
    if (store->conn && postgresql_do(store->conn, sql, SMALL_LIMIT, &problem) == E_OK)
        return E_OK;
    disconnect(store);
    if (connect_to_server(store, reason) != E_OK)
        return E_SYSTEM;
    if (postgresql_do(store->conn, sql, SMALL_LIMIT, &problem) == E_OK)
        return E_OK;
    disconnect(store);
    return tell(store, &problem, reason);
}

// The connection is of no use any more.
static int break_off(struct postgresql_store *store, char reason[STORE_REASON_SIZE])
{
    struct postgresql_problem problem;

    postgresql_problem_of(store->conn, NULL, &problem);
    disconnect(store);
    return tell(store, &problem, reason);
}

// False: no more rows are wanted.
typedef bool take_fn(void *context, const PGresult *row);

// Hands over the rows one by one as they come.
static int read_answer(struct postgresql_store *store, usec_t deadline, take_fn *take,
                       void *context, char reason[STORE_REASON_SIZE])
{
    int error = E_OK;

    for (bool more = true;;) {
        int rc = postgresql_await(store->conn, deadline + GRACE);

        if (rc == E_AGAIN) {
            disconnect(store);
            return reason_give(E_AGAIN, reason, STORE_REASON_SIZE, "%.180s: no answer in time",
                               store->target.shown);
        }
        if (rc != E_OK)
            return break_off(store, reason);
        PGresult *result = PQgetResult(store->conn);
        if (!result)
            return error;
        if (PQresultStatus(result) == PGRES_SINGLE_TUPLE) {
            more = take(context, result);
        } else if (PQresultStatus(result) != PGRES_TUPLES_OK) {
            struct postgresql_problem problem;

            postgresql_problem_of(store->conn, result, &problem);
            error = tell(store, &problem, reason);
        }
        PQclear(result);
        if (!more) { // the quick way not to hear the rest of what it has to say
            disconnect(store);
            return E_OK;
        }
    }
}

// Frees the question.
static int ask(struct postgresql_store *store, struct postgresql_question *question,
               usec_t deadline, take_fn *take, void *context, char reason[STORE_REASON_SIZE])
{
    int rc = postgresql_question_send(question, store->conn);

    postgresql_question_deinit(question);
    if (rc == E_NOMEM)
        return reason_give(E_SYSTEM, reason, STORE_REASON_SIZE, "%s", error_text(E_NOMEM));
    if (rc != E_OK || !PQsetSingleRowMode(store->conn))
        return break_off(store, reason);
    return read_answer(store, deadline, take, context, reason);
}

static int start_question(struct postgresql_question *question, char reason[STORE_REASON_SIZE])
{
    if (postgresql_question_init(question) == E_OK)
        return E_OK;
    return reason_give(E_SYSTEM, reason, STORE_REASON_SIZE, "%s", error_text(E_NOMEM));
}

static uint64_t number(const PGresult *row, int column)
{
    return strtoull(PQgetvalue(row, 0, column), NULL, 10);
}

static unsigned word_index(const char *(*word)(unsigned), unsigned count, const char *text)
{
    unsigned i = 0;

    while (i < count && strcmp(word(i), text) != 0)
        i++;
    return i;
}

#define MICROSECONDS(time) "(extract(epoch FROM " time ") * 1000000)::bigint"

// ---- Rows

#define ROW_COLUMNS                                                                                \
    "id, " MICROSECONDS("time") ", latency, upstream_latency, name, client, to_hex(client_key),"   \
                                " client_port, upstream, upstream_address, upstream_port,"         \
                                " instance, type, class, message_id, rcode, ede, flags,"           \
                                " query_size, reply_size, transport, outcome, attempts,"           \
                                " tls_version"

struct rows {
    store_row_fn *each;
    void *context;
    uint32_t left;
};

static void write_client(char text[QUERYLOG_CLIENT_TEXT_SIZE], const char *client, const char *key)
{
    if (*key)
        snprintf(text, QUERYLOG_CLIENT_TEXT_SIZE, "key %016llx", strtoull(key, NULL, 16));
    else
        snprintf(text, QUERYLOG_CLIENT_TEXT_SIZE, "%s", client);
}

static void write_endpoint(char text[QUERYLOG_CLIENT_TEXT_SIZE], const char *address, unsigned port)
{
    bool is_ipv6 = strchr(address, ':') != NULL;

    *text = '\0';
    if (*address)
        snprintf(text, QUERYLOG_CLIENT_TEXT_SIZE, "%s%s%s:%u", is_ipv6 ? "[" : "", address,
                 is_ipv6 ? "]" : "", port);
}

static bool take_row(void *context, const PGresult *row)
{
    struct rows *rows = context;
    char client[QUERYLOG_CLIENT_TEXT_SIZE], upstream[QUERYLOG_CLIENT_TEXT_SIZE];
    const char *transport = PQgetvalue(row, 0, 20), *outcome = PQgetvalue(row, 0, 21);

    write_client(client, PQgetvalue(row, 0, 5), PQgetvalue(row, 0, 6));
    write_endpoint(upstream, PQgetvalue(row, 0, 9), (unsigned)number(row, 10));
    const struct store_row given = {
        .id = number(row, 0),
        .time = number(row, 1),
        .latency = (uint32_t)number(row, 2),
        .upstream_latency = (uint32_t)number(row, 3),
        .name = PQgetvalue(row, 0, 4),
        .client = client,
        .client_port = (uint16_t)number(row, 7),
        .upstream = PQgetvalue(row, 0, 8),
        .upstream_address = upstream,
        .instance = PQgetvalue(row, 0, 11),
        .type = (uint16_t)number(row, 12),
        .class = (uint16_t)number(row, 13),
        .message_id = (uint16_t)number(row, 14),
        .rcode = (uint16_t)number(row, 15),
        .ede = PQgetisnull(row, 0, 16) ? QUERYLOG_NO_EDE : (int16_t)number(row, 16),
        .flags = (uint16_t)number(row, 17),
        .query_size = (uint16_t)number(row, 18),
        .reply_size = (uint16_t)number(row, 19),
        .transport = (uint8_t)word_index(querylog_transport_name, QUERYLOG_TRANSPORTS, transport),
        .outcome = (uint8_t)word_index(querylog_outcome_name, QUERYLOG_OUTCOMES, outcome),
        .attempts = (uint8_t)number(row, 22),
        .tls_version = (uint8_t)number(row, 23),
    };
    bool more = rows->each(rows->context, &given);

    // After the last one, there is nothing that need be cut off.
    return --rows->left == 0 || more;
}

// Ids are given out when rows are written, and rows seen when their transaction ends; another one,
// which began later, may have ended before. Whoever follows would miss those that come late. So
// rows above this id are not told of yet: those given out since we looked, and those from a
// transaction that goes on. (Each holds a lock, from before it takes its first id, whose second key
// is the last id of that moment.) The order counts: ids, then locks, then, in a later statement,
// rows.
static int read_settled(struct postgresql_store *store, uint64_t *settled,
                        char reason[STORE_REASON_SIZE])
{
    static const char sql[] =
        "WITH given AS MATERIALIZED (SELECT last_value FROM sotto.queries_id)"
        " SELECT last_value, (SELECT string_agg(objid::text, ' ') FROM pg_locks"
        "  WHERE locktype = 'advisory' AND objsubid = 2 AND granted"
        "  AND classid = " STRING(
            POSTGRESQL_LOCK_WRITING) "  AND database = (SELECT oid FROM pg_database WHERE datname "
                                     "= current_database())"
                                     "  AND last_value IS NOT NULL) FROM given";
    struct postgresql_problem problem;
    PGresult *result = postgresql_run(store->conn, sql, SMALL_LIMIT, &problem);
    uint64_t given;

    *settled = 0;
    if (!result && strcmp(problem.sqlstate, "42P01") == 0)
        return E_OK; // no tables, no rows
    if (!result)
        return tell(store, &problem, reason);
    *settled = given = number(result, 0);
    for (char *at = PQgetvalue(result, 0, 1); *at; at += *at == ' ') {
        uint32_t low = (uint32_t)strtoul(at, &at, 10) ^ UINT32_C(0x80000000);
        uint64_t first = given - (uint32_t)((uint32_t)given - low);

        *settled = MIN(*settled, first > 0 ? first - 1 : 0);
    }
    PQclear(result);
    return E_OK;
}

static int ask_rows(void *state, const struct store_filter *filter, const struct store_page *page,
                    usec_t deadline, store_row_fn *each, void *context,
                    char reason[STORE_REASON_SIZE])
{
    struct rows rows = {each, context, page->limit};
    struct postgresql_question question;
    uint64_t settled = 0;
    int rc;

    if (page->limit == 0)
        return E_OK;
    if ((rc = begin(state, deadline, reason)) != E_OK)
        return rc;
    if (page->forward && (rc = read_settled(state, &settled, reason)) != E_OK)
        return rc;
    if (page->forward && settled <= page->after)
        return E_OK;
    if ((rc = start_question(&question, reason)) != E_OK)
        return rc;
    postgresql_question_say(&question, "SELECT " ROW_COLUMNS " FROM sotto.queries");
    postgresql_question_where(&question, filter);
    if (page->forward)
        postgresql_question_say(&question, " AND id > %" PRIu64 " AND id <= %" PRIu64, page->after,
                                settled);
    else if (page->before)
        postgresql_question_say(&question, " AND id < %" PRIu64,
                                MIN(page->before, (uint64_t)INT64_MAX));
    postgresql_question_say(&question, " ORDER BY id%s LIMIT %" PRIu32,
                            page->forward ? "" : " DESC", page->limit);
    return ask(state, &question, deadline, take_row, &rows, reason);
}

static bool take_number(void *context, const PGresult *row)
{
    *(uint64_t *)context = number(row, 0);
    return true;
}

static int ask_newest(void *state, uint64_t *id, usec_t deadline, char reason[STORE_REASON_SIZE])
{
    struct postgresql_question question;
    uint64_t settled;
    int rc;

    *id = 0;
    if ((rc = begin(state, deadline, reason)) != E_OK ||
        (rc = read_settled(state, &settled, reason)) != E_OK || settled == 0)
        return rc;
    if ((rc = start_question(&question, reason)) != E_OK)
        return rc;
    postgresql_question_say(&question, "SELECT max(id) FROM sotto.queries WHERE id <= %" PRIu64,
                            settled);
    return ask(state, &question, deadline, take_number, id, reason);
}

// ---- The most frequent

struct top {
    enum store_top_kind kind;
    store_top_fn *each;
    void *context;
    uint64_t *distinct;
    bool enough;
};

static bool take_top(void *context, const PGresult *row)
{
    struct top *top = context;
    char text[QUERYLOG_CLIENT_TEXT_SIZE];
    struct store_top given = {
        .text = PQgetvalue(row, 0, 0),
        .count = number(row, 2),
        .errors = number(row, 3),
        .mean_latency = number(row, 4),
    };
    uint16_t code = (uint16_t)number(row, 0);

    *top->distinct = number(row, 5);
    if (top->kind == STORE_TOP_TYPES) {
        given.text = dns_type_text(code, text);
    } else if (top->kind == STORE_TOP_RCODES) {
        snprintf(text, sizeof(text), "RCODE%u", code);
        given.text = dns_rcode_name(code) ? dns_rcode_name(code) : text;
    } else if (top->kind == STORE_TOP_CLIENTS) {
        write_client(text, PQgetvalue(row, 0, 0), PQgetvalue(row, 0, 1));
        given.text = text;
    }
    if (!top->enough)
        top->enough = !top->each(top->context, &given);
    return true; // the rest is not much
}

// NOLINTNEXTLINE(readability-function-size): the parameters are the interface's
static int ask_top(void *state, const struct store_filter *filter, enum store_top_kind kind,
                   uint32_t limit, usec_t deadline, store_top_fn *each, void *context,
                   uint64_t *distinct, char reason[STORE_REASON_SIZE])
{
    static const char *const columns[STORE_TOP_KINDS] = {
        [STORE_TOP_NAMES] = "lower(name)",    [STORE_TOP_CLIENTS] = "client",
        [STORE_TOP_TYPES] = "type",           [STORE_TOP_OUTCOMES] = "outcome",
        [STORE_TOP_UPSTREAMS] = "upstream",   [STORE_TOP_RCODES] = "rcode",
        [STORE_TOP_TRANSPORTS] = "transport",
    };
    struct top top = {kind, each, context, distinct, false};
    struct postgresql_question question;
    bool keyed = kind == STORE_TOP_CLIENTS;
    int rc;

    *distinct = 0;
    if ((rc = begin(state, deadline, reason)) != E_OK ||
        (rc = start_question(&question, reason)) != E_OK)
        return rc;
    postgresql_question_say(&question,
                            "SELECT %s, %s, count(*), count(*) FILTER (WHERE outcome = '%s'),"
                            " floor(avg(latency))::bigint, count(*) OVER () FROM sotto.queries",
                            columns[kind], keyed ? "to_hex(client_key)" : "NULL",
                            querylog_outcome_name(QUERYLOG_ERROR));
    postgresql_question_where(&question, filter);
    postgresql_question_say(&question, " GROUP BY %s%s ORDER BY 3 DESC, 1, 2 LIMIT %" PRIu32,
                            columns[kind], keyed ? ", client_key" : "", limit);
    return ask(state, &question, deadline, take_top, &top, reason);
}

// ---- Figures

// The server counts latencies in classes, each 4 % wide: what stands for one is at most 2 % off.
// CLASSES_MAX: ln(2^31) * 25, and some.
#define CLASS "round(ln(latency::float8 + 1) * 25)::integer"
#define CLASS_LATENCY "round(exp(class / 25.0::float8) - 1)::bigint"
#define CLASSES_MAX 560

struct figures {
    struct store_figures *figures; // of the first interval
    uint32_t count;
    uint32_t current;             // the interval of the histogram: rows come sorted by it
    uint64_t counts[CLASSES_MAX]; // the histogram
    uint32_t latencies[CLASSES_MAX];
    uint64_t oldest, newest;
};

static uint32_t percentile(const struct figures *figures, const struct store_figures *of,
                           unsigned percent)
{
    uint64_t rank = (of->count * percent + 99) / 100, seen = 0;

    for (unsigned i = 0; i < CLASSES_MAX; i++) {
        seen += figures->counts[i];
        if (seen >= rank)
            return MIN(figures->latencies[i], of->max);
    }
    return of->max;
}

// The histogram is whole: what it says is written down.
static void finish_interval(struct figures *figures)
{
    struct store_figures *of = &figures->figures[figures->current];

    if (of->count > 0) {
        of->p50 = percentile(figures, of, 50);
        of->p95 = percentile(figures, of, 95);
        of->p99 = percentile(figures, of, 99);
    }
    memset(figures->counts, 0, sizeof(figures->counts));
}

static bool take_figures(void *context, const PGresult *row)
{
    struct figures *figures = context;
    uint64_t interval = number(row, 0), class = number(row, 2), count = number(row, 4);
    unsigned outcome = word_index(querylog_outcome_name, QUERYLOG_OUTCOMES, PQgetvalue(row, 0, 1));
    uint64_t oldest = number(row, 6), newest = number(row, 7);
    struct store_figures *of;

    if (interval >= figures->count || class >= CLASSES_MAX)
        return true;
    if (interval != figures->current)
        finish_interval(figures);
    figures->current = (uint32_t)interval;
    figures->counts[class] += count;
    figures->latencies[class] = (uint32_t)number(row, 3);
    figures->oldest = figures->oldest ? MIN(figures->oldest, oldest) : oldest;
    figures->newest = MAX(figures->newest, newest);
    of = &figures->figures[interval];
    of->count += count;
    if (outcome < QUERYLOG_OUTCOMES)
        of->outcomes[outcome] += count;
    of->max = MAX(of->max, (uint32_t)number(row, 5));
    return true;
}

// `bin`: the SQL of a record's time, rounded down to where its interval begins.
static int ask_figures(struct postgresql_store *store, const struct store_filter *filter,
                       const char *bin, const struct store_series *series, usec_t deadline,
                       struct figures *figures, char reason[STORE_REASON_SIZE])
{
    struct postgresql_question question;
    int rc;

    memset(figures->figures, 0, figures->count * sizeof(*figures->figures));
    if (figures->count == 0)
        return E_OK;
    if ((rc = begin(store, deadline, reason)) != E_OK ||
        (rc = start_question(&question, reason)) != E_OK)
        return rc;
    postgresql_question_say(
        &question,
        "SELECT (" MICROSECONDS(
            "bin") " - %" PRIu64 ") / %" PRIu64 ", outcome, class,"
                   " " CLASS_LATENCY ", count, slowest, " MICROSECONDS("oldest") ", " MICROSECONDS(
                       "newest") " FROM (SELECT %s AS bin, outcome, " CLASS
                                 " AS class, count(*) AS count,"
                                 " max(latency) AS slowest, min(time) AS oldest, max(time) AS "
                                 "newest FROM sotto.queries",
        series->start, series->width, bin);
    postgresql_question_where(&question, filter);
    postgresql_question_say(&question, " GROUP BY 1, 2, 3) AS counted ORDER BY 1");
    rc = ask(store, &question, deadline, take_figures, figures, reason);
    finish_interval(figures);
    return rc;
}

static int ask_series(void *state, const struct store_filter *filter,
                      const struct store_series *series, usec_t deadline,
                      struct store_figures *figures, char reason[STORE_REASON_SIZE])
{
    struct figures result = {.figures = figures, .count = series->count};
    struct store_filter bounded = *filter;
    struct store_series asked = {
        .start = MIN(series->start, POSTGRESQL_TIME_MAX),
        .width = MIN(series->width, POSTGRESQL_TIME_MAX),
    };
    uint64_t end = asked.width > POSTGRESQL_TIME_MAX / MAX(series->count, 1)
                       ? UINT64_MAX
                       : asked.start + asked.width * series->count;
    char bin[160];

    // Records outside would be counted in vain.
    bounded.since = MAX(bounded.since, asked.start);
    bounded.until = bounded.until ? MIN(bounded.until, end) : end;
    snprintf(bin, sizeof(bin),
             "date_bin('%" PRIu64 " microseconds', time, 'epoch'::timestamptz"
             " + interval '%" PRIu64 " microseconds')",
             asked.width, asked.start);
    return ask_figures(state, &bounded, bin, &asked, deadline, &result, reason);
}

static int ask_totals(void *state, const struct store_filter *filter, usec_t deadline,
                      struct store_totals *totals, char reason[STORE_REASON_SIZE])
{
    struct figures result = {.figures = &totals->figures, .count = 1};
    const struct store_series whole = {.start = 0, .width = 1};
    int rc = ask_figures(state, filter, "'epoch'::timestamptz", &whole, deadline, &result, reason);

    totals->oldest = result.oldest;
    totals->newest = result.newest;
    return rc;
}

const struct store_ops store_postgresql = {
    .scheme = "postgresql",
    .open = open_store,
    .close = close_store,
    .rows = ask_rows,
    .newest = ask_newest,
    .top = ask_top,
    .series = ask_series,
    .totals = ask_totals,
};
