// UTF-8, checked.
#pragma once

#include <stddef.h>

#include "base/compiler.h"

// The octets of the character that `text` starts with (1 to 4), or 0 if it is not well-formed
// (RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF). `text` ends with a NUL,
// which is never part of a character.
NONNULL size_t utf8_length(const char *text);

// As utf8_length(), but 0 also for what cannot be printed: controls (C1 among them: they steer
// terminals too), line and paragraph separators, and what YAML does not allow (section 5.1).
NONNULL size_t utf8_printable_length(const char *text);
