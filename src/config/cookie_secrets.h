// The file with the secrets of DNS cookies.
#pragma once

#include "base/compiler.h"
#include "config/config.h"
#include "policy/options.h"

// Reads one or two lines of 32 hexadecimal digits each; blank lines do not count. E_INVALID with
// the error if the file cannot be read or is something else.
NONNULL NODISCARD int cookie_secrets_read(struct policy_cookie_secrets *secrets, const char *path,
                                          struct config_error *error);
