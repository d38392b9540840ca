// The control socket as the configuration wants it.
#pragma once

#include "admin/control_socket.h"
#include "config/config.h"

// Opens it, while there is still the right to. `socket->fd` is -1 if there is none; then `error`
// says why, or is empty if none is wanted. Where a path or a group is asked for that cannot be had,
// E_SYSTEM or E_INVALID with the error; that there is no place for `auto` does not keep the program
// from starting. For one thread.
NONNULL NODISCARD int control_open(struct control_socket *socket, const struct config *config,
                                   struct config_error *error);
