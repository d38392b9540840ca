#include "querylog/sqlite_dictionary.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/random.h"

static const struct {
    const char *add, *add_block, *last;
} sql[] = {
    [SQLITE_NAMES] =
        {
            "INSERT INTO name(id, name) VALUES(?1, ?2)",
            "INSERT INTO name_block(first, last, words) VALUES(?1, ?2, ?3)",
            "SELECT coalesce(max(last), 0) FROM name_block",
        },
    [SQLITE_CLIENTS] =
        {
            "INSERT INTO client(id, client, key) VALUES(?1, ?2, ?3)",
            "INSERT INTO client_block(first, last, words) VALUES(?1, ?2, ?3)",
            "SELECT coalesce(max(last), 0) FROM client_block",
        },
};

int sqlite_dictionary_init(struct sqlite_dictionary *dictionary, enum sqlite_words_kind kind)
{
    struct random random;

    random_init(&random);
    dictionary->kind = kind;
    dictionary->secret.k0 = (uint64_t)random_u32(&random) << 32 | random_u32(&random);
    dictionary->secret.k1 = (uint64_t)random_u32(&random) << 32 | random_u32(&random);
    dictionary->slots = calloc(SQLITE_DICTIONARY_SLOTS, sizeof(*dictionary->slots));
    return dictionary->slots ? E_OK : E_NOMEM;
}

void sqlite_dictionary_deinit(struct sqlite_dictionary *dictionary)
{
    sqlite_dictionary_detach(dictionary);
    free(dictionary->slots);
}

int sqlite_dictionary_attach(struct sqlite_dictionary *dictionary, sqlite3 *db)
{
    int code = sqlite3_prepare_v3(db, sql[dictionary->kind].add, -1, SQLITE_PREPARE_PERSISTENT,
                                  &dictionary->add, NULL);

    if (code == SQLITE_OK)
        code = sqlite3_prepare_v3(db, sql[dictionary->kind].add_block, -1,
                                  SQLITE_PREPARE_PERSISTENT, &dictionary->add_block, NULL);
    return code;
}

void sqlite_dictionary_detach(struct sqlite_dictionary *dictionary)
{
    sqlite3_finalize(dictionary->add);
    sqlite3_finalize(dictionary->add_block);
    dictionary->add = dictionary->add_block = NULL;
}

static int run(sqlite3_stmt *statement)
{
    int code = sqlite3_step(statement);

    sqlite3_reset(statement);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

static int close_block(struct sqlite_dictionary *dictionary)
{
    struct sqlite_words *tail = &dictionary->tail;
    int64_t next = tail->first + tail->count;
    int code;

    sqlite3_bind_int64(dictionary->add_block, 1, tail->first);
    sqlite3_bind_int64(dictionary->add_block, 2, next - 1);
    sqlite3_bind_blob64(dictionary->add_block, 3, tail->bytes, tail->size, SQLITE_STATIC);
    code = run(dictionary->add_block);
    if (code == SQLITE_OK)
        sqlite_words_clear(tail, next);
    return code;
}

int sqlite_dictionary_reload(struct sqlite_dictionary *dictionary, sqlite3 *db)
{
    int64_t first, last = -1, in_blocks = 0;
    sqlite3_stmt *statement;
    int code = sqlite3_prepare_v2(db, sql[dictionary->kind].last, -1, &statement, NULL);

    memset(dictionary->slots, 0, SQLITE_DICTIONARY_SLOTS * sizeof(*dictionary->slots));
    dictionary->valid_from = 0;
    if (code != SQLITE_OK)
        return code;
    if (sqlite3_step(statement) == SQLITE_ROW)
        in_blocks = sqlite3_column_int64(statement, 0);
    code = sqlite3_finalize(statement);
    if (code == SQLITE_OK)
        code = sqlite_words_range(db, dictionary->kind, &first, &last);
    dictionary->next = MAX(last, in_blocks) + 1;
    for (int64_t from = in_blocks + 1; code == SQLITE_OK;) {
        code = sqlite_words_load(&dictionary->tail, db, dictionary->kind, from);
        from = dictionary->tail.first + dictionary->tail.count;
        if (code != SQLITE_OK || from >= dictionary->next)
            break;
        code = close_block(dictionary);
    }
    if (dictionary->tail.count == 0)
        sqlite_words_clear(&dictionary->tail, dictionary->next);
    return code;
}

// Of what makes the name or client. With 64 bits and a secret key, two texts that share a hash are
// nothing to be reckoned with. 0: there is none.
static uint64_t hash_of(const struct sqlite_dictionary *dictionary,
                        const struct querylog_entry *entry)
{
    uint8_t octets[DNS_NAME_MAX];
    size_t size = 0;

    if (dictionary->kind == SQLITE_NAMES && entry->name_size > 0) {
        size = MIN(entry->name_size, sizeof(octets));
        dns_name_lower(octets, entry->name, size);
    } else if (dictionary->kind == SQLITE_NAMES && entry->name_hash != 0) {
        octets[0] = 0xff; // no name begins so
        memcpy(octets + 1, &entry->name_hash, 8);
        size = 9;
    } else if (dictionary->kind == SQLITE_CLIENTS && entry->record.client.family != AF_UNSPEC) {
        octets[0] = entry->record.client.family;
        octets[1] = entry->record.client.length;
        memcpy(octets + 2, entry->record.client.octets, 16);
        size = 18;
    } else if (dictionary->kind == SQLITE_CLIENTS && entry->client_key != 0) {
        memcpy(octets, &entry->client_key, 8);
        size = 8;
    }
    return size > 0 ? siphash(&dictionary->secret, octets, size) | 1 : 0;
}

static int add(struct sqlite_dictionary *dictionary, const struct querylog_entry *entry,
               int64_t *id)
{
    char key[QUERYLOG_NAME_TEXT_SIZE], text[QUERYLOG_CLIENT_TEXT_SIZE];
    bool names = dictionary->kind == SQLITE_NAMES;
    size_t length = names ? querylog_name_lower_text(entry, key) : sqlite_client_key(entry, key);
    int code = SQLITE_OK;

    if (length == 0)
        return code;
    if (!sqlite_words_add(&dictionary->tail, key, length)) {
        code = close_block(dictionary);
        if (code == SQLITE_OK && !sqlite_words_add(&dictionary->tail, key, length))
            code = SQLITE_TOOBIG;
    }
    if (code != SQLITE_OK)
        return code;
    sqlite3_bind_int64(dictionary->add, 1, dictionary->next);
    if (names) {
        sqlite3_bind_text(dictionary->add, 2, key, (int)length, SQLITE_STATIC);
    } else {
        sqlite3_bind_text(dictionary->add, 3, key, (int)length, SQLITE_STATIC);
        sqlite3_bind_text(dictionary->add, 2, text, (int)querylog_client_text(entry, text),
                          SQLITE_STATIC);
    }
    code = run(dictionary->add);
    if (code == SQLITE_OK)
        *id = dictionary->next++;
    return code;
}

int sqlite_dictionary_id(struct sqlite_dictionary *dictionary, const struct querylog_entry *entry,
                         int64_t block, int64_t *id)
{
    const uint64_t sets = SQLITE_DICTIONARY_SLOTS / SQLITE_DICTIONARY_WAYS;
    uint64_t hash = hash_of(dictionary, entry);
    struct sqlite_dictionary_slot *set =
        dictionary->slots + (hash >> 32) % sets * SQLITE_DICTIONARY_WAYS;
    struct sqlite_dictionary_slot found;
    unsigned way = 0;
    int code = SQLITE_OK;

    *id = 0;
    if (hash == 0)
        return SQLITE_OK;
    while (way < SQLITE_DICTIONARY_WAYS - 1 && set[way].hash != hash)
        way++;
    found = set[way];
    if (found.hash != hash || found.id < dictionary->valid_from ||
        block - found.block >= SQLITE_DICTIONARY_BLOCKS) {
        code = add(dictionary, entry, &found.id);
        found.hash = hash;
        found.block = block;
    }
    if (code != SQLITE_OK)
        return code;
    *id = found.id;
    memmove(set + 1, set, way * sizeof(*set));
    set[0] = found;
    return SQLITE_OK;
}
