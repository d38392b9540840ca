// What all workers share of the upstreams: the options, and for each server the TLS context made
// from them. Immutable; made by the main thread, where a bad CA file is reported before anything
// changes.
#pragma once

#include <stdatomic.h>

#include "base/compiler.h"
#include "net/tls_client.h"
#include "upstream/options.h"

struct upstream_plan_server {
    const struct upstream_server_options *options;
    struct tls_context *tls;
    // What the log was told (announce.c): one worker speaks for all.
    atomic_bool said_connected;
    atomic_bool said_down;
    _Atomic usec_t quiet_until; // no line that it is down before
    atomic_uint unsaid;         // times that it would have been said since the last such line
};

struct upstream_plan {
    atomic_uint refs;
    struct upstream_options options;
    struct upstream_plan_server servers[UPSTREAM_SERVERS_MAX];
    struct upstream_plan_server bootstrap[UPSTREAM_BOOTSTRAP_MAX];
};

// Copies the options. NULL with the reason, which names the server.
NONNULL NODISCARD struct upstream_plan *upstream_plan_new(const struct upstream_options *options,
                                                          char *reason, size_t reason_size);

// Any thread.
NONNULL struct upstream_plan *upstream_plan_ref(struct upstream_plan *plan);
void upstream_plan_unref(struct upstream_plan *plan);
