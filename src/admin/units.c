#include "admin/units.h"

#include <inttypes.h>
#include <stdio.h>

const char *units_duration(usec_t duration, char text[UNITS_TEXT_SIZE])
{
    static const struct {
        unsigned seconds;
        const char *name;
    } units[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
    uint64_t seconds = duration / USEC_SEC;
    size_t i = 0;

    while (i + 1 < ARRAY_LEN(units) && seconds < units[i].seconds)
        i++;
    if (i + 1 == ARRAY_LEN(units))
        snprintf(text, UNITS_TEXT_SIZE, "%" PRIu64 " s", seconds);
    else
        snprintf(text, UNITS_TEXT_SIZE, "%" PRIu64 " %s %" PRIu64 " %s", seconds / units[i].seconds,
                 units[i].name, seconds % units[i].seconds / units[i + 1].seconds,
                 units[i + 1].name);
    return text;
}

const char *units_latency(usec_t latency, char text[UNITS_TEXT_SIZE])
{
    double milliseconds = (double)latency / USEC_MSEC;

    if (milliseconds < 10)
        snprintf(text, UNITS_TEXT_SIZE, "%.2f ms", milliseconds);
    else if (milliseconds < 1000)
        snprintf(text, UNITS_TEXT_SIZE, "%.1f ms", milliseconds);
    else
        snprintf(text, UNITS_TEXT_SIZE, "%.2f s", milliseconds / 1000);
    return text;
}

const char *units_size(uint64_t octets, char text[UNITS_TEXT_SIZE])
{
    static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double size = (double)octets;
    size_t i = 0;

    for (; size >= 1024 && i + 1 < ARRAY_LEN(names); i++)
        size /= 1024;
    snprintf(text, UNITS_TEXT_SIZE, i == 0 ? "%.0f %s" : "%.1f %s", size, names[i]);
    return text;
}
