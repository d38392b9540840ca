// The query log as the daemon has it: opened by the configuration, said at the start, reopened at a
// reload.
#pragma once

#include "base/log.h"
#include "config/config.h"
#include "querylog/querylog.h"

// Reads the key, or makes one. E_INVALID with the error.
NONNULL NODISCARD int query_log_read_key(struct querylog_options *options,
                                         struct config_error *error);

// Opens all sinks and starts, when privileges have been given up. `*querylog` is NULL if there is
// none configured. E_SYSTEM with the error.
NONNULL NODISCARD int query_log_open(struct querylog **querylog, const struct config *config,
                                     unsigned workers, struct log *log, struct config_error *error);

// What the operator and the users of the network should know.
NONNULL void query_log_say(const struct querylog_options *options, struct log *log);
