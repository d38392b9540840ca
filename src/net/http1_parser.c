#include "net/http1_parser.h"

#include "base/error.h"

#define SKIPPED_MAX 2

// What the next octet is.
enum scan_state {
    START, // of a line, or of the CRLF before it
    START_LF,
    METHOD,
    TARGET,
    VERSION,
    LINE_LF,
    FIELD, // its name's first, or the end
    NAME,
    BLANK, // before a value
    VALUE,
    END_LF,
    WHOLE, // no more
};

static void enter(struct http1_scan *scan, enum scan_state state)
{
    scan->state = (uint8_t)state;
    scan->length = 0;
}

static bool is_digit(uint8_t octet)
{
    return octet >= '0' && octet <= '9';
}

// HTTP-version (RFC 9112 section 2.3), then CR.
static enum http_status scan_version(struct http1_scan *scan, uint8_t octet)
{
    static const char form[] = "HTTP/0.0\r";
    char expected = form[scan->length++];

    if (octet == '\r' && expected == '\r') {
        enter(scan, LINE_LF);
        return scan->version == 10 || scan->version == 11 ? HTTP_OK : HTTP_VERSION_NOT_SUPPORTED;
    }
    if (expected == '0' && is_digit(octet)) {
        scan->version = (uint8_t)(10 * scan->version + (octet - '0'));
        return HTTP_OK;
    }
    return octet == (uint8_t)expected ? HTTP_OK : HTTP_BAD_REQUEST;
}

static enum http_status scan_request_line(struct http1_scan *scan, uint8_t octet)
{
    switch (scan->state) {
    case METHOD:
        if (octet == ' ' && scan->length > 0) {
            enter(scan, TARGET);
            return HTTP_OK;
        }
        if (!http_octet_is_token(octet))
            return HTTP_BAD_REQUEST;
        return ++scan->length > HTTP1_METHOD_MAX ? HTTP_NOT_IMPLEMENTED : HTTP_OK;
    case TARGET:
        if (octet == ' ' && scan->length > 0) {
            enter(scan, VERSION);
            return HTTP_OK;
        }
        if (octet <= ' ' || octet >= 0x7f)
            return HTTP_BAD_REQUEST;
        return ++scan->length > HTTP_TARGET_MAX ? HTTP_URI_TOO_LONG : HTTP_OK;
    default:
        return scan_version(scan, octet);
    }
}

// Counts what is a field's.
static enum http_status grow(struct http1_scan *scan, uint32_t size)
{
    scan->fields_size += size;
    return scan->fields_size > HTTP_FIELDS_SIZE_MAX ? HTTP_FIELDS_TOO_LARGE : HTTP_OK;
}

static enum http_status scan_field_name(struct http1_scan *scan, uint8_t octet)
{
    if (scan->state == FIELD) {
        if (octet == '\r') {
            scan->state = END_LF;
            return HTTP_OK;
        }
        if (!http_octet_is_token(octet))
            return HTTP_BAD_REQUEST;
        if (++scan->field_count > HTTP_FIELDS_MAX)
            return HTTP_FIELDS_TOO_LARGE;
        scan->state = NAME;
        return grow(scan, 32 + 1);
    }
    if (octet == ':') {
        scan->state = BLANK;
        return HTTP_OK;
    }
    return http_octet_is_token(octet) ? grow(scan, 1) : HTTP_BAD_REQUEST;
}

static enum http_status scan_field_value(struct http1_scan *scan, uint8_t octet)
{
    if (octet == '\r') {
        scan->state = LINE_LF;
        scan->blanks = 0;
        return HTTP_OK;
    }
    if (!http_octet_is_value(octet))
        return HTTP_BAD_REQUEST;
    if (octet == ' ' || octet == '\t') {
        scan->blanks += scan->state == VALUE;
        return HTTP_OK;
    }
    uint32_t size = scan->blanks + 1; // they were within the value

    scan->state = VALUE;
    scan->blanks = 0;
    return grow(scan, size);
}

// HTTP_OK, or what the head is to be refused with.
static enum http_status scan_octet(struct http1_scan *scan, uint8_t octet)
{
    switch ((enum scan_state)scan->state) {
    case START:
        if (octet == '\r' && scan->skipped < SKIPPED_MAX) {
            scan->state = START_LF;
            return HTTP_OK;
        }
        scan->state = METHOD;
        return scan_request_line(scan, octet);
    case START_LF:
        scan->state = START;
        scan->skipped++;
        return octet == '\n' ? HTTP_OK : HTTP_BAD_REQUEST;
    case METHOD:
    case TARGET:
    case VERSION:
        return scan_request_line(scan, octet);
    case LINE_LF:
        scan->state = FIELD;
        return octet == '\n' ? HTTP_OK : HTTP_BAD_REQUEST;
    case FIELD:
    case NAME:
        return scan_field_name(scan, octet);
    case BLANK:
    case VALUE:
        return scan_field_value(scan, octet);
    case END_LF:
    case WHOLE:
        break;
    }
    scan->state = WHOLE;
    return octet == '\n' ? HTTP_OK : HTTP_BAD_REQUEST;
}

// What fields say, as far as they were read.
struct meaning {
    struct http1_head *head;
    bool is_1_1;
    bool has_host;
    bool close;
    bool keep_alive;
};

// uri-host and port (RFC 9110 section 7.2), loosely. Without a comma, which no name of a host has,
// but what somebody makes of two fields would.
static enum http_status read_host(struct meaning *meaning, struct http_text value)
{
    if (meaning->has_host)
        return HTTP_BAD_REQUEST;
    meaning->has_host = true;
    for (size_t i = 0; i < value.size; i++) {
        uint8_t octet = (uint8_t)value.bytes[i];

        if (octet <= ' ' || octet >= 0x7f || strchr("\"#,/<>?@\\^`{|}", octet))
            return HTTP_BAD_REQUEST;
    }
    return HTTP_OK;
}

static enum http_status read_content_length(struct meaning *meaning, struct http_text value)
{
    struct http1_head *head = meaning->head;

    if (head->has_length || value.size == 0)
        return HTTP_BAD_REQUEST;
    head->has_length = true;
    for (size_t i = 0; i < value.size; i++) {
        uint8_t octet = (uint8_t)value.bytes[i];

        if (!is_digit(octet) || head->length > (UINT64_MAX - (octet - '0')) / 10)
            return HTTP_BAD_REQUEST;
        head->length = 10 * head->length + (octet - '0');
    }
    return HTTP_OK;
}

static enum http_status read_transfer_encoding(struct meaning *meaning, struct http_text value)
{
    if (!meaning->is_1_1 || meaning->head->chunked)
        return HTTP_BAD_REQUEST;
    meaning->head->chunked = true;
    return http_text_is_nocase(value, "chunked") ? HTTP_OK : HTTP_NOT_IMPLEMENTED;
}

static enum http_status read_expect(struct meaning *meaning, struct http_text value)
{
    if (!http_text_is_nocase(value, "100-continue"))
        return HTTP_EXPECTATION_FAILED;
    meaning->head->expects_continue = meaning->is_1_1; // HTTP/1.0 has no 100
    return HTTP_OK;
}

// Takes what is before `end`, which must come, and steps over it.
static struct http_text take_until(struct http_text *text, char end)
{
    const char *stop = memchr(text->bytes, end, text->size);

    require(stop != NULL);

    struct http_text taken = {.bytes = text->bytes, .size = (size_t)(stop - text->bytes)};

    text->bytes += taken.size + 1;
    text->size -= taken.size + 1;
    return taken;
}

// A list of tokens (RFC 9110 section 7.6.1).
static enum http_status read_connection(struct meaning *meaning, struct http_text value)
{
    while (value.size > 0) {
        struct http_text option = value;

        if (memchr(value.bytes, ',', value.size))
            option = take_until(&value, ',');
        else
            value.size = 0;
        option = http_text_trim(option);
        for (size_t i = 0; i < option.size; i++)
            if (!http_octet_is_token((uint8_t)option.bytes[i]))
                return HTTP_BAD_REQUEST;
        meaning->close |= http_text_is_nocase(option, "close");
        meaning->keep_alive |= http_text_is_nocase(option, "keep-alive");
    }
    return HTTP_OK;
}

// The fields that say how the message is to be read; what the others say is the caller's matter.
static const struct {
    const char *name;
    enum http_status (*read)(struct meaning *meaning, struct http_text value);
} known_fields[] = {
    {"host", read_host},
    {"content-length", read_content_length},
    {"transfer-encoding", read_transfer_encoding},
    {"expect", read_expect},
    {"connection", read_connection},
};

static enum http_status read_fields(struct meaning *meaning, struct http_text rest)
{
    struct http1_head *head = meaning->head;

    while (*rest.bytes != '\r') {
        struct http1_field *field = &head->fields[head->field_count++];

        field->name = take_until(&rest, ':');
        field->value = http_text_trim(take_until(&rest, '\r'));
        (void)take_until(&rest, '\n');
        for (size_t i = 0; i < ARRAY_LEN(known_fields); i++) {
            if (!http_text_is_nocase(field->name, known_fields[i].name))
                continue;

            enum http_status status = known_fields[i].read(meaning, field->value);

            if (status != HTTP_OK)
                return status;
        }
    }
    if (head->chunked && head->has_length)
        return HTTP_BAD_REQUEST;
    if (meaning->is_1_1 && !meaning->has_host)
        return HTTP_BAD_REQUEST;
    head->keep_alive = !meaning->close && (meaning->is_1_1 || meaning->keep_alive);
    return HTTP_OK;
}

// Of a head that is whole, so that its syntax is right.
static enum http_status read_head(struct http1_head *head, const struct http1_scan *scan,
                                  const char *bytes)
{
    struct http_text rest = {.bytes = bytes, .size = scan->seen};
    struct meaning meaning = {.head = head, .is_1_1 = scan->version == 11};

    for (unsigned i = 0; i < scan->skipped; i++)
        (void)take_until(&rest, '\n');
    head->size = scan->seen;
    head->method = take_until(&rest, ' ');
    head->target = take_until(&rest, ' ');
    (void)take_until(&rest, '\n');
    head->keep_alive = false;
    head->chunked = false;
    head->has_length = false;
    head->length = 0;
    head->expects_continue = false;
    head->field_count = 0;
    return read_fields(&meaning, rest);
}

int http1_head_parse(struct http1_head *head, struct http1_scan *scan, const char *bytes,
                     size_t size, enum http_status *status)
{
    size_t end = MIN(size, HTTP1_HEAD_MAX);
    struct http1_scan now = *scan; // is in registers: 7,000 instructions for a head, not 9,800

    for (; now.seen < end && now.state != WHOLE; now.seen++) {
        *status = scan_octet(&now, (uint8_t)bytes[now.seen]);
        if (*status != HTTP_OK)
            return E_MALFORMED;
    }
    *scan = now;
    if (scan->state == WHOLE) {
        *status = read_head(head, scan, bytes);
        return *status == HTTP_OK ? E_OK : E_MALFORMED;
    }
    if (size < HTTP1_HEAD_MAX)
        return E_AGAIN;
    // The rest of what has a bound is smaller: this much is white space around values.
    *status = HTTP_FIELDS_TOO_LARGE;
    return E_MALFORMED;
}

// What the next octet is.
enum chunk_state {
    SIZE, // its first digit
    DIGIT,
    SIZE_BLANK, // before an extension
    EXTENSION,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER, // its name's first, or the end
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    CHUNKS_LF,
    CHUNKS_END, // no more
};

static int hex_value(uint8_t octet)
{
    if (is_digit(octet))
        return octet - '0';
    octet |= 'a' ^ 'A';
    return octet >= 'a' && octet <= 'f' ? octet - 'a' + 10 : -1;
}

static bool go(struct http1_chunks *chunks, enum chunk_state state)
{
    chunks->state = (uint8_t)state;
    return true;
}

// chunk-size and chunk-ext (RFC 9112 section 7.1), up to CR. False if the octet cannot be there.
static bool scan_chunk_line(struct http1_chunks *chunks, uint8_t octet)
{
    int digit = hex_value(octet);
    bool is_blank = octet == ' ' || octet == '\t';

    switch (chunks->state) {
    case SIZE:
        chunks->left = (uint32_t)digit;
        return digit >= 0 && go(chunks, DIGIT);
    case DIGIT:
        if (digit >= 0) {
            if (chunks->left == 0 && ++chunks->extra > HTTP1_EXTENSIONS_MAX)
                return false;
            if (chunks->left > UINT32_MAX >> 4)
                return false;
            chunks->left = chunks->left << 4 | (uint32_t)digit;
            return true;
        }
        if (octet == '\r')
            return go(chunks, SIZE_LF);
        break;
    case EXTENSION:
        if (octet == '\r')
            return go(chunks, SIZE_LF);
        return ++chunks->extra <= HTTP1_EXTENSIONS_MAX && http_octet_is_value(octet);
    default: // white space is only before a semicolon
        break;
    }
    if (++chunks->extra > HTTP1_EXTENSIONS_MAX)
        return false;
    if (octet == ';')
        return go(chunks, EXTENSION);
    return is_blank && go(chunks, SIZE_BLANK);
}

static bool scan_trailer(struct http1_chunks *chunks, uint8_t octet)
{
    if (octet == '\r' && chunks->state == TRAILER)
        return go(chunks, CHUNKS_LF);
    if (octet == '\r' && chunks->state == TRAILER_VALUE)
        return go(chunks, TRAILER_LF);
    if (++chunks->extra > HTTP1_TRAILERS_MAX)
        return false;
    if (chunks->state == TRAILER_VALUE)
        return http_octet_is_value(octet);
    if (octet == ':' && chunks->state == TRAILER_NAME)
        return go(chunks, TRAILER_VALUE);
    return http_octet_is_token(octet) && go(chunks, TRAILER_NAME);
}

// False if the octet, which is none of the data, cannot be there.
static bool scan_chunk_octet(struct http1_chunks *chunks, uint8_t octet)
{
    switch ((enum chunk_state)chunks->state) {
    case SIZE_LF:
        if (chunks->left > 0)
            return octet == '\n' && go(chunks, DATA);
        chunks->extra = 0;
        return octet == '\n' && go(chunks, TRAILER);
    case DATA_CR:
        return octet == '\r' && go(chunks, DATA_LF);
    case DATA_LF:
        return octet == '\n' && go(chunks, SIZE);
    case TRAILER:
    case TRAILER_NAME:
    case TRAILER_VALUE:
        return scan_trailer(chunks, octet);
    case TRAILER_LF:
        return octet == '\n' && go(chunks, TRAILER);
    case CHUNKS_LF:
        return octet == '\n' && go(chunks, CHUNKS_END);
    default:
        return scan_chunk_line(chunks, octet);
    }
}

int http1_chunks_feed(struct http1_chunks *chunks, const char *bytes, size_t size, size_t *used,
                      struct http_text *data)
{
    *data = (struct http_text){.bytes = bytes};
    for (*used = 0; *used < size && chunks->state != CHUNKS_END;) {
        if (chunks->state != DATA) {
            if (!scan_chunk_octet(chunks, (uint8_t)bytes[*used]))
                return E_MALFORMED;
            ++*used;
            continue;
        }
        if (data->size > 0) // another chunk's
            break;
        *data = (struct http_text){bytes + *used, MIN(chunks->left, size - *used)};
        *used += data->size;
        chunks->left -= (uint32_t)data->size;
        if (chunks->left == 0)
            go(chunks, DATA_CR);
    }
    return chunks->state == CHUNKS_END ? E_OK : E_AGAIN;
}
