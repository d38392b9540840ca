// What the system knows of this process.
#pragma once

#include "admin/status.h"
#include "base/compiler.h"

// Any thread.
NONNULL void process_usage(struct status_process *usage);
