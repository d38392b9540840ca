// What a record still tells of who asked and for what, before any sink sees it.
#pragma once

#include "base/compiler.h"
#include "base/siphash.h"
#include "querylog/options.h"
#include "querylog/record.h"

// The entry's name and reply stay where they are, or are not shown any more.
NONNULL void querylog_hide(struct querylog_entry *entry, enum querylog_clients clients,
                           enum querylog_names names, const struct siphash_key *key);
