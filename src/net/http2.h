// HTTP/2 on a connection (RFC 9113), for servers: many requests at once, each answered when its
// answer is there. nghttp2 stays inside http2.c.
//
// Bounds: on requests at once (by `begin`, and told to the client as MAX_CONCURRENT_STREAMS); on
// what bodies may be received before they are finished with (the connection's window); on frames
// that cause work and ask for nothing (resets, pings, settings and the like: a client has a credit
// of them, which requests that were answered and time renew); and on what waits in the stream.
#pragma once

#include "base/time.h"
#include "net/http.h"
#include "net/stream.h"

struct http2;

// What every HTTP/2 connection begins with (section 3.4).
#define HTTP2_PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define HTTP2_PREFACE_SIZE 24

// NULL out of memory. `owner` is for ops->begin().
NONNULL NODISCARD struct http2 *http2_new(const struct http_server_ops *ops, void *owner,
                                          struct stream *stream, uint32_t max_requests);

// Requests do not end by it.
void http2_free(struct http2 *http);

// Takes octets that follow the earlier ones. What is to be sent waits for http2_send().
NONNULL void http2_feed(struct http2 *http, const uint8_t *bytes, size_t size, usec_t now);

// Hands the stream what may be sent, as long as not too much waits there. E_OK; E_NOMEM.
NONNULL NODISCARD int http2_send(struct http2 *http);

// Nothing more will be read, and all that there was to say was handed to the stream.
NONNULL bool http2_is_over(const struct http2 *http);

// It is over because of what the client sent.
NONNULL bool http2_has_failed(const struct http2 *http);

// Answers the request with request->response, whose body must stay until the request ends.
NONNULL void http2_respond(struct http2 *http, struct http_request *request);

// It gets no answer: its stream is reset.
NONNULL void http2_give_up(struct http2 *http, struct http_request *request);

// Says that requests which come from now on are not heard (GOAWAY).
NONNULL void http2_retire(struct http2 *http);
