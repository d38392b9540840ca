#include "metrics/handshake.h"

const char *handshake_failure_name(unsigned failure)
{
    static const char *const names[] = {
#define X(name, text) text,
        HANDSHAKE_FAILURE_LIST(X)
#undef X
    };

    return names[failure];
}
