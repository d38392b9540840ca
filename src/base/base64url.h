// Base64 with the alphabet that goes into URLs and file names, without padding (RFC 4648 section
// 5).
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

// The octets that a text of so many digits stands for, if it is one.
static inline size_t base64url_decoded_size(size_t length)
{
    return length / 4 * 3 + length % 4 * 3 / 4;
}

// Writes the octets that `text` stands for, and says in `size` how many. There is one text for
// them: E_INVALID for padding, any character that is no digit, a length that none has, and bits
// behind the last octet that are not 0. E_RANGE if they are more than `room`.
NONNULL NODISCARD int base64url_decode(uint8_t *to, size_t room, size_t *size, const char *text,
                                       size_t length);
