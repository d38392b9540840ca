// A request of HTTP/1.1: what is read from the whole is read from any cut of it, and means the same
// written down anew. Its body in chunks, too, is the same however it comes.
//
// The input is an octet that says how large the pieces are, then the stream. Of an even octet it
// begins with a head, of an odd one with chunks.
#include "net/http1_parser.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// In memory of exactly its size, so that AddressSanitizer sees a step too far.
static char *copy_of(const char *bytes, size_t size)
{
    char *copy = malloc(size > 0 ? size : 1);

    if (!copy)
        abort();
    if (size > 0)
        memcpy(copy, bytes, size);
    return copy;
}

static bool same_text(struct http_text a, struct http_text b)
{
    return a.size == b.size && memcmp(a.bytes, b.bytes, a.size) == 0;
}

// But for the size, which white space makes another.
static void check_same(const struct http1_head *a, const struct http1_head *b)
{
    require(same_text(a->method, b->method) && same_text(a->target, b->target));
    require(a->keep_alive == b->keep_alive && a->expects_continue == b->expects_continue);
    require(a->chunked == b->chunked && a->has_length == b->has_length && a->length == b->length);
    require(a->field_count == b->field_count);
    for (unsigned i = 0; i < a->field_count; i++)
        require(same_text(a->fields[i].name, b->fields[i].name) &&
                same_text(a->fields[i].value, b->fields[i].value));
}

// A text that is behind another, and in the head. Returns its end.
static const char *check_text(struct http_text text, const char *before, const char *end)
{
    require(text.bytes >= before && text.bytes + text.size < end);
    require(!memchr(text.bytes, '\r', text.size) && !memchr(text.bytes, '\n', text.size) &&
            !memchr(text.bytes, '\0', text.size));
    return text.bytes + text.size;
}

static bool has_name(const struct http1_head *head, const char *name)
{
    for (unsigned i = 0; i < head->field_count; i++)
        if (http_text_is_nocase(head->fields[i].name, name))
            return true;
    return false;
}

static void check_head(const struct http1_head *head, const char *bytes, size_t size)
{
    const char *end = bytes + head->size, *at;
    size_t fields_size = 0;

    require(head->size <= size && head->size <= HTTP1_HEAD_MAX);
    require(head->size > 4 && memcmp(end - 4, "\r\n\r\n", 4) == 0);
    require(head->method.size > 0 && head->method.size <= HTTP1_METHOD_MAX);
    require(head->target.size > 0 && head->target.size <= HTTP_TARGET_MAX);
    require(head->field_count <= HTTP_FIELDS_MAX);
    at = check_text(head->method, bytes, end);
    at = check_text(head->target, at, end);
    for (unsigned i = 0; i < head->field_count; i++) {
        struct http_text value = head->fields[i].value;

        at = check_text(head->fields[i].name, at, end);
        at = check_text(value, at, end);
        require(head->fields[i].name.size > 0);
        require(same_text(http_text_trim(value), value));
        fields_size += head->fields[i].name.size + value.size + 32;
    }
    require(fields_size <= HTTP_FIELDS_SIZE_MAX);
    require(!head->chunked || !head->has_length);
    require(head->chunked == has_name(head, "transfer-encoding"));
    require(head->has_length == has_name(head, "content-length"));
}

static int parse_once(struct http1_head *head, const char *bytes, size_t size)
{
    struct http1_scan scan = {0};
    enum http_status status;

    return http1_head_parse(head, &scan, bytes, size, &status);
}

// What comes of the head in pieces, each time in other memory; `copy` is to be freed. There are at
// most 256 of them: AddressSanitizer keeps what is freed for a while.
static int parse_in_pieces(struct http1_head *head, size_t piece, const char *bytes, size_t size,
                           enum http_status *status, char **copy)
{
    struct http1_scan scan = {0};
    size_t cut = 0;
    int err;

    *copy = NULL;
    piece += size / 256;
    do {
        cut += MIN(piece, size - cut);
        free(*copy);
        *copy = copy_of(bytes, cut);
        err = http1_head_parse(head, &scan, *copy, cut, status);
    } while (err == E_AGAIN && cut < size);
    return err;
}

static void check_written_anew(const struct http1_head *head, const char *version)
{
    static char room[HTTP1_HEAD_MAX];
    struct writer w = writer_of((uint8_t *)room, sizeof(room));
    struct http1_head again;

    writer_bytes(&w, head->method.bytes, head->method.size);
    writer_u8(&w, ' ');
    writer_bytes(&w, head->target.bytes, head->target.size);
    writer_bytes(&w, version, strlen(" HTTP/1.1\r\n"));
    for (unsigned i = 0; i < head->field_count; i++) {
        writer_bytes(&w, head->fields[i].name.bytes, head->fields[i].name.size);
        writer_u8(&w, ':');
        writer_bytes(&w, head->fields[i].value.bytes, head->fields[i].value.size);
        writer_bytes(&w, "\r\n", 2);
    }
    writer_bytes(&w, "\r\n", 2);
    require(!w.failed && w.pos <= head->size);
    require(parse_once(&again, room, w.pos) == E_OK && again.size == w.pos);
    check_same(head, &again);
}

// Returns the size of a right head whose body is in chunks, or 0.
static size_t check_request(size_t piece, const char *bytes, size_t size)
{
    struct http1_scan scan = {0};
    struct http1_head head, other;
    enum http_status status = HTTP_OK, other_status = HTTP_OK;
    char *copy;
    int err = http1_head_parse(&head, &scan, bytes, size, &status);

    require(err == E_OK || err == E_AGAIN || err == E_MALFORMED);
    require(err != E_AGAIN || size < HTTP1_HEAD_MAX);
    require(err != E_MALFORMED || status >= HTTP_BAD_REQUEST);
    require(parse_in_pieces(&other, piece, bytes, size, &other_status, &copy) == err);
    require(status == other_status);
    if (err == E_OK) {
        require(head.size == other.size);
        check_same(&head, &other);
        check_head(&head, bytes, size);
        check_written_anew(&head, head.target.bytes + head.target.size);
        require(parse_once(&other, bytes, head.size) == E_OK && other.size == head.size);
        require(parse_once(&other, bytes, head.size - 1) == E_AGAIN);
        require(http1_head_parse(&other, &scan, bytes, size, &status) == E_OK);
        check_same(&head, &other);
    }
    free(copy);
    return err == E_OK && head.chunked ? head.size : 0;
}

// Returns how many octets were taken; the data is written to `room`, of as many as there are.
static size_t feed(int *err, size_t piece, const char *bytes, size_t size, char *room,
                   size_t *room_used)
{
    struct http1_chunks chunks = {0};
    size_t fed = 0;

    *err = E_AGAIN;
    *room_used = 0;
    while (*err == E_AGAIN && fed < size) {
        size_t length = MIN(piece, size - fed), used;
        char *copy = copy_of(bytes + fed, length);
        struct http_text data;

        *err = http1_chunks_feed(&chunks, copy, length, &used, &data);
        if (*err != E_MALFORMED) {
            require(used > 0 && used <= length && (*err == E_AGAIN || *err == E_OK));
            require(data.bytes >= copy && data.bytes + data.size <= copy + used);
            require(chunks.extra <= MAX(HTTP1_EXTENSIONS_MAX, HTTP1_TRAILERS_MAX));
            memcpy(room + *room_used, data.bytes, data.size);
            *room_used += data.size;
            fed += used;
        }
        free(copy);
    }
    return fed;
}

static void check_chunks(size_t piece, const char *bytes, size_t size)
{
    char *room = malloc(size + 1), *other = malloc(size + 1);
    size_t room_used, other_used, fed;
    int err, other_err;

    if (!room || !other)
        abort();
    fed = feed(&err, size + 1, bytes, size, room, &room_used);
    require(err != E_AGAIN || fed == size);

    size_t other_fed = feed(&other_err, piece, bytes, size, other, &other_used);

    require(err == other_err);
    if (err != E_MALFORMED) {
        require(fed == other_fed && room_used == other_used && room_used <= fed);
        require(memcmp(room, other, room_used) == 0);
    }
    if (err == E_OK) {
        require(fed >= 5 && memcmp(bytes + fed - 4, "\r\n\r\n", 4) == 0);
        // All the rest of it is bounded: a size and four line ends of a chunk, and of the last.
        require(fed - room_used <=
                12 * (room_used + 1) + HTTP1_EXTENSIONS_MAX + 2 * HTTP1_TRAILERS_MAX);
        feed(&err, fed, bytes, fed - 1, room, &room_used);
        require(err == E_AGAIN);
    }
    free(room);
    free(other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader r = reader_of(data, size);
    uint8_t first = reader_u8(&r);
    size_t piece = (size_t)(first >> 1) + 1, head = 0;
    char *bytes = copy_of((const char *)data + r.pos, reader_left(&r));

    size = reader_left(&r);
    if (first % 2 == 0)
        head = check_request(piece, bytes, size);
    if (first % 2 != 0 || head > 0)
        check_chunks(piece, bytes + head, size - head);
    free(bytes);
    return 0;
}
