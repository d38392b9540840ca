#include "cli/log.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "cli/log_print.h"
#include "config/config.h"

#define LIMIT_DEFAULT 100
#define TOP_DEFAULT 20

// Rows of one question: a snapshot of the store lasts no longer.
#define PAGE_ROWS 1000

// How long --follow waits before it looks again.
#define FOLLOW_INTERVAL_MS 250

struct arguments {
    const char *store;       // NULL: the first of the configuration that can be read
    const char *config_file; // NULL: what SOTTO_CONFIG names, if anything
    const char *conditions[STORE_FILTER_KEYS];
    const char *limit, *top;
    bool follow, json, csv;
};

enum { CODE_STORE = SUBCOMMAND_CODE_MIN, CODE_TOP, CODE_JSON, CODE_CSV, CODE_FILTER };

static const struct option options[] = {
    {"store", required_argument, NULL, CODE_STORE},
    {"config", required_argument, NULL, 'c'},
    {"limit", required_argument, NULL, 'n'},
    {"follow", no_argument, NULL, 'f'},
    {"top", required_argument, NULL, CODE_TOP},
    {"json", no_argument, NULL, CODE_JSON},
    {"csv", no_argument, NULL, CODE_CSV},
#define X(name, text) {text, required_argument, NULL, CODE_FILTER + STORE_FILTER_##name},
    STORE_FILTER_LIST(X)
#undef X
        SUBCOMMAND_HELP_OPTION,
    SUBCOMMAND_OPTIONS_END,
};

static int take(const struct subcommand *subcommand, void *to, int code, const char *value)
{
    struct arguments *arguments = to;

    switch (code) {
    case CODE_STORE:
        arguments->store = value;
        break;
    case 'c':
        arguments->config_file = value;
        break;
    case 'n':
        arguments->limit = value;
        break;
    case 'f':
        arguments->follow = true;
        break;
    case CODE_TOP:
        arguments->top = value;
        break;
    case CODE_JSON:
        arguments->json = true;
        break;
    case CODE_CSV:
        arguments->csv = true;
        break;
    default:
        arguments->conditions[code - CODE_FILTER] = value;
    }
    return EXIT_OK;
}

// What is to be done.
struct question {
    const struct subcommand *subcommand;
    struct store *store;
    struct store_filter filter;
    struct log_print print;
    enum store_top_kind top;
    uint64_t limit; // 0: all
    bool follow;
    // While rows come:
    uint64_t given, cursor;
    uint64_t total;
    char reason[STORE_REASON_SIZE];
};

static int failed(struct question *question)
{
    fflush(stdout);
    return subcommand_failure(question->subcommand, "%s", question->reason);
}

// Whoever reads us has had enough: no failure of ours.
static bool is_cut_off(void)
{
    return fflush(stdout) != 0 || ferror(stdout);
}

static bool give_row(void *context, const struct store_row *row)
{
    struct question *question = context;

    log_print_row(&question->print, row);
    question->given++;
    question->cursor = row->id;
    return !ferror(stdout);
}

// The newest first, up to the limit.
static int show_rows(struct question *question)
{
    struct store_page page = {.before = 0};
    uint64_t before;

    log_print_row_header(&question->print);
    do {
        before = question->given;
        page.limit =
            question->limit > 0 ? (uint32_t)MIN(question->limit - before, PAGE_ROWS) : PAGE_ROWS;
        page.before = question->cursor;
        if (store_rows(question->store, &question->filter, &page, give_row, question,
                       question->reason) != E_OK)
            return failed(question);
        if (is_cut_off())
            return EXIT_RUNTIME;
    } while (question->given - before == page.limit && page.limit > 0 &&
             question->given != question->limit);
    return EXIT_OK;
}

// Rows that were found from the newest on, and are shown from the oldest on.
struct lines {
    struct question *question;
    char **texts;
    uint32_t used;
    uint64_t newest;
};

static bool keep_row(void *context, const struct store_row *row)
{
    struct lines *lines = context;
    struct log_print print = lines->question->print;
    char *text = NULL;
    size_t size;

    print.out = open_memstream(&text, &size);
    if (!print.out)
        return false;
    log_print_row(&print, row);
    if (fclose(print.out) != 0)
        return false;
    lines->texts[lines->used++] = text;
    return true;
}

// The last ones, as `tail -f` does.
static int show_last(struct question *question)
{
    struct store_page page = {
        .before = question->cursor + 1,
        .limit = (uint32_t)MIN(question->limit > 0 ? question->limit : PAGE_ROWS, PAGE_ROWS),
    };
    struct lines lines = {.question = question};
    int error;

    lines.texts = calloc(PAGE_ROWS, sizeof(*lines.texts));
    if (!lines.texts)
        return E_NOMEM;
    error =
        store_rows(question->store, &question->filter, &page, keep_row, &lines, question->reason);
    while (lines.used > 0) {
        fputs(lines.texts[--lines.used], stdout);
        free(lines.texts[lines.used]);
    }
    free(lines.texts);
    return error;
}

static int follow(struct question *question)
{
    struct store_page page = {.forward = true, .limit = PAGE_ROWS};
    uint64_t newest;

    // What comes between the two questions is shown by the second.
    if (store_newest(question->store, &question->cursor, question->reason) != E_OK)
        return failed(question);
    log_print_row_header(&question->print);
    if (show_last(question) != E_OK)
        return failed(question);
    for (;;) {
        if (is_cut_off())
            return EXIT_RUNTIME;
        if (store_newest(question->store, &newest, question->reason) != E_OK)
            return failed(question);
        if (newest < question->cursor)
            question->cursor = 0; // another file
        if (newest == question->cursor) {
            nanosleep(&(struct timespec){.tv_nsec = FOLLOW_INTERVAL_MS * 1000000L}, NULL);
            continue;
        }
        page.after = question->cursor;
        question->given = 0;
        if (store_rows(question->store, &question->filter, &page, give_row, question,
                       question->reason) != E_OK)
            return failed(question);
        if (question->given < page.limit)
            question->cursor = MAX(question->cursor, newest); // others up to there are not meant
    }
}

static bool give_top(void *context, const struct store_top *top)
{
    struct question *question = context;

    log_print_top(&question->print, top, question->total);
    return !ferror(stdout);
}

static int show_top(struct question *question)
{
    struct store_totals totals;
    uint64_t distinct = 0;

    if (question->print.format == LOG_PRINT_TABLE) {
        if (store_totals(question->store, &question->filter, &totals, question->reason) != E_OK)
            return failed(question);
        question->total = totals.figures.count;
    }
    log_print_top_header(&question->print, question->top);
    if (store_top(question->store, &question->filter, question->top, (uint32_t)question->limit,
                  give_top, question, &distinct, question->reason) != E_OK)
        return failed(question);
    if (question->print.format == LOG_PRINT_TABLE)
        printf("%" PRIu64 " queries, %" PRIu64 " different %s\n", question->total, distinct,
               store_top_kind_name(question->top));
    return is_cut_off() ? EXIT_RUNTIME : EXIT_OK;
}

// A file's name becomes the URL of its store.
static int open_named_store(struct question *question, const char *name)
{
    char path[PATH_MAX], url[PATH_MAX + 16];

    if (strstr(name, ":/")) {
        snprintf(url, sizeof(url), "%s", name);
    } else {
        if (!realpath(name, path))
            snprintf(path, sizeof(path), "%s%s", *name == '/' ? "" : "/", name);
        snprintf(url, sizeof(url), "sqlite://%s", path);
    }
    question->store = store_open(url, NULL, question->reason);
    return question->store ? E_OK : E_SYSTEM;
}

// The first sink of the configuration whose store can be read.
static int open_configured_store(struct question *question, const char *file)
{
    struct config *config = calloc(1, sizeof(*config));
    struct config_error error = {"out of memory"};
    int code = EXIT_USAGE;

    if (config)
        config_defaults(config);
    if (!config || config_load_file(config, file, &error) != E_OK) {
        fprintf(stderr, "sotto %s: %s\n", question->subcommand->name, error.text);
    } else if (config->querylog.sink_count == 0) {
        code = subcommand_failure(question->subcommand,
                                  "%s: query-log has no sinks: nothing is kept", file);
    } else {
        for (uint32_t i = 0; i < config->querylog.sink_count && !question->store; i++) {
            const struct querylog_sink_options *sink = &config->querylog.sinks[i];

            question->store = store_open(
                sink->url, *sink->password_file ? sink->password_file : NULL, question->reason);
        }
        code = question->store ? EXIT_OK : failed(question);
    }
    free(config);
    return code;
}

static int open_the_store(struct question *question, const struct arguments *arguments)
{
    const char *file = arguments->config_file ? arguments->config_file : getenv("SOTTO_CONFIG");

    if (arguments->store)
        return open_named_store(question, arguments->store) == E_OK ? EXIT_OK : failed(question);
    if (file && *file)
        return open_configured_store(question, file);
    return subcommand_usage_error(
        question->subcommand, "which query log? Write --store FILE, --store URL, or --config FILE",
        "");
}

static int parse_limit(uint64_t *limit, const char *text)
{
    char *end;

    if (*text < '0' || *text > '9')
        return E_INVALID;
    *limit = strtoull(text, &end, 10);
    return *end || *limit > INT64_MAX ? E_INVALID : E_OK;
}

// What the command line says, or its exit code after having said what is wrong.
static int understand(struct question *question, const struct arguments *arguments)
{
    const struct subcommand *subcommand = question->subcommand;
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    store_filter_init(&question->filter);
    for (unsigned key = 0; key < STORE_FILTER_KEYS; key++)
        if (arguments->conditions[key] &&
            store_filter_take(&question->filter, key, arguments->conditions[key],
                              (uint64_t)now.tv_sec * USEC_SEC + (uint64_t)now.tv_nsec / 1000,
                              question->reason) != E_OK)
            return subcommand_usage_error(subcommand, "--", question->reason);
    question->limit = arguments->top ? TOP_DEFAULT : LIMIT_DEFAULT;
    if (arguments->limit && parse_limit(&question->limit, arguments->limit) != E_OK)
        return subcommand_usage_error(subcommand,
                                      "--limit: write a number, 0 for all: ", arguments->limit);
    question->top = arguments->top ? store_top_kind_of(arguments->top) : STORE_TOP_KINDS;
    if (arguments->top && question->top == STORE_TOP_KINDS)
        return subcommand_usage_error(subcommand,
                                      "--top: write one of"
#define X(name, text) " " text
                                      STORE_TOP_LIST(X)
#undef X
                                          ", not: ",
                                      arguments->top);
    if (arguments->top && (question->limit == 0 || question->limit > STORE_TOP_MAX))
        question->limit = STORE_TOP_MAX;
    if (arguments->json && arguments->csv)
        return subcommand_usage_error(subcommand, "--json or --csv, not both", "");
    if (arguments->follow && arguments->top)
        return subcommand_usage_error(subcommand, "--follow shows queries, not --top", "");
    question->follow = arguments->follow;
    question->print.format = arguments->json  ? LOG_PRINT_JSON
                             : arguments->csv ? LOG_PRINT_CSV
                                              : LOG_PRINT_TABLE;
    return SUBCOMMAND_GO_ON;
}

static bool wants_colour(void)
{
    const char *no_colour = getenv("NO_COLOR"), *term = getenv("TERM");

    return isatty(STDOUT_FILENO) && !(no_colour && *no_colour) &&
           !(term && strcmp(term, "dumb") == 0);
}

static int run(const struct subcommand *subcommand, int argc, char **argv)
{
    struct arguments arguments = {.store = NULL};
    struct question question = {.subcommand = subcommand};
    int code = subcommand_parse(subcommand, argc, argv, &arguments);

    if (code != SUBCOMMAND_GO_ON)
        return code;
    if (optind < argc)
        return subcommand_usage_error(subcommand, "unexpected argument: ", argv[optind]);
    code = understand(&question, &arguments);
    if (code != SUBCOMMAND_GO_ON)
        return code;
    code = open_the_store(&question, &arguments);
    if (code != EXIT_OK)
        return code;
    question.print.out = stdout;
    question.print.colour = wants_colour();
    if (question.top != STORE_TOP_KINDS)
        code = show_top(&question);
    else
        code = question.follow ? follow(&question) : show_rows(&question);
    store_close(question.store);
    return code;
}

const struct subcommand subcommand_log = {
    .name = "log",
    .operands = "[--since 1h] ...",
    .summary = "what was asked, from a query log",
    .help = "Usage: sotto log [OPTION]...\n"
            "Shows the newest queries that a query log has kept, or what is frequent there.\n\n"
            "      --store URL|FILE       which log: sqlite:///PATH, or the path alone\n"
            "  -c, --config FILE          else the first of its query-log.sinks that can be\n"
            "                             read; or of the file that SOTTO_CONFIG names\n\n"
            "Which queries; all conditions hold at once:\n"
            "      --since TIME           30s, 15m, 1h, 2d ago; or 2026-01-31,\n"
            "                             2026-01-31T12:00:00, with Z behind it for UTC\n"
            "      --until TIME           the same\n"
            "      --client ADDRESS       192.0.2.1, 192.0.2.0/24; or a pseudonym\n"
            "      --name NAME            www.example.com; *.example.com: all names below it\n"
            "      --text TEXT            names in which TEXT is\n"
            "      --type TYPE            A, AAAA, HTTPS, ...\n"
            "      --outcome OUTCOME      hit, miss, joined, stale, local, refused, limited,\n"
            "                             error; several with commas\n"
            "      --rcode RCODE          NOERROR, NXDOMAIN, SERVFAIL, ...\n"
            "      --transport TRANSPORT  udp, tcp, tls, https; several with commas\n"
            "      --slow DURATION        that took 100ms, 1.5s or longer\n\n"
            "What of them:\n"
            "  -n, --limit N              at most N (100; of --top 20); 0: all\n"
            "  -f, --follow               the last ones, then those that come, as they come\n"
            "      --top KIND             the most frequent names, clients, types, outcomes,\n"
            "                             upstreams, rcodes or transports\n"
            "      --json                 as JSON, an object a line\n"
            "      --csv                  as CSV; a text that a spreadsheet would take for a\n"
            "                             formula has a ' in front\n"
            "  -h, --help                 print this help, and end\n\n"
            "Names are shown as in zone files, so that no octet of theirs does harm. Colours\n"
            "only on a terminal, and not if NO_COLOR is set.\n\n"
            "Exit codes: 0; 1 if the log cannot be read; 2 if an option is wrong.\n",
    .short_options = SUBCOMMAND_SHORT_OPTIONS "c:fn:",
    .options = options,
    .take = take,
    .run = run,
};
