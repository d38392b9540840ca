// The file in which the cache survives a restart. Any one thread at a time that is a reader of the
// cache, offline.
#pragma once

#include "base/log.h"
#include "cache/cache.h"
#include "upstream/options.h"

// Stands for whose answers are in the cache: other upstreams may answer otherwise.
NONNULL uint64_t cache_file_origin(const struct upstream_options *upstreams);

// Puts what is in the file into the cache, if there is one and it can be believed; the log says
// what came of it.
NONNULL void cache_file_load(struct cache *cache, const struct cache_options *options,
                             uint64_t origin, struct log *log);

// Writes the file anew, in one step: it is always whole, the old or the new one. The log says if
// that failed.
NONNULL void cache_file_save(struct cache *cache, const struct cache_options *options,
                             uint64_t origin, struct log *log);
