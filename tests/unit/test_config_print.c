// The configuration as a whole: what is printed loads to the same, whatever it is; and what is in
// docs/ is true.
#include "config/print.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "config/json_schema.h"
#include "config/load.h"
#include "config/texts.h"
#include "config_text.h"

#define DOCS TEST_SOURCE_DIR "/docs/"

// xorshift: the same numbers in each run.
static uint64_t random_state = 88172645463325252;

static uint64_t random_below(uint64_t limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % limit;
}

static uint64_t random_between(uint64_t min, uint64_t max)
{
    uint64_t kind = random_below(8);

    if (kind == 0)
        return min;
    if (kind == 1)
        return max;
    return min + random_below(max - min + 1);
}

static const char *const listener_urls[] = {"dns://127.0.0.1:53", "udp://[::1]:5300", "tcp://*",
                                            "10.0.0.1:0", "[fe80::1%1]:53"};
static const char *const upstream_urls[] = {"cloudflare",
                                            "quad9",
                                            "tls://1.1.1.1#a.b",
                                            "[2001:db8::1]:8853#a.b",
                                            "1.1.1.1@853#a.b",
                                            "tls://dns.example.:1",
                                            "::1",
                                            "yes.no"};

static void random_string(const struct schema_row *row, char *at)
{
    static const char *const pieces[] = {"a",   "yes", " ", "#",  ": ", "\"", "\\", "'", "-",
                                         "1.5", "~",   "%", "\n", "[",  "}",  "*",  "&", "!",
                                         "|",   ">",   "@", "`",  ",",  "?",  "ü",  "😀", "null"};
    size_t length = 0, wanted = random_between(row->min, row->max);

    memset(at, 0, row->max + 1);
    while (length < wanted) {
        const char *piece = pieces[random_below(ARRAY_LEN(pieces))];

        if (*piece == '\n') // no value has one
            piece = "x";
        if (length + strlen(piece) > row->max)
            piece = "z";
        memcpy(at + length, piece, strlen(piece));
        length += strlen(piece);
    }
}

static void random_text(const struct schema_row *row, void *at)
{
    const char *why;

    if (row->text == &text_listener_url) {
        const char *url = listener_urls[random_below(ARRAY_LEN(listener_urls))];

        assert_int_equal(row->text->parse(at, url, &why), E_OK);
    } else if (row->text == &text_upstream_url) {
        const char *url = upstream_urls[random_below(ARRAY_LEN(upstream_urls))];

        assert_int_equal(row->text->parse(at, url, &why), E_OK);
    } else if (row->text == &text_control_socket) {
        static const char *const sockets[] = {"auto", "none", "/", "/run/a b: #c"};
        const char *socket = sockets[random_below(ARRAY_LEN(sockets))];

        assert_int_equal(row->text->parse(at, socket, &why), E_OK);
    } else if (row->text == &text_querylog_url) {
        static const char *const urls[] = {"sqlite:///a b.db", "json:-", "dnstap:///run/t: #.sock",
                                           "postgresql://a@b/c?sslmode=verify-full"};
        const char *url = urls[random_below(ARRAY_LEN(urls))];

        assert_int_equal(row->text->parse(at, url, &why), E_OK);
    } else if (row->text == &text_prefix) {
        static const char *const prefixes[] = {"any",       "private",   "0.0.0.0/0", "::/0",
                                               "192.0.2.1", "::1",       "fd00::/8",  "10.0.0.0/8",
                                               "fe80::/10", "1.2.3.4/30"};
        const char *prefix = prefixes[random_below(ARRAY_LEN(prefixes))];

        assert_int_equal(row->text->parse(at, prefix, &why), E_OK);
    } else {
        assert_ptr_equal(row->text, &text_pin);
        for (unsigned i = 0; i < 32; i++)
            ((uint8_t *)at)[i] = (uint8_t)random_below(256);
    }
}

// Fills in a value by the schema alone: a new key is covered without a word here.
static void randomize(const struct schema_row *row, void *base)
{
    char *at = schema_at(row, base);
    unsigned words = 0;
    uint32_t count;

    switch (row->kind) {
    case SCHEMA_BOOL:
        *(bool *)at = random_below(2);
        break;
    case SCHEMA_UINT:
        *(uint32_t *)at = (uint32_t)random_between(row->min, row->max) + row->bias;
        if (row->zero && random_below(4) == 0)
            *(uint32_t *)at = 0;
        break;
    case SCHEMA_DURATION:
    case SCHEMA_SIZE:
        *(uint64_t *)at = random_between(row->min, row->max);
        if (row->zero && random_below(4) == 0)
            *(uint64_t *)at = 0;
        break;
    case SCHEMA_ENUM:
        while (row->words[words])
            words++;
        *(unsigned *)at = (unsigned)random_below(words);
        break;
    case SCHEMA_STRING:
        random_string(row, at);
        break;
    case SCHEMA_TEXT:
        random_text(row, at);
        break;
    case SCHEMA_SECTION:
        for (const struct schema_row *inner = row->rows; inner->key; inner++)
            randomize(inner, at);
        break;
    case SCHEMA_LIST:
        memset(at, 0, row->max * row->item_size);
        count = (uint32_t)random_between(row->min, MIN(row->max, row->min + 4));
        *(uint32_t *)((char *)base + row->count_offset) = count;
        for (uint32_t i = 0; i < count; i++, at += row->item_size) {
            if (row->item_defaults)
                row->item_defaults(at);
            randomize(row->item, at);
        }
        break;
    }
}

static void test_defaults(void **state)
{
    static struct config config;

    config_defaults(&config);
    assert_fixed_point(&config);
    assert_int_equal(config.upstream.server_count, 1);
    assert_int_equal(config.upstream.servers[0].endpoint.address_count, 4);
    assert_string_equal(config.upstream.servers[0].endpoint.auth_name, "cloudflare-dns.com");
    assert_int_equal(config.upstream.servers[0].max_connections, 8);
    assert_int_equal(config.upstream.servers[0].idle_timeout, 60 * USEC_SEC);
    assert_int_equal(config.upstream.timeout, 4 * USEC_SEC);
    assert_int_equal(config.upstream.bootstrap_count, 2);
    assert_int_equal(config.listener.place_count, 2);
    assert_int_equal(config.listener.limits.udp_max_size, 1232);
    assert_int_equal(config.listener.limits.tcp_idle_timeout, 10 * USEC_SEC);
    assert_int_equal(config.listener.limits.tcp_message_timeout, 5 * USEC_SEC);
    assert_int_equal(config.listener.limits.tcp_max_connections, 1024);
    assert_int_equal(config.listener.limits.tcp_max_in_flight, 100);
    assert_int_equal(config.engine.max_in_flight, 10000);
    assert_string_equal(config.engine.identity_version, "sotto " SOTTO_VERSION);
    assert_string_equal(config.engine.identity_id, "");
    assert_string_equal(config.user, "nobody");
    assert_int_equal(config.workers, 0);
    assert_int_equal(config.log.level, LOG_INFO);
}

static void test_random_configurations_load_to_the_same(void **state)
{
    static struct config config;

    for (int i = 0; i < 1000; i++) {
        config_defaults(&config);
        randomize(&config_schema, &config);
        assert_fixed_point(&config);
    }
}

// A list in a file takes the place of the whole list that was there; nothing else changes.
static void test_a_file_replaces_lists_and_keeps_the_rest(void **state)
{
    static const char yaml[] = "upstream: {servers: [google]}\nlisten: ['127.0.0.1:5300']\n";
    static struct config config, expected;
    struct config_error error;

    config_defaults(&config);
    randomize(&config_schema, &config);
    expected = config;
    assert_int_equal(config_load_text(&config, yaml, strlen(yaml), "a.yaml", &error), E_OK);

    memset(expected.upstream.servers, 0, sizeof(expected.upstream.servers));
    expected.upstream.server_count = 0;
    assert_int_equal(config_add_upstream(&expected, "google", &error), E_OK);
    config_clear_listeners(&expected);
    assert_int_equal(config_add_listener(&expected, "127.0.0.1:5300", &error), E_OK);
    assert_config_equal(&config, &expected);
}

// A struct with all that a schema can describe, some of which no key needs yet.
enum colour { COLOUR_RED, COLOUR_OFF };

struct thing {
    char name[9];
    bool flag;
    uint32_t number_count;
    uint32_t numbers[3];
};

struct things {
    bool flag;
    uint64_t size;
    enum colour colour;
    struct {
        struct {
            uint64_t sizes[2];
            uint32_t size_count;
        } inner;
    } outer;
    uint32_t thing_count;
    struct thing things[3];
};

static const char *const colours[] = {"red", "off", NULL};
static const struct schema_row size_item = {
    .key = "size", .kind = SCHEMA_SIZE, .min = 0, .max = 1 << 20, .about = "A size."};
static const struct schema_row number_item = {
    .key = "number", .kind = SCHEMA_UINT, .min = 0, .max = UINT32_MAX, .about = "A number."};

static const struct schema_row thing_rows[] = {
    {.key = "name",
     .kind = SCHEMA_STRING,
     .offset = offsetof(struct thing, name),
     .max = 8,
     .about = "Its name."},
    {.key = "flag",
     .kind = SCHEMA_BOOL,
     .offset = offsetof(struct thing, flag),
     .about = "A flag."},
    {.key = "numbers",
     .kind = SCHEMA_LIST,
     .offset = offsetof(struct thing, numbers),
     .count_offset = offsetof(struct thing, number_count),
     .item = &number_item,
     .item_size = sizeof(uint32_t),
     .max = 3,
     .about = "Numbers."},
    {.key = NULL},
};
static const struct schema_row thing_item = {
    .key = "thing", .kind = SCHEMA_SECTION, .rows = thing_rows, .about = "A thing."};

static const struct schema_row inner_rows[] = {
    {.key = "sizes",
     .kind = SCHEMA_LIST,
     .offset = offsetof(struct things, outer.inner.sizes) - offsetof(struct things, outer.inner),
     .count_offset =
         offsetof(struct things, outer.inner.size_count) - offsetof(struct things, outer.inner),
     .item = &size_item,
     .item_size = sizeof(uint64_t),
     .min = 1,
     .max = 2,
     .about = "Sizes."},
    {.key = NULL},
};
static const struct schema_row outer_rows[] = {
    {.key = "inner", .kind = SCHEMA_SECTION, .rows = inner_rows, .about = "Inside."},
    {.key = NULL},
};
static const struct schema_row things_rows[] = {
    {.key = "flag",
     .kind = SCHEMA_BOOL,
     .offset = offsetof(struct things, flag),
     .about = "A flag."},
    {.key = "size",
     .kind = SCHEMA_SIZE,
     .offset = offsetof(struct things, size),
     .min = 1024,
     .max = UINT64_C(1) << 40,
     .about = "A size."},
    {.key = "colour",
     .kind = SCHEMA_ENUM,
     .offset = offsetof(struct things, colour),
     .words = colours,
     .about = "A \"colour\"."},
    {.key = "outer",
     .kind = SCHEMA_SECTION,
     .offset = offsetof(struct things, outer),
     .rows = outer_rows,
     .about = "Outside."},
    {.key = "things",
     .kind = SCHEMA_LIST,
     .offset = offsetof(struct things, things),
     .count_offset = offsetof(struct things, thing_count),
     .item = &thing_item,
     .item_size = sizeof(struct thing),
     .max = 3,
     .about = "Things."},
    {.key = NULL},
};
static const struct schema_row things_schema = {
    .key = "things", .kind = SCHEMA_SECTION, .rows = things_rows, .about = "Things."};

static int load_things(struct things *things, const char *yaml, struct config_error *error)
{
    memset(things, 0, sizeof(*things));
    return schema_load(&things_schema, things, yaml, strlen(yaml), "a.yaml", error);
}

static char *things_text(const struct things *things)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    schema_print(&things_schema, things, out);
    fclose(out);
    return text;
}

static void test_every_kind_of_row(void **state)
{
    static const char yaml[] = "flag: true\n"
                               "size: 64MiB\n"
                               "colour: \"off\"\n"
                               "outer:\n"
                               "  inner:\n"
                               "    sizes:\n"
                               "      - 1KiB\n"
                               "      - 7\n"
                               "things:\n"
                               "  - name: \"a \\\"b\\\"\"\n"
                               "    flag: true\n"
                               "    numbers:\n"
                               "      - 0\n"
                               "      - 4294967295\n"
                               "  - name: \"\"\n"
                               "    flag: false\n"
                               "    numbers: []\n";
    struct things things;
    struct config_error error;
    char *text;

    if (load_things(&things, yaml, &error) != E_OK)
        fail_msg("%s", error.text);
    assert_true(things.flag && things.things[0].flag && !things.things[1].flag);
    assert_int_equal(things.size, 64 << 20);
    assert_int_equal(things.colour, COLOUR_OFF);
    assert_int_equal(things.outer.inner.size_count, 2);
    assert_int_equal(things.outer.inner.sizes[1], 7);
    assert_int_equal(things.thing_count, 2);
    assert_string_equal(things.things[0].name, "a \"b\"");
    assert_int_equal(things.things[0].numbers[1], UINT32_MAX);
    text = things_text(&things);
    assert_string_equal(text, yaml);
    free(text);

    // Sizes may be plain numbers, and things may be bare.
    assert_int_equal(load_things(&things, "size: 2048\nthings: [{}]\n", &error), E_OK);
    assert_int_equal(things.size, 2048);
    assert_int_equal(things.thing_count, 1);
}

static void test_every_kind_of_row_gone_wrong(void **state)
{
    static const struct {
        const char *yaml, *error;
    } cases[] = {
        {"flag: yes", "a.yaml:1:7: flag: found \"yes\", expected true or false"},
        {"flag: 'true'", "a.yaml:1:7: flag: found \"true\", expected true or false, without "
                         "quotes"},
        {"flag: 1", "a.yaml:1:7: flag: found the number 1, expected true or false"},
        {"flag: TRUE", "a.yaml:1:7: flag: found \"TRUE\", expected true or false"},
        {"size: 1023", "a.yaml:1:7: size: found the number 1023, expected a size from 1KiB to "
                       "1024GiB"},
        {"size: 64M", "a.yaml:1:7: size: found \"64M\", expected a size from 1KiB to 1024GiB"},
        {"size: 1.5", "a.yaml:1:7: size: found the number 1.5, expected a size from 1KiB to "
                      "1024GiB"},
        {"size: true", "a.yaml:1:7: size: found \"true\", expected a size from 1KiB to 1024GiB"},
        {"outer: {inner: {sizes: []}}", "a.yaml:1:24: outer.inner.sizes: found an empty list, "
                                        "expected a list of 1 to 2 entries"},
        {"outer: {inner: {sizes: [1, 2, 3]}}",
         "a.yaml:1:31: outer.inner.sizes: too many entries, expected at most 2"},
        {"things: [{numbers: [1, x]}]",
         "a.yaml:1:24: things.numbers: found \"x\", expected a number from 0 to 4294967295"},
        {"things: [a]", "a.yaml:1:10: things: found \"a\", expected keys and values"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct things things;
        struct config_error error;

        assert_int_equal(load_things(&things, cases[i].yaml, &error), E_INVALID);
        assert_string_equal(error.text, cases[i].error);
    }
}

static void test_every_kind_of_row_at_random(void **state)
{
    for (int i = 0; i < 2000; i++) {
        struct things things = {0}, again;
        struct config_error error;
        char *text;

        randomize(&things_schema, &things);
        text = things_text(&things);
        if (load_things(&again, text, &error) != E_OK)
            fail_msg("%s\n%s", error.text, text);
        for (unsigned j = 0; j < 3; j++) // what a struct has between its fields says nothing
            assert_memory_equal(things.things[j].numbers, again.things[j].numbers,
                                sizeof(again.things[j].numbers));
        assert_int_equal(things.size, again.size);
        free(text);
    }
}

static void test_json_schema_of_every_kind_of_row(void **state)
{
    struct things things = {.size = 1024};
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    schema_print_json(&things_schema, &things, out);
    fclose(out);
    assert_non_null(strstr(text, "\"type\": \"boolean\",\n      \"default\": false\n"));
    assert_non_null(strstr(text, "\"description\": \"A \\\"colour\\\".\""));
    assert_non_null(strstr(text, "\"maximum\": 1099511627776"));
    free(text);
}

// Removes the # from what is commented out: a key, or an entry of a list, an even number of spaces
// behind the #. All other comments are words.
static char *uncomment(const char *text)
{
    char *result = calloc(1, strlen(text) + 1), *at = result;

    while (*text) {
        size_t line = strcspn(text, "\n") + 1, indent = strspn(text, " ");

        if (text[indent] == '#') {
            const char *after = text + indent + 1;
            size_t spaces = strspn(after, " ");
            size_t word = strspn(after + spaces, "abcdefghijklmnopqrstuvwxyz0123456789-");

            if (spaces % 2 == 0 && word > 0 &&
                (after[spaces + word] == ':' || strncmp(after + spaces, "- ", 2) == 0)) {
                memcpy(at, text, indent);
                at += indent;
                text += indent + 1;
                line -= indent + 1;
            }
        }
        memcpy(at, text, line);
        at += line;
        text += line;
    }
    return result;
}

static void test_the_example_is_the_defaults(void **state)
{
    static struct config defaults, config;
    struct config_error error;
    char *text = read_source(DOCS "sotto.yaml"), *uncommented = uncomment(text);

    config_defaults(&defaults);
    if (config_load(&config, text, &error) != E_OK)
        fail_msg("%s", error.text);
    assert_config_equal(&config, &defaults);
    if (config_load(&config, uncommented, &error) != E_OK)
        fail_msg("%s\n%s", error.text, uncommented);
    assert_config_equal(&config, &defaults);
    free(text);
    free(uncommented);
}

static void assert_has_keys(const char *text, const struct schema_row *rows)
{
    for (; rows->key; rows++) {
        char key[64];

        snprintf(key, sizeof(key), "%s:", rows->key);
        if (!strstr(text, key))
            fail_msg("%s is not in the example", rows->key);
        if (rows->kind == SCHEMA_SECTION)
            assert_has_keys(strstr(text, key), rows->rows);
        else if (rows->kind == SCHEMA_LIST && rows->item->kind == SCHEMA_SECTION)
            assert_has_keys(text, rows->item->rows);
    }
}

static void test_the_example_has_every_key(void **state)
{
    char *text = read_source(DOCS "sotto.yaml"), *uncommented = uncomment(text);

    assert_has_keys(uncommented, config_schema.rows);
    free(text);
    free(uncommented);
}

static void test_the_published_schema_is_ours(void **state)
{
    char *published = read_source(DOCS "sotto.schema.json"), *ours = NULL;
    size_t size;
    FILE *out = open_memstream(&ours, &size);

    config_print_schema(out);
    fclose(out);
    if (strcmp(published, ours) != 0)
        fail_msg("docs/sotto.schema.json is out of date: write the output of sotto --schema there");
    free(published);
    free(ours);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_random_configurations_load_to_the_same),
        cmocka_unit_test(test_a_file_replaces_lists_and_keeps_the_rest),
        cmocka_unit_test(test_every_kind_of_row),
        cmocka_unit_test(test_every_kind_of_row_gone_wrong),
        cmocka_unit_test(test_every_kind_of_row_at_random),
        cmocka_unit_test(test_json_schema_of_every_kind_of_row),
        cmocka_unit_test(test_the_example_is_the_defaults),
        cmocka_unit_test(test_the_example_has_every_key),
        cmocka_unit_test(test_the_published_schema_is_ours),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
