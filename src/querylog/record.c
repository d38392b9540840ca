#include "querylog/record.h"

#include "base/compiler.h"

const char *querylog_transport_name(unsigned transport)
{
    static const char *const names[] = {
#define X(name, text) text,
        QUERYLOG_TRANSPORT_LIST(X)
#undef X
    };

    return transport < ARRAY_LEN(names) ? names[transport] : "other";
}

const char *querylog_outcome_name(unsigned outcome)
{
    static const char *const names[] = {
#define X(name, text) text,
        QUERYLOG_OUTCOME_LIST(X)
#undef X
    };

    return outcome < ARRAY_LEN(names) ? names[outcome] : "other";
}
