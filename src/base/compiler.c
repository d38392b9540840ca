#include "base/compiler.h"

#include <stdio.h>
#include <stdlib.h>

void require_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "sotto: internal error at %s:%d: %s\n", file, line, condition);
    abort();
}
