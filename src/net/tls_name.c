#include "net/tls_name.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/reason.h"

#define NAME_MAX_LENGTH (TLS_NAME_SIZE - 1)
#define LABEL_MAX_LENGTH 63

#define refuse(reason, ...) reason_give(E_INVALID, reason, TLS_REASON_SIZE, __VA_ARGS__)

// The locale has no say in what a name is made of.
static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// ---- Addresses

static int check_address(const struct tls_name *name, char reason[TLS_REASON_SIZE])
{
    static const uint8_t zero[16];
    uint8_t first = name->address[0];

    if (memcmp(name->address, zero, name->address_size) == 0)
        return refuse(reason, "stands for every address; write those that clients will ask");
    if (name->address_size == 4 ? first >= 224 : first == 0xff)
        return refuse(reason, "is no address of a single machine; write those that clients will "
                              "ask");
    return E_OK;
}

static bool read_address(struct tls_name *name, const char *text)
{
    int family = strchr(text, ':') ? AF_INET6 : AF_INET;

    if (inet_pton(family, text, name->address) != 1)
        return false;
    name->address_size = family == AF_INET6 ? 16 : 4;
    inet_ntop(family, name->address, name->text, sizeof(name->text));
    return true;
}

// ---- DNS names

// Names that were meant otherwise, told before the first letter that does not fit.
static int check_characters(const char *text, char reason[TLS_REASON_SIZE])
{
    for (const char *at = text; *at; at++) {
        if ((unsigned char)*at >= 0x80)
            return refuse(reason, "has letters other than ASCII; write it as DNS has it, with "
                                  "\"xn--\" (`idn2 NAME` prints that)");
    }
    if (strchr(text, '/'))
        return refuse(reason, "has a \"/\" in it; write only the name or address, without tls:// "
                              "and path");
    if (strchr(text, '%'))
        return refuse(reason, "has a \"%%\" in it; certificates know no scopes: write the address "
                              "up to there");
    if (strpbrk(text, ":[]"))
        return refuse(reason, "is neither a name nor an address; write it without port and "
                              "brackets");
    for (const char *at = text; *at; at++) {
        if (is_letter(*at) || is_digit(*at) || strchr("-_.*", *at))
            continue;
        if (*at > ' ' && *at < 0x7f)
            return refuse(reason, "has \"%c\" in it; letters, digits, \"-\" and \"_\" are allowed",
                          *at);
        return refuse(reason, "has a space or control character in it; letters, digits, \"-\" and "
                              "\"_\" are allowed");
    }
    return E_OK;
}

static int check_label(const char *label, size_t length, char reason[TLS_REASON_SIZE])
{
    if (length == 0)
        return refuse(reason, "has an empty part: a dot too many");
    if (length > LABEL_MAX_LENGTH)
        return refuse(reason,
                      "has a part of %zu characters; at most %d are allowed between two "
                      "dots",
                      length, LABEL_MAX_LENGTH);
    if (memchr(label, '*', length))
        return refuse(reason, "has a \"*\" that is not the whole of its first part; write "
                              "*.example.com");
    if (label[0] == '-' || label[length - 1] == '-')
        return refuse(reason, "has a part that begins or ends with a hyphen");
    return E_OK;
}

static bool all_digits(const char *text)
{
    while (is_digit(*text))
        text++;
    return *text == '\0';
}

// `name->text` is the name without its final dot.
static int check_labels(struct tls_name *name, char reason[TLS_REASON_SIZE])
{
    const char *label = name->text;
    unsigned count = 0;
    int err;

    for (;; label++) {
        size_t length = strcspn(label, ".");

        if (count++ == 0 && length == 1 && *label == '*')
            name->wildcard = true;
        else if ((err = check_label(label, length, reason)) != E_OK)
            return err;
        if (label[length] == '\0')
            break;
        label += length;
    }
    // Clients take it for an address (RFC 1123 section 2.1).
    if (all_digits(label))
        return refuse(reason, "looks like an IPv4 address, but is none");
    // GnuTLS and OpenSSL match no wildcard in a top-level domain.
    if (name->wildcard && count < 3)
        return refuse(reason,
                      "is too wide: clients take a \"*\" only below two more parts, such as "
                      "*.home.arpa");
    return E_OK;
}

static int read_dns_name(struct tls_name *name, const char *text, char reason[TLS_REASON_SIZE])
{
    size_t length = strlen(text);
    int err = check_characters(text, reason);

    if (err != E_OK)
        return err;
    if (length > 0 && text[length - 1] == '.')
        length--;
    if (length == 0)
        return refuse(reason, "is empty; write a name or an address");
    if (length > NAME_MAX_LENGTH)
        return refuse(reason, "has %zu characters; a name has at most %d", length, NAME_MAX_LENGTH);
    for (size_t i = 0; i < length; i++)
        name->text[i] = (char)(text[i] >= 'A' && text[i] <= 'Z' ? text[i] + ('a' - 'A') : text[i]);
    return check_labels(name, reason);
}

int tls_name_parse(struct tls_name *name, const char *text, char reason[TLS_REASON_SIZE])
{
    memset(name, 0, sizeof(*name));
    if (read_address(name, text))
        return check_address(name, reason);
    return read_dns_name(name, text, reason);
}

bool tls_name_equal(const struct tls_name *a, const struct tls_name *b)
{
    return a->address_size == b->address_size && strcmp(a->text, b->text) == 0;
}
