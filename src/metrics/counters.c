#include "metrics/counters.h"

const char *counter_name(enum counter counter)
{
    static const char *const names[] = {
#define X(name, text) #name,
        COUNTER_LIST(X)
#undef X
    };

    return names[counter];
}
