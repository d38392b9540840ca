#include "base/utf8.h"

#include <stdbool.h>
#include <string.h>

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

size_t utf8_printable_length(const char *text)
{
    // U+2028, U+2029, U+FEFF (the byte order mark), U+FFFE and U+FFFF.
    static const char *const others[] = {"\xe2\x80\xa8", "\xe2\x80\xa9", "\xef\xbb\xbf",
                                         "\xef\xbf\xbe", "\xef\xbf\xbf"};
    size_t length = utf8_length(text);

    if (length == 1 && ((unsigned char)*text < 0x20 || *text == 0x7f))
        return 0;
    if (length == 2 && memcmp(text, "\xc2\xa0", 2) < 0) // U+0080 to U+009F
        return 0;
    for (size_t i = 0; length == 3 && i < ARRAY_LEN(others); i++) {
        if (memcmp(text, others[i], 3) == 0)
            return 0;
    }
    return length;
}
