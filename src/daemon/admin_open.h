// The socket of the admin's HTTP server, opened while there is still the right to.
#pragma once

#include "admin/options.h"
#include "base/compiler.h"
#include "config/config.h"

// A descriptor that listens, and in `bound` the address with the port that it has; -1 with the
// error.
NONNULL NODISCARD int admin_open(const struct admin_options *options, struct address *bound,
                                 struct config_error *error);
