// The client's end of the control socket (admin/control.h): one request, one response.
#pragma once

#include <stdio.h>

#include "admin/control_request.h"
#include "admin/control_socket.h"

// How long a server may say nothing. It waits for its workers for 2 s, and may write its cache to a
// file after a flush.
#define CONTROL_CLIENT_TIMEOUT_S 20

#define CONTROL_CLIENT_ERROR_SIZE 1024

// Asks the first of the places where somebody answers, and writes the response's body to `out`.
// `name` is a wire name; NULL for commands without one. E_SYSTEM with the error: what happened,
// where it was tried, and what can be done; E_CLOSED with the error if nobody is reached.
NODISCARD int control_client_ask(const struct control_place *places, unsigned count,
                                 enum control_command command, const uint8_t *name, FILE *out,
                                 char error[CONTROL_CLIENT_ERROR_SIZE]);
