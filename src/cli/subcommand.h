// What a subcommand is, and what all of them do alike: read their options, and say what is wrong.
// Each has a file of its own, and a place in the table of subcommands.c.
#pragma once

#include <getopt.h>

#include "base/compiler.h"
#include "daemon/daemon.h"

struct subcommand {
    const char *name;
    const char *operands; // in the main help, behind the name
    const char *summary;  // in the main help, in a few words
    const char *help;     // its own --help, whole
    const char *short_options;
    const struct option *options;
    // Takes one option but --help; `value` is its argument, which lives as long as the command
    // line. EXIT_OK, or the exit code to end with, after having said why.
    int (*take)(const struct subcommand *subcommand, void *arguments, int code, const char *value);
    // Runs it with argv[0] its name. Returns the exit code.
    int (*run)(const struct subcommand *subcommand, int argc, char **argv);
};

// The codes of long options without a short form begin here.
#define SUBCOMMAND_CODE_MIN 256

// Belongs into each short_options (the colon: a missing argument is told from an unknown option)
// and options.
#define SUBCOMMAND_SHORT_OPTIONS ":h"
#define SUBCOMMAND_HELP_OPTION                                                                     \
    {                                                                                              \
        "help", no_argument, NULL, 'h'                                                             \
    }
#define SUBCOMMAND_OPTIONS_END                                                                     \
    {                                                                                              \
        NULL, 0, NULL, 0                                                                           \
    }

// The command line is in order: go on.
#define SUBCOMMAND_GO_ON (-1)

// Reads the options into `arguments` by the subcommand's take(). SUBCOMMAND_GO_ON, and the operands
// are argv[optind] and what follows it; or the exit code to end with: --help was printed, or on
// stderr was said what is wrong.
NONNULL NODISCARD int subcommand_parse(const struct subcommand *subcommand, int argc, char **argv,
                                       void *arguments);

// Says that the command line is wrong. Returns the exit code.
NONNULL int subcommand_usage_error(const struct subcommand *subcommand, const char *what,
                                   const char *which);

// Says what went wrong. Returns EXIT_RUNTIME.
PRINTF(2, 3) int subcommand_failure(const struct subcommand *subcommand, const char *format, ...);
