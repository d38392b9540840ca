#include "querylog/postgresql/rows.h"

#include <string.h>
#include <sys/socket.h>

#include "base/cursor.h"
#include "base/error.h"
#include "base/utf8.h"
#include "querylog/name_text.h"
#include "querylog/options.h"

#define COLUMNS 24

// Two texts of a name, a URL, the instance, and what has a fixed size, with their lengths.
#define ROW_SIZE_MAX                                                                               \
    (2 * QUERYLOG_NAME_TEXT_SIZE + QUERYLOG_URL_SIZE + QUERYLOG_INSTANCE_SIZE + 512)

// libpq copies what it is given into its own buffer: few large pieces are cheaper than many.
#define PIECE_SIZE 32768

// From 1970 to 2000, PostgreSQL's beginning of time, in microseconds.
#define EPOCH INT64_C(946684800000000)

// As PostgreSQL numbers them in values of the type inet.
enum { INET_IPV4 = AF_INET, INET_IPV6 = AF_INET + 1 };

// ---- Values, each with its length before it

static void put_null(struct writer *w)
{
    writer_u32(w, UINT32_MAX);
}

static void put_int2(struct writer *w, unsigned value)
{
    writer_u32(w, 2);
    writer_u16(w, (uint16_t)value);
}

static void put_int4(struct writer *w, uint32_t value)
{
    writer_u32(w, 4);
    writer_u32(w, MIN(value, INT32_MAX)); // a latency above half an hour
}

static void put_int8(struct writer *w, uint64_t value)
{
    writer_u32(w, 8);
    writer_u32(w, (uint32_t)(value >> 32));
    writer_u32(w, (uint32_t)value);
}

static void put_text(struct writer *w, const char *text, size_t length)
{
    writer_u32(w, (uint32_t)length);
    writer_bytes(w, text, length);
}

static void put_address(struct writer *w, const struct querylog_address *address)
{
    uint8_t size = address->family == AF_INET ? 4 : 16;

    if (address->family != AF_INET && address->family != AF_INET6) {
        put_null(w);
        return;
    }
    writer_u32(w, 4U + size);
    writer_u8(w, size == 4 ? INET_IPV4 : INET_IPV6);
    writer_u8(w, address->length ? MIN(address->length, size * 8) : size * 8);
    writer_u8(w, 0); // inet, not cidr
    writer_u8(w, size);
    writer_bytes(w, address->octets, size);
}

static void put_upstream(struct writer *w, const struct querylog_entry *entry)
{
    char text[QUERYLOG_URL_SIZE];

    if (entry->upstream_url_size == 0) {
        put_null(w);
        return;
    }
    postgresql_text(text, sizeof(text), entry->upstream_url, entry->upstream_url_size);
    put_text(w, text, strlen(text));
}

void postgresql_text(char *to, size_t room, const char *text, size_t length)
{
    char character[5] = "";
    size_t used = 0;

    for (size_t i = 0; i < length && used + sizeof(character) < room;) {
        size_t size = MIN(length - i, 4);

        memcpy(character, text + i, size);
        character[size] = '\0';
        size = utf8_printable_length(character);
        if (size > 0)
            memcpy(to + used, text + i, size);
        else
            to[used] = '?';
        size = MAX(size, 1);
        used += size;
        i += size;
    }
    to[used] = '\0';
}

// ---- Rows

static void put_row(struct writer *w, const struct querylog_entry *entry, const char *instance)
{
    const struct querylog_record *record = &entry->record;
    char text[QUERYLOG_NAME_TEXT_SIZE];
    const char *word;

    writer_u16(w, COLUMNS);
    put_int8(w, (uint64_t)((int64_t)MIN(record->time, POSTGRESQL_TIME_MAX) - EPOCH));
    if (entry->client_key)
        put_int8(w, entry->client_key);
    else
        put_null(w);
    put_int4(w, record->latency);
    put_int4(w, record->upstream_latency);
    put_int4(w, record->type);
    put_int4(w, record->class);
    put_int4(w, record->id);
    put_int4(w, record->flags);
    put_int4(w, record->client.port);
    put_int4(w, record->upstream.port);
    put_int4(w, record->query_size);
    put_int4(w, record->reply_size);
    put_int2(w, record->rcode);
    if (record->ede == QUERYLOG_NO_EDE)
        put_null(w);
    else
        put_int2(w, (uint16_t)record->ede);
    put_int2(w, record->attempts);
    put_int2(w, record->tls_version);
    word = querylog_outcome_name(record->outcome);
    put_text(w, word, strlen(word));
    word = querylog_transport_name(record->transport);
    put_text(w, word, strlen(word));
    put_address(w, &record->client);
    put_address(w, &record->upstream);
    put_text(w, text, querylog_name_text(entry, text));
    put_text(w, text, querylog_name_key(entry, text));
    put_upstream(w, entry);
    put_text(w, instance, strlen(instance));
}

static int put_piece(PGconn *conn, struct writer *w)
{
    int rc = w->pos == 0 ? 1 : PQputCopyData(conn, (const char *)w->base, (int)w->pos);

    w->pos = 0;
    if (rc == 1)
        return E_OK;
    return rc == 0 ? E_NOMEM : E_CLOSED;
}

int postgresql_rows_put(PGconn *conn, const struct querylog_entry *entries, size_t count,
                        const char *instance)
{
    static const uint8_t signature[11] = "PGCOPY\n\377\r\n";
    uint8_t piece[PIECE_SIZE];
    struct writer w = writer_of(piece, sizeof(piece));
    int rc;

    writer_bytes(&w, signature, sizeof(signature));
    writer_u32(&w, 0); // no flags
    writer_u32(&w, 0); // nothing more in the header
    for (size_t i = 0; i < count; i++) {
        if (writer_left(&w) < ROW_SIZE_MAX && (rc = put_piece(conn, &w)) != E_OK)
            return rc;
        put_row(&w, &entries[i], instance);
        require(!w.failed);
    }
    if (writer_left(&w) < 2 && (rc = put_piece(conn, &w)) != E_OK)
        return rc;
    writer_u16(&w, UINT16_MAX); // the end
    if ((rc = put_piece(conn, &w)) != E_OK)
        return rc;
    return PQputCopyEnd(conn, NULL) == 1 ? E_OK : E_CLOSED;
}
