#include "config/print.h"

#include <string.h>

#include "base/time.h"
#include "config/config.h"
#include "config/scalar.h"
#include "config/value.h"

struct printer {
    FILE *out;
    unsigned indent;
    bool dash; // the next line is the first of a list item
};

static void start_line(struct printer *printer)
{
    unsigned indent = printer->indent;

    if (printer->dash)
        fprintf(printer->out, "%*s- ", (int)indent - 2, "");
    else
        fprintf(printer->out, "%*s", (int)indent, "");
    printer->dash = false;
}

// No value has control characters (value_parse() sees to that), so two escapes do.
static void print_quoted(struct printer *printer, const char *text)
{
    putc('"', printer->out);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            putc('\\', printer->out);
        putc(*text, printer->out);
    }
    putc('"', printer->out);
}

static void print_value(struct printer *printer, const struct schema_row *row, const void *at)
{
    char text[SCHEMA_TEXT_SIZE];
    bool free_form = row->kind == SCHEMA_STRING || row->kind == SCHEMA_TEXT ||
                     row->kind == SCHEMA_ENUM; // "off" is a boolean in YAML 1.1

    value_print(row, at, text);
    if (free_form && !scalar_is_plain(text))
        print_quoted(printer, text);
    else
        fputs(text, printer->out);
    putc('\n', printer->out);
}

static void print_row(struct printer *printer, const struct schema_row *row, const void *base);

// NOLINTNEXTLINE(misc-no-recursion): as deep as the schema
static void print_rows(struct printer *printer, const struct schema_row *rows, const void *at)
{
    for (; rows->key; rows++)
        print_row(printer, rows, at);
}

// Whether the value is as if the key were not there, in an item whose defaults are zeros.
static bool says_nothing(const struct schema_row *row, const void *item)
{
    const void *at = schema_at_const(row, item);

    switch (row->kind) {
    case SCHEMA_LIST:
        return *(const uint32_t *)((const char *)item + row->count_offset) == 0;
    case SCHEMA_STRING:
        return !*(const char *)at;
    case SCHEMA_UINT:
    case SCHEMA_ENUM:
        return row->zero && *(const uint32_t *)at == 0;
    case SCHEMA_DURATION:
        return row->zero && *(const usec_t *)at == 0;
    default:
        return false;
    }
}

// The one row of an item that says anything, if it may stand for the item by itself; else NULL.
static const struct schema_row *row_alone(const struct schema_row *item, const void *at)
{
    if (item->kind != SCHEMA_SECTION || !item->required)
        return NULL;
    for (const struct schema_row *row = item->rows; row->key; row++)
        if (strcmp(row->key, item->required) != 0 && !says_nothing(row, at))
            return NULL;
    return schema_find(item->rows, item->required);
}

// NOLINTNEXTLINE(misc-no-recursion): as deep as the schema
static void print_list(struct printer *printer, const struct schema_row *row, const void *base)
{
    const char *at = schema_at_const(row, base);
    uint32_t count = *(const uint32_t *)((const char *)base + row->count_offset);

    fputs(count == 0 ? " []\n" : "\n", printer->out);
    printer->indent += 4;
    for (uint32_t i = 0; i < count; i++, at += row->item_size) {
        const struct schema_row *alone = row_alone(row->item, at);

        printer->dash = true;
        if (row->item->kind == SCHEMA_SECTION && !alone) {
            print_rows(printer, row->item->rows, at);
        } else {
            start_line(printer);
            print_value(printer, alone ? alone : row->item,
                        alone ? schema_at_const(alone, at) : (const void *)at);
        }
    }
    printer->indent -= 4;
}

// NOLINTNEXTLINE(misc-no-recursion): as deep as the schema
static void print_row(struct printer *printer, const struct schema_row *row, const void *base)
{
    start_line(printer);
    fprintf(printer->out, "%s:", row->key);
    if (row->kind == SCHEMA_LIST) {
        print_list(printer, row, base);
    } else if (row->kind == SCHEMA_SECTION) {
        putc('\n', printer->out);
        printer->indent += 2;
        print_rows(printer, row->rows, schema_at_const(row, base));
        printer->indent -= 2;
    } else {
        putc(' ', printer->out);
        print_value(printer, row, schema_at_const(row, base));
    }
}

void schema_print(const struct schema_row *section, const void *base, FILE *out)
{
    struct printer printer = {.out = out};

    print_rows(&printer, section->rows, schema_at_const(section, base));
}

void config_print(const struct config *config, FILE *out)
{
    schema_print(&config_schema, config, out);
}
