// The certificates of all endpoints together, of those that are encrypted. What changes
// certificates is for the main thread, and to be kept from others that look at the endpoints
// meanwhile.
#pragma once

#include <stdbool.h>

#include "admin/status.h"
#include "base/compiler.h"
#include "base/list.h"
#include "config/config.h"
#include "daemon/endpoints.h"

// `endpoints` are lists of struct endpoint.

// Whether any is encrypted.
NONNULL bool encryption_is_used(const struct list *endpoints);

// Logs what the user should know at the start: see certificates_check_access() and
// certificates_warn().
NONNULL void encryption_log(const struct list *endpoints, struct log *log);

// From time to time: certificates_look() and certificates_warn().
NONNULL void encryption_look(const struct list *endpoints, struct log *log);

// For a reload: reads what those that stay are to show, by the new options. E_INVALID with the
// error. Then encryption_end() with certificates_commit() or certificates_abandon().
NONNULL NODISCARD int encryption_prepare(const struct list *endpoints,
                                         const struct listener_options *options,
                                         struct config_error *error);
NONNULL void encryption_end(const struct list *endpoints, void (*end)(struct certificates *));

// Adds what those who ask over plain DNS are told: the endpoints that are, or by these options will
// be, encrypted, each under the name in its certificate.
NONNULL void encryption_advertise(const struct list *endpoints,
                                  const struct listener_options *options,
                                  struct policy_discovery *discovery);

// Fills in the status's certificates.
NONNULL void encryption_show(const struct list *endpoints, struct status *status);
