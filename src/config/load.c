#include "config/load.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "config/document.h"
#include "config/report.h"
#include "config/scalar.h"
#include "config/value.h"

#define PATH_SIZE 128

struct loader {
    yaml_document_t document;
    const char *name;
    struct config_error *error;
    char path[PATH_SIZE]; // of the key that is being loaded: "upstream.servers"
    size_t path_length;
};

static int load_row(struct loader *loader, const struct schema_row *row, yaml_node_t *node,
                    void *base);

// Puts "FILE:LINE:COLUMN: " before what is wrong.
PRINTF(3, 4)
static int fail(struct loader *loader, const yaml_node_t *node, const char *format, ...)
{
    char text[sizeof(loader->error->text)];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    return config_report(loader->error, "%s:%zu:%zu: %s", loader->name, node->start_mark.line + 1,
                         node->start_mark.column + 1, text);
}

// "found what, expected what", and for words the nearest.
static int fail_expected(struct loader *loader, const struct schema_row *row,
                         const yaml_node_t *node, const char *remedy)
{
    char found[SCALAR_DESCRIPTION_SIZE], expected[VALUE_EXPECTED_SIZE];
    const char *near = NULL;

    if (row->kind == SCHEMA_ENUM && node->type == YAML_SCALAR_NODE)
        near = config_nearest(scalar_text(node), row->words);
    return fail(loader, node, "%s: found %s, expected %s%s%s%s%s",
                *loader->path ? loader->path : "the file", scalar_describe(node, found),
                value_expected(row, expected), remedy, near ? "; did you mean \"" : "",
                near ? near : "", near ? "\"?" : "");
}

static int load_scalar(struct loader *loader, const struct schema_row *row, yaml_node_t *node,
                       void *at)
{
    char quoted[CONFIG_QUOTE_SIZE];
    const char *why = NULL;

    if (node->type != YAML_SCALAR_NODE)
        return fail_expected(loader, row, node, "");
    switch (scalar_type(node)) {
    case SCALAR_NULL:
        return fail_expected(loader, row, node, "");
    case SCALAR_BOOL:
    case SCALAR_NUMBER:
        // The schema for editors says the same. A size may be a plain number of octets.
        if (value_is_text(row) && row->kind != SCHEMA_SIZE)
            return fail_expected(loader, row, node,
                                 row->kind == SCHEMA_STRING ? "; write it in quotes" : "");
        break;
    case SCALAR_TEXT:
        if (!value_is_text(row) && scalar_is_quoted(node) &&
            !(row->zero && strcmp(scalar_text(node), row->zero) == 0))
            return fail_expected(loader, row, node, ", without quotes");
        break;
    }
    if (value_parse(row, at, scalar_text(node), &why) == E_OK)
        return E_OK;
    if (why)
        return fail(loader, node, "%s: %s: %s", loader->path,
                    config_quote(scalar_text(node), quoted), why);
    return fail_expected(loader, row, node, "");
}

static int fail_key(struct loader *loader, const struct schema_row *section, const yaml_node_t *key)
{
    const char *known[SCHEMA_KEYS_MAX + 1] = {NULL}, *near;
    char quoted[CONFIG_QUOTE_SIZE], all[512] = "";
    size_t count = 0, used = 0;

    for (const struct schema_row *row = section->rows; row->key; row++) {
        known[count++] = row->key;
        used +=
            (size_t)snprintf(all + used, sizeof(all) - used, "%s%s", used ? ", " : "", row->key);
        require(used < sizeof(all) && count < ARRAY_LEN(known));
    }
    near = config_nearest(scalar_text(key), known);
    config_quote(scalar_text(key), quoted);
    return fail(loader, key, "unknown key %s%s%s; %s%s%s", quoted, *loader->path ? " in " : "",
                loader->path, near ? "did you mean \"" : "known keys: ", near ? near : all,
                near ? "\"?" : "");
}

// The row of a key, checked to be known and not to have been there before. NULL after an error.
static const struct schema_row *find_row(struct loader *loader, const struct schema_row *section,
                                         const yaml_node_t *key, const yaml_node_t **seen)
{
    char found[SCALAR_DESCRIPTION_SIZE];
    const struct schema_row *row;

    if (key->type != YAML_SCALAR_NODE) {
        fail(loader, key, "found %s as a key, expected a word", scalar_describe(key, found));
        return NULL;
    }
    row = schema_find(section->rows, scalar_text(key));
    if (!row) {
        fail_key(loader, section, key);
        return NULL;
    }
    if (seen[row - section->rows]) {
        fail(loader, key, "duplicate key \"%s\"%s%s, first on line %zu", row->key,
             *loader->path ? " in " : "", loader->path,
             seen[row - section->rows]->start_mark.line + 1);
        return NULL;
    }
    seen[row - section->rows] = key;
    return row;
}

// NOLINTNEXTLINE(misc-no-recursion): as deep as the schema, whatever the file says
static int load_section(struct loader *loader, const struct schema_row *section, yaml_node_t *node,
                        void *at)
{
    const yaml_node_t *seen[SCHEMA_KEYS_MAX] = {NULL};

    if (node->type != YAML_MAPPING_NODE)
        return fail_expected(loader, section, node, "");
    for (yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top; pair++) {
        yaml_node_t *key = yaml_document_get_node(&loader->document, pair->key);
        yaml_node_t *value = yaml_document_get_node(&loader->document, pair->value);
        const struct schema_row *row = find_row(loader, section, key, seen);
        size_t length = loader->path_length;

        if (!row)
            return E_INVALID;
        loader->path_length += (size_t)snprintf(loader->path + length, PATH_SIZE - length, "%s%s",
                                                length ? "." : "", row->key);
        require(loader->path_length < PATH_SIZE);
        if (load_row(loader, row, value, at) != E_OK)
            return E_INVALID;
        loader->path_length = length;
        loader->path[length] = '\0';
    }
    if (section->required && !seen[schema_find(section->rows, section->required) - section->rows])
        return fail(loader, node, "%s: no \"%s\" in this %s", loader->path, section->required,
                    section->key);
    return E_OK;
}

// NOLINTNEXTLINE(misc-no-recursion): as deep as the schema, whatever the file says
static int load_item(struct loader *loader, const struct schema_row *item, yaml_node_t *node,
                     void *at)
{
    // `- URL` stands for `- url: URL`.
    if (item->kind == SCHEMA_SECTION && item->required && node->type == YAML_SCALAR_NODE)
        item = schema_find(item->rows, item->required);
    return load_row(loader, item, node, at);
}

// NOLINTNEXTLINE(misc-no-recursion): as deep as the schema, whatever the file says
static int load_list(struct loader *loader, const struct schema_row *row, yaml_node_t *node,
                     void *base)
{
    char *at = schema_at(row, base);
    uint32_t *count = (uint32_t *)((char *)base + row->count_offset);

    if (node->type != YAML_SEQUENCE_NODE)
        return fail_expected(loader, row, node, "");

    yaml_node_item_t *start = node->data.sequence.items.start;
    size_t length = (size_t)(node->data.sequence.items.top - start);

    if (length < row->min)
        return fail_expected(loader, row, node, "");
    memset(at, 0, *count * row->item_size); // what lies beyond is zero
    *count = 0;
    for (size_t i = 0; i < length; i++, at += row->item_size) {
        yaml_node_t *item = yaml_document_get_node(&loader->document, start[i]);

        if (i == row->max)
            return fail(loader, item, "%s: too many entries, expected at most %zu", loader->path,
                        (size_t)row->max);
        if (row->item_defaults)
            row->item_defaults(at);
        if (load_item(loader, row->item, item, at) != E_OK)
            return E_INVALID;
        ++*count;
    }
    return E_OK;
}

// NOLINTNEXTLINE(misc-no-recursion): as deep as the schema, whatever the file says
static int load_row(struct loader *loader, const struct schema_row *row, yaml_node_t *node,
                    void *base)
{
    if (row->kind == SCHEMA_LIST)
        return load_list(loader, row, node, base);
    if (row->kind != SCHEMA_SECTION)
        return load_scalar(loader, row, node, schema_at(row, base));
    // A section whose keys are all commented out.
    if (!row->required && node->type == YAML_SCALAR_NODE && scalar_type(node) == SCALAR_NULL)
        return E_OK;
    return load_section(loader, row, node, schema_at(row, base));
}

int schema_load(const struct schema_row *section, void *base, const char *text, size_t size,
                const char *name, struct config_error *error)
{
    struct loader loader = {.name = name, .error = error};
    yaml_node_t *root;
    int rc = document_load(&loader.document, text, size, name, error);

    if (rc != E_OK)
        return rc;
    root = yaml_document_get_root_node(&loader.document);
    if (root)
        rc = load_row(&loader, section, root, base);
    yaml_document_delete(&loader.document);
    return rc;
}

int config_load_text(struct config *config, const char *text, size_t size, const char *name,
                     struct config_error *error)
{
    if (size > CONFIG_FILE_MAX)
        return config_report(error, "%s: larger than 1 MiB; is this the right file?", name);
    return schema_load(&config_schema, config, text, size, name, error);
}

// Reads to the end, but not beyond `size`. The number of octets, or -1 with errno.
static ssize_t read_all(int fd, char *buffer, size_t size)
{
    size_t used = 0;

    while (used < size) {
        ssize_t got = read(fd, buffer + used, size - used);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        used += (size_t)got;
    }
    return (ssize_t)used;
}

int config_load_file(struct config *config, const char *path, struct config_error *error)
{
    char *text = malloc(CONFIG_FILE_MAX + 1);
    ssize_t size = -1;
    int fd, rc;

    if (!text)
        return config_report(error, "%s: %s", path, error_text(E_NOMEM));
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0)
        size = read_all(fd, text, CONFIG_FILE_MAX + 1);
    if (size < 0)
        rc = config_report(error, "%s: cannot read the configuration: %s", path, strerror(errno));
    else
        rc = config_load_text(config, text, (size_t)size, path, error);
    if (fd >= 0)
        close(fd);
    free(text);
    return rc;
}
