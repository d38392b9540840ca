// Giving up what only the start needs.
#pragma once

#include <sys/types.h>

#include "base/compiler.h"
#include "config/config.h"

// Who the process will be after privileges_drop(): the user if started as root, else who it is.
// E_INVALID with the error.
NONNULL NODISCARD int privileges_target(const char *user, uid_t *uid, gid_t *gid,
                                        struct config_error *error);

// As root: becomes the user with its groups (unless that is root itself). In any case: keeps no
// capability, and can gain no privileges again. Must be called while there is only one thread.
// E_SYSTEM or E_INVALID with the error.
NONNULL NODISCARD int privileges_drop(const char *user, struct config_error *error);
