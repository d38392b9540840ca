// Configurations in tests, as text.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "config/config.h"

// Loads on top of the defaults; the file is called a.yaml.
static inline int config_load(struct config *config, const char *text, struct config_error *error)
{
    strcpy(error->text, "(no error)");
    config_defaults(config);
    return config_load_text(config, text, strlen(text), "a.yaml", error);
}

// The canonical form, to be freed.
static inline char *config_text(const struct config *config)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    config_print(config, out);
    fclose(out);
    return text;
}

static inline void assert_config_equal(const struct config *a, const struct config *b)
{
    if (memcmp(a, b, sizeof(*a)) != 0)
        fail_msg("differ:\n%s\nand\n%s", config_text(a), config_text(b));
}

// What is printed loads to the same, and prints the same again.
static inline void assert_fixed_point(const struct config *config)
{
    static struct config again;
    struct config_error error;
    char *first = config_text(config), *second;

    if (config_load(&again, first, &error) != E_OK)
        fail_msg("%s\n%s", error.text, first);
    assert_config_equal(config, &again);
    second = config_text(&again);
    assert_string_equal(first, second);
    free(first);
    free(second);
}

// A file of the source tree, with a NUL at its end, to be freed.
static inline char *read_source(const char *path)
{
    FILE *file = fopen(path, "r");
    char *text = calloc(1, 256 * 1024);

    if (!file || !text)
        fail_msg("cannot read %s", path);
    assert_true(fread(text, 1, 256 * 1024 - 1, file) > 0);
    fclose(file);
    return text;
}
