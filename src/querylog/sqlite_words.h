// The texts of names and clients as they are searched: blocks of up to 4096 of the table `name` or
// `client`, with ids one after the other, each a length of two octets (the least significant first)
// and the text. They are in the tables `name_block` and `client_block`; the newest are in none yet.
//
// Of names the text is querylog_name_lower_text(); of clients a key, see sqlite_client_key().
#pragma once

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "querylog/name_text.h"
#include "querylog/record.h"

#define SQLITE_WORDS_MAX 4096

// Beyond it no more are added: names of unusual length make smaller blocks.
#define SQLITE_WORDS_SIZE (256 * 1024)

enum sqlite_words_kind { SQLITE_NAMES, SQLITE_CLIENTS };

struct sqlite_words {
    int64_t first; // id
    uint32_t count, size;
    uint8_t bytes[SQLITE_WORDS_SIZE];
};

NONNULL void sqlite_words_clear(struct sqlite_words *words, int64_t first);
// False: it is full.
NONNULL NODISCARD bool sqlite_words_add(struct sqlite_words *words, const char *text,
                                        size_t length);

// Reads from the table what is in no block: ids from `from` on, as many as fit. An SQLite code.
NONNULL NODISCARD int sqlite_words_load(struct sqlite_words *words, sqlite3 *db,
                                        enum sqlite_words_kind kind, int64_t from);

// The ids that the table begins and ends with; 0 and -1: it is empty. An SQLite code.
NONNULL NODISCARD int sqlite_words_range(sqlite3 *db, enum sqlite_words_kind kind, int64_t *first,
                                         int64_t *last);

// Takes one text, which is not terminated, and lives until it returns. An SQLite code.
typedef int sqlite_word_fn(void *context, int64_t id, const char *text, size_t length);

// Calls `each` for all there are, in the order of their ids. An SQLite code.
NODISCARD int sqlite_words_walk(sqlite3 *db, enum sqlite_words_kind kind, sqlite_word_fn *each,
                                void *context);

// "4" or "6" and the octets of an address in hexadecimal, "/24" behind one that is shown truncated;
// "k" and the digits of a pseudonym; "" for none. Returns the length.
NONNULL size_t sqlite_client_key(const struct querylog_entry *entry,
                                 char key[QUERYLOG_CLIENT_TEXT_SIZE]);
