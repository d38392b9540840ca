// Files with secrets: keys that tables and cookies are made with.
#pragma once

#include "base/compiler.h"
#include "base/siphash.h"
#include "config/config.h"

// Reads one to `max` lines of 32 hexadecimal digits each; blank lines do not count. `key` is the
// configuration's, for the error. E_INVALID with the error if the file cannot be read or is
// something else.
NONNULL NODISCARD int secrets_read(struct siphash_key *secrets, uint32_t max, uint32_t *count,
                                   const char *key, const char *path, struct config_error *error);
