// The token of the admin's pages, out of its file.
#pragma once

#include "admin/options.h"
#include "base/compiler.h"
#include "config/config.h"

// Reads admin.token-file into `token`: one line of at least ADMIN_TOKEN_MIN visible characters.
// E_INVALID with the error.
NONNULL NODISCARD int admin_token_read(char token[ADMIN_TOKEN_SIZE], const char *path,
                                       struct config_error *error);
