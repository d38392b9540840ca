// The program as a service: its start, its signals (TERM and INT stop, HUP reloads, USR1 logs the
// counters), and its end. Main thread.
#pragma once

#include "base/compiler.h"
#include "config/config.h"

// Exit codes of the program.
enum { EXIT_OK = 0, EXIT_RUNTIME = 1, EXIT_USAGE = 2 };

// Loads the configuration, at the start and for every reload. E_INVALID with the error.
struct daemon_loader {
    int (*load)(void *context, struct config *config, struct config_error *error);
    void *context;
};

// Runs until it is told to stop. Returns the exit code; startup errors were said on stderr.
NONNULL int daemon_run(const struct daemon_loader *loader);
