#include "base/error.h"

const char *error_text(int code)
{
    switch (code) {
    case E_OK:
        return "success";
#define X(name, text)                                                                              \
    case E_##name:                                                                                 \
        return text;
        ERROR_LIST(X)
#undef X
    default:
        return "unknown error";
    }
}
