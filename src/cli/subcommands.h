// What `sotto` does besides being the server, as a table: `sotto status` and `sotto flush` ask a
// running one, `sotto cert` and `sotto mobileconfig` help to set one up.
#pragma once

#include <stdio.h>

#include "base/compiler.h"

struct subcommand;

// By its name, or NULL.
NONNULL const struct subcommand *subcommand_find(const char *name);

// Runs it; argv[0] is its name. Output goes to stdout, errors to stderr. Returns the exit code
// (daemon/daemon.h). Main thread only (getopt).
NONNULL int subcommand_run(const struct subcommand *subcommand, int argc, char **argv);

// A line of the main help for each, under the first one's "Usage:".
NONNULL void subcommands_print_usage(FILE *out);
