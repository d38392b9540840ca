// What the log says at the start, and after a reload: where we listen, whom we ask, and what may be
// wrong with that.
#pragma once

#include "base/compiler.h"
#include "base/list.h"
#include "base/log.h"
#include "config/config.h"
#include "daemon/endpoints.h"

// `endpoints` is a list of struct endpoint.

NONNULL void start_log(struct log *log, const struct config *config, const struct list *endpoints,
                       unsigned workers);

NONNULL void start_log_endpoint(struct log *log, const struct endpoint *endpoint);

// What others could abuse.
NONNULL void start_log_dangers(struct log *log, const struct config *config,
                               const struct list *endpoints);
