// Whether what an upstream sent is an answer to a question that we asked it.
#pragma once

#include "base/compiler.h"
#include "dns/message.h"

// Parses a message that came over the connection that carried the question under this very ID, and
// checks it (RFC 5452 section 9.1, RFC 7858): QR set, the opcode QUERY, one question, the same to
// the letter, case included, and every record within bounds. E_MISMATCH, or an error of
// dns_message_parse().
NONNULL NODISCARD int upstream_reply_check(struct dns_message *reply, const uint8_t *wire,
                                           size_t size, const uint8_t *question,
                                           size_t question_size);
