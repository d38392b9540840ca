// Records as dnstap messages (https://dnstap.info, dnstap.proto): protocol buffers, written here by
// hand, since of their encoding numbers and octets are all that is needed.
//
// What is not in a record is left out, or as follows. Queries are written anew: ID, flags, question
// and OPT (of what size and with which options is not known). A reply is as it was sent to the
// client, also in the FORWARDER_RESPONSE. Queries and replies whose name is not known, or not
// shown, are their header alone. The time of a FORWARDER_QUERY is the reply's less the upstream's
// latency.
#pragma once

#include <stdint.h>

#include "base/compiler.h"
#include "base/cursor.h"
#include "querylog/record.h"

enum dnstap_type {
    DNSTAP_CLIENT_QUERY = 5,
    DNSTAP_CLIENT_RESPONSE = 6,
    DNSTAP_FORWARDER_QUERY = 7,
    DNSTAP_FORWARDER_RESPONSE = 8,
};

// What a record's message takes at the most: the reply, and beside it a query, two addresses, the
// identity and the rest.
#define DNSTAP_MESSAGE_MAX (65535 + 1024)

// The messages that a record stands for, in their order: a query; the response, unless there was
// none; and both towards the upstream, if this very query was sent to one (and not another one that
// it joined, or whose answer was in the cache). Returns how many.
NONNULL unsigned dnstap_types_of(const struct querylog_record *record, enum dnstap_type types[4]);

// Appends the message. `identity` has at most QUERYLOG_INSTANCE_SIZE octets.
NONNULL void dnstap_message_write(struct writer *w, enum dnstap_type type,
                                  const struct querylog_entry *entry, const char *identity);
