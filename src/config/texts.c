#include "config/texts.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "admin/options.h"
#include "base/error.h"
#include "listener/url.h"
#include "policy/prefix.h"
#include "querylog/outlet.h"
#include "upstream/url.h"

static int parse_listener_url(void *at, const char *text, const char **why)
{
    return listener_url_parse(at, text, why);
}

static void print_listener_url(const void *at, char text[SCHEMA_TEXT_SIZE])
{
    listener_url_to_text(at, text);
}

const struct schema_text text_listener_url = {
    .expected = "a listen address such as dns://127.0.0.1:53",
    .pattern = "^([Hh][Tt][Tt][Pp][Ss]?://[\\[\\]0-9A-Za-z.:%*@_-]+([/{].*)?|"
               "([A-Za-z]{3}://)?[\\[\\]0-9A-Za-z.:%*@_-]+)$",
    .parse = parse_listener_url,
    .print = print_listener_url,
};

static int parse_upstream_url(void *at, const char *text, const char **why)
{
    struct upstream_server_options *server = at;
    int rc = upstream_url_parse(&server->endpoint, text, why);

    if (rc == E_OK)
        strncpy(server->url, text, sizeof(server->url) - 1); // fills up with zeros
    return rc;
}

static void print_upstream_url(const void *at, char text[SCHEMA_TEXT_SIZE])
{
    const struct upstream_server_options *server = at;

    strcpy(text, server->url);
}

const struct schema_text text_upstream_url = {
    .expected = "an upstream such as tls://1.1.1.1#cloudflare-dns.com or a preset such as quad9",
    .pattern = "^([Tt][Ll][Ss]://)?[\\[\\]0-9A-Za-z.:%@_-]+(#[0-9A-Za-z._-]+)?$",
    .parse = parse_upstream_url,
    .print = print_upstream_url,
};

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

// 32 octets are 43 digits of 6 bits, the last two bits zero, and "=".
#define PIN_DIGITS 43
#define PIN_SIZE 32

static int parse_pin(void *at, const char *text, const char **why)
{
    uint8_t *pin = at;
    uint32_t bits = 0;
    size_t size = 0;

    *why = NULL;
    if (strlen(text) != PIN_DIGITS + 1 || text[PIN_DIGITS] != '=')
        return E_INVALID;
    for (unsigned i = 0, held = 0; i < PIN_DIGITS; i++) {
        const char *digit = strchr(base64_digits, text[i]);

        if (!digit)
            return E_INVALID;
        bits = bits << 6 | (uint32_t)(digit - base64_digits);
        held += 6;
        if (held >= 8) {
            held -= 8;
            pin[size++] = (uint8_t)(bits >> held);
        }
    }
    return (bits & 3) == 0 ? E_OK : E_INVALID;
}

static void print_pin(const void *at, char text[SCHEMA_TEXT_SIZE])
{
    const uint8_t *pin = at;
    uint32_t bits = 0;
    size_t length = 0;

    for (unsigned i = 0, held = 0; i < PIN_SIZE; i++) {
        bits = bits << 8 | pin[i];
        for (held += 8; held >= 6; held -= 6)
            text[length++] = base64_digits[bits >> (held - 6) & 63];
    }
    text[length++] = base64_digits[bits << 2 & 63];
    strcpy(text + length, "=");
}

const struct schema_text text_pin = {
    .expected = "a SHA-256 digest in base64: 43 characters and =",
    .pattern = "^[0-9A-Za-z+/]{43}=$",
    .parse = parse_pin,
    .print = print_pin,
};

static int parse_control_socket(void *at, const char *text, const char **why)
{
    *why = NULL;
    if (*text != '/' && strcmp(text, "auto") != 0 && strcmp(text, "none") != 0)
        return E_INVALID;
    if (strlen(text) >= CONTROL_PATH_SIZE) {
        *why = "too long: the path of a socket has at most 107 octets";
        return E_INVALID;
    }
    strncpy(at, text, CONTROL_PATH_SIZE); // fills up with zeros
    return E_OK;
}

static void print_control_socket(const void *at, char text[SCHEMA_TEXT_SIZE])
{
    strcpy(text, at);
}

const struct schema_text text_control_socket = {
    .expected = "auto, none, or an absolute path",
    .pattern = "^(auto|none|/.{0,106})$",
    .parse = parse_control_socket,
    .print = print_control_socket,
};

static int parse_querylog_url(void *at, const char *text, const char **why)
{
    *why = NULL;
    if (!querylog_sink_find(text)) {
        *why = "unknown kind of store; write sqlite:///PATH, postgresql://…, dnstap://… or json:…";
        return E_INVALID;
    }
    if (strlen(text) >= QUERYLOG_URL_SIZE) {
        *why = "too long: at most 511 octets";
        return E_INVALID;
    }
    strncpy(at, text, QUERYLOG_URL_SIZE); // fills up with zeros
    return E_OK;
}

static void print_querylog_url(const void *at, char text[SCHEMA_TEXT_SIZE])
{
    strcpy(text, at);
}

const struct schema_text text_querylog_url = {
    .expected = "a store such as sqlite:///var/lib/sotto/queries.db",
    .pattern = "^(sqlite|postgresql|dnstap|json):.+$",
    .parse = parse_querylog_url,
    .print = print_querylog_url,
};

static int parse_prefix(void *at, const char *text, const char **why)
{
    return policy_prefix_parse(at, text, why);
}

static void print_prefix(const void *at, char text[SCHEMA_TEXT_SIZE])
{
    policy_prefix_to_text(at, text);
}

const struct schema_text text_prefix = {
    .expected = "private, any, or a prefix such as 192.168.0.0/16 or fd00::/8",
    .pattern = "^(private|any|[0-9A-Fa-f.:]+(/[0-9]{1,3})?)$",
    .parse = parse_prefix,
    .print = print_prefix,
};

static int parse_admin_url(void *at, const char *text, const char **why)
{
    static const char scheme[] = "http://";
    struct address address;
    char where[ADDRESS_TEXT_MAX];
    size_t length;

    *why = NULL;
    memset(&address, 0, sizeof(address)); // AF_UNSPEC
    if (strcmp(text, "none") == 0) {
        memcpy(at, &address, sizeof(address));
        return E_OK;
    }
    if (strncasecmp(text, "https://", 8) == 0) {
        *why =
            "TLS is not spoken here: keep it on 127.0.0.1, with a proxy in front of it for others";
        return E_INVALID;
    }
    if (strncasecmp(text, scheme, sizeof(scheme) - 1) != 0)
        return E_INVALID;
    text += sizeof(scheme) - 1;
    length = strlen(text);
    if (length > 0 && text[length - 1] == '/')
        length--;
    if (length >= sizeof(where))
        return E_INVALID;
    memcpy(where, text, length);
    where[length] = '\0';
    if (strcspn(where, ":") == 9 && strncasecmp(where, "localhost", 9) == 0) {
        *why = "an address is wanted, not a name: write http://127.0.0.1:8053";
        return E_INVALID;
    }
    if (address_parse(&address, where, ADMIN_PORT) != E_OK)
        return E_INVALID;
    memcpy(at, &address, sizeof(address));
    return E_OK;
}

static void print_admin_url(const void *at, char text[SCHEMA_TEXT_SIZE])
{
    const struct address *address = at;
    char where[ADDRESS_TEXT_MAX];

    if (address->family == AF_UNSPEC)
        strcpy(text, "none");
    else
        snprintf(text, SCHEMA_TEXT_SIZE, "http://%s", address_to_text(address, where));
}

const struct schema_text text_admin_url = {
    .expected = "none, or a URL such as http://127.0.0.1:8053",
    .pattern = "^(none|[Hh][Tt][Tt][Pp]://[\\[\\]0-9A-Za-z.:%_-]+/?)$",
    .parse = parse_admin_url,
    .print = print_admin_url,
};
