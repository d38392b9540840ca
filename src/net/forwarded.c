#include "net/forwarded.h"

#include "base/error.h"

// An address with a port, and no more: there is none with a scope, which would mean something to
// the proxy only, and looking for it would cost a system call.
static enum forwarded_node read_address(struct http_text node, struct address *address)
{
    char text[ADDRESS_TEXT_MAX];
    struct address read;

    if (node.size >= sizeof(text))
        return FORWARDED_UNKNOWN;
    memcpy(text, node.bytes, node.size);
    text[node.size] = '\0';
    if (strlen(text) != node.size || strchr(text, '%') || address_parse(&read, text, 0) != E_OK)
        return FORWARDED_UNKNOWN;
    *address = read;
    return FORWARDED_ADDRESS;
}

// node (RFC 7239 section 6). IPv6 addresses are in brackets, so that it is clear where the port is;
// this may be obfuscated ("_x"), and then counts as none.
static enum forwarded_node read_node(struct http_text node, struct address *address)
{
    bool has_brackets = node.size > 0 && node.bytes[0] == '[';
    const char *end = memchr(node.bytes, has_brackets ? ']' : ':', node.size);

    if (end) {
        struct http_text port = {.bytes = end + has_brackets};

        port.size = (size_t)(node.bytes + node.size - port.bytes);
        if (port.size > 0 && memchr(port.bytes + 1, ':', port.size - 1))
            return FORWARDED_UNKNOWN;
        if (port.size > 2 && memcmp(port.bytes, ":_", 2) == 0)
            node.size -= port.size;
    }
    return read_address(node, address);
}

static void skip(struct http_text *text, size_t size)
{
    text->bytes += size;
    text->size -= size;
}

// The size of the quoted string (RFC 9110 section 5.6.4) that `text` begins with, quotes included,
// or 0 if it has no end.
static size_t quoted_size(struct http_text text)
{
    for (size_t i = 1; i < text.size; i++) {
        if (text.bytes[i] == '"')
            return i + 1;
        if (text.bytes[i] == '\\')
            i++;
    }
    return 0;
}

// Up to a comma, which with FORWARDED is in no quoted string. False if one of these has no end.
static bool element_size(struct http_text value, enum forwarded_kind kind, size_t *size)
{
    for (*size = 0; *size < value.size && value.bytes[*size] != ',';) {
        size_t step = 1;

        if (kind == FORWARDED && value.bytes[*size] == '"')
            step = quoted_size((struct http_text){value.bytes + *size, value.size - *size});
        if (step == 0)
            return false;
        *size += step;
    }
    return true;
}

static size_t token_size(struct http_text text, const char *also)
{
    size_t size = 0;

    while (size < text.size && (http_octet_is_token((uint8_t)text.bytes[size]) ||
                                (text.bytes[size] && strchr(also, text.bytes[size]))))
        size++;
    return size;
}

// forwarded-pair (section 4) at the front of an element; its value is written to `room`, and cut
// if it is longer, in which case it is no address. False if it is none.
static bool take_pair(struct http_text *element, struct http_text *name, char *room,
                      size_t room_size, struct http_text *value)
{
    size_t size = token_size(*element, ""), written = 0;
    bool is_quoted;

    *name = (struct http_text){element->bytes, size};
    skip(element, size);
    if (size == 0 || element->size < 2 || element->bytes[0] != '=')
        return false;
    skip(element, 1);
    is_quoted = element->bytes[0] == '"';
    // Not quoted, a port is not right, but seen.
    size = is_quoted ? quoted_size(*element) : token_size(*element, ":[]");
    if (size == 0)
        return false;
    for (size_t i = is_quoted; i < size - is_quoted && written < room_size; i++) {
        if (is_quoted && element->bytes[i] == '\\')
            i++;
        room[written++] = element->bytes[i];
    }
    *value = (struct http_text){room, written};
    skip(element, size);
    return true;
}

static enum forwarded_node read_element(struct http_text element, struct address *address)
{
    char room[ADDRESS_TEXT_MAX], node[ADDRESS_TEXT_MAX];
    struct http_text name, value, whom = {.bytes = NULL};

    while (element.size > 0) {
        if (element.bytes[0] != ';') {
            if (!take_pair(&element, &name, room, sizeof(room), &value))
                return FORWARDED_UNKNOWN;
            if (http_text_is_nocase(name, "for")) {
                if (whom.bytes)
                    return FORWARDED_UNKNOWN;
                memcpy(node, value.bytes, value.size);
                whom = (struct http_text){node, value.size};
            }
            element = http_text_trim(element);
            if (element.size > 0 && element.bytes[0] != ';')
                return FORWARDED_UNKNOWN;
        }
        if (element.size > 0)
            skip(&element, 1);
        element = http_text_trim(element);
    }
    return whom.bytes ? read_node(whom, address) : FORWARDED_UNKNOWN;
}

enum forwarded_node forwarded_next(struct http_text *value, enum forwarded_kind kind,
                                   struct address *address)
{
    while (value->size > 0) {
        struct http_text element = *value;

        if (!element_size(*value, kind, &element.size)) {
            skip(value, value->size);
            return FORWARDED_UNKNOWN;
        }
        skip(value, MIN(element.size + 1, value->size));
        element = http_text_trim(element);
        if (element.size > 0)
            return kind == FORWARDED ? read_element(element, address)
                                     : read_address(element, address);
    }
    return FORWARDED_END;
}
