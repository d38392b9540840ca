// What both versions of HTTP that we speak have in common (RFC 9110).
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "base/compiler.h"

// Status codes (RFC 9110 section 15, RFC 6585 section 5).
enum http_status {
    HTTP_OK = 200,
    HTTP_BAD_REQUEST = 400,
    HTTP_NOT_FOUND = 404,
    HTTP_METHOD_NOT_ALLOWED = 405,
    HTTP_LENGTH_REQUIRED = 411,
    HTTP_CONTENT_TOO_LARGE = 413,
    HTTP_URI_TOO_LONG = 414,
    HTTP_UNSUPPORTED_MEDIA_TYPE = 415,
    HTTP_EXPECTATION_FAILED = 417,
    HTTP_FIELDS_TOO_LARGE = 431,
    HTTP_NOT_IMPLEMENTED = 501,
    HTTP_UNAVAILABLE = 503,
    HTTP_VERSION_NOT_SUPPORTED = 505,
};

// Bounds on a request. The largest target is that of a GET with a DNS message of 65,535 octets in
// base64 would be over 87,000; queries are of a few hundred.
#define HTTP_TARGET_MAX 8192
#define HTTP_FIELDS_MAX 100
#define HTTP_FIELDS_SIZE_MAX 16384 // names, values and 32 octets for each (RFC 9113 section 6.5.2)

// A part of a request where it lies: not terminated, and not ours.
struct http_text {
    const char *bytes;
    size_t size;
};

NONNULL static inline bool http_text_is(struct http_text text, const char *other)
{
    return text.size == strlen(other) && memcmp(text.bytes, other, text.size) == 0;
}

// In any letter case, as names of fields are.
NONNULL static inline bool http_text_is_nocase(struct http_text text, const char *other)
{
    return text.size == strlen(other) && strncasecmp(text.bytes, other, text.size) == 0;
}

struct http_response {
    enum http_status status;
    const char *content_type; // static
    const char *allow;        // static: the methods, for 405; else NULL
    bool has_max_age;
    uint32_t max_age; // for cache-control, in seconds
    const uint8_t *body;
    size_t body_size;
};
