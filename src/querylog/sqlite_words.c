#include "querylog/sqlite_words.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static const struct {
    const char *rows, *blocks, *range;
} sql[] = {
    [SQLITE_NAMES] =
        {
            "SELECT id, name FROM name WHERE id >= ? ORDER BY id",
            "SELECT first, last, words FROM name_block ORDER BY id",
            "SELECT coalesce((SELECT min(id) FROM name), 0),"
            " coalesce((SELECT max(id) FROM name), -1)",
        },
    [SQLITE_CLIENTS] =
        {
            "SELECT id, key FROM client WHERE id >= ? ORDER BY id",
            "SELECT first, last, words FROM client_block ORDER BY id",
            "SELECT coalesce((SELECT min(id) FROM client), 0),"
            " coalesce((SELECT max(id) FROM client), -1)",
        },
};

void sqlite_words_clear(struct sqlite_words *words, int64_t first)
{
    words->first = first;
    words->count = words->size = 0;
}

bool sqlite_words_add(struct sqlite_words *words, const char *text, size_t length)
{
    if (words->count == SQLITE_WORDS_MAX || length + 2 > sizeof(words->bytes) - words->size ||
        length > UINT16_MAX)
        return false;
    words->bytes[words->size++] = (uint8_t)length;
    words->bytes[words->size++] = (uint8_t)(length >> 8);
    memcpy(words->bytes + words->size, text, length);
    words->size += (uint32_t)length;
    words->count++;
    return true;
}

int sqlite_words_load(struct sqlite_words *words, sqlite3 *db, enum sqlite_words_kind kind,
                      int64_t from)
{
    sqlite3_stmt *rows;
    int code = sqlite3_prepare_v2(db, sql[kind].rows, -1, &rows, NULL);
    bool room = true;

    sqlite_words_clear(words, from);
    if (code != SQLITE_OK)
        return code;
    sqlite3_bind_int64(rows, 1, from);
    while (room && (code = sqlite3_step(rows)) == SQLITE_ROW) {
        int64_t id = sqlite3_column_int64(rows, 0);
        const char *text = (const char *)sqlite3_column_text(rows, 1);

        if (words->count == 0)
            words->first = id;
        while (room && words->first + words->count < id) // deleted by another hand
            room = sqlite_words_add(words, "", 0);
        if (room)
            room = sqlite_words_add(words, text ? text : "", (size_t)sqlite3_column_bytes(rows, 1));
    }
    sqlite3_finalize(rows);
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

int sqlite_words_range(sqlite3 *db, enum sqlite_words_kind kind, int64_t *first, int64_t *last)
{
    sqlite3_stmt *range;
    int code = sqlite3_prepare_v2(db, sql[kind].range, -1, &range, NULL);

    if (code == SQLITE_OK && sqlite3_step(range) == SQLITE_ROW) {
        *first = sqlite3_column_int64(range, 0);
        *last = sqlite3_column_int64(range, 1);
    }
    return code == SQLITE_OK ? sqlite3_finalize(range) : code;
}

static int walk(const uint8_t *bytes, size_t size, int64_t first, int64_t last,
                sqlite_word_fn *each, void *context)
{
    size_t at = 0;

    for (int64_t id = first; id <= last; id++) {
        size_t length;
        int code;

        if (size - at < 2)
            return SQLITE_CORRUPT;
        length = (size_t)bytes[at] | (size_t)bytes[at + 1] << 8;
        at += 2;
        if (length > size - at)
            return SQLITE_CORRUPT;
        code = each(context, id, (const char *)bytes + at, length);
        if (code != SQLITE_OK)
            return code;
        at += length;
    }
    return SQLITE_OK;
}

int sqlite_words_walk(sqlite3 *db, enum sqlite_words_kind kind, sqlite_word_fn *each, void *context)
{
    struct sqlite_words *tail;
    sqlite3_stmt *blocks;
    int64_t next = 0;
    int code = sqlite3_prepare_v2(db, sql[kind].blocks, -1, &blocks, NULL);

    if (code != SQLITE_OK)
        return code;
    while ((code = sqlite3_step(blocks)) == SQLITE_ROW) {
        const uint8_t *bytes = sqlite3_column_blob(blocks, 2);

        next = sqlite3_column_int64(blocks, 1) + 1;
        code = walk(bytes, bytes ? (size_t)sqlite3_column_bytes(blocks, 2) : 0,
                    sqlite3_column_int64(blocks, 0), next - 1, each, context);
        if (code != SQLITE_OK)
            break;
    }
    sqlite3_finalize(blocks);
    if (code != SQLITE_DONE)
        return code;
    tail = malloc(sizeof(*tail));
    code = tail ? SQLITE_OK : SQLITE_NOMEM;
    do {
        if (code == SQLITE_OK)
            code = sqlite_words_load(tail, db, kind, next);
        if (code != SQLITE_OK)
            break;
        next = tail->first + tail->count;
        code = walk(tail->bytes, tail->size, tail->first, next - 1, each, context);
    } while (code == SQLITE_OK && tail->count > 0);
    free(tail);
    return code;
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
    for (size_t i = 0; i < octets; i++) {
        key[used++] = "0123456789abcdef"[client->octets[i] >> 4];
        key[used++] = "0123456789abcdef"[client->octets[i] & 0xf];
    }
    key[used] = '\0';
    if (client->length > 0)
        used += (size_t)snprintf(key + used, 5, "/%u", client->length);
    return used;
}
