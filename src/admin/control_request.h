// What is asked on the control socket; the protocol is described in control.h.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "dns/name.h"

// A line's first word, in both directions.
#define CONTROL_PROTOCOL "sotto/1"

// With the newline: room for the longest command and a name with all its octets written as \DDD.
#define CONTROL_REQUEST_MAX ((size_t)1200)

// A command and what it does; those with a name end in a space.
#define CONTROL_COMMAND_LIST(X)                                                                    \
    X(STATUS_TABLE, "status table")                                                                \
    X(STATUS_JSON, "status json")                                                                  \
    X(READY, "ready")                                                                              \
    X(FLUSH_ALL, "flush")                                                                          \
    X(FLUSH_NAME, "flush name ")                                                                   \
    X(FLUSH_SUBTREE, "flush subtree ")

enum control_command {
#define X(name, text) CONTROL_##name,
    CONTROL_COMMAND_LIST(X)
#undef X
};

struct control_request {
    enum control_command command;
    uint8_t name[DNS_NAME_MAX]; // a wire name, of the commands that have one
};

// Reads a line, without its newline. E_INVALID with a static text that says why in `*why`.
NONNULL NODISCARD int control_request_parse(struct control_request *request, const char *line,
                                            size_t size, const char **why);

// Writes the line with its newline and a NUL; returns its length without the NUL. `name` is a wire
// name, NULL for commands without one.
size_t control_request_print(enum control_command command, const uint8_t *name,
                             char line[CONTROL_REQUEST_MAX + 1]);
