// `sotto cert`: makes a private certificate authority, and with it the certificate of a server.
#pragma once

#include "cli/subcommand.h"

extern const struct subcommand subcommand_cert;
