#include "base/json.h"

#include <inttypes.h>

#include "base/utf8.h"

// Controls; and what would be markup where the output is pasted into a page.
static bool is_escaped(char c)
{
    return (unsigned char)c < ' ' || c == 0x7f || c == '<' || c == '>' || c == '&';
}

// How much of the text may be written as it is: most of it, mostly.
static size_t plain_length(const char *text)
{
    size_t length = 0;

    while ((unsigned char)text[length] < 0x80 && !is_escaped(text[length]) && text[length] != '"' &&
           text[length] != '\\')
        length++;
    return length;
}

static void write_string(struct json *json, const char *text)
{
    putc('"', json->out);
    for (;;) {
        size_t length = plain_length(text);

        fwrite(text, 1, length, json->out);
        text += length;
        if (!*text)
            break;
        length = utf8_length(text);
        if (length == 0) {
            fputs("\xef\xbf\xbd", json->out);
            text++;
            continue;
        }
        if (length == 1 && is_escaped(*text)) {
            fprintf(json->out, "\\u%04x", (unsigned)*text++);
            continue;
        }
        if (*text == '"' || *text == '\\')
            putc('\\', json->out);
        fwrite(text, 1, length, json->out);
        text += length;
    }
    putc('"', json->out);
}

// Begins a member of an object, or an element of an array if `key` is NULL.
static void next(struct json *json, const char *key)
{
    if (json->depth > 0 && json->comma)
        putc(',', json->out);
    if (json->depth > 0 && !json->one_line)
        fprintf(json->out, "\n%*s", (int)json->depth * 2, "");
    if (key) {
        write_string(json, key);
        fputs(json->one_line ? ":" : ": ", json->out);
    }
    json->comma = true;
}

void json_open(struct json *json, const char *key, char bracket)
{
    next(json, key);
    putc(bracket, json->out);
    json->depth++;
    json->comma = false;
}

void json_close(struct json *json, char bracket)
{
    json->depth--;
    if (json->comma && !json->one_line)
        fprintf(json->out, "\n%*s", (int)json->depth * 2, "");
    putc(bracket, json->out);
    json->comma = true;
}

void json_text(struct json *json, const char *key, const char *text)
{
    next(json, key);
    write_string(json, text);
}

void json_uint(struct json *json, const char *key, uint64_t number)
{
    next(json, key);
    fprintf(json->out, "%" PRIu64, number);
}

void json_bool(struct json *json, const char *key, bool value)
{
    json_word(json, key, value ? "true" : "false");
}

void json_null(struct json *json, const char *key)
{
    json_word(json, key, "null");
}

void json_seconds(struct json *json, const char *key, usec_t duration)
{
    next(json, key);
    fprintf(json->out, "%" PRIu64 ".%06" PRIu64, duration / USEC_SEC, duration % USEC_SEC);
}

void json_word(struct json *json, const char *key, const char *word)
{
    next(json, key);
    fputs(word, json->out);
}
