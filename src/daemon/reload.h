// A new configuration for the running program: all that can fail is prepared before anything
// changes; then each worker is sent an update, and it is done when all have taken it over.
#pragma once

#include "daemon/state.h"

// In the main thread. What comes of it is said in the log.
NONNULL void reload_all(struct daemon *daemon);
