// HTTP/1.1 on a connection (RFC 9112), for servers: requests are answered one after the other.
#pragma once

#include "net/http1_parser.h"
#include "net/stream.h"

enum http1_state {
    HTTP1_HEAD,      // a request is awaited, or its head not whole
    HTTP1_BODY,      // a body of known length is read
    HTTP1_CHUNKS,    // or one in chunks
    HTTP1_ANSWERING, // a request waits for its response; what follows it waits too
    HTTP1_OVER,      // nothing is read any more
};

// Starts out as zeros but for the first three.
struct http1 {
    const struct http_server_ops *ops;
    void *owner; // for ops->begin()
    struct stream *stream;

    enum http1_state state;
    struct http_request *request;
    bool keep_alive; // after this request
    struct http1_scan scan;
    struct http1_chunks chunks;
    uint64_t left; // of the body
    uint8_t *kept; // what was received and could not be read yet
    size_t size;
    size_t capacity;
};

// Takes octets that follow the earlier ones. E_OK; E_NOMEM.
NONNULL NODISCARD int http1_feed(struct http1 *http, const uint8_t *bytes, size_t size);

// Goes on with what was received behind a request that has been answered by now.
NONNULL NODISCARD int http1_resume(struct http1 *http);

// Whether octets wait for the rest of their head.
NONNULL bool http1_is_partial(const struct http1 *http);

// Whether nothing is read for now: a request is to be answered first, or answers to be sent.
NONNULL bool http1_is_stopped(const struct http1 *http);

// Answers the request, which ends. The body may lie anywhere. E_OK; E_NOMEM: more waits to be sent
// than may.
NONNULL NODISCARD int http1_respond(struct http1 *http, const struct http_response *response);

// The request gets no answer: it ends, and nothing more is read.
NONNULL void http1_give_up(struct http1 *http);

// The connection ends: so does the request, if there is one.
NONNULL void http1_deinit(struct http1 *http);
