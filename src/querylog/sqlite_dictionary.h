// Texts and their numbers: the tables `name` and `client`, as the sink fills them.
//
// Nothing is ever looked up there: an index of names would cost more to write than everything else
// as soon as each query is for another one, as in a flood. What was used last is known by memory;
// a text that is not gets a new number, though it may have had one. Who reads the file takes
// numbers with the same text for one (sqlite_words.h). No text keeps its number for long, so that
// numbers which no row has any more are those below some bound, and are deleted together.
#pragma once

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/siphash.h"
#include "querylog/record.h"
#include "querylog/sqlite_words.h"

// Each of 24 octets.
#define SQLITE_DICTIONARY_SLOTS (1 << 18)
#define SQLITE_DICTIONARY_WAYS 4

// A number is given to rows of so many blocks at most: four million rows.
#define SQLITE_DICTIONARY_BLOCKS 256

struct sqlite_dictionary_slot {
    uint64_t hash;
    int64_t id; // 0: free
    int64_t block;
};

struct sqlite_dictionary {
    enum sqlite_words_kind kind;
    struct siphash_key secret;
    sqlite3_stmt *add, *add_block;
    int64_t next;                         // id
    int64_t valid_from;                   // ids below are deleted, or may be
    struct sqlite_dictionary_slot *slots; // those of a set: the one used last is first
    struct sqlite_words tail;             // those in no block yet
};

// Begin zeroed. E_NOMEM.
NONNULL NODISCARD int sqlite_dictionary_init(struct sqlite_dictionary *dictionary,
                                             enum sqlite_words_kind kind);
NONNULL void sqlite_dictionary_deinit(struct sqlite_dictionary *dictionary);

// A connection was opened, and is to be closed. An SQLite code.
NONNULL NODISCARD int sqlite_dictionary_attach(struct sqlite_dictionary *dictionary, sqlite3 *db);
NONNULL void sqlite_dictionary_detach(struct sqlite_dictionary *dictionary);

// Forgets what is in memory, since the tables are not as they were thought to be. Within a
// transaction. An SQLite code.
NONNULL NODISCARD int sqlite_dictionary_reload(struct sqlite_dictionary *dictionary, sqlite3 *db);

// The number of an entry's name or client, for a row of the block `block`; 0: it has no text.
// Within a transaction. An SQLite code.
NONNULL NODISCARD int sqlite_dictionary_id(struct sqlite_dictionary *dictionary,
                                           const struct querylog_entry *entry, int64_t block,
                                           int64_t *id);
