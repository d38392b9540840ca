// Whether this server should be sent queries: what /readyz and `sotto healthcheck` say.
//
// It is ready if a worker can use one of its upstreams, or if the cache does without them: since
// the last look but at least a few seconds ago, more queries were answered from it than failed.
#pragma once

#include "admin/status.h"
#include "base/compiler.h"

#define READINESS_REASON_SIZE (STATUS_URL_SIZE + STATUS_REASON_SIZE + 64)

// Begins zeroed. One thread.
struct readiness {
    struct readiness_sample {
        usec_t at;
        uint64_t from_cache, failed;
    } recent, earlier;
};

// `status` was collected just now, with its upstreams tested. False with the reason, in words:
// ASCII and one line.
NONNULL NODISCARD bool readiness_judge(struct readiness *readiness, const struct status *status,
                                       usec_t now, char reason[READINESS_REASON_SIZE]);
