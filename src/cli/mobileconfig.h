// `sotto mobileconfig`: prints a configuration profile by which devices of Apple use a server.
#pragma once

#include "cli/subcommand.h"

extern const struct subcommand subcommand_mobileconfig;
