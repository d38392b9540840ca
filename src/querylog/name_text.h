// Names and clients as stores keep them: as text.
#pragma once

#include "base/compiler.h"
#include "dns/name.h"
#include "querylog/record.h"

#define QUERYLOG_NAME_TEXT_SIZE DNS_NAME_TEXT_MAX

// The presentation form of an entry's name, in the letters of the query (dns_name_to_text()), "."
// for the root. "hash 0123456789abcdef" for one that is shown hashed, which no name looks like
// since spaces are escaped. "" for none. Printable ASCII only. Returns the length.
NONNULL size_t querylog_name_text(const struct querylog_entry *entry,
                                  char text[QUERYLOG_NAME_TEXT_SIZE]);

// As querylog_name_text(), in lower case (ASCII only, RFC 4343). Returns the length.
NONNULL size_t querylog_name_lower_text(const struct querylog_entry *entry,
                                        char text[QUERYLOG_NAME_TEXT_SIZE]);

// What names are sorted by so that all below a domain stand together: the labels of the lower-case
// text from the last to the first, "com.example.www"; "." for the root. All below "example.com" are
// those that begin with "com.example.": at least that, and less than "com.example/". Returns the
// length.
NONNULL size_t querylog_name_key(const struct querylog_entry *entry,
                                 char key[QUERYLOG_NAME_TEXT_SIZE]);

// The same from a wire name.
NONNULL size_t querylog_name_key_of(const uint8_t *name, char key[QUERYLOG_NAME_TEXT_SIZE]);

// "/128" or "key " and 16 digits behind an IPv6 address.
#define QUERYLOG_CLIENT_TEXT_SIZE 64

// "192.0.2.1", "2001:db8::1"; "192.0.2.0/24" of one that is shown truncated; "key 0123456789abcdef"
// of one that is shown by a pseudonym; "" for none. No port. Returns the length.
NONNULL size_t querylog_client_text(const struct querylog_entry *entry,
                                    char text[QUERYLOG_CLIENT_TEXT_SIZE]);

// "192.0.2.1:853", "[2001:db8::1]:853"; "" for none. Returns the length.
NONNULL size_t querylog_endpoint_text(const struct querylog_address *address,
                                      char text[QUERYLOG_CLIENT_TEXT_SIZE]);
