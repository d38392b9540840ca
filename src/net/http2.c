#include "net/http2.h"

#include <nghttp2/nghttp2.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

// A DNS message, and an octet more to tell that it is longer.
#define STREAM_WINDOW 65536

// What all bodies that are not finished with may hold together.
#define CONNECTION_WINDOW (2 * STREAM_WINDOW)

#define MAX_AGE "max-age="

// The credit for frames that ask for nothing. A browser that cancels what it asked sends one reset
// a request; nobody pings more than once in a few seconds.
enum {
    CREDIT_MAX = 1000,
    CREDIT_PER_SECOND = 100,
    CREDIT_PER_ANSWER = 4,
    COST_FRAME = 1,
    COST_RESET = 4, // by either side: what was begun for it was for nothing
};

struct http2 {
    nghttp2_session *session;
    const struct http_server_ops *ops;
    void *owner;
    struct stream *stream;
    int credit;
    usec_t credited; // when time last renewed it
    bool deaf;       // nothing is read any more
    bool failed;     // and the client was told why
};

static void spend(struct http2 *http, int cost)
{
    http->credit -= cost;
}

static void earn(struct http2 *http, int credit)
{
    http->credit = MIN(http->credit + credit, CREDIT_MAX);
}

static void earn_by_time(struct http2 *http, usec_t now)
{
    usec_t passed = now - http->credited;

    if (passed < USEC_SEC / CREDIT_PER_SECOND)
        return;
    earn(http, (int)MIN(passed * CREDIT_PER_SECOND / USEC_SEC, (usec_t)CREDIT_MAX));
    http->credited = now;
}

// For callbacks: fails when the credit is used up, which http2_feed() sees.
static int check_credit(const struct http2 *http)
{
    return http->credit < 0 ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static struct http_request *request_of(const struct http2 *http, int32_t stream)
{
    return nghttp2_session_get_stream_user_data(http->session, stream);
}

// ---- Requests

static bool is_request(const nghttp2_frame *frame)
{
    return frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    struct http2 *http = context;
    struct http_request *request;

    if (!is_request(frame))
        return 0;
    request = http->ops->begin(http->owner);
    if (!request) {
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                                  NGHTTP2_REFUSED_STREAM);
        return 0;
    }
    request->stream = (uint32_t)frame->hd.stream_id;
    nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, request);
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_size, const uint8_t *value, size_t value_size, uint8_t flags,
                     void *context)
{
    const struct http_text name_text = {(const char *)name, name_size};
    const struct http_text text = {(const char *)value, value_size};
    struct http2 *http = context;
    struct http_request *request = request_of(http, frame->hd.stream_id);

    (void)session, (void)flags;
    if (!request || !is_request(frame))
        return 0;
    if (name_size == 0 || name[0] != ':') {
        http->ops->field(request, name_text, text);
    } else if (http_text_is(name_text, ":method")) {
        request->head = http_text_is(text, "HEAD");
        http->ops->method(request, text);
    } else if (http_text_is(name_text, ":path")) {
        request->has_target = true;
        http->ops->target(request, text);
    }
    return 0;
}

// The client's window is its own again.
static void release_window(struct http2 *http, uint32_t size)
{
    if (size > 0)
        nghttp2_session_consume_connection(http->session, size);
}

static void finish(struct http2 *http, struct http_request *request)
{
    uint32_t received = request->received;

    request->received = 0;
    http->ops->finish(request);
    release_window(http, received);
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *bytes,
                   size_t size, void *context)
{
    struct http2 *http = context;
    struct http_request *request = request_of(http, stream);

    (void)session, (void)flags;
    // Of no interest (any more).
    if (!request || !http->ops->wanted(request)) {
        release_window(http, (uint32_t)size);
        return 0;
    }
    request->received += (uint32_t)size;
    http->ops->body(request, bytes, size);
    if (!http->ops->wanted(request))
        finish(http, request);
    return 0;
}

static bool is_nothing(const nghttp2_frame *frame)
{
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        return false;
    case NGHTTP2_DATA:
        return frame->hd.length == 0 && !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM);
    default:
        return true;
    }
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    struct http2 *http = context;
    struct http_request *request;

    (void)session;
    if (is_nothing(frame))
        spend(http, frame->hd.type == NGHTTP2_RST_STREAM ? COST_RESET : COST_FRAME);
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
        return check_credit(http);
    request = request_of(http, frame->hd.stream_id);
    // CONNECT has none (section 8.5).
    if (request && is_request(frame) && !request->has_target)
        http->ops->target(request, (struct http_text){"", 0});
    if (request && http->ops->wanted(request) && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
        finish(http, request);
    else if (request && is_request(frame) && !http->ops->wanted(request))
        finish(http, request);
    return check_credit(http);
}

static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int code,
                            void *context)
{
    struct http2 *http = context;

    (void)session, (void)frame, (void)code;
    spend(http, COST_RESET);
    return check_credit(http);
}

static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    struct http2 *http = context;

    if (frame->hd.type == NGHTTP2_RST_STREAM && frame->rst_stream.error_code != NGHTTP2_NO_ERROR)
        spend(http, COST_RESET);
    if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR)
        http->failed = true;
    // What we answered without having heard it all: the rest is not wanted (section 8.1).
    if ((frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS) &&
        (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)) {
        earn(http, CREDIT_PER_ANSWER);
        if (nghttp2_session_get_stream_remote_close(session, frame->hd.stream_id) == 0)
            nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                                      NGHTTP2_NO_ERROR);
    }
    return 0;
}

static int on_stream_closed(nghttp2_session *session, int32_t stream, uint32_t code, void *context)
{
    struct http2 *http = context;
    struct http_request *request = request_of(http, stream);

    (void)session, (void)code;
    if (!request)
        return 0;
    release_window(http, request->received);
    http->ops->end(request);
    return 0;
}

// ---- Responses

static ssize_t read_body(nghttp2_session *session, int32_t stream, uint8_t *to, size_t room,
                         uint32_t *flags, nghttp2_data_source *source, void *context)
{
    struct http_request *request = source->ptr;
    const struct http_response *response = &request->response;
    size_t size = MIN(room, response->body_size - request->sent);

    (void)session, (void)stream, (void)context;
    memcpy(to, response->body + request->sent, size);
    request->sent += size;
    if (request->sent == response->body_size)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)size;
}

static nghttp2_nv pair(const char *name, const char *value, size_t value_size, uint8_t flags)
{
    return (nghttp2_nv){
        .name = (uint8_t *)(uintptr_t)name,
        .value = (uint8_t *)(uintptr_t)value,
        .namelen = strlen(name),
        .valuelen = value_size,
        .flags = flags | NGHTTP2_NV_FLAG_NO_COPY_NAME,
    };
}

void http2_respond(struct http2 *http, struct http_request *request)
{
    const struct http_response *response = &request->response;
    const nghttp2_data_provider body = {.source.ptr = request, .read_callback = read_body};
    char status[HTTP_NUMBER_SIZE], length[HTTP_NUMBER_SIZE];
    char cache[sizeof(MAX_AGE) + HTTP_NUMBER_SIZE] = MAX_AGE;
    nghttp2_nv fields[6];
    size_t count = 0, size;

    size = http_number_to_text(status, response->status);
    fields[count++] = pair(":status", status, size, 0);
    if (*response->date)
        fields[count++] = pair("date", response->date, strlen(response->date), 0);
    fields[count++] = pair("content-type", response->content_type, strlen(response->content_type),
                           NGHTTP2_NV_FLAG_NO_COPY_VALUE);
    size = http_number_to_text(length, response->body_size);
    fields[count++] = pair("content-length", length, size, 0);
    if (response->has_max_age) {
        size = strlen(MAX_AGE) + http_number_to_text(cache + strlen(MAX_AGE), response->max_age);
        fields[count++] = pair("cache-control", cache, size, 0);
    }
    if (response->allow)
        fields[count++] =
            pair("allow", response->allow, strlen(response->allow), NGHTTP2_NV_FLAG_NO_COPY_VALUE);
    request->sent = 0;
    if (nghttp2_submit_response(http->session, (int32_t)request->stream, fields, count,
                                request->head ? NULL : &body) != 0)
        http2_give_up(http, request);
}

void http2_give_up(struct http2 *http, struct http_request *request)
{
    nghttp2_submit_rst_stream(http->session, NGHTTP2_FLAG_NONE, (int32_t)request->stream,
                              NGHTTP2_CANCEL);
}

void http2_retire(struct http2 *http)
{
    nghttp2_submit_goaway(http->session, NGHTTP2_FLAG_NONE,
                          nghttp2_session_get_last_proc_stream_id(http->session), NGHTTP2_NO_ERROR,
                          NULL, 0);
}

// ---- The connection

void http2_feed(struct http2 *http, const uint8_t *bytes, size_t size, usec_t now)
{
    ssize_t used;

    if (http->deaf)
        return;
    earn_by_time(http, now);
    used = nghttp2_session_mem_recv(http->session, bytes, size);
    if (used >= 0 && http->credit >= 0)
        return;
    http->deaf = true;
    nghttp2_session_terminate_session(
        http->session, http->credit < 0 || used == NGHTTP2_ERR_FLOODED ? NGHTTP2_ENHANCE_YOUR_CALM
                       : used == NGHTTP2_ERR_NOMEM                     ? NGHTTP2_INTERNAL_ERROR
                                                                       : NGHTTP2_PROTOCOL_ERROR);
}

int http2_send(struct http2 *http)
{
    while (stream_pending(http->stream) < STREAM_PENDING_ENOUGH) {
        const uint8_t *bytes;
        ssize_t size = nghttp2_session_mem_send(http->session, &bytes);
        uint8_t *to;

        if (size < 0)
            return E_NOMEM;
        if (size == 0)
            break;
        to = stream_reserve(http->stream, (size_t)size);
        if (!to)
            return E_NOMEM;
        memcpy(to, bytes, (size_t)size);
        stream_commit(http->stream, (size_t)size);
    }
    return E_OK;
}

bool http2_is_over(const struct http2 *http)
{
    return (http->deaf || !nghttp2_session_want_read(http->session)) &&
           !nghttp2_session_want_write(http->session);
}

bool http2_has_failed(const struct http2 *http)
{
    return http->failed;
}

static nghttp2_session *session_new(struct http2 *http)
{
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_session *session = NULL;
    nghttp2_option *option = NULL;

    if (nghttp2_session_callbacks_new(&callbacks) == 0 && nghttp2_option_new(&option) == 0) {
        nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
        nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
        nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
        nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid_frame);
        nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_sent);
        nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_closed);
        nghttp2_option_set_no_auto_window_update(option, 1);
        nghttp2_option_set_no_closed_streams(option, 1);
        if (nghttp2_session_server_new2(&session, callbacks, http, option) != 0)
            session = NULL;
    }
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    return session;
}

struct http2 *http2_new(const struct http_server_ops *ops, void *owner, struct stream *stream,
                        uint32_t max_requests)
{
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, max_requests},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HTTP_FIELDS_SIZE_MAX},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };
    struct http2 *http = calloc(1, sizeof(*http));

    if (!http)
        return NULL;
    http->ops = ops;
    http->owner = owner;
    http->stream = stream;
    http->credit = CREDIT_MAX;
    http->session = session_new(http);
    if (http->session &&
        nghttp2_submit_settings(http->session, NGHTTP2_FLAG_NONE, settings, ARRAY_LEN(settings)) ==
            0 &&
        nghttp2_session_set_local_window_size(http->session, NGHTTP2_FLAG_NONE, 0,
                                              CONNECTION_WINDOW) == 0)
        return http;
    http2_free(http);
    return NULL;
}

void http2_free(struct http2 *http)
{
    if (!http)
        return;
    nghttp2_session_del(http->session);
    free(http);
}
