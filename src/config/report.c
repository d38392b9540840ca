#include "config/report.h"

#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include "base/error.h"
#include "base/utf8.h"

// Longer words are not looked at: no key is nearly as long.
#define WORD_MAX 40

int config_report(struct config_error *error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(error->text, sizeof(error->text), format, args);
    va_end(args);
    return E_INVALID;
}

const char *config_quote(const char *text, char quoted[CONFIG_QUOTE_SIZE])
{
    const size_t limit =
        CONFIG_QUOTE_SIZE - 6; // quotation mark, ellipsis (3), NUL, and one to spare
    size_t used = 0;

    quoted[used++] = '"';
    while (*text) {
        size_t length = utf8_printable_length(text);
        size_t needed = length == 0 ? 4 : length;

        if (used + needed > limit) {
            strcpy(quoted + used, "…");
            used += strlen("…");
            break;
        }
        if (length == 0) {
            snprintf(quoted + used, 5, "\\x%02x", (unsigned char)*text);
            length = 1;
        } else {
            memcpy(quoted + used, text, length);
        }
        used += needed;
        text += length;
    }
    quoted[used++] = '"';
    quoted[used] = '\0';
    return quoted;
}

// Edits from `a` to `b`: octets inserted, deleted, replaced, or two neighbours swapped. Both are at
// most WORD_MAX long.
static size_t edit_distance(const char *a, const char *b)
{
    // The rows of the table for the last two, and this, prefix of `a`.
    size_t rows[3][WORD_MAX + 1] = {{0}};
    size_t *before = rows[0], *last = rows[1], *row = rows[2], b_length = strlen(b);

    for (size_t j = 0; j <= b_length; j++)
        last[j] = j;
    for (size_t i = 0; a[i]; i++) {
        row[0] = i + 1;
        for (size_t j = 0; j < b_length; j++) {
            size_t replaced = last[j] + (a[i] != b[j]);

            row[j + 1] = MIN(replaced, MIN(row[j], last[j + 1]) + 1);
            if (i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j])
                row[j + 1] = MIN(row[j + 1], before[j - 1] + 1);
        }

        size_t *oldest = before;

        before = last;
        last = row;
        row = oldest;
    }
    return last[b_length];
}

const char *config_nearest(const char *text, const char *const *words)
{
    const char *nearest = NULL;
    size_t length = strlen(text), least = SIZE_MAX;

    if (length > WORD_MAX)
        return NULL;
    for (; *words; words++) {
        size_t distance = edit_distance(text, *words);
        // Up to a third may be wrong: "strtgey" is "strategy", but "user" is not "udp".
        size_t allowed = MAX(strlen(*words), length) / 3;

        if (distance <= allowed && distance < least) {
            least = distance;
            nearest = *words;
        }
    }
    return nearest;
}
