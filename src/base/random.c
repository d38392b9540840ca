#include "base/random.h"

#include <sys/random.h>

void random_init(struct random *random)
{
    random->left = 0;
}

uint16_t random_u16(struct random *random)
{
    if (UNLIKELY(random->left == 0)) {
        // Blocks only before the kernel's pool is first seeded, at boot; up to 256 bytes are never
        // cut short by a signal, and larger requests are repeated until whole.
        size_t have = 0;

        while (have < sizeof(random->block)) {
            ssize_t got = getrandom((char *)random->block + have, sizeof(random->block) - have, 0);

            if (got > 0)
                have += (size_t)got;
        }
        random->left = ARRAY_LEN(random->block);
    }
    return random->block[--random->left];
}

uint32_t random_u32(struct random *random)
{
    return (uint32_t)random_u16(random) << 16 | random_u16(random);
}
