#include "config/value.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/time.h"
#include "base/utf8.h"
#include "config/quantity.h"

static bool is_zero_word(const struct schema_row *row, const char *text)
{
    return row->zero && strcmp(text, row->zero) == 0;
}

static int parse_uint(const struct schema_row *row, void *at, const char *text)
{
    uint64_t value = 0;

    if (is_zero_word(row, text)) {
        memset(at, 0, sizeof(uint32_t));
        return E_OK;
    }
    // Only digits; and 010 is eight to some readers of YAML, ten to others.
    if (text[strspn(text, "0123456789")] || (text[0] == '0' && text[1]))
        return E_INVALID;
    if (size_parse(&value, text) != E_OK || value < row->min || value > row->max)
        return E_INVALID;
    *(uint32_t *)at = (uint32_t)value + row->bias;
    return E_OK;
}

static int parse_quantity(const struct schema_row *row, void *at, const char *text)
{
    uint64_t value;

    if (is_zero_word(row, text)) {
        memset(at, 0, sizeof(uint64_t));
        return E_OK;
    }

    int rc = row->kind == SCHEMA_SIZE ? size_parse(&value, text) : duration_parse(&value, text);

    if (rc != E_OK || value < row->min || value > row->max)
        return E_INVALID;
    *(uint64_t *)at = value;
    return E_OK;
}

static int parse_enum(const struct schema_row *row, void *at, const char *text)
{
    for (unsigned i = 0; row->words[i]; i++) {
        if (strcmp(text, row->words[i]) == 0) {
            *(unsigned *)at = i;
            return E_OK;
        }
    }
    return E_INVALID;
}

static int parse_bool(void *at, const char *text)
{
    bool value = strcmp(text, "true") == 0;

    if (!value && strcmp(text, "false") != 0)
        return E_INVALID;
    *(bool *)at = value;
    return E_OK;
}

static int parse_string(const struct schema_row *row, void *at, const char *text)
{
    size_t length = strlen(text);

    if (length < row->min || length > row->max)
        return E_INVALID;
    memset(at, 0, row->max + 1);
    memcpy(at, text, length);
    return E_OK;
}

// Only what can be printed has a place in a value; what is printed must load again.
static bool is_clean(const char *text)
{
    size_t length;

    for (; *text; text += length) {
        length = utf8_printable_length(text);
        if (length == 0)
            return false;
    }
    return true;
}

int value_parse(const struct schema_row *row, void *at, const char *text, const char **why)
{
    *why = NULL;
    if (!is_clean(text)) {
        *why = "control characters and broken UTF-8 are not allowed";
        return E_INVALID;
    }
    switch (row->kind) {
    case SCHEMA_BOOL:
        return parse_bool(at, text);
    case SCHEMA_UINT:
        return parse_uint(row, at, text);
    case SCHEMA_DURATION:
    case SCHEMA_SIZE:
        return parse_quantity(row, at, text);
    case SCHEMA_ENUM:
        return parse_enum(row, at, text);
    case SCHEMA_STRING:
        return parse_string(row, at, text);
    case SCHEMA_TEXT:
        return row->text->parse(at, text, why);
    case SCHEMA_SECTION:
    case SCHEMA_LIST:
        break;
    }
    return E_INVALID;
}

void value_print(const struct schema_row *row, const void *at, char text[SCHEMA_TEXT_SIZE])
{
    switch (row->kind) {
    case SCHEMA_BOOL:
        strcpy(text, *(const bool *)at ? "true" : "false");
        break;
    case SCHEMA_UINT:
        if (row->zero && *(const uint32_t *)at == 0)
            strcpy(text, row->zero);
        else
            snprintf(text, SCHEMA_TEXT_SIZE, "%" PRIu32, *(const uint32_t *)at - row->bias);
        break;
    case SCHEMA_DURATION:
        if (row->zero && *(const usec_t *)at == 0)
            strcpy(text, row->zero);
        else
            duration_to_text(*(const usec_t *)at, text);
        break;
    case SCHEMA_SIZE:
        size_to_text(*(const uint64_t *)at, text);
        break;
    case SCHEMA_ENUM:
        strcpy(text, row->words[*(const unsigned *)at]);
        break;
    case SCHEMA_STRING:
        snprintf(text, SCHEMA_TEXT_SIZE, "%s", (const char *)at);
        break;
    case SCHEMA_TEXT:
        row->text->print(at, text);
        break;
    case SCHEMA_SECTION:
    case SCHEMA_LIST:
        require(false);
    }
}

// "failover, fastest, balance or parallel"
static void list_words(const char *const *words, char *text, size_t size)
{
    size_t used = 0;

    for (size_t i = 0; words[i]; i++) {
        const char *between = i == 0 ? "" : words[i + 1] ? ", " : " or ";

        used += (size_t)snprintf(text + used, size - used, "%s%s", between, words[i]);
        require(used < size); // ours: the words are in the schema
    }
}

// NOLINTNEXTLINE(misc-no-recursion): once, from a section to its required key
const char *value_expected(const struct schema_row *row, char expected[VALUE_EXPECTED_SIZE])
{
    const size_t size = VALUE_EXPECTED_SIZE;
    char min[QUANTITY_TEXT_SIZE], max[QUANTITY_TEXT_SIZE];

    switch (row->kind) {
    case SCHEMA_BOOL:
        snprintf(expected, size, "true or false");
        break;
    case SCHEMA_UINT:
        snprintf(expected, size, "a number from %" PRIu64 " to %" PRIu64 "%s%s", row->min, row->max,
                 row->zero ? ", or " : "", row->zero ? row->zero : "");
        break;
    case SCHEMA_DURATION:
        snprintf(expected, size, "a duration from %s to %s%s%s", duration_to_text(row->min, min),
                 duration_to_text(row->max, max), row->zero ? ", or " : "",
                 row->zero ? row->zero : "");
        break;
    case SCHEMA_SIZE:
        snprintf(expected, size, "a size from %s to %s", size_to_text(row->min, min),
                 size_to_text(row->max, max));
        break;
    case SCHEMA_ENUM:
        list_words(row->words, expected, size);
        break;
    case SCHEMA_STRING:
        snprintf(expected, size, "text of %" PRIu64 " to %" PRIu64 " octets", row->min, row->max);
        break;
    case SCHEMA_TEXT:
        snprintf(expected, size, "%s", row->text->expected);
        break;
    case SCHEMA_SECTION:
        // In a list, the value of that key may stand for the section.
        if (row->required)
            value_expected(schema_find(row->rows, row->required), expected);
        else
            *expected = '\0';
        snprintf(expected + strlen(expected), size - strlen(expected), "%skeys and values",
                 row->required ? ", or " : "");
        break;
    case SCHEMA_LIST:
        snprintf(expected, size, "a list of %" PRIu64 " to %" PRIu64 " entries", row->min,
                 row->max);
        break;
    }
    return expected;
}

bool value_is_text(const struct schema_row *row)
{
    return row->kind != SCHEMA_BOOL && row->kind != SCHEMA_UINT;
}
