#include "listener/doh.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/base64url.h"
#include "base/error.h"
#include "dns/ttl.h"
#include "policy/acl.h"

static const char media_type[] = "application/dns-message";

// Of a field, beside name and value (RFC 9113 section 6.5.2).
enum { FIELD_OVERHEAD = 32 };

static struct http_text text_from(struct http_text text, size_t at)
{
    return (struct http_text){.bytes = text.bytes + at, .size = text.size - at};
}

// Takes what is before the first `separator` off the front of `rest`, and drops that; or all.
static struct http_text text_until(struct http_text *rest, char separator)
{
    struct http_text part = *rest;
    const char *end;

    if (rest->size == 0)
        return part;
    end = memchr(rest->bytes, separator, rest->size);
    if (end)
        part.size = (size_t)(end - rest->bytes);
    *rest = text_from(*rest, part.size + (end != NULL));
    return part;
}

static bool text_begins(struct http_text text, const char *with)
{
    return text.size >= strlen(with) && memcmp(text.bytes, with, strlen(with)) == 0;
}

static bool text_begins_nocase(struct http_text text, const char *with)
{
    return text.size >= strlen(with) && strncasecmp(text.bytes, with, strlen(with)) == 0;
}

void doh_request_init(struct doh_request *request, const char *path,
                      const struct listener_proxies *forwarders)
{
    // Not the octets of the message: these come to more than all else.
    memset(request, 0, offsetof(struct doh_request, inlined));
    request->path = path;
    request->forwarders = forwarders;
    request->status = HTTP_OK;
    request->message = request->inlined;
    request->capacity = sizeof(request->inlined);
}

void doh_request_deinit(struct doh_request *request)
{
    if (request->message != request->inlined)
        free(request->message);
    request->message = request->inlined;
    request->capacity = sizeof(request->inlined);
    request->size = 0;
}

static void refuse(struct doh_request *request, enum http_status status, const char *why)
{
    request->status = status;
    request->why = why;
    doh_request_deinit(request);
}

// Makes room for so many octets more; refuses the request if it cannot be.
static bool reserve(struct doh_request *request, size_t size)
{
    size_t capacity = request->capacity;
    bool is_inlined = request->message == request->inlined;
    uint8_t *message;

    if (size > DNS_MESSAGE_MAX - request->size) {
        refuse(request, HTTP_CONTENT_TOO_LARGE, NULL);
        return false;
    }
    if (size <= capacity - request->size)
        return true;
    while (capacity - request->size < size)
        capacity = MIN(2 * capacity, (size_t)DNS_MESSAGE_MAX);
    message = realloc(is_inlined ? NULL : request->message, capacity);
    if (!message) {
        refuse(request, HTTP_UNAVAILABLE, NULL);
        return false;
    }
    if (is_inlined)
        memcpy(message, request->inlined, request->size);
    request->message = message;
    request->capacity = capacity;
    return true;
}

// With method and target known: whether they go together.
static void check_request_line(struct doh_request *request)
{
    if (request->method == DOH_NONE || !request->has_target)
        return;
    if (request->method == DOH_OTHER)
        refuse(request, HTTP_METHOD_NOT_ALLOWED, NULL);
    else if (request->method == DOH_GET && request->query_is_wrong)
        refuse(request, HTTP_BAD_REQUEST, NULL);
    else if (request->method == DOH_POST)
        request->size = 0; // a query in the target says nothing
}

void doh_request_method(struct doh_request *request, struct http_text method)
{
    if (request->status != HTTP_OK)
        return;
    if (http_text_is(method, "GET"))
        request->method = DOH_GET;
    else if (http_text_is(method, "POST"))
        request->method = DOH_POST;
    else
        request->method = DOH_OTHER;
    check_request_line(request);
}

// The message in the parameter `dns` of a query; of other parameters nothing is known.
static void read_query(struct doh_request *request, struct http_text query)
{
    struct http_text value = {0};
    unsigned count = 0;

    while (query.size > 0) {
        struct http_text parameter = text_until(&query, '&');

        if (text_begins(parameter, "dns=")) {
            value = text_from(parameter, strlen("dns="));
            count++;
        } else if (http_text_is(parameter, "dns")) {
            count++;
        }
    }
    if (count != 1 || value.size == 0) {
        request->query_is_wrong = true;
        return;
    }
    if (reserve(request, base64url_decoded_size(value.size)))
        request->query_is_wrong = base64url_decode(request->message, request->capacity,
                                                   &request->size, value.bytes, value.size) != E_OK;
}

// Drops scheme and authority, if the target begins with them. False: there is no host.
static bool drop_authority(struct http_text *target)
{
    static const char *const schemes[] = {"http://", "https://"};

    for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
        size_t start = strlen(schemes[i]), at = start;

        if (!text_begins_nocase(*target, schemes[i]))
            continue;
        while (at < target->size && target->bytes[at] != '/' && target->bytes[at] != '?')
            at++;
        *target = text_from(*target, at);
        return at > start;
    }
    return true;
}

void doh_request_target(struct doh_request *request, struct http_text target)
{
    struct http_text query = target, path;

    if (request->status != HTTP_OK)
        return;
    if (target.size > HTTP_TARGET_MAX) {
        refuse(request, HTTP_URI_TOO_LONG, NULL);
        return;
    }
    if (target.size == 0 || memchr(target.bytes, '#', target.size) || !drop_authority(&query)) {
        refuse(request, HTTP_BAD_REQUEST, NULL);
        return;
    }
    path = text_until(&query, '?');
    if (!http_text_is(path, request->path)) {
        refuse(request, HTTP_NOT_FOUND, NULL);
        return;
    }
    request->has_target = true;
    if (request->method == DOH_NONE || request->method == DOH_GET)
        read_query(request, query);
    check_request_line(request);
}

static void read_content_type(struct doh_request *request, struct http_text value)
{
    struct http_text type = http_text_trim(text_until(&value, ';'));

    if (request->has_content_type || !http_text_is_nocase(type, media_type))
        refuse(request, HTTP_UNSUPPORTED_MEDIA_TYPE, NULL);
    request->has_content_type = true;
}

// What is no number is for those to judge who read the body by it.
static void read_content_length(struct doh_request *request, struct http_text value)
{
    size_t length = 0;

    for (size_t i = 0; i < value.size; i++) {
        if (value.bytes[i] < '0' || value.bytes[i] > '9')
            return;
        length = MIN(length * 10 + (size_t)(value.bytes[i] - '0'), (size_t)DNS_MESSAGE_MAX + 1);
    }
    if (length > DNS_MESSAGE_MAX)
        refuse(request, HTTP_CONTENT_TOO_LARGE, NULL);
}

// Each proxy adds at the end from whom it has the request. So what stands before the last that is
// no forwarder could be anybody's invention.
static void read_forwarded(struct doh_request *request, enum forwarded_kind kind,
                           struct http_text value)
{
    const struct listener_proxies *forwarders = request->forwarders;
    struct doh_source *source = &request->sources[kind];
    struct address address;
    enum forwarded_node node;

    source->is_there = true;
    while ((node = forwarded_next(&value, kind, &address)) != FORWARDED_END) {
        if (node == FORWARDED_UNKNOWN)
            address = (struct address){.family = AF_UNSPEC};
        if (!source->has_node || node == FORWARDED_UNKNOWN ||
            !policy_prefixes_have(forwarders->prefixes, forwarders->count, &address))
            source->address = address;
        source->has_node = true;
    }
}

void doh_request_field(struct doh_request *request, struct http_text name, struct http_text value)
{
    if (request->status != HTTP_OK)
        return;
    request->field_count++;
    request->fields_size += name.size + value.size + FIELD_OVERHEAD;
    if (request->field_count > HTTP_FIELDS_MAX || request->fields_size > HTTP_FIELDS_SIZE_MAX)
        refuse(request, HTTP_FIELDS_TOO_LARGE, NULL);
    else if (request->method == DOH_POST && http_text_is_nocase(name, "content-type"))
        read_content_type(request, value);
    else if (request->method == DOH_POST && http_text_is_nocase(name, "content-length"))
        read_content_length(request, value);
    else if (request->forwarders && http_text_is_nocase(name, "forwarded"))
        read_forwarded(request, FORWARDED, value);
    else if (request->forwarders && http_text_is_nocase(name, "x-forwarded-for"))
        read_forwarded(request, X_FORWARDED_FOR, value);
}

void doh_request_body(struct doh_request *request, const uint8_t *bytes, size_t size)
{
    if (request->status != HTTP_OK || request->method != DOH_POST || size == 0)
        return;
    if (!request->has_content_type) {
        refuse(request, HTTP_UNSUPPORTED_MEDIA_TYPE, NULL);
    } else if (reserve(request, size)) {
        memcpy(request->message + request->size, bytes, size);
        request->size += size;
    }
}

static bool same_ip(const struct address *a, const struct address *b)
{
    size_t a_size, b_size;
    const uint8_t *a_octets = address_octets(a, &a_size);
    const uint8_t *b_octets = address_octets(b, &b_size);

    return a_size == b_size && memcmp(a_octets, b_octets, a_size) == 0;
}

// Returns what is wrong, in words, or NULL.
static const char *find_source(const struct doh_request *request, struct address *source)
{
    const struct doh_source *found = NULL;

    for (size_t kind = 0; kind < ARRAY_LEN(request->sources); kind++) {
        const struct doh_source *next = &request->sources[kind];

        if (!next->is_there)
            continue;
        if (next->address.family == AF_UNSPEC)
            return "The proxy that passed this on names no IP address for which it asks. Let it "
                   "add that of its client to X-Forwarded-For, or to Forwarded.\n";
        if (found && !same_ip(&found->address, &next->address))
            return "Forwarded and X-Forwarded-For name different clients. Let the proxy that "
                   "passed this on set both, or remove the one that it does not set.\n";
        if (!found)
            found = next;
    }
    if (!found)
        return "The proxy that passed this on does not say for whom it asks. Let it add "
               "X-Forwarded-For, or Forwarded.\n";
    *source = found->address;
    return NULL;
}

enum http_status doh_request_finish(struct doh_request *request, struct address *source)
{
    const char *why;

    if (request->status != HTTP_OK)
        return request->status;
    if (request->method == DOH_NONE || !request->has_target) {
        refuse(request, HTTP_BAD_REQUEST, NULL);
    } else if (request->method == DOH_POST && !request->has_content_type) {
        refuse(request, HTTP_UNSUPPORTED_MEDIA_TYPE, NULL);
    } else if (request->size < DNS_HEADER_SIZE || (get_u16(request->message + 2) & DNS_FLAG_QR)) {
        refuse(request, HTTP_BAD_REQUEST, NULL);
    } else if (request->forwarders) {
        why = find_source(request, source);
        if (why)
            refuse(request, HTTP_BAD_REQUEST, why);
    }
    return request->status;
}

void doh_respond(struct http_response *response, const uint8_t *message, size_t size)
{
    struct dns_message parsed;
    bool is_right = dns_message_parse(&parsed, message, size) == E_OK;

    *response = (struct http_response){
        .status = HTTP_OK,
        .content_type = media_type,
        .has_max_age = true,
        .max_age = is_right ? dns_ttl_of_message(&parsed) : 0,
        .body = message,
        .body_size = (uint32_t)size,
    };
}

// What to say: around the path, or, without `behind`, as it is.
static const struct words {
    enum http_status status;
    const char *before, *behind;
} words[] = {
    {HTTP_BAD_REQUEST, "This is DNS over HTTPS (RFC 8484). Ask with ",
     "?dns= and a DNS query in base64url without padding, or with the query by POST.\n"},
    {HTTP_NOT_FOUND, "No such page. DNS over HTTPS is at ", ".\n"},
    {HTTP_METHOD_NOT_ALLOWED, "Not with this method. Ask by GET, with ", "?dns=, or by POST.\n"},
    {HTTP_LENGTH_REQUIRED, "The body's length is not known. Send Content-Length.\n", NULL},
    {HTTP_CONTENT_TOO_LARGE, "The body is too large: a DNS query has at most 65,535 octets.\n",
     NULL},
    {HTTP_URI_TOO_LONG, "The address is too long. Send such large queries by POST.\n", NULL},
    {HTTP_UNSUPPORTED_MEDIA_TYPE,
     "The body is not said to be a DNS query. Send one with Content-Type: "
     "application/dns-message.\n",
     NULL},
    {HTTP_EXPECTATION_FAILED, "Only 100-continue can be expected. Leave the field Expect away.\n",
     NULL},
    {HTTP_FIELDS_TOO_LARGE, "There are too many header fields, or they are too long. Send less.\n",
     NULL},
    {HTTP_NOT_IMPLEMENTED,
     "Transfer codings other than chunked are not known here. Send the body as it is.\n", NULL},
    {HTTP_UNAVAILABLE, "There is no memory left for this query. Ask again in a moment.\n", NULL},
    {HTTP_VERSION_NOT_SUPPORTED, "Not in this version of HTTP. Ask with HTTP/1.1 or HTTP/2.\n",
     NULL},
};

static const char *words_of(enum http_status status, const char *path, char text[DOH_TEXT_SIZE])
{
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (words[i].status != status)
            continue;
        if (!words[i].behind)
            return words[i].before;
        snprintf(text, DOH_TEXT_SIZE, "%s%s%s", words[i].before, path, words[i].behind);
        return text;
    }
    return "This cannot be answered.\n";
}

static void respond_in_words(struct http_response *response, enum http_status status,
                             const char *text)
{
    *response = (struct http_response){
        .status = status,
        .content_type = "text/plain; charset=utf-8",
        .allow = status == HTTP_METHOD_NOT_ALLOWED ? "GET, POST" : NULL,
        .body = (const uint8_t *)text,
        .body_size = (uint32_t)strlen(text),
    };
}

void doh_refuse(struct http_response *response, enum http_status status, const char *path,
                char text[DOH_TEXT_SIZE])
{
    respond_in_words(response, status, words_of(status, path, text));
}

void doh_request_refuse(const struct doh_request *request, struct http_response *response,
                        char text[DOH_TEXT_SIZE])
{
    if (request->why)
        respond_in_words(response, request->status, request->why);
    else
        doh_refuse(response, request->status, request->path, text);
}
