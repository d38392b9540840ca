#include "config/document.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "config/report.h"

// Twice as deep as the schema is.
#define DEPTH_MAX 12

struct source {
    const char *text;
    size_t size;
    const char *name;
    struct config_error *error;
};

static int report_at(const struct source *source, const yaml_mark_t *mark, const char *problem)
{
    return config_report(source->error, "%s:%zu:%zu: %s", source->name, mark->line + 1,
                         mark->column + 1, problem);
}

// Whether the line (from 0) is indented with a tab, the usual reason for an error that YAML's
// parser puts in other words.
static bool has_tab_indent(const struct source *source, size_t line)
{
    const char *at = source->text, *end = at + source->size;

    while (line > 0 && (at = memchr(at, '\n', (size_t)(end - at)))) {
        at++;
        line--;
    }
    while (at && at < end && *at == ' ')
        at++;
    return at && at < end && *at == '\t';
}

// libyaml gives only the offset of what it cannot decode.
static yaml_mark_t mark_of_offset(const struct source *source, size_t offset)
{
    yaml_mark_t mark = {.index = offset};

    for (size_t i = 0; i < offset && i < source->size; i++) {
        unsigned char c = (unsigned char)source->text[i];

        if (c == '\n') {
            mark.line++;
            mark.column = 0;
        } else if ((c & 0xc0) != 0x80) {
            mark.column++;
        }
    }
    return mark;
}

static int report_parser(const struct source *source, const yaml_parser_t *parser)
{
    char text[256];

    if (parser->error == YAML_MEMORY_ERROR)
        return config_report(source->error, "%s: %s", source->name, error_text(E_NOMEM));
    if (parser->error == YAML_READER_ERROR) {
        yaml_mark_t mark = mark_of_offset(source, parser->problem_offset);

        return report_at(source, &mark, parser->problem);
    }
    snprintf(text, sizeof(text), "%s%s%s%s", parser->problem, parser->context ? ", " : "",
             parser->context ? parser->context : "",
             has_tab_indent(source, parser->problem_mark.line)
                 ? "; indent with spaces, not with tabs"
                 : "");
    return report_at(source, &parser->problem_mark, text);
}

static void start_parser(yaml_parser_t *parser, const struct source *source)
{
    yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(parser, (const unsigned char *)source->text, source->size);
}

// What must not be, or NULL.
static const char *objection(const yaml_event_t *event)
{
    const unsigned char *anchor = NULL, *tag = NULL;

    switch (event->type) {
    case YAML_ALIAS_EVENT:
        return "aliases (*name) are not supported; write the value again";
    case YAML_SCALAR_EVENT:
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
        if (memchr(event->data.scalar.value, '\0', event->data.scalar.length))
            return "a NUL character";
        break;
    case YAML_SEQUENCE_START_EVENT:
        anchor = event->data.sequence_start.anchor;
        tag = event->data.sequence_start.tag;
        break;
    case YAML_MAPPING_START_EVENT:
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
        break;
    default:
        break;
    }
    if (anchor)
        return "anchors (&name) are not supported";
    return tag ? "tags (!name) are not supported" : NULL;
}

// Looks at the events one by one, before libyaml builds anything from them.
static int check_event(const struct source *source, const yaml_event_t *event, int *depth,
                       unsigned *documents)
{
    const char *wrong = objection(event);

    if (event->type == YAML_SEQUENCE_START_EVENT || event->type == YAML_MAPPING_START_EVENT) {
        if (++*depth > DEPTH_MAX)
            wrong = "nested too deeply";
    }
    if (event->type == YAML_SEQUENCE_END_EVENT || event->type == YAML_MAPPING_END_EVENT)
        --*depth;
    if (event->type == YAML_DOCUMENT_START_EVENT && ++*documents > 1)
        wrong = "a second document starts here; a configuration is one";
    return wrong ? report_at(source, &event->start_mark, wrong) : E_OK;
}

static int check_events(yaml_parser_t *parser, const struct source *source)
{
    yaml_event_t event;
    unsigned documents = 0;
    int depth = 0;

    for (;;) {
        if (!yaml_parser_parse(parser, &event))
            return report_parser(source, parser);

        bool end = event.type == YAML_STREAM_END_EVENT;
        int rc = check_event(source, &event, &depth, &documents);

        yaml_event_delete(&event);
        if (rc != E_OK || end)
            return rc;
    }
}

int document_load(yaml_document_t *document, const char *text, size_t size, const char *name,
                  struct config_error *error)
{
    const struct source source = {text, size, name, error};
    yaml_parser_t parser;
    int rc;

    if (!yaml_parser_initialize(&parser))
        return config_report(error, "%s: %s", name, error_text(E_NOMEM));
    start_parser(&parser, &source);
    rc = check_events(&parser, &source);
    yaml_parser_delete(&parser);
    if (rc != E_OK)
        return rc;

    if (!yaml_parser_initialize(&parser))
        return config_report(error, "%s: %s", name, error_text(E_NOMEM));
    start_parser(&parser, &source);
    if (!yaml_parser_load(&parser, document))
        rc = report_parser(&source, &parser);
    yaml_parser_delete(&parser);
    return rc;
}
