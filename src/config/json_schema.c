#include "config/json_schema.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "config/config.h"
#include "config/value.h"

// What the key is; JSON Schema has no bounds for durations and sizes, so they are said in words.
static void write_description(struct json *json, const struct schema_row *row)
{
    char text[SCHEMA_TEXT_SIZE], expected[VALUE_EXPECTED_SIZE];
    bool bounds = row->kind == SCHEMA_DURATION || row->kind == SCHEMA_SIZE;

    snprintf(text, sizeof(text), "%s%s%s%s", row->about, bounds ? " Expects " : "",
             bounds ? value_expected(row, expected) : "", bounds ? "." : "");
    json_text(json, "description", text);
}

static void write_type(struct json *json, const struct schema_row *row, const void *defaults);

static void write_value(struct json *json, const char *key, const struct schema_row *row,
                        const void *at)
{
    char text[SCHEMA_TEXT_SIZE];

    value_print(row, at, text);
    if (value_is_text(row) || (row->zero && strcmp(text, row->zero) == 0))
        json_text(json, key, text);
    else
        json_word(json, key, text);
}

// An array of objects has a default only if there is a short form for them.
static void write_default(struct json *json, const struct schema_row *row, const void *base)
{
    const char *at = schema_at_const(row, base);
    const struct schema_row *item = row->item;
    uint32_t count;

    if (row->kind == SCHEMA_SECTION)
        return;
    if (row->kind != SCHEMA_LIST) {
        write_value(json, "default", row, at);
        return;
    }
    if (item->kind == SCHEMA_SECTION && !item->required)
        return;
    if (item->kind == SCHEMA_SECTION)
        item = schema_find(item->rows, item->required);
    count = *(const uint32_t *)((const char *)base + row->count_offset);
    json_open(json, "default", '[');
    for (uint32_t i = 0; i < count; i++)
        write_value(json, NULL, item, at + i * row->item_size + item->offset);
    json_close(json, ']');
}

// NOLINTNEXTLINE(misc-no-recursion): as deep as the schema
static void write_section(struct json *json, const struct schema_row *section, const void *at)
{
    // Of a section of the file nothing need be said; of a list's item something must.
    if (section->required) {
        json_text(json, "type", "object");
        json_open(json, "required", '[');
        json_text(json, NULL, section->required);
        json_close(json, ']');
    } else {
        json_open(json, "type", '[');
        json_text(json, NULL, "object");
        json_text(json, NULL, "null");
        json_close(json, ']');
    }
    json_bool(json, "additionalProperties", false);
    json_open(json, "properties", '{');
    for (const struct schema_row *row = section->rows; row->key; row++) {
        json_open(json, row->key, '{');
        write_description(json, row);
        write_type(json, row, at);
        if (!section->required || strcmp(row->key, section->required) != 0)
            write_default(json, row, at);
        json_close(json, '}');
    }
    json_close(json, '}');
}

// NOLINTNEXTLINE(misc-no-recursion): as deep as the schema
static void write_item(struct json *json, const struct schema_row *list)
{
    const struct schema_row *item = list->item;
    void *defaults = calloc(1, list->item_size);

    require(defaults);
    if (list->item_defaults)
        list->item_defaults(defaults);
    json_open(json, "items", '{');
    json_text(json, "description", item->about);
    if (item->kind == SCHEMA_SECTION && item->required) {
        json_open(json, "anyOf", '[');
        json_open(json, NULL, '{');
        write_type(json, schema_find(item->rows, item->required), defaults);
        json_close(json, '}');
        json_open(json, NULL, '{');
        write_type(json, item, defaults);
        json_close(json, '}');
        json_close(json, ']');
    } else {
        write_type(json, item, defaults);
    }
    json_close(json, '}');
    free(defaults);
}

static void write_pattern(struct json *json, const char *pattern)
{
    json_text(json, "type", "string");
    if (pattern)
        json_text(json, "pattern", pattern);
}

// Of a number or a duration, but for the word that may stand for 0.
static void write_range(struct json *json, const struct schema_row *row)
{
    if (row->kind == SCHEMA_DURATION) {
        write_pattern(json, "^[0-9]+(us|ms|s|m|h|d)$");
        return;
    }
    json_text(json, "type", "integer");
    json_uint(json, "minimum", row->min);
    json_uint(json, "maximum", row->max);
}

static void write_range_or_word(struct json *json, const struct schema_row *row)
{
    if (!row->zero) {
        write_range(json, row);
        return;
    }
    json_open(json, "anyOf", '[');
    json_open(json, NULL, '{');
    json_text(json, "const", row->zero);
    json_close(json, '}');
    json_open(json, NULL, '{');
    write_range(json, row);
    json_close(json, '}');
    json_close(json, ']');
}

// NOLINTNEXTLINE(misc-no-recursion): as deep as the schema
static void write_type(struct json *json, const struct schema_row *row, const void *defaults)
{
    switch (row->kind) {
    case SCHEMA_BOOL:
        json_text(json, "type", "boolean");
        break;
    case SCHEMA_UINT:
    case SCHEMA_DURATION:
        write_range_or_word(json, row);
        break;
    case SCHEMA_SIZE:
        json_open(json, "type", '[');
        json_text(json, NULL, "integer");
        json_text(json, NULL, "string");
        json_close(json, ']');
        json_text(json, "pattern", "^[0-9]+(KiB|MiB|GiB)?$");
        json_uint(json, "minimum", row->min);
        json_uint(json, "maximum", row->max);
        break;
    case SCHEMA_ENUM:
        json_open(json, "enum", '[');
        for (unsigned i = 0; row->words[i]; i++)
            json_text(json, NULL, row->words[i]);
        json_close(json, ']');
        break;
    case SCHEMA_STRING:
        json_text(json, "type", "string");
        json_uint(json, "minLength", row->min);
        json_uint(json, "maxLength", row->max);
        break;
    case SCHEMA_TEXT:
        write_pattern(json, row->text->pattern);
        break;
    case SCHEMA_SECTION:
        write_section(json, row, schema_at_const(row, defaults));
        break;
    case SCHEMA_LIST:
        json_text(json, "type", "array");
        json_uint(json, "minItems", row->min);
        json_uint(json, "maxItems", row->max);
        write_item(json, row);
        break;
    }
}

void schema_print_json(const struct schema_row *section, const void *defaults, FILE *out)
{
    struct json json = {.out = out};

    json_open(&json, NULL, '{');
    json_text(&json, "$schema", "https://json-schema.org/draft/2020-12/schema");
    json_text(&json, "title", section->key);
    json_text(&json, "description", section->about);
    write_type(&json, section, defaults);
    json_close(&json, '}');
    putc('\n', out);
}

void config_print_schema(FILE *out)
{
    struct config *defaults = calloc(1, sizeof(*defaults));

    require(defaults);
    config_defaults(defaults);
    schema_print_json(&config_schema, defaults, out);
    free(defaults);
}
