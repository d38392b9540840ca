// A worker: one thread with one loop, and everything that a query needs on its way: listener,
// engine and upstreams. Workers share nothing but the cache, the immutable plan of the upstreams
// and the log.
#pragma once

#include <semaphore.h>

#include "base/log.h"
#include "base/task.h"
#include "cache/cache.h"
#include "config/config.h"
#include "metrics/counters.h"
#include "metrics/status.h"
#include "net/tls_server.h"
#include "querylog/ring.h"
#include "upstream/plan.h"

struct worker;

// What a reload changes for a worker. Made by worker_update_new().
struct worker_update;

// NULL out of memory. `config` is read, `plan` referenced; `cache`, `log` and `ring` (NULL: queries
// are not written down) must outlive the worker.
NODISCARD struct worker *worker_new(const struct config *config, struct upstream_plan *plan,
                                    struct cache *cache, struct log *log,
                                    struct querylog_ring *ring);

// Before the worker runs: listens there too; see listener_add().
NODISCARD int worker_listen(struct worker *worker, const struct listener_address *at, int udp,
                            int tcp, struct tls_server *tls);

// The same for rules; see listener_set_rules(). `general` is the policy where they say nothing.
// E_NOMEM.
NONNULL NODISCARD int worker_set_rules(struct worker *worker, const struct listener_address *at,
                                       const struct listener_rules *rules,
                                       const struct policy_options *general);

// Starts the thread. E_SYSTEM.
NONNULL NODISCARD int worker_start(struct worker *worker);

// From the main thread, while the worker runs.
NODISCARD struct worker_update *worker_update_new(const struct config *config,
                                                  struct upstream_plan *plan);
// Sockets that are new (the update owns them; `tls` is referenced), and addresses to listen on no
// more. E_NOMEM.
NODISCARD int worker_update_listen(struct worker_update *update, const struct listener_address *at,
                                   int udp, int tcp, struct tls_server *tls);
NONNULL NODISCARD int worker_update_unlisten(struct worker_update *update,
                                             const struct address *address, uint32_t transports);
// The rules that hold there from now on; they must stay until the update is applied. E_NOMEM.
NONNULL NODISCARD int worker_update_rules(struct worker_update *update,
                                          const struct listener_address *at,
                                          const struct listener_rules *rules);
// `applied` is posted when the worker has done it all.
NONNULL void worker_update_send(struct worker *worker, struct worker_update *update,
                                sem_t *applied);
// For an update that will not be sent.
void worker_update_free(struct worker_update *update);

// A question to a worker how it is. Embedded in what its asker keeps until `done` was called.
struct worker_status {
    struct task task;
    struct worker *worker;
    struct status_worker status;
    // On the worker's thread, when `status` is filled in; the worker does not touch it any more.
    void (*done)(struct worker_status *status);
};

// From any thread, while the worker runs and has not been told to stop. The worker answers between
// two events, and waits for nobody.
NONNULL void worker_status_ask(struct worker *worker, struct worker_status *status,
                               void (*done)(struct worker_status *status));

// From the main thread: takes in no more queries, answers those in flight (for at most the
// configured time), and ends the thread.
NONNULL void worker_stop(struct worker *worker);
NONNULL void worker_join(struct worker *worker);

// A worker that does not run.
void worker_free(struct worker *worker);

// Any thread.
NONNULL struct counters *worker_counters(struct worker *worker);
