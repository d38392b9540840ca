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

const char *counter_text(enum counter counter)
{
    static const char *const texts[] = {
#define X(name, text) text,
        COUNTER_LIST(X)
#undef X
    };

    return texts[counter];
}
