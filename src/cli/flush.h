// `sotto flush`: empties the cache of a running sotto.
#pragma once

#include "cli/subcommand.h"

extern const struct subcommand subcommand_flush;
