#include "config/quantity.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"

struct unit {
    const char *name;
    uint64_t factor;
};

// Both from the largest to the smallest, which has the factor 1.
static const struct unit duration_units[] = {
    {"d", 86400 * USEC_SEC}, {"h", 3600 * USEC_SEC}, {"m", 60 * USEC_SEC},
    {"s", USEC_SEC},         {"ms", USEC_MSEC},      {"us", 1},
};
static const struct unit size_units[] = {
    {"GiB", UINT64_C(1) << 30},
    {"MiB", UINT64_C(1) << 20},
    {"KiB", UINT64_C(1) << 10},
    {"", 1},
};

static int parse(uint64_t *value, const char *text, const struct unit *units, size_t count)
{
    uint64_t number = 0;
    size_t digits = strspn(text, "0123456789");
    const char *unit = text + digits;

    if (digits == 0)
        return E_INVALID;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(unit, units[i].name) != 0)
            continue;
        for (; text < unit; text++) {
            if (__builtin_mul_overflow(number, 10, &number) ||
                __builtin_add_overflow(number, (uint64_t)(*text - '0'), &number))
                return E_RANGE;
        }
        return __builtin_mul_overflow(number, units[i].factor, value) ? E_RANGE : E_OK;
    }
    return E_INVALID;
}

static const char *to_text(uint64_t value, char *text, const struct unit *units)
{
    while (value % units->factor != 0)
        units++;
    snprintf(text, QUANTITY_TEXT_SIZE, "%" PRIu64 "%s", value / units->factor, units->name);
    return text;
}

int duration_parse(usec_t *duration, const char *text)
{
    return parse(duration, text, duration_units, ARRAY_LEN(duration_units));
}

const char *duration_to_text(usec_t duration, char text[QUANTITY_TEXT_SIZE])
{
    // "0d" would be right, but odd.
    return duration == 0 ? strcpy(text, "0s") : to_text(duration, text, duration_units);
}

int size_parse(uint64_t *size, const char *text)
{
    return parse(size, text, size_units, ARRAY_LEN(size_units));
}

const char *size_to_text(uint64_t size, char text[QUANTITY_TEXT_SIZE])
{
    return size == 0 ? strcpy(text, "0") : to_text(size, text, size_units);
}
