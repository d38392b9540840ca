// `sotto healthcheck`: whether a running sotto answers, for containers.
#pragma once

#include "cli/subcommand.h"

extern const struct subcommand subcommand_healthcheck;
