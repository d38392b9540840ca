#include "cli/subcommand.h"

#include <stdarg.h>
#include <stdio.h>

int subcommand_usage_error(const struct subcommand *subcommand, const char *what, const char *which)
{
    fprintf(stderr, "sotto %s: %s%s\nTry 'sotto %s --help'.\n", subcommand->name, what, which,
            subcommand->name);
    return EXIT_USAGE;
}

int subcommand_failure(const struct subcommand *subcommand, const char *format, ...)
{
    va_list args;

    fprintf(stderr, "sotto %s: ", subcommand->name);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return EXIT_RUNTIME;
}

int subcommand_parse(const struct subcommand *subcommand, int argc, char **argv, void *arguments)
{
    bool help = false;
    int code, exit_code;

    optind = 0; // glibc: start afresh
    opterr = 0;
    while ((code = getopt_long(argc, argv, subcommand->short_options, subcommand->options, NULL)) !=
           -1) {
        if (code == 'h')
            help = true;
        else if (code == ':')
            return subcommand_usage_error(subcommand, "an argument is missing after ",
                                          argv[optind - 1]);
        else if (code == '?')
            return subcommand_usage_error(
                subcommand, "unknown option, or one that takes no argument: ", argv[optind - 1]);
        else if ((exit_code = subcommand->take(subcommand, arguments, code, optarg)) != EXIT_OK)
            return exit_code;
    }
    if (!help)
        return SUBCOMMAND_GO_ON;
    fputs(subcommand->help, stdout);
    return EXIT_OK;
}
