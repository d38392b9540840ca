// From a question to its answer: the cache first, then the upstreams. Included by src/engine/ only.
#pragma once

#include "engine/query.h"

// Answers the query, now or when its flight lands.
NONNULL void query_resolve(struct query *query);
