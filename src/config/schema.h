// The schema: what may stand in a configuration file, as a tree of rows. A row says what one key
// is and where in the options its value goes. Loading, printing and the JSON Schema are three walks
// over this one tree; none of them knows a key by name.
//
// To add a key, add its row (schema.c) and its default (defaults.c). To add a section, add a table
// of rows and a row of kind SCHEMA_SECTION that points to it. To add a list of objects, see how
// upstream servers are described.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

// What is at a row's offset:
enum schema_kind {
    SCHEMA_BOOL,     // bool
    SCHEMA_UINT,     // uint32_t
    SCHEMA_DURATION, // usec_t
    SCHEMA_SIZE,     // uint64_t, octets
    SCHEMA_ENUM,     // an enum (as wide as an unsigned int)
    SCHEMA_STRING,   // char[max + 1], filled up with zeros
    SCHEMA_TEXT,     // whatever `text` reads and writes
    SCHEMA_SECTION,  // a struct with the fields of `rows`
    SCHEMA_LIST,     // an array of `item`s; how many are used, a uint32_t, is at `count_offset`
};

// The longest text of a scalar, with the NUL.
#define SCHEMA_TEXT_SIZE 1025

// Values with a form of their own, such as URLs.
struct schema_text {
    const char *expected; // "an upstream such as …"
    const char *pattern;  // for the JSON Schema: a necessary condition, or NULL
    // E_INVALID, with a static text that says why, or with NULL: it is not what was expected.
    int (*parse)(void *at, const char *text, const char **why);
    void (*print)(const void *at, char text[SCHEMA_TEXT_SIZE]);
};

// More keys than any section has.
#define SCHEMA_KEYS_MAX 32

struct schema_row {
    const char *key; // NULL: the end of a table. In an item: what one is called
    enum schema_kind kind;
    size_t offset; // from the start of the struct that the table describes
    const char *about;

    // Bounds, both inclusive: of a number, a duration or a size; of a string's length in octets;
    // of a list's number of items.
    uint64_t min, max;

    const char
        *zero;     // UINT, DURATION, ENUM: a word that stands for 0, whatever the bounds; or NULL
    uint32_t bias; // UINT: what is kept is higher by this, so that 0 is left for the word
    const char *const *words;       // ENUM: the word of each value; ends with NULL
    const struct schema_text *text; // TEXT
    const struct schema_row *rows;  // SECTION
    const char *required;           // SECTION: a key that must be there, or NULL. In a list, a
                                    // scalar in place of the section is the value of this key

    // LIST
    const struct schema_row *item;
    size_t item_size;
    size_t count_offset;
    void (*item_defaults)(void *item); // sets everything that an item need not say; NULL: zeros
};

// The whole file: a section of struct config.
extern const struct schema_row config_schema;

static inline void *schema_at(const struct schema_row *row, void *base)
{
    return (char *)base + row->offset;
}

static inline const void *schema_at_const(const struct schema_row *row, const void *base)
{
    return (const char *)base + row->offset;
}

// The row of a key, or NULL.
NONNULL const struct schema_row *schema_find(const struct schema_row *rows, const char *key);
