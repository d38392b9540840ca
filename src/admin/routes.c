#include "admin/routes.h"

#include <time.h>

#include "admin/exposition.h"
#include "admin/prometheus.h"
#include "base/error.h"
#include "net/loop.h"

static void say_no_memory(struct admin_response *response)
{
    response->status = 500;
    fprintf(response->out, "%s\n", error_text(E_NOMEM));
}

static void handle_metrics(void *context, const struct admin_request *request,
                           struct admin_response *response)
{
    struct admin_context *admin = context;
    bool openmetrics = exposition_wants_openmetrics(admin_request_header(request, "Accept"));
    char reason[READINESS_REASON_SIZE];
    struct status status = {0};

    if (admin->collect(admin->owner, &status) != E_OK) {
        say_no_memory(response);
    } else {
        struct timespec now;
        bool ready = readiness_judge(&admin->readiness, &status, loop_clock(), reason);

        clock_gettime(CLOCK_REALTIME, &now);
        response->content_type = openmetrics ? EXPOSITION_TYPE_OPENMETRICS : EXPOSITION_TYPE_TEXT;
        prometheus_print(&status, ready, (double)now.tv_sec, openmetrics, response->out);
    }
    status_deinit(&status);
}

// The process lives, and this thread.
static void handle_healthz(void *context, const struct admin_request *request,
                           struct admin_response *response)
{
    fputs("alive\n", response->out);
}

static void handle_readyz(void *context, const struct admin_request *request,
                          struct admin_response *response)
{
    struct admin_context *admin = context;
    char reason[READINESS_REASON_SIZE];
    struct status status = {0};

    if (admin->collect(admin->owner, &status) != E_OK) {
        say_no_memory(response);
    } else if (readiness_judge(&admin->readiness, &status, loop_clock(), reason)) {
        fputs("ready\n", response->out);
    } else {
        response->status = 503;
        fprintf(response->out, "not ready: %s\n", reason);
    }
    status_deinit(&status);
}

const struct admin_route admin_routes[] = {
    {"GET", "/metrics", ADMIN_TOKEN_FAR, handle_metrics},
    {"GET", "/healthz", ADMIN_OPEN, handle_healthz},
    {"GET", "/readyz", ADMIN_OPEN, handle_readyz},
    {.method = NULL},
};
