// `sotto log`: asks what a query log has kept.
#pragma once

#include "cli/subcommand.h"

extern const struct subcommand subcommand_log;
