#include "dns/name.h"

#include <string.h>

#include "base/error.h"
#include "dns/message.h"

// As many as a name can have labels. A chain of pointers to pointers costs its sender two octets a
// link, so without a bound of its own it would make each name that ends in it expensive.
enum { POINTERS_MAX = 127 };

// The two kinds of length octet (RFC 1035 section 4.1.4); what lies between them is reserved.
enum { LABEL_MAX = 0x3f, POINTER_MIN = 0xc0 };

static inline uint8_t lower(uint8_t octet)
{
    return (uint8_t)(octet - 'A') < 26 ? octet | 0x20 : octet;
}

// What dns_name_skip() and dns_name_copy() share; `name` is NULL for the former.
static inline size_t walk(const uint8_t *message, size_t size, size_t pos, uint8_t *name,
                          size_t *length)
{
    size_t run = pos; // where the labels that are being read began
    size_t end = 0;   // behind the first pointer, once there was one
    size_t used = 0;
    unsigned pointers = 0;

    if (pos >= size)
        return 0;
    for (;;) {
        size_t octet = message[pos]; // pos < size

        if (octet == 0)
            break;
        if (octet <= LABEL_MAX) {
            if (octet + 1 >= size - pos || used + octet + 1 >= DNS_NAME_MAX)
                return 0;
            if (name)
                memcpy(name + used, message + pos, octet + 1);
            used += octet + 1;
            pos += octet + 1;
            continue;
        }
        if (octet < POINTER_MIN || size - pos < 2)
            return 0;
        if (end == 0)
            end = pos + 2;
        pos = get_u16(message + pos) & 0x3fff;
        if (pos >= run || pos < DNS_HEADER_SIZE || ++pointers > POINTERS_MAX)
            return 0;
        size = run; // the labels of a prior name end before those that it continues
        run = pos;
    }
    if (name) {
        name[used] = 0;
        *length = used + 1;
    }
    return end ? end : pos + 1;
}

size_t dns_name_skip(const uint8_t *message, size_t size, size_t pos)
{
    return walk(message, size, pos, NULL, NULL);
}

size_t dns_name_copy(const uint8_t *message, size_t size, size_t pos, uint8_t name[DNS_NAME_MAX],
                     size_t *length)
{
    return walk(message, size, pos, name, length);
}

size_t dns_name_length(const uint8_t *name)
{
    size_t length = 0;

    while (name[length] != 0)
        length += (size_t)name[length] + 1;
    return length + 1;
}

#define EACH(octet) ((octet)*UINT64_C(0x0101010101010101))

// Eight octets at once: a sum has its top bit set from 'A' on, and from behind 'Z' on.
static inline uint64_t lower8(uint64_t word)
{
    uint64_t low = word & EACH(0x7f);
    uint64_t upper = (low + EACH(0x80 - 'A')) & ~(low + EACH(0x7f - 'Z')) & ~word & EACH(0x80);

    return word | upper >> 2;
}

// Length octets are below 'A': the labels' bounds need no care here, nor in same().
void dns_name_lower(uint8_t *to, const uint8_t *name, size_t length)
{
    size_t i = 0;
    uint64_t word;

    for (; i + sizeof(word) <= length; i += sizeof(word)) {
        memcpy(&word, name + i, sizeof(word));
        word = lower8(word);
        memcpy(to + i, &word, sizeof(word));
    }
    for (; i < length; i++)
        to[i] = lower(name[i]);
}

static bool same(const uint8_t *a, const uint8_t *b, size_t length)
{
    size_t i = 0;
    uint64_t x, y;

    for (; i + sizeof(x) <= length; i += sizeof(x)) {
        memcpy(&x, a + i, sizeof(x));
        memcpy(&y, b + i, sizeof(y));
        if (x != y && lower8(x) != lower8(y))
            return false;
    }
    for (; i < length; i++) {
        if (lower(a[i]) != lower(b[i]))
            return false;
    }
    return true;
}

bool dns_name_equal(const uint8_t *a, const uint8_t *b)
{
    size_t length = dns_name_length(a);

    return length == dns_name_length(b) && same(a, b, length);
}

bool dns_name_is_under(const uint8_t *name, const uint8_t *zone)
{
    size_t left = dns_name_length(name);
    size_t zone_length = dns_name_length(zone);

    while (left > zone_length) {
        size_t label = (size_t)*name + 1;

        name += label;
        left -= label;
    }
    return left == zone_length && same(name, zone, left);
}

static char *octet_to_text(char *at, uint8_t octet)
{
    if (octet <= ' ' || octet >= 0x7f) {
        *at++ = '\\';
        *at++ = (char)('0' + octet / 100);
        *at++ = (char)('0' + octet / 10 % 10);
        *at++ = (char)('0' + octet % 10);
        return at;
    }
    if (strchr(".\\\";@$()", octet))
        *at++ = '\\';
    *at++ = (char)octet;
    return at;
}

const char *dns_name_to_text(const uint8_t *name, char text[DNS_NAME_TEXT_MAX])
{
    char *at = text;

    if (*name == 0)
        *at++ = '.';
    while (*name != 0) {
        uint8_t left = *name++;

        while (left-- > 0)
            at = octet_to_text(at, *name++);
        if (*name != 0)
            *at++ = '.';
    }
    *at = '\0';
    return text;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

// Reads what follows a backslash. Returns the text behind it, or NULL.
static const char *escape_from_text(const char *text, unsigned *octet)
{
    if (!is_digit(text[0])) {
        *octet = (unsigned char)text[0];
        return text[0] ? text + 1 : NULL;
    }
    if (!is_digit(text[1]) || !is_digit(text[2]))
        return NULL;
    *octet = (unsigned)((text[0] - '0') * 100 + (text[1] - '0') * 10 + (text[2] - '0'));
    return *octet <= UINT8_MAX ? text + 3 : NULL;
}

int dns_name_from_text(const char *text, uint8_t name[DNS_NAME_MAX])
{
    size_t label = 0; // where the current label's length octet is
    size_t used = 1;

    if (strcmp(text, ".") == 0) {
        name[0] = 0;
        return 0;
    }
    while (*text) {
        unsigned octet = (unsigned char)*text++;

        if (octet == '.') {
            if (used == label + 1)
                return E_INVALID; // an empty label
            name[label] = (uint8_t)(used - label - 1);
            label = used++;
            continue;
        }
        if (octet == '\\') {
            text = escape_from_text(text, &octet);
            if (!text)
                return E_INVALID;
        }
        // The root label needs one octet more.
        if (used - label > DNS_LABEL_MAX || used + 1 >= DNS_NAME_MAX)
            return E_INVALID;
        name[used++] = (uint8_t)octet;
    }
    if (used > label + 1) { // no final dot
        name[label] = (uint8_t)(used - label - 1);
        label = used;
    }
    if (label == 0)
        return E_INVALID; // no label at all
    name[label] = 0;
    return 0;
}
