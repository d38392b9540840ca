#include "metrics/status.h"

const char *status_upstream_state_name(enum status_upstream_state state)
{
    static const char *const names[] = {
#define X(name, text) text,
        STATUS_UPSTREAM_STATE_LIST(X)
#undef X
    };

    return names[state];
}

const char *status_close_name(unsigned close)
{
    static const char *const names[] = {
#define X(name, text) text,
        STATUS_CLOSE_LIST(X)
#undef X
    };

    return names[close];
}
