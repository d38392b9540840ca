// The syntax of HTTP/1.1 requests (RFC 9112), strictly: whatever two readers could understand
// differently is refused, so that nothing can be smuggled past a proxy in front of us. Bytes in,
// parts of a request out; no I/O, no allocation.
//
// There is no library for it here: the one that is packaged is no longer looked after, and those
// that serve HTTP want to own the connection and the thread.
#pragma once

#include "net/http.h"

// Longer methods than any there is (RFC 9112 section 3) are refused with 501.
#define HTTP1_METHOD_MAX 32

// The most that a request may have before its body: line and fields with their ends. The little
// more is for CRLFs before it, a method and the version. With so many octets it is never E_AGAIN,
// so that a buffer need not be larger.
#define HTTP1_HEAD_MAX (HTTP_TARGET_MAX + HTTP_FIELDS_SIZE_MAX + 64)

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
    size_t seen;          // octets that were read
    uint32_t length;      // of the method, target or version so far
    uint32_t fields_size; // as HTTP_FIELDS_SIZE_MAX counts
    uint32_t blanks;      // in a value: so many at its end so far, which may be around it
    uint8_t field_count;
    uint8_t state;
    uint8_t skipped; // CRLFs
    uint8_t version; // 11 for HTTP/1.1
};

// Reads the head that `bytes` begin with: always the same, with more behind them, until it is
// whole; they may have moved. E_OK; E_AGAIN: so far right, but not whole; E_MALFORMED, with the
// status to answer with before closing:
// - as soon as an octet shows it: 400 for wrong syntax (also: a bare CR or LF, NUL, white space
//   before a colon, folded lines), 414, 431, 501 for a method that is too long, 505;
// - for what fields say, when the head is whole: 400 (no Host, two, or one that is none; a length
//   that is none, both or several lengths; a transfer coding in HTTP/1.0), 417, 501 for a transfer
//   coding other than chunked.
// CRLFs before the request line are skipped (section 2.2), at most two. In whatever pieces a head
// comes the result is the same, and its octets are looked at once before it is whole. After E_OK
// it may be called again, as when the bytes have moved; not after E_MALFORMED. `head` and `status`
// mean something only with the code that they belong to.
NONNULL NODISCARD int http1_head_parse(struct http1_head *head, struct http1_scan *scan,
                                       const char *bytes, size_t size, enum http_status *status);

// Bounds on what of a body in chunks is not its data: extensions and superfluous zeros of sizes,
// and trailers, in octets of a whole body. Hardly anybody sends either.
#define HTTP1_EXTENSIONS_MAX 1024
#define HTTP1_TRAILERS_MAX 4096

// A body in chunks (section 7.1). Starts out as zeros.
struct http1_chunks {
    uint8_t state;
    uint32_t left;  // of this chunk
    uint32_t extra; // octets of extensions, then of trailers, so far
};

// Takes the next octets: says in `used` how many of them were read, and in `data` which of these
// are the body's (perhaps none; they are contiguous, so a call reads at most one chunk's). E_OK:
// the body is at its end, `data` being the last of it; E_AGAIN: there is more of it, in the octets
// behind `used` or to come; E_MALFORMED. Of any octets it takes some, or it is E_MALFORMED.
// Extensions and trailers are skipped; a chunk is of less than 4 GiB.
NONNULL NODISCARD int http1_chunks_feed(struct http1_chunks *chunks, const char *bytes, size_t size,
                                        size_t *used, struct http_text *data);
