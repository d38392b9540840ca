// UTF-8, as far as a configuration needs it.
#pragma once

#include <stddef.h>

#include "base/compiler.h"

// The octets of the character that `text` starts with (1 to 4), or 0 if it is not well-formed
// (RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF). `text` ends with a NUL,
// which is never part of a character.
NONNULL size_t utf8_length(const char *text);
