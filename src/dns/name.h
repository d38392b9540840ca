// Domain names in wire form (RFC 1035 section 3.1): length-prefixed labels up to and including the
// empty root label, at most 255 octets. A "wire name" below is whole and uncompressed.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

#define DNS_NAME_MAX 255
#define DNS_LABEL_MAX 63

// Room for any name's text: each octet as \DDD, a dot a label, and the NUL.
#define DNS_NAME_TEXT_MAX (DNS_NAME_MAX * 4 + 2)

// Checks the name at `pos` of a message, following compression (RFC 1035 section 4.1.4), and
// returns the position behind it, or 0 if it is wrong: a label over 63 octets, over 255 octets in
// all, cut short, a pointer into the header, or more than 127 pointers (a name has no more labels).
// A pointer must lead to a prior name: the labels there lie wholly before those that it continues,
// so that a name never depends on octets behind it. Work is bounded, whatever the message.
NONNULL NODISCARD size_t dns_name_skip(const uint8_t *message, size_t size, size_t pos);

// As dns_name_skip(), and also writes the wire name to `name` and its length to `*length`.
NONNULL NODISCARD size_t dns_name_copy(const uint8_t *message, size_t size, size_t pos,
                                       uint8_t name[DNS_NAME_MAX], size_t *length);

// The length of a wire name known to be well formed, root label included.
NONNULL size_t dns_name_length(const uint8_t *name);

// Writes the lower-case form (ASCII only, RFC 4343) of `length` octets of a wire name.
NONNULL void dns_name_lower(uint8_t *to, const uint8_t *name, size_t length);

// Whether two wire names are the same without regard to ASCII case (RFC 4343).
NONNULL bool dns_name_equal(const uint8_t *a, const uint8_t *b);

// Whether `name` is `zone` or lies below it; wire names, without regard to ASCII case.
NONNULL bool dns_name_is_under(const uint8_t *name, const uint8_t *zone);

// Presentation form (RFC 1035 section 5.1) with the final dot only for the root: octets other than
// printable ASCII, and spaces, as \DDD; a dot, backslash, quote, semicolon, at, dollar and
// parentheses with a backslash. Safe to log. Returns `text`.
NONNULL const char *dns_name_to_text(const uint8_t *name, char text[DNS_NAME_TEXT_MAX]);

// Reads presentation form, escapes included, with or without the final dot, into a wire name.
// E_INVALID if it is none.
NONNULL NODISCARD int dns_name_from_text(const char *text, uint8_t name[DNS_NAME_MAX]);
