#include "base/wheel.h"

static uint64_t tick_of(usec_t time)
{
    return time >> WHEEL_TICK_SHIFT;
}

void wheel_init(struct wheel *wheel, usec_t now)
{
    *wheel = (struct wheel){.tick = tick_of(now)};
    for (size_t i = 0; i < WHEEL_SLOTS; i++)
        list_init(&wheel->slots[i]);
}

void wheel_timer_init(struct wheel_timer *timer, void (*fire)(struct wheel_timer *timer))
{
    list_init(&timer->node);
    timer->due = USEC_NEVER;
    timer->fire = fire;
}

void wheel_arm(struct wheel *wheel, struct wheel_timer *timer, usec_t due)
{
    // The tick after the due time: whoever looks at it is certainly not early.
    uint64_t tick = MAX(tick_of(due) + 1, wheel->tick);
    size_t slot = tick % WHEEL_SLOTS;

    if (wheel_timer_armed(timer))
        list_remove(&timer->node);
    else
        wheel->armed++;
    timer->due = due;
    list_append(&wheel->slots[slot], &timer->node);
    wheel->occupied[slot / 64] |= UINT64_C(1) << (slot % 64);
}

void wheel_disarm(struct wheel *wheel, struct wheel_timer *timer)
{
    if (!wheel_timer_armed(timer))
        return;
    list_remove(&timer->node);
    wheel->armed--;
}

static void fire_slot(struct wheel *wheel, size_t slot, usec_t now)
{
    struct list due;

    // Taken out first: what is armed by a timer's function waits for a later look.
    list_init(&due);
    list_splice(&due, &wheel->slots[slot]);
    wheel->occupied[slot / 64] &= ~(UINT64_C(1) << (slot % 64));

    for (struct list *node; (node = list_pop(&due));) {
        struct wheel_timer *timer = list_entry(node, struct wheel_timer, node);

        wheel->armed--;
        if (timer->due <= now)
            timer->fire(timer);
        else
            wheel_arm(wheel, timer, timer->due); // of a later turn of the wheel
    }
}

void wheel_advance(struct wheel *wheel, usec_t now)
{
    uint64_t last = tick_of(now);

    // After a long pause one turn of the wheel sees every slot.
    if (last >= wheel->tick + WHEEL_SLOTS)
        wheel->tick = last - WHEEL_SLOTS + 1;
    while (wheel->tick <= last) {
        size_t slot = wheel->tick % WHEEL_SLOTS;

        wheel->tick++;
        if (wheel->occupied[slot / 64] & UINT64_C(1) << (slot % 64))
            fire_slot(wheel, slot, now);
    }
}

usec_t wheel_next(struct wheel *wheel)
{
    if (wheel->armed == 0)
        return USEC_NEVER;
    for (uint64_t tick = wheel->tick; tick < wheel->tick + WHEEL_SLOTS;) {
        size_t slot = tick % WHEEL_SLOTS;
        uint64_t bits = wheel->occupied[slot / 64] >> (slot % 64);

        if (bits == 0) {
            tick += 64 - slot % 64;
            continue;
        }
        tick += (unsigned)__builtin_ctzll(bits);
        slot = tick % WHEEL_SLOTS;
        if (!list_empty(&wheel->slots[slot]))
            return tick << WHEEL_TICK_SHIFT;
        wheel->occupied[slot / 64] &= ~(UINT64_C(1) << (slot % 64));
    }
    return (wheel->tick + WHEEL_SLOTS) << WHEEL_TICK_SHIFT;
}
