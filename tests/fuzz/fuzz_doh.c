// A request of DNS over HTTPS: whatever its parts, in whatever pieces its body comes, and whether
// method or target is first, it says the same; what is taken is a query, and what is refused leaves
// nothing behind.
//
// The input is an octet of choices, one that says how large the pieces are, then lines: method,
// target, fields ("name:value"), an empty one. What follows is the body, and also a message to
// respond with.
#include "listener/doh.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "dns/ttl.h"
#include "input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FROM_FORWARDER = 1, TARGET_FIRST = 2 };

#define PATH "/dns-query"

static const struct listener_proxies forwarders = {
    .count = 2,
    .prefixes = {{.kind = POLICY_PREFIX_IPV4, .length = 8, .address = {10}},
                 {.kind = POLICY_PREFIX_IPV6, .length = 8, .address = {0xfd}}},
};

struct parts {
    struct http_text method, target, fields;
    struct http_text body;
};

static struct http_text line_take(struct http_text *rest)
{
    const char *end = rest->size > 0 ? memchr(rest->bytes, '\n', rest->size) : NULL;
    struct http_text line = *rest;
    size_t used = rest->size;

    if (end) {
        line.size = (size_t)(end - rest->bytes);
        used = line.size + 1;
    }
    rest->bytes += used;
    rest->size -= used;
    return line;
}

// Lines up to an empty one.
static struct http_text fields_take(struct http_text *rest)
{
    struct http_text fields = *rest;

    while (line_take(rest).size > 0)
        ;
    fields.size -= rest->size;
    return fields;
}

// In memory of exactly its size, so that AddressSanitizer sees a step too far.
static struct http_text copy_of(struct http_text text)
{
    char *copy = malloc(text.size > 0 ? text.size : 1);

    if (!copy)
        abort();
    if (text.size > 0)
        memcpy(copy, text.bytes, text.size);
    return (struct http_text){.bytes = copy, .size = text.size};
}

static void text_free(struct http_text *text)
{
    free((char *)text->bytes);
}

static void hand_over(struct doh_request *request,
                      void (*part)(struct doh_request *, struct http_text), struct http_text text)
{
    struct http_text copy = copy_of(text);

    part(request, copy);
    text_free(&copy);
}

static void hand_over_fields(struct doh_request *request, struct http_text fields)
{
    while (fields.size > 0) {
        struct http_text line = line_take(&fields), name = line, value = {.bytes = "", .size = 0};
        const char *colon = line.size > 0 ? memchr(line.bytes, ':', line.size) : NULL;

        if (colon) {
            name.size = (size_t)(colon - line.bytes);
            value.bytes = colon + 1;
            value.size = line.size - name.size - 1;
        }
        name = copy_of(name);
        value = copy_of(value);
        doh_request_field(request, name, value);
        text_free(&name);
        text_free(&value);
    }
}

static void hand_over_all(struct doh_request *request, const struct parts *parts, bool target_first,
                          size_t piece)
{
    if (!target_first)
        hand_over(request, doh_request_method, parts->method);
    hand_over(request, doh_request_target, parts->target);
    if (target_first)
        hand_over(request, doh_request_method, parts->method);
    hand_over_fields(request, parts->fields);
    for (size_t at = 0; at < parts->body.size; at += piece) {
        struct http_text part = {.bytes = parts->body.bytes + at,
                                 .size = MIN(piece, parts->body.size - at)};

        part = copy_of(part);
        doh_request_body(request, (const uint8_t *)part.bytes, part.size);
        text_free(&part);
    }
}

// The one text that says the message is in the target.
static void check_target(const struct doh_request *request, struct http_text target)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    static char text[HTTP_TARGET_MAX];
    size_t length = strlen("dns=");

    memcpy(text, "dns=", length);
    for (size_t bit = 0; bit < 8 * request->size; bit += 6) {
        unsigned two = (unsigned)request->message[bit / 8] << 8;

        if (bit / 8 + 1 < request->size)
            two |= request->message[bit / 8 + 1];
        require(length < sizeof(text));
        text[length++] = digits[two >> (10 - bit % 8) & 63];
    }
    require(memmem(target.bytes, target.size, text, length) != NULL);
}

static void check_taken(const struct doh_request *request, const struct parts *parts)
{
    require(request->size >= DNS_HEADER_SIZE && request->size <= DNS_MESSAGE_MAX);
    require(request->size <= request->capacity && request->capacity <= DNS_MESSAGE_MAX);
    require(!(request->message[2] & 0x80));
    require(memmem(parts->target.bytes, parts->target.size, PATH, strlen(PATH)) != NULL);
    if (request->method == DOH_GET) {
        require(http_text_is(parts->method, "GET"));
        check_target(request, parts->target);
    } else {
        require(http_text_is(parts->method, "POST") && request->size == parts->body.size);
        require(memcmp(request->message, parts->body.bytes, request->size) == 0);
    }
}

static void check_refused(const struct doh_request *request)
{
    struct http_response response;
    char text[DOH_TEXT_SIZE];

    require(request->message == request->inlined && request->size == 0);
    doh_request_refuse(request, &response, text);
    require(response.status == request->status && response.status >= HTTP_BAD_REQUEST);
    require(response.body_size > 1 && response.body_size < DOH_TEXT_SIZE);
    require(response.body[response.body_size - 1] == '\n');
    require((response.allow != NULL) == (response.status == HTTP_METHOD_NOT_ALLOWED));
}

static bool is_same(const struct address *a, const struct address *b)
{
    return a->family == b->family && (a->family == AF_UNSPEC || address_equal(a, b));
}

static void check_request(const struct parts *parts, uint8_t choices, size_t piece)
{
    const struct listener_proxies *proxies = choices & FROM_FORWARDER ? &forwarders : NULL;
    struct address source = {.family = AF_UNSPEC}, source_again = source;
    struct doh_request request, again;
    enum http_status status;

    doh_request_init(&request, PATH, proxies);
    hand_over_all(&request, parts, choices & TARGET_FIRST, piece);
    status = doh_request_finish(&request, &source);
    require(status == request.status);
    if (status == HTTP_OK)
        check_taken(&request, parts);
    else
        check_refused(&request);
    require((source.family != AF_UNSPEC) == (status == HTTP_OK && proxies));

    doh_request_init(&again, PATH, proxies);
    hand_over_all(&again, parts, !(choices & TARGET_FIRST), DNS_MESSAGE_MAX + 1);
    require(doh_request_finish(&again, &source_again) == status);
    require(again.size == request.size && again.why == request.why);
    require(memcmp(again.message, request.message, again.size) == 0);
    require(is_same(&source, &source_again));
    doh_request_deinit(&request);
    doh_request_deinit(&again);
}

// No answer may be shown for longer than its records live.
static void check_response(struct http_text bytes)
{
    struct http_text copy = copy_of(bytes);
    const uint8_t *wire = (const uint8_t *)copy.bytes;
    struct http_response response;
    struct dns_message message;
    struct dns_record record;

    doh_respond(&response, wire, copy.size);
    require(response.status == HTTP_OK && response.has_max_age);
    require(response.body == wire && response.body_size == copy.size);
    require(response.max_age <= DNS_TTL_MAX);
    if (dns_message_parse(&message, wire, copy.size) == E_OK) {
        size_t pos = message.section[DNS_ANSWER];

        for (unsigned i = 0; i < message.count[DNS_ANSWER]; i++) {
            require(dns_record_next(&message, &pos, &record));
            require(response.max_age <= dns_ttl_valid(record.ttl));
        }
    } else {
        require(response.max_age == 0);
    }
    text_free(&copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader r = reader_of(data, size);
    uint8_t choices = reader_u8(&r);
    size_t piece = (size_t)reader_u8(&r) * 4 + 1;
    struct http_text rest = {.bytes = (const char *)data + r.pos, .size = reader_left(&r)};
    struct parts parts;

    parts.method = line_take(&rest);
    parts.target = line_take(&rest);
    parts.fields = fields_take(&rest);
    parts.body = rest;
    check_request(&parts, choices, piece);
    check_response(rest);
    return 0;
}
