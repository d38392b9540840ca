#include "config/scalar.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define DIGITS "0123456789"

static bool is_one_of(const char *text, const char *const *words)
{
    for (; *words; words++) {
        if (strcmp(text, *words) == 0)
            return true;
    }
    return false;
}

// [-+]? ( 0x HEX | 0o OCT | DIGITS [. DIGITS] [e [-+] DIGITS] | .inf ) or .nan
static bool is_number(const char *text)
{
    static const char *const odd[] = {".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN", NULL};
    size_t whole, fraction = 0;

    if (strncmp(text, "0x", 2) == 0)
        return text[2] && !text[2 + strspn(text + 2, DIGITS "abcdefABCDEF")];
    if (strncmp(text, "0o", 2) == 0)
        return text[2] && !text[2 + strspn(text + 2, "01234567")];
    text += strspn(text, "-+") == 1;
    if (is_one_of(text, odd))
        return true;
    whole = strspn(text, DIGITS);
    text += whole;
    if (*text == '.') {
        fraction = strspn(++text, DIGITS);
        text += fraction;
    }
    if (whole + fraction == 0)
        return false;
    if (*text == 'e' || *text == 'E') {
        text++;
        text += strspn(text, "-+") == 1;
        if (!*text)
            return false;
        text += strspn(text, DIGITS);
    }
    return !*text;
}

enum scalar_type scalar_type(const yaml_node_t *node)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const bools[] = {"true", "True", "TRUE", "false", "False", "FALSE", NULL};
    const char *text = scalar_text(node);

    if (scalar_is_quoted(node))
        return SCALAR_TEXT;
    if (is_one_of(text, nulls))
        return SCALAR_NULL;
    if (is_one_of(text, bools))
        return SCALAR_BOOL;
    return is_number(text) ? SCALAR_NUMBER : SCALAR_TEXT;
}

bool scalar_is_quoted(const yaml_node_t *node)
{
    return node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
}

const char *scalar_text(const yaml_node_t *node)
{
    return (const char *)node->data.scalar.value;
}

const char *scalar_describe(const yaml_node_t *node, char text[SCALAR_DESCRIPTION_SIZE])
{
    char quoted[CONFIG_QUOTE_SIZE];
    const char *what = NULL;

    if (node->type == YAML_SEQUENCE_NODE) {
        what = node->data.sequence.items.start == node->data.sequence.items.top ? "an empty list"
                                                                                : "a list";
    } else if (node->type == YAML_MAPPING_NODE) {
        what = "keys and values";
    } else if (node->type == YAML_SCALAR_NODE) {
        enum scalar_type type = scalar_type(node);

        config_quote(scalar_text(node), quoted);
        if (type == SCALAR_NULL)
            what = "nothing";
        else if (type == SCALAR_NUMBER)
            snprintf(text, SCALAR_DESCRIPTION_SIZE, "the number %.40s", scalar_text(node));
        else
            what = quoted;
    }
    if (what)
        snprintf(text, SCALAR_DESCRIPTION_SIZE, "%s", what);
    return text;
}

bool scalar_is_plain(const char *text)
{
    static const char *const not_text[] = {"true", "false", "yes", "no",   "on",
                                           "off",  "y",     "n",   "null", NULL};

    if (!isalpha((unsigned char)text[0]) && text[0] != '/')
        return false;
    for (size_t i = 0; not_text[i]; i++) {
        if (strcasecmp(text, not_text[i]) == 0)
            return false;
    }
    return !text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" DIGITS
                              "_./:@#+-")] &&
           text[strlen(text) - 1] != ':';
}
