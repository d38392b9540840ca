// What there is over HTTP: the table of paths, and the handlers of those that need no file of their
// own. To add a page, write its handler and a row.
#pragma once

#include "admin/http.h"
#include "admin/readiness.h"
#include "admin/status.h"

// The context of all handlers.
struct admin_context {
    struct readiness readiness;
    void *owner;
    // Fills in the status, for which status_deinit() will be called, and has upstreams tested
    // (daemon/collect.h). E_NOMEM.
    int (*collect)(void *owner, struct status *status);
};

extern const struct admin_route admin_routes[];
