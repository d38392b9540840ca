// What is listened on: opened at the start and at a reload, and by which rules.
#pragma once

#include "daemon/endpoints.h"
#include "daemon/state.h"

// Opens the endpoints of the start: those that the service manager passed, or the configured ones.
// E_INVALID, E_SYSTEM with the error.
NONNULL NODISCARD int listening_open(struct daemon *daemon, struct config_error *error);

// Opens what is to be listened on and is not yet; appends it to `opened`, which is the daemon's own
// list at the start. E_INVALID, E_SYSTEM with the error.
NONNULL NODISCARD int listening_open_missing(struct daemon *daemon,
                                             const struct listener_options *options,
                                             struct list *opened, struct config_error *error);

// As many open files as we may have; clients get what is left beside our own needs, so that a flood
// of connections cannot take the last descriptor. Returns the most connections of one worker.
NONNULL uint32_t listening_fit_descriptors(const struct daemon *daemon, uint32_t wanted);

// A place may be for one of the two kinds of sockets that an endpoint has.
#define LISTENING_KINDS 2
extern const uint32_t listening_kinds[LISTENING_KINDS];

// The rules for one kind of an endpoint's sockets, the options', and what they are for. NULL: it
// has none of the kind.
NONNULL const struct listener_rules *listening_rules(const struct endpoint *endpoint,
                                                     const struct listener_options *options,
                                                     uint32_t kind, struct listener_address *at);
