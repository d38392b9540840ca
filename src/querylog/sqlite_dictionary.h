// Texts and their numbers: the tables `name` and `client`, as the sink uses them. What was used
// last is kept in memory: most queries are for few names, of few clients.
#pragma once

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/siphash.h"
#include "querylog/name_text.h"
#include "querylog/record.h"

// Each of 16 octets.
#define SQLITE_DICTIONARY_SLOTS (1 << 18)
#define SQLITE_DICTIONARY_WAYS 4

enum sqlite_dictionary_kind { SQLITE_NAMES, SQLITE_CLIENTS };

struct sqlite_dictionary_slot {
    uint64_t hash;
    uint32_t id; // 0: free
};

struct sqlite_dictionary {
    enum sqlite_dictionary_kind kind;
    struct siphash_key secret;
    sqlite3_stmt *find, *add, *add_key;
    uint64_t next;                        // id
    struct sqlite_dictionary_slot *slots; // those of a set: the one used last is first
    // While what is used no more is looked for: a bit for each id below `marks_end` that is.
    uint8_t *marks;
    uint64_t marks_end;
};

// Begin zeroed. E_NOMEM.
NONNULL NODISCARD int sqlite_dictionary_init(struct sqlite_dictionary *dictionary,
                                             enum sqlite_dictionary_kind kind);
NONNULL void sqlite_dictionary_deinit(struct sqlite_dictionary *dictionary);

// A connection was opened, and is to be closed. An SQLite code.
NONNULL NODISCARD int sqlite_dictionary_attach(struct sqlite_dictionary *dictionary, sqlite3 *db);
NONNULL void sqlite_dictionary_detach(struct sqlite_dictionary *dictionary);

// Forgets what is in memory, since the tables are not as they were thought to be. An SQLite code.
NONNULL NODISCARD int sqlite_dictionary_reload(struct sqlite_dictionary *dictionary, sqlite3 *db);

// The number of an entry's name or client, which is made if it has none yet; 0: it has no text, or
// there are no more numbers. Within a transaction. An SQLite code.
NONNULL NODISCARD int sqlite_dictionary_id(struct sqlite_dictionary *dictionary,
                                           const struct querylog_entry *entry, uint32_t *id);

// Begins to mark what is used: all ids that are asked for from now on, and those that
// sqlite_dictionary_mark() is told of. E_NOMEM.
NONNULL NODISCARD int sqlite_dictionary_start_marking(struct sqlite_dictionary *dictionary);
NONNULL void sqlite_dictionary_stop_marking(struct sqlite_dictionary *dictionary);

static inline void sqlite_dictionary_mark(struct sqlite_dictionary *dictionary, uint32_t id)
{
    if (id < dictionary->marks_end)
        dictionary->marks[id / 8] |= (uint8_t)(1 << id % 8);
}

NONNULL bool sqlite_dictionary_is_unused(const struct sqlite_dictionary *dictionary, uint64_t id);

// What clients are sorted by so that those of a prefix stand together: "4" or "6" and the octets in
// hexadecimal, "/24" behind one that is shown truncated; "k" and the digits of a pseudonym. Returns
// the length.
NONNULL size_t sqlite_client_key(const struct querylog_entry *entry,
                                 char key[QUERYLOG_CLIENT_TEXT_SIZE]);
