// DNS queries in HTTP requests, and answers in responses (RFC 8484). No I/O. Knows no version of
// HTTP: each hands over the parts of a request as they come.
//
// A request is read once, from left to right. The first thing that is wrong with it decides about
// the response; what follows is not looked at, and no memory is kept.
#pragma once

#include "base/address.h"
#include "dns/message.h"
#include "listener/options.h"
#include "net/forwarded.h"
#include "net/http.h"

// Queries of common sizes, and their answers, need no memory of their own.
#define DOH_INLINE_SIZE 512

enum doh_method { DOH_NONE, DOH_OTHER, DOH_GET, DOH_POST };

// For whom a proxy asks, by one of the two fields in which it can say so: of all its lines, in
// their order.
struct doh_source {
    bool is_there;          // there was such a field
    bool has_node;          // with a node
    struct address address; // the last that is no forwarder, or the first; AF_UNSPEC: unknown
};

// It holds an address into itself: it stays where it was initialized.
struct doh_request {
    const char *path;                          // where queries are taken
    const struct listener_proxies *forwarders; // NULL: who asks is the peer
    enum http_status status; // HTTP_OK, or what to say about the first wrong thing
    const char *why;         // static: that in words; NULL: those of the status
    enum doh_method method;
    bool has_target;
    bool query_is_wrong; // of a target that came before its method
    bool has_content_type;
    uint32_t field_count;
    size_t fields_size;
    struct doh_source sources[2]; // by enum forwarded_kind
    uint8_t *message;             // `inlined`, or on the heap
    size_t size;
    size_t capacity;
    uint8_t inlined[DOH_INLINE_SIZE];
};

// `path` and `forwarders` must outlive the request. `forwarders`: the peer is one of them, so that
// a field must say for whom it asks; NULL: such fields are not read.
void doh_request_init(struct doh_request *request, const char *path,
                      const struct listener_proxies *forwarders);

// The parts: method and target once each (in any order, as HTTP/2 has it), then fields, then the
// body in as many pieces as it comes in. `status` tells after each whether the rest is of use.
NONNULL void doh_request_method(struct doh_request *request, struct http_text method);
// The target: path and query, or with scheme and authority before (RFC 9112 section 3.2.2).
NONNULL void doh_request_target(struct doh_request *request, struct http_text target);
NONNULL void doh_request_field(struct doh_request *request, struct http_text name,
                               struct http_text value);
NONNULL void doh_request_body(struct doh_request *request, const uint8_t *bytes, size_t size);

// All was handed over. HTTP_OK: `message` and `size` are a DNS query, of 12 octets at least and
// with QR not set. With `forwarders`, `source` becomes who asks; else it is left alone. Otherwise
// the status to answer with.
NONNULL NODISCARD enum http_status doh_request_finish(struct doh_request *request,
                                                      struct address *source);

// Frees what is on the heap. It may be called at any time, and more than once.
NONNULL void doh_request_deinit(struct doh_request *request);

// The response with a DNS message: its body is `message`, max-age that of dns_ttl_of_message(), 0
// also for what cannot be parsed.
NONNULL void doh_respond(struct http_response *response, const uint8_t *message, size_t size);

// The response to what was refused, with some words for who tries it out. They are static, or
// in `text`, which must live until the body was sent; a path that does not fit is cut.
#define DOH_TEXT_SIZE 512
NONNULL void doh_refuse(struct http_response *response, enum http_status status, const char *path,
                        char text[DOH_TEXT_SIZE]);

// The same for a request whose status is not HTTP_OK. It knows better what is wrong.
NONNULL void doh_request_refuse(const struct doh_request *request, struct http_response *response,
                                char text[DOH_TEXT_SIZE]);
