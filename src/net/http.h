// What both versions of HTTP that we speak have in common (RFC 9110).
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>
#include <time.h>

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

// Bounds on a request. The target of a GET with a DNS message of 65,535 octets in base64 would be
// of over 87,000; those of queries are of a few hundred.
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

// The same without white space around it (OWS, RFC 9110 section 5.6.3).
static inline struct http_text http_text_trim(struct http_text text)
{
    while (text.size > 0 && (*text.bytes == ' ' || *text.bytes == '\t')) {
        text.bytes++;
        text.size--;
    }
    while (text.size > 0 && (text.bytes[text.size - 1] == ' ' || text.bytes[text.size - 1] == '\t'))
        text.size--;
    return text;
}

// May stand in a token (tchar, RFC 9110 section 5.6.2).
static inline bool http_octet_is_token(uint8_t octet)
{
    switch (octet) {
    case '0' ... '9':
    case 'A' ... 'Z':
    case 'a' ... 'z':
    case '!':
    case '#':
    case '$':
    case '%':
    case '&':
    case '\'':
    case '*':
    case '+':
    case '-':
    case '.':
    case '^':
    case '_':
    case '`':
    case '|':
    case '~':
        return true;
    default:
        return false;
    }
}

// May stand in the value of a field (RFC 9110 section 5.5).
static inline bool http_octet_is_value(uint8_t octet)
{
    return (octet >= ' ' && octet != 0x7f) || octet == '\t';
}

struct http_response {
    enum http_status status;
    const char *content_type; // static
    const char *allow;        // static: the methods, for 405; else NULL
    const char *date;         // valid while the response is handed over; "" for none
    bool has_max_age;
    uint32_t max_age; // for cache-control, in seconds
    const uint8_t *body;
    uint32_t body_size;
};

// What a connection's HTTP, of either version, keeps of a request: part of its owner's structure.
struct http_request {
    uint32_t stream;   // HTTP/2: its stream
    uint32_t received; // HTTP/2: octets of its body that still hold the client's window
    bool head;         // the method is HEAD: its response goes without the body
    bool has_target;   // HTTP/2: it was handed over
    size_t sent;       // of the response's body
    struct http_response response;
};

// What a server does with requests. Each is handed over in this order, in the connection's thread;
// at any point `end` may follow, which is the last call.
struct http_server_ops {
    // A request begins. NULL: there is no room for it now.
    struct http_request *(*begin)(void *owner);
    void (*method)(struct http_request *request, struct http_text method);
    void (*target)(struct http_request *request, struct http_text target);
    void (*field)(struct http_request *request, struct http_text name, struct http_text value);
    // Whether its body is of interest; asked after the fields and after each part of the body.
    bool (*wanted)(const struct http_request *request);
    void (*body)(struct http_request *request, const uint8_t *bytes, size_t size);
    // All is handed over, or its body is not wanted: to be answered, now or later.
    void (*finish)(struct http_request *request);
    // The same for one that is answered with this status whatever it is about.
    void (*refuse)(struct http_request *request, enum http_status status);
    // The response was sent, or none will be.
    void (*end)(struct http_request *request);
};

// The date of responses (RFC 9110 section 5.6.7), written anew when the second is another one.
// Starts out as zeros.
struct http_clock {
    time_t at;
    char text[32];
};

// Valid until the next call; "" if there is none.
NONNULL const char *http_date(struct http_clock *clock, time_t now);

// "4294967295" and the NUL.
#define HTTP_NUMBER_SIZE 11

// In decimal. Returns the number of digits.
NONNULL size_t http_number_to_text(char text[HTTP_NUMBER_SIZE], uint32_t number);
