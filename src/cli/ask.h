// Asking a running sotto: what `sotto status` and `sotto flush` have alike.
#pragma once

#include <stdint.h>

#include "admin/control_request.h"
#include "cli/subcommand.h"

// Where to ask. Begins zeroed.
struct ask_arguments {
    const char *config_file;    // NULL: what SOTTO_CONFIG names, if anything
    const char *control_socket; // NULL: as the configuration says
};

enum { ASK_CODE_CONTROL_SOCKET = SUBCOMMAND_CODE_MIN, ASK_CODE_NEXT };

// Parts of short_options, options and help.
#define ASK_SHORT_OPTIONS SUBCOMMAND_SHORT_OPTIONS "c:"
#define ASK_OPTIONS                                                                                \
    {"config", required_argument, NULL, 'c'},                                                      \
    {                                                                                              \
        "control-socket", required_argument, NULL, ASK_CODE_CONTROL_SOCKET                         \
    }
#define ASK_HELP                                                                                   \
    "      --control-socket PATH  ask by the socket at PATH; auto: look for it in\n"               \
    "                             $RUNTIME_DIRECTORY, or else in\n"                                \
    "                             $XDG_RUNTIME_DIR/sotto and /run/sotto\n"                         \
    "  -c, --config FILE          else by the control.socket of FILE, or of the file\n"            \
    "                             that SOTTO_CONFIG names; with neither: auto\n"                   \
    "  -h, --help                 print this help, and end\n\n"                                    \
    "Exit codes: 0; 1 if sotto cannot be reached or refuses; 2 if an option is wrong.\n"

// For take(): one of ASK_OPTIONS.
NONNULL void ask_take(struct ask_arguments *arguments, int code, const char *value);

// Asks, and prints what comes back. `name` is a wire name where the command has one, else NULL.
// Returns the exit code.
int ask(const struct subcommand *subcommand, const struct ask_arguments *arguments,
        enum control_command command, const uint8_t *name);
