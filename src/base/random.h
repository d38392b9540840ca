// Random numbers that a peer cannot guess, from the kernel, fetched in blocks. One thread.
#pragma once

#include <stdint.h>

#include "base/compiler.h"

struct random {
    uint16_t block[256]; // 512 bytes: a system call every 256 message IDs
    unsigned left;
};

NONNULL void random_init(struct random *random);
NONNULL uint16_t random_u16(struct random *random);
NONNULL uint32_t random_u32(struct random *random);
