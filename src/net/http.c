#include "net/http.h"

const char *http_date(struct http_clock *clock, time_t now)
{
    struct tm parts;

    if (now == clock->at && *clock->text)
        return clock->text;
    clock->at = now;
    // Nobody sets a locale here: the names are the English ones.
    if (!gmtime_r(&now, &parts) ||
        strftime(clock->text, sizeof(clock->text), "%a, %d %b %Y %H:%M:%S GMT", &parts) == 0)
        *clock->text = '\0';
    return clock->text;
}

size_t http_number_to_text(char text[HTTP_NUMBER_SIZE], uint32_t number)
{
    char digits[HTTP_NUMBER_SIZE];
    size_t count = 0;

    do
        digits[count++] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    for (size_t i = 0; i < count; i++)
        text[i] = digits[count - 1 - i];
    text[count] = '\0';
    return count;
}
