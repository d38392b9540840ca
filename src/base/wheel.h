// Timers: a hashed wheel. Arming, moving and disarming cost a few instructions and allocate
// nothing. A timer fires at most one tick late, never early. Knows no clock; one thread.
#pragma once

#include "base/list.h"
#include "base/time.h"

// 8.192 ms: fine enough for time-outs of tens of milliseconds and more.
#define WHEEL_TICK_SHIFT 13
// One turn of the wheel is 8.4 s, longer than nearly all time-outs; a later timer is only looked at
// once a turn.
#define WHEEL_SLOTS 1024

struct wheel_timer {
    struct list node;
    usec_t due;
    void (*fire)(struct wheel_timer *timer);
};

struct wheel {
    uint64_t tick; // the next tick to be looked at
    size_t armed;
    uint64_t occupied[WHEEL_SLOTS / 64]; // a bit per slot; set bits may be of emptied slots
    struct list slots[WHEEL_SLOTS];
};

NONNULL void wheel_init(struct wheel *wheel, usec_t now);

// `fire` is called with the timer disarmed; it may arm it again or free it.
NONNULL void wheel_timer_init(struct wheel_timer *timer, void (*fire)(struct wheel_timer *timer));

static inline bool wheel_timer_armed(const struct wheel_timer *timer)
{
    return list_linked(&timer->node);
}

// Arms the timer for `due`, or moves it there. The wheel keeps a pointer until it fires or is
// disarmed.
NONNULL void wheel_arm(struct wheel *wheel, struct wheel_timer *timer, usec_t due);

NONNULL void wheel_disarm(struct wheel *wheel, struct wheel_timer *timer);

// Fires all that is due at `now`.
NONNULL void wheel_advance(struct wheel *wheel, usec_t now);

// When wheel_advance() should next be called: not later than the first timer's due time plus a
// tick, USEC_NEVER when nothing is armed.
NONNULL usec_t wheel_next(struct wheel *wheel);
