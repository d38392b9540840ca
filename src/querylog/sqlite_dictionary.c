#include "querylog/sqlite_dictionary.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/random.h"

static const struct {
    const char *find, *add, *add_key, *next;
} sql[] = {
    [SQLITE_NAMES] =
        {
            "SELECT id FROM name_key WHERE key = ?",
            "INSERT INTO name(id, name) VALUES(?, ?)",
            "INSERT INTO name_key(id, key) VALUES(?, ?)",
            "SELECT coalesce(max(id), 0) + 1 FROM name",
        },
    [SQLITE_CLIENTS] =
        {
            "SELECT id FROM client_key WHERE key = ?",
            "INSERT INTO client(id, client) VALUES(?, ?)",
            "INSERT INTO client_key(id, key) VALUES(?, ?)",
            "SELECT coalesce(max(id), 0) + 1 FROM client",
        },
};

int sqlite_dictionary_init(struct sqlite_dictionary *dictionary, enum sqlite_dictionary_kind kind)
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
    const unsigned flags = SQLITE_PREPARE_PERSISTENT;
    int code =
        sqlite3_prepare_v3(db, sql[dictionary->kind].find, -1, flags, &dictionary->find, NULL);

    if (code == SQLITE_OK)
        code = sqlite3_prepare_v3(db, sql[dictionary->kind].add, -1, flags, &dictionary->add, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_prepare_v3(db, sql[dictionary->kind].add_key, -1, flags,
                                  &dictionary->add_key, NULL);
    return code;
}

void sqlite_dictionary_detach(struct sqlite_dictionary *dictionary)
{
    sqlite3_finalize(dictionary->find);
    sqlite3_finalize(dictionary->add);
    sqlite3_finalize(dictionary->add_key);
    dictionary->find = dictionary->add = dictionary->add_key = NULL;
    sqlite_dictionary_stop_marking(dictionary);
}

int sqlite_dictionary_reload(struct sqlite_dictionary *dictionary, sqlite3 *db)
{
    sqlite3_stmt *next;
    int code = sqlite3_prepare_v2(db, sql[dictionary->kind].next, -1, &next, NULL);

    sqlite_dictionary_stop_marking(dictionary);
    memset(dictionary->slots, 0, SQLITE_DICTIONARY_SLOTS * sizeof(*dictionary->slots));
    if (code != SQLITE_OK)
        return code;
    code = sqlite3_step(next);
    if (code == SQLITE_ROW)
        dictionary->next = (uint64_t)sqlite3_column_int64(next, 0);
    return sqlite3_finalize(next);
}

size_t sqlite_client_key(const struct querylog_entry *entry, char key[QUERYLOG_CLIENT_TEXT_SIZE])
{
    const struct querylog_address *client = &entry->record.client;
    size_t octets = client->family == AF_INET ? 4 : client->family == AF_INET6 ? 16 : 0;
    size_t used = 1;

    *key = '\0';
    if (octets == 0 && entry->client_key != 0)
        return (size_t)snprintf(key, QUERYLOG_CLIENT_TEXT_SIZE, "k%016" PRIx64, entry->client_key);
    if (octets == 0)
        return 0;
    *key = octets == 4 ? '4' : '6';
    for (size_t i = 0; i < octets; i++, used += 2)
        snprintf(key + used, 3, "%02x", client->octets[i]);
    if (client->length > 0)
        used += (size_t)snprintf(key + used, 5, "/%u", client->length);
    return used;
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

static int find(struct sqlite_dictionary *dictionary, const char *key, size_t length, uint32_t *id)
{
    int code;

    sqlite3_bind_text(dictionary->find, 1, key, (int)length, SQLITE_STATIC);
    code = sqlite3_step(dictionary->find);
    if (code == SQLITE_ROW)
        *id = (uint32_t)sqlite3_column_int64(dictionary->find, 0);
    sqlite3_reset(dictionary->find);
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

static int add_one(sqlite3_stmt *statement, uint32_t id, const char *text, size_t length)
{
    int code;

    sqlite3_bind_int64(statement, 1, id);
    sqlite3_bind_text(statement, 2, text, (int)length, SQLITE_STATIC);
    code = sqlite3_step(statement);
    sqlite3_reset(statement);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

static int find_or_add(struct sqlite_dictionary *dictionary, const struct querylog_entry *entry,
                       uint32_t *id)
{
    char key[QUERYLOG_NAME_TEXT_SIZE], text[QUERYLOG_NAME_TEXT_SIZE];
    bool names = dictionary->kind == SQLITE_NAMES;
    size_t length = names ? querylog_name_key(entry, key) : sqlite_client_key(entry, key);
    int code = length > 0 ? find(dictionary, key, length, id) : SQLITE_OK;

    if (code != SQLITE_OK || length == 0 || *id != 0 || dictionary->next > UINT32_MAX)
        return code;
    code = add_one(dictionary->add_key, (uint32_t)dictionary->next, key, length);
    length = names ? querylog_name_lower_text(entry, text) : querylog_client_text(entry, text);
    if (code == SQLITE_OK)
        code = add_one(dictionary->add, (uint32_t)dictionary->next, text, length);
    if (code == SQLITE_OK)
        *id = (uint32_t)dictionary->next++;
    return code;
}

int sqlite_dictionary_id(struct sqlite_dictionary *dictionary, const struct querylog_entry *entry,
                         uint32_t *id)
{
    const uint64_t sets = SQLITE_DICTIONARY_SLOTS / SQLITE_DICTIONARY_WAYS;
    uint64_t hash = hash_of(dictionary, entry);
    struct sqlite_dictionary_slot *set =
        dictionary->slots + (hash >> 32) % sets * SQLITE_DICTIONARY_WAYS;
    unsigned way = 0;
    int code = SQLITE_OK;

    *id = 0;
    if (hash == 0)
        return SQLITE_OK;
    while (way < SQLITE_DICTIONARY_WAYS - 1 && !(set[way].hash == hash && set[way].id != 0))
        way++;
    if (set[way].hash == hash)
        *id = set[way].id;
    if (*id == 0)
        code = find_or_add(dictionary, entry, id);
    if (code != SQLITE_OK || *id == 0)
        return code;
    memmove(set + 1, set, way * sizeof(*set));
    set[0] = (struct sqlite_dictionary_slot){.hash = hash, .id = *id};
    sqlite_dictionary_mark(dictionary, *id);
    return SQLITE_OK;
}

int sqlite_dictionary_start_marking(struct sqlite_dictionary *dictionary)
{
    sqlite_dictionary_stop_marking(dictionary);
    dictionary->marks = calloc(dictionary->next / 8 + 1, 1);
    if (!dictionary->marks)
        return E_NOMEM;
    dictionary->marks_end = dictionary->next;
    // From memory, ids would come without having been looked for: those deleted meanwhile too.
    memset(dictionary->slots, 0, SQLITE_DICTIONARY_SLOTS * sizeof(*dictionary->slots));
    return E_OK;
}

void sqlite_dictionary_stop_marking(struct sqlite_dictionary *dictionary)
{
    free(dictionary->marks);
    dictionary->marks = NULL;
    dictionary->marks_end = 0;
}

bool sqlite_dictionary_is_unused(const struct sqlite_dictionary *dictionary, uint64_t id)
{
    return id < dictionary->marks_end && !(dictionary->marks[id / 8] & 1 << id % 8);
}
