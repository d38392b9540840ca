// A writer of JSON (RFC 8259), indented or in one line, that knows when a comma is due. Whatever a
// text holds, the output is well-formed, and no markup wherever it is pasted: what is not UTF-8
// becomes U+FFFD; controls, <, > and & are escaped. Errors are those of the stream.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/compiler.h"
#include "base/time.h"

// Begin with `out` alone set, or with it and `one_line`.
struct json {
    FILE *out;
    bool one_line;
    unsigned depth;
    bool comma;
};

// `key` names a member of an object; NULL: an element of an array, or the whole. Brackets are
// '{' and '}', '[' and ']'.
void json_open(struct json *json, const char *key, char bracket);
void json_close(struct json *json, char bracket);
void json_text(struct json *json, const char *key, const char *text);
void json_uint(struct json *json, const char *key, uint64_t number);
void json_bool(struct json *json, const char *key, bool value);
void json_null(struct json *json, const char *key);
// A number of seconds, to the microsecond.
void json_seconds(struct json *json, const char *key, usec_t duration);
// As it is: a number, true, false or null.
void json_word(struct json *json, const char *key, const char *word);
