#include "net/http1.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

// The status line and all fields that we send.
#define RESPONSE_HEAD_MAX 512

static const char *phrase(enum http_status status)
{
    switch (status) {
    case HTTP_OK:
        return "OK";
    case HTTP_BAD_REQUEST:
        return "Bad Request";
    case HTTP_NOT_FOUND:
        return "Not Found";
    case HTTP_METHOD_NOT_ALLOWED:
        return "Method Not Allowed";
    case HTTP_LENGTH_REQUIRED:
        return "Length Required";
    case HTTP_CONTENT_TOO_LARGE:
        return "Content Too Large";
    case HTTP_URI_TOO_LONG:
        return "URI Too Long";
    case HTTP_UNSUPPORTED_MEDIA_TYPE:
        return "Unsupported Media Type";
    case HTTP_EXPECTATION_FAILED:
        return "Expectation Failed";
    case HTTP_FIELDS_TOO_LARGE:
        return "Request Header Fields Too Large";
    case HTTP_NOT_IMPLEMENTED:
        return "Not Implemented";
    case HTTP_UNAVAILABLE:
        return "Service Unavailable";
    case HTTP_VERSION_NOT_SUPPORTED:
        return "HTTP Version Not Supported";
    }
    return "";
}

static void end_request(struct http1 *http)
{
    struct http_request *request = http->request;

    http->request = NULL;
    if (request)
        http->ops->end(request);
}

static int keep(struct http1 *http, const uint8_t *bytes, size_t size)
{
    if (size > http->capacity - http->size) {
        size_t capacity = http->size + size + http->capacity / 2 + 512;
        uint8_t *kept = realloc(http->kept, capacity);

        if (!kept)
            return E_NOMEM;
        http->kept = kept;
        http->capacity = capacity;
    }
    memcpy(http->kept + http->size, bytes, size);
    http->size += size;
    return E_OK;
}

static void drop_kept(struct http1 *http)
{
    free(http->kept);
    http->kept = NULL;
    http->size = http->capacity = 0;
}

static void finish(struct http1 *http)
{
    http->state = HTTP1_ANSWERING;
    http->ops->finish(http->request);
}

// The head is not one that can be answered otherwise; where the next would begin is not known.
static int refuse(struct http1 *http, enum http_status status)
{
    http->request = http->ops->begin(http->owner);
    if (!http->request)
        return E_NOMEM;
    http->keep_alive = false;
    http->state = HTTP1_ANSWERING;
    http->ops->refuse(http->request, status);
    return E_OK;
}

static void send_continue(struct http1 *http)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    uint8_t *to = stream_reserve(http->stream, strlen(text));

    if (!to)
        return; // the client sends the body after a while all the same
    memcpy(to, text, strlen(text));
    stream_commit(http->stream, strlen(text));
}

static int begin(struct http1 *http, const struct http1_head *head)
{
    const struct http_server_ops *ops = http->ops;
    bool has_body = head->chunked || (head->has_length && head->length > 0);

    if (http_text_is(head->method, "POST") && !head->chunked && !head->has_length)
        return refuse(http, HTTP_LENGTH_REQUIRED);
    http->request = ops->begin(http->owner);
    if (!http->request)
        return E_NOMEM;
    http->keep_alive = head->keep_alive;
    http->request->head = http_text_is(head->method, "HEAD");
    ops->method(http->request, head->method);
    ops->target(http->request, head->target);
    for (unsigned i = 0; i < head->field_count; i++)
        ops->field(http->request, head->fields[i].name, head->fields[i].value);
    if (!has_body) {
        finish(http);
        return E_OK;
    }
    if (!ops->wanted(http->request)) {
        http->keep_alive = false;
        finish(http);
        return E_OK;
    }
    http->left = head->length;
    http->chunks = (struct http1_chunks){0};
    http->state = head->chunked ? HTTP1_CHUNKS : HTTP1_BODY;
    if (head->expects_continue)
        send_continue(http);
    return E_OK;
}

static int read_head(struct http1 *http, const uint8_t *bytes, size_t size, size_t *used)
{
    struct http1_head head;
    enum http_status status;
    int err = http1_head_parse(&head, &http->scan, (const char *)bytes, size, &status);

    *used = 0;
    if (err == E_AGAIN)
        return err;
    http->scan = (struct http1_scan){0};
    if (err != E_OK) {
        *used = size;
        return refuse(http, status);
    }
    *used = head.size;
    return begin(http, &head);
}

// A part of the body: goes on, or answers at once when it is wanted no more.
static void take_body(struct http1 *http, const uint8_t *bytes, size_t size, bool last)
{
    if (size > 0)
        http->ops->body(http->request, bytes, size);
    if (last) {
        finish(http);
    } else if (!http->ops->wanted(http->request)) {
        http->keep_alive = false;
        finish(http);
    }
}

static int read_chunks(struct http1 *http, const uint8_t *bytes, size_t size, size_t *used)
{
    struct http_text data;
    int err = http1_chunks_feed(&http->chunks, (const char *)bytes, size, used, &data);

    if (err == E_OK || err == E_AGAIN) {
        take_body(http, (const uint8_t *)data.bytes, data.size, err == E_OK);
        return E_OK;
    }
    *used = size;
    http->keep_alive = false;
    http->state = HTTP1_ANSWERING;
    http->ops->refuse(http->request, HTTP_BAD_REQUEST);
    return E_OK;
}

bool http1_is_stopped(const struct http1 *http)
{
    return http->state == HTTP1_ANSWERING || stream_pending(http->stream) >= STREAM_PENDING_ENOUGH;
}

// Reads on until the octets are used, or something is awaited. E_OK; E_AGAIN: a head is not whole.
static int read_some(struct http1 *http, const uint8_t *bytes, size_t size, size_t *used)
{
    int err = E_OK;

    *used = 0;
    while (err == E_OK && *used < size && http->state != HTTP1_OVER && !http1_is_stopped(http)) {
        const uint8_t *next = bytes + *used;
        size_t rest = size - *used, step = 0;

        switch (http->state) {
        case HTTP1_HEAD:
            err = read_head(http, next, rest, &step);
            break;
        case HTTP1_BODY:
            step = MIN(rest, http->left);
            http->left -= step;
            take_body(http, next, step, http->left == 0);
            break;
        default:
            err = read_chunks(http, next, rest, &step);
            break;
        }
        *used += step;
    }
    return err == E_AGAIN ? E_OK : err;
}

int http1_resume(struct http1 *http)
{
    size_t used;
    int err;

    if (http->state == HTTP1_OVER)
        drop_kept(http);
    if (http->size == 0 || http1_is_stopped(http))
        return E_OK;
    err = read_some(http, http->kept, http->size, &used);
    if (used == http->size || http->state == HTTP1_OVER) {
        drop_kept(http);
    } else if (used > 0) {
        memmove(http->kept, http->kept + used, http->size - used);
        http->size -= used;
    }
    return err;
}

int http1_feed(struct http1 *http, const uint8_t *bytes, size_t size)
{
    size_t used;
    int err;

    if (http->state == HTTP1_OVER)
        return E_OK;
    if (http->size > 0) {
        err = keep(http, bytes, size);
        return err == E_OK ? http1_resume(http) : err;
    }
    err = read_some(http, bytes, size, &used);
    if (err == E_OK && used < size && http->state != HTTP1_OVER)
        err = keep(http, bytes + used, size - used);
    return err;
}

bool http1_is_partial(const struct http1 *http)
{
    return http->state == HTTP1_HEAD && http->size > 0 && !http1_is_stopped(http);
}

int http1_respond(struct http1 *http, const struct http_response *response)
{
    uint8_t *to = stream_reserve(http->stream, RESPONSE_HEAD_MAX + response->body_size);
    char allow[64] = "", cache[64] = "", date[64] = "";
    int size;

    if (!to)
        return E_NOMEM;
    if (response->allow)
        snprintf(allow, sizeof(allow), "allow: %s\r\n", response->allow);
    if (response->has_max_age)
        snprintf(cache, sizeof(cache), "cache-control: max-age=%" PRIu32 "\r\n", response->max_age);
    if (*response->date)
        snprintf(date, sizeof(date), "date: %s\r\n", response->date);
    size = snprintf(
        (char *)to, RESPONSE_HEAD_MAX,
        "HTTP/1.1 %d %s\r\n%scontent-type: %s\r\ncontent-length: %" PRIu32 "\r\n%s%s%s\r\n",
        (int)response->status, phrase(response->status), date, response->content_type,
        response->body_size, cache, allow, http->keep_alive ? "" : "connection: close\r\n");
    require(size > 0 && size < RESPONSE_HEAD_MAX);
    if (!http->request->head) {
        memcpy(to + size, response->body, response->body_size);
        size += (int)response->body_size;
    }
    stream_commit(http->stream, (size_t)size);
    http->state = http->keep_alive ? HTTP1_HEAD : HTTP1_OVER;
    end_request(http);
    return E_OK;
}

void http1_give_up(struct http1 *http)
{
    http->state = HTTP1_OVER;
    end_request(http);
}

void http1_deinit(struct http1 *http)
{
    http1_give_up(http);
    drop_kept(http);
}
