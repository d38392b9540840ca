#include "cli/flush.h"

#include "base/error.h"
#include "cli/ask.h"
#include "dns/name.h"

struct arguments {
    struct ask_arguments where;
    bool subtree;
};

enum { CODE_SUBTREE = ASK_CODE_NEXT };

static const struct option options[] = {
    {"subtree", no_argument, NULL, CODE_SUBTREE},
    ASK_OPTIONS,
    SUBCOMMAND_HELP_OPTION,
    SUBCOMMAND_OPTIONS_END,
};

static int take(const struct subcommand *subcommand, void *to, int code, const char *value)
{
    struct arguments *arguments = to;

    if (code == CODE_SUBTREE)
        arguments->subtree = true;
    else
        ask_take(&arguments->where, code, value);
    return EXIT_OK;
}

static int run(const struct subcommand *subcommand, int argc, char **argv)
{
    struct arguments arguments = {.subtree = false};
    int code = subcommand_parse(subcommand, argc, argv, &arguments);
    uint8_t name[DNS_NAME_MAX];

    if (code != SUBCOMMAND_GO_ON)
        return code;
    if (optind + 1 < argc)
        return subcommand_usage_error(subcommand, "unexpected argument: ", argv[optind + 1]);
    if (optind == argc && arguments.subtree)
        return subcommand_usage_error(subcommand, "a name is missing after --subtree", "");
    if (optind == argc)
        return ask(subcommand, &arguments.where, CONTROL_FLUSH_ALL, NULL);
    if (dns_name_from_text(argv[optind], name) != E_OK)
        return subcommand_usage_error(subcommand, "not a domain name: ", argv[optind]);
    return ask(subcommand, &arguments.where,
               arguments.subtree ? CONTROL_FLUSH_SUBTREE : CONTROL_FLUSH_NAME, name);
}

const struct subcommand subcommand_flush = {
    .name = "flush",
    .operands = "[--subtree] [NAME]",
    .summary = "empty its cache, or NAME in it",
    .help = "Usage: sotto flush [OPTION]... [NAME]\n"
            "Drops what a running sotto has in its cache: all of it, or what is kept under\n"
            "the domain NAME.\n\n"
            "      --subtree              also what is kept under names below NAME\n" ASK_HELP,
    .short_options = ASK_SHORT_OPTIONS,
    .options = options,
    .take = take,
    .run = run,
};
