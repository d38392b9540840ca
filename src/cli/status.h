// `sotto status`: shows how a running sotto is.
#pragma once

#include "cli/subcommand.h"

extern const struct subcommand subcommand_status;
