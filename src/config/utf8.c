#include "config/utf8.h"

#include <stdbool.h>

static bool is_tail(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

size_t utf8_length(const char *text)
{
    unsigned char a = (unsigned char)text[0];

    if (a == 0)
        return 0;
    if (a < 0x80)
        return 1;

    unsigned char b = (unsigned char)text[1];

    if (a < 0xc2 || a > 0xf4 || !is_tail(text[1]))
        return 0;
    if (a < 0xe0)
        return 2;
    if (!is_tail(text[2]) || (a == 0xe0 && b < 0xa0) || (a == 0xed && b > 0x9f))
        return 0;
    if (a < 0xf0)
        return 3;
    if (!is_tail(text[3]) || (a == 0xf0 && b < 0x90) || (a == 0xf4 && b > 0x8f))
        return 0;
    return 4;
}
