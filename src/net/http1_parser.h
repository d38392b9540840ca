// The syntax of HTTP/1.1 requests (RFC 9112), strictly: whatever two readers could understand
// differently is refused, so that nothing can be smuggled past a proxy in front of us. Bytes in,
// parts of a request out; no I/O, no allocation.
//
// There is no library for it here: the one that is packaged is no longer looked after, and those
// that serve HTTP want to own the connection and the thread.
#pragma once

#include "net/http.h"

// The most that a request may have before its body: line and fields with their ends.
#define HTTP1_HEAD_MAX (HTTP_TARGET_MAX + HTTP_FIELDS_SIZE_MAX)

struct http1_field {
    struct http_text name;
    struct http_text value; // without white space around it
};

// The texts point into the bytes that were parsed.
struct http1_head {
    size_t size; // in octets; the body begins behind it
    struct http_text method;
    struct http_text target;
    bool keep_alive; // the connection lives on (section 9.3)
    bool chunked;    // the body comes in chunks
    bool has_length; // or is of `length` octets; if neither, there is none
    uint64_t length;
    bool expects_continue; // the client waits for 100 (RFC 9110 section 10.1.1)
    unsigned field_count;
    struct http1_field fields[HTTP_FIELDS_MAX];
};

// Where the reading of a head that came in part is to go on. Starts out as zeros.
struct http1_scan {
    size_t seen;
};

// Reads the head that `bytes` begin with (always the same bytes, with more behind them, until it is
// whole). E_OK; E_AGAIN: so far right, but not whole; E_MALFORMED, as soon as it can be told, with
// the status to answer with before closing: 400 for wrong syntax (also: no Host or two in
// HTTP/1.1, a bare CR or LF, NUL, white space before a colon, folded lines, both or several
// lengths), 414, 417, 431, 501 (a transfer coding other than chunked), 505. CRLFs before the
// request line are skipped (section 2.2), at most two.
NONNULL NODISCARD int http1_head_parse(struct http1_head *head, struct http1_scan *scan,
                                       const char *bytes, size_t size, enum http_status *status);

// A body in chunks (section 7.1). Starts out as zeros.
struct http1_chunks {
    uint8_t state;
    uint32_t left;  // of this chunk
    uint32_t extra; // octets of extensions, and of trailers, so far: bounded
};

// Takes the next octets: says in `used` how many of them were read, and in `data` which of these
// are the body's (perhaps none; they are contiguous, so a call reads at most one chunk's). E_OK: the
// body is at its end; E_AGAIN: there is more of it, in the octets behind `used` or to come; E_MALFORMED.
NONNULL NODISCARD int http1_chunks_feed(struct http1_chunks *chunks, const char *bytes, size_t size,
                                        size_t *used, struct http_text *data);
