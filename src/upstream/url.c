#include "upstream/url.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"

// Name, name in the certificate, addresses. What some of them filter: cloudflare-security malware,
// cloudflare-family also adult content, quad9 malware, adguard advertisements and trackers.
#define PRESET_LIST(X)                                                                             \
    X("cloudflare", "cloudflare-dns.com", "1.1.1.1", "1.0.0.1", "2606:4700:4700::1111",            \
      "2606:4700:4700::1001")                                                                      \
    X("cloudflare-security", "security.cloudflare-dns.com", "1.1.1.2", "1.0.0.2",                  \
      "2606:4700:4700::1112", "2606:4700:4700::1002")                                              \
    X("cloudflare-family", "family.cloudflare-dns.com", "1.1.1.3", "1.0.0.3",                      \
      "2606:4700:4700::1113", "2606:4700:4700::1003")                                              \
    X("quad9", "dns.quad9.net", "9.9.9.9", "149.112.112.112", "2620:fe::fe", "2620:fe::9")         \
    X("google", "dns.google", "8.8.8.8", "8.8.4.4", "2001:4860:4860::8888",                        \
      "2001:4860:4860::8844")                                                                      \
    X("adguard", "dns.adguard-dns.com", "94.140.14.14", "94.140.15.15", "2a10:50c0::ad1:ff",       \
      "2a10:50c0::ad2:ff")                                                                         \
    X("mullvad", "dns.mullvad.net", "194.242.2.2", "2a07:e340::2")

const struct upstream_preset upstream_presets[] = {
#define X(name, auth_name, ...) {name, auth_name, {__VA_ARGS__}},
    PRESET_LIST(X)
#undef X
        {NULL, NULL, {NULL}},
};

#define X(name, ...) name ", "
static const char unknown_preset[] =
    "no preset of this name; write " PRESET_LIST(X) "or tls://NAME for a host";
#undef X

// Schemes that people try, and what to say.
static const struct {
    const char *scheme, *why;
} other_schemes[] = {
    {"udp", "plain DNS is never sent upstream; write tls://"},
    {"tcp", "plain DNS is never sent upstream; write tls://"},
    {"dns", "plain DNS is never sent upstream; write tls://"},
    {"https", "DNS over HTTPS is not supported upstream; write tls://"},
    {"h3", "DNS over HTTPS is not supported upstream; write tls://"},
    {"quic", "DNS over QUIC is not supported; write tls://"},
    {"doq", "DNS over QUIC is not supported; write tls://"},
    {"sdns", "DNS stamps are not supported; write tls://ADDRESS#NAME"},
};

static int fail(const char **why, const char *text)
{
    *why = text;
    return E_INVALID;
}

static int from_preset(struct upstream_endpoint *endpoint, const struct upstream_preset *preset)
{
    endpoint->port = UPSTREAM_PORT;
    strcpy(endpoint->auth_name, preset->auth_name);
    for (unsigned i = 0; i < UPSTREAM_ADDRESSES_MAX && preset->addresses[i]; i++) {
        require(address_parse(&endpoint->addresses[i], preset->addresses[i], UPSTREAM_PORT) ==
                E_OK);
        endpoint->address_count++;
    }
    return E_OK;
}

// Copies a host name in lower case, without a final dot. False if it is none: labels of letters,
// digits, "-" and "_", the last not all digits (that would be a mistyped address).
static bool copy_host_name(char name[UPSTREAM_NAME_SIZE], const char *text)
{
    size_t length = strlen(text), label = 0;
    bool digits_only = true;

    if (length > 1 && text[length - 1] == '.')
        length--;
    if (length == 0 || length > 253)
        return false;
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c == '.') {
            if (label == 0)
                return false;
            label = 0;
            digits_only = true;
        } else {
            if (!isascii(c) || !(isalnum(c) || c == '-' || c == '_') || ++label > 63)
                return false;
            digits_only = digits_only && isdigit(c);
        }
        name[i] = (char)tolower(c);
    }
    name[length] = '\0';
    return label > 0 && !digits_only;
}

// An IP address alone, without port and brackets.
static bool parse_ip(struct address *address, const char *text, uint16_t port)
{
    const char *colon = strchr(text, ':');

    if (*text == '[' || (colon && !strchr(colon + 1, ':')))
        return false;
    return address_parse(address, text, port) == E_OK;
}

static bool parse_port(const char *text, uint16_t *port)
{
    unsigned value = 0;

    if (!*text)
        return false;
    for (; *text; text++) {
        if (!isdigit((unsigned char)*text))
            return false;
        value = value * 10 + (unsigned)(*text - '0');
        if (value > UINT16_MAX)
            return false;
    }
    *port = (uint16_t)value;
    return value != 0;
}

// Cuts "HOST", "HOST:PORT", "HOST@PORT", "[IPV6]" or "[IPV6]:PORT" in two: returns where the host
// starts, NUL-terminated, and sets `*port` to the port's text or NULL. NULL if brackets are wrong.
static char *cut_port(char *text, char **port)
{
    char *mark;

    *port = NULL;
    if (*text == '[') {
        mark = strchr(text, ']');
        if (!mark || (mark[1] != '\0' && mark[1] != ':' && mark[1] != '@'))
            return NULL;
        *mark++ = '\0';
        text++;
    } else {
        mark = strchr(text, '@');
        if (!mark && strchr(text, ':') == strrchr(text, ':')) // else IPv6 without a port
            mark = strchr(text, ':');
    }
    if (mark && *mark) {
        *mark = '\0';
        *port = mark + 1;
    }
    return text;
}

static int parse_name(struct upstream_endpoint *endpoint, const char *name, const char **why)
{
    struct address address;

    if (!*name)
        return fail(why, "no name after #; write the name that the certificate must have");
    if (parse_ip(&address, name, 0))
        return fail(why, "an address after #; leave it out, and the certificate must have the "
                         "address itself");
    if (!copy_host_name(endpoint->auth_name, name))
        return fail(why, "what follows # is no host name (letters, digits, - and dots)");
    return E_OK;
}

static int parse_host(struct upstream_endpoint *endpoint, const char *host, bool bracketed,
                      const char **why)
{
    if (!*host)
        return fail(why, "no address; write tls://ADDRESS#NAME");
    if ((!bracketed || strchr(host, ':')) &&
        parse_ip(&endpoint->addresses[0], host, endpoint->port)) {
        if (address_is_wildcard(&endpoint->addresses[0]))
            return fail(why, "not an address that can be connected to");
        endpoint->address_count = 1;
        return E_OK;
    }
    memset(&endpoint->addresses[0], 0, sizeof(endpoint->addresses[0]));
    if (bracketed || strchr(host, ':') != strrchr(host, ':'))
        return fail(why, "no IPv6 address; write tls://[2001:db8::1]:853#NAME");
    if (!copy_host_name(endpoint->host, host))
        return fail(why, "neither an IP address nor a host name; write tls://ADDRESS#NAME");
    if (!*endpoint->auth_name)
        strcpy(endpoint->auth_name, endpoint->host);
    return E_OK;
}

static int parse_rest(struct upstream_endpoint *endpoint, char *text, const char **why)
{
    char *name = strchr(text, '#'), *port, *host;
    bool bracketed = *text == '[';

    if (strchr(text, '/'))
        return fail(why, "DNS over TLS has no path; write tls://ADDRESS#NAME");
    if (name) {
        *name++ = '\0';
        if (parse_name(endpoint, name, why) != E_OK)
            return E_INVALID;
    }
    host = cut_port(text, &port);
    if (!host)
        return fail(why, "brackets are wrong; write tls://[2001:db8::1]:853#NAME");
    endpoint->port = UPSTREAM_PORT;
    if (port && !parse_port(port, &endpoint->port))
        return fail(why, "the port is no number from 1 to 65535");
    return parse_host(endpoint, host, bracketed, why);
}

static int scheme_error(const char *text, size_t length, const char **why)
{
    for (size_t i = 0; i < ARRAY_LEN(other_schemes); i++) {
        if (strlen(other_schemes[i].scheme) == length &&
            strncasecmp(text, other_schemes[i].scheme, length) == 0)
            return fail(why, other_schemes[i].why);
    }
    return fail(why, "unknown scheme; write tls://");
}

int upstream_url_parse(struct upstream_endpoint *endpoint, const char *text, const char **why)
{
    char copy[UPSTREAM_URL_SIZE];
    size_t length = strlen(text);
    const char *colon = strstr(text, "://");

    memset(endpoint, 0, sizeof(*endpoint));
    *why = NULL;
    if (length == 0)
        return fail(why, "empty; write tls://ADDRESS#NAME or a preset such as quad9");
    if (length >= sizeof(copy))
        return fail(why, "longer than 511 characters");
    if (colon && (colon - text != 3 || strncasecmp(text, "tls", 3) != 0))
        return scheme_error(text, (size_t)(colon - text), why);
    if (!colon) {
        for (const struct upstream_preset *preset = upstream_presets; preset->name; preset++) {
            if (strcmp(text, preset->name) == 0)
                return from_preset(endpoint, preset);
        }
        if (!strpbrk(text, ".:#@[/"))
            return fail(why, unknown_preset);
    }
    memcpy(copy, text, length + 1);
    return parse_rest(endpoint, copy + (colon ? 6 : 0), why);
}
