// What the main thread keeps of the running program. Included by daemon.c and what it is made of:
// listening.c, reload.c.
#pragma once

#include <pthread.h>
#include <stdbool.h>

#include "admin/control.h"
#include "admin/http.h"
#include "admin/readiness.h"
#include "admin/routes.h"
#include "config/config.h"
#include "daemon/daemon.h"
#include "daemon/worker.h"
#include "querylog/querylog.h"

struct daemon {
    const struct daemon_loader *loader;
    struct config *config;
    struct upstream_plan *plan;
    struct siphash_key cookie_secret; // made at the start, for when no other is given
    struct cache *cache;
    pthread_mutex_t cache_file; // held while it is written
    usec_t save_at;             // when the main thread does so next
    usec_t look_at;             // and when it looks whether certificates have changed
    struct log *log;
    pthread_mutex_t endpoints_lock; // held by the main thread to change them, by others to look
    struct list endpoints;
    bool activated; // the sockets came from the service manager
    struct control_socket control_socket;
    struct config_error no_control; // why there is no such socket, though there should be
    struct control *control;
    struct readiness readiness;   // as it is seen by the control socket
    int admin_socket;             // -1: none, or the server's
    struct address admin_address; // with the port that it has
    struct admin_context admin_context;
    struct admin_http *admin;
    pthread_mutex_t asking; // held to ask the workers
    bool stopping;          // they are not to be asked any more
    usec_t started_at;
    unsigned worker_count;
    struct querylog *querylog; // NULL: none
    struct worker *workers[CONFIG_WORKERS_MAX];
};

// daemon.c. The configuration, with what stands in files beside it. E_INVALID with the error.
NONNULL NODISCARD int daemon_load(struct daemon *daemon, struct config *config,
                                  struct config_error *error);
