// A worker's event loop: libuv, and what every network part needs once a thread: the time, timers,
// what is to be done at the end of the turn, lent buffers, and calls from other threads.
//
// A *turn* is one pass of the loop: all events that are ready, then the turn's end. Whoever has
// output registers for the turn's end, and writes once there however much came up meanwhile.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/compiler.h"
#include "base/list.h"
#include "base/task.h"
#include "base/time.h"
#include "base/wheel.h"

// Holds the largest DNS message over a stream with its length, and four full TLS records' worth.
#define LOOP_BLOCK_SIZE ((size_t)68 * 1024)

// A plaintext TLS record (RFC 8446 section 5.1).
#define LOOP_RECORD_SIZE ((size_t)16 * 1024)

struct loop {
    uv_loop_t uv;
    struct wheel wheel;
    uv_timer_t timer;
    usec_t timer_due;
    uv_prepare_t prepare;
    uv_check_t check;

    usec_t now;
    bool now_known;
    uint32_t wall_seconds;
    bool wall_known;

    struct list turn_end; // struct task
    unsigned handshakes;  // steps of this turn

    uv_async_t wake;
    uv_mutex_t mail_lock;
    struct list mail; // struct task, under the lock

    // Scratch space of one reader at a time: what was received, and what TLS made of it.
    uint8_t *received;
    uint8_t *decrypted;

    void *blocks; // free blocks to be lent
    unsigned blocks_free;
};

// E_NOMEM or E_SYSTEM; the loop is then not to be used.
NONNULL NODISCARD int loop_init(struct loop *loop);

// All handles must be closed and their callbacks run.
NONNULL void loop_deinit(struct loop *loop);

// Runs until loop_stop(), then on until no handle but the loop's own is left.
NONNULL void loop_run(struct loop *loop);

// Closes the loop's own handles, so that loop_run() returns when all others are closed too.
NONNULL void loop_stop(struct loop *loop);

// The time of this turn: read from the clock once.
NONNULL usec_t loop_now(struct loop *loop);

// The wall clock's seconds, as cookies have them (RFC 9018 section 4.3): read once a turn, too.
NONNULL uint32_t loop_wall_seconds(struct loop *loop);

// The clock of loop_now(), for threads without a loop.
usec_t loop_clock(void);

// Timers; see wheel.h.
NONNULL void loop_arm(struct loop *loop, struct wheel_timer *timer, usec_t due);
NONNULL void loop_disarm(struct loop *loop, struct wheel_timer *timer);

// Runs the task once at the end of this turn; again before then is nothing new. A task that
// registers itself anew while it runs must have an end: it runs again in the same turn.
NONNULL static inline void loop_at_turn_end(struct loop *loop, struct task *task)
{
    if (!list_linked(&task->node))
        list_append(&loop->turn_end, &task->node);
}

// Whether a step of a handshake with somebody who connected, which costs as much as hundreds of
// queries, may be done in this turn. If so it is counted.
NONNULL bool loop_handshake_admit(struct loop *loop);

// From any thread: runs the task on the loop's thread. The loop owns it until then.
NONNULL void loop_post(struct loop *loop, struct task *task);

// Lends a block of LOOP_BLOCK_SIZE, or NULL out of memory; a few are kept for the next borrower.
NONNULL NODISCARD uint8_t *loop_block_take(struct loop *loop);
NONNULL void loop_block_give(struct loop *loop, uint8_t *block);

// A file descriptor that is waited for.
struct watcher {
    uv_poll_t poll;
    int events;
    void (*ready)(struct watcher *watcher, bool readable, bool writable);
    void (*closed)(struct watcher *watcher);
};

// Sets the descriptor non-blocking. E_SYSTEM if it cannot be watched.
NONNULL NODISCARD int watcher_init(struct watcher *watcher, struct loop *loop, int fd,
                                   void (*ready)(struct watcher *, bool, bool));

// Says what to wait for. Changing it costs two system calls: do it rarely.
NONNULL void watcher_want(struct watcher *watcher, bool readable, bool writable);

// Stops watching. The memory is still in use until `closed` is called, in this turn's end; the
// descriptor may be closed at once.
NONNULL void watcher_close(struct watcher *watcher, void (*closed)(struct watcher *));
