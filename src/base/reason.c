#include "base/reason.h"

#include <stdarg.h>
#include <stdio.h>

int reason_give(int code, char *reason, size_t size, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(reason, size, format, args);
    va_end(args);
    return code;
}
