// Defaults of what stands in a list; config_defaults() has all others.
#pragma once

#include "base/compiler.h"

// Of a struct upstream_server_options: all but where it is.
NONNULL void config_server_defaults(void *server);

// The same of a struct querylog_sink_options.
void config_sink_defaults(void *sink);
