#include "cli/status.h"

#include "cli/ask.h"

struct arguments {
    struct ask_arguments where;
    bool json;
};

enum { CODE_JSON = ASK_CODE_NEXT };

static const struct option options[] = {
    {"json", no_argument, NULL, CODE_JSON},
    ASK_OPTIONS,
    SUBCOMMAND_HELP_OPTION,
    SUBCOMMAND_OPTIONS_END,
};

static int take(const struct subcommand *subcommand, void *to, int code, const char *value)
{
    struct arguments *arguments = to;

    if (code == CODE_JSON)
        arguments->json = true;
    else
        ask_take(&arguments->where, code, value);
    return EXIT_OK;
}

static int run(const struct subcommand *subcommand, int argc, char **argv)
{
    struct arguments arguments = {.json = false};
    int code = subcommand_parse(subcommand, argc, argv, &arguments);

    if (code != SUBCOMMAND_GO_ON)
        return code;
    if (optind < argc)
        return subcommand_usage_error(subcommand, "unexpected argument: ", argv[optind]);
    return ask(subcommand, &arguments.where,
               arguments.json ? CONTROL_STATUS_JSON : CONTROL_STATUS_TABLE, NULL);
}

const struct subcommand subcommand_status = {
    .name = "status",
    .operands = "[--json]",
    .summary = "how a running one is",
    .help = "Usage: sotto status [OPTION]...\n"
            "Shows how a running sotto is: its upstreams, workers and cache.\n\n"
            "      --json                 as one JSON object, for programs\n" ASK_HELP,
    .short_options = ASK_SHORT_OPTIONS,
    .options = options,
    .take = take,
    .run = run,
};
