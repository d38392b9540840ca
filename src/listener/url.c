#include "listener/url.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"

static const struct {
    const char *name;
    uint32_t transports;
    uint16_t port;
} schemes[] = {
    {"dns", LISTENER_DNS, LISTENER_PORT},        {"udp", LISTENER_UDP, LISTENER_PORT},
    {"tcp", LISTENER_TCP, LISTENER_PORT},        {"tls", LISTENER_TLS, LISTENER_PORT_TLS},
    {"http", LISTENER_HTTP, LISTENER_PORT_HTTP}, {"https", LISTENER_HTTPS, LISTENER_PORT_HTTPS},
};

static int fail(const char **why, const char *text)
{
    *why = text;
    return E_INVALID;
}

// Sets the transports and their port; returns what follows the scheme, or NULL if it is unknown.
static const char *parse_scheme(struct listener_address *address, const char *text, uint16_t *port)
{
    const char *end = strstr(text, "://");

    address->transports = LISTENER_DNS;
    *port = LISTENER_PORT;
    if (!end)
        return text;
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
        if ((size_t)(end - text) == strlen(schemes[i].name) &&
            strncasecmp(text, schemes[i].name, (size_t)(end - text)) == 0) {
            address->transports = schemes[i].transports;
            *port = schemes[i].port;
            return end + 3;
        }
    }
    return NULL;
}

// The path of HTTP, perhaps empty. NULL, or what is wrong.
static const char *parse_path(struct listener_address *address, const char *text, size_t size)
{
    if (size == 0) {
        strcpy(address->path, LISTENER_PATH);
        return NULL;
    }
    if (size >= sizeof(address->path))
        return "the path is too long: it has at most 127 octets";
    for (size_t i = 0; i < size; i++)
        if (text[i] <= ' ' || text[i] > '~' || strchr("?#{}\"\\<>", text[i]))
            return "no path of a URL; write https://127.0.0.1:443/dns-query";
    memcpy(address->path, text, size);
    return NULL;
}

// Takes the path off the end of what follows the scheme; what is left is in `where`. NULL, or what
// is wrong.
static const char *split_path(struct listener_address *address, const char *text,
                              char where[ADDRESS_TEXT_MAX])
{
    static const char template[] = "{?dns}";
    size_t size = strlen(text), address_size;

    if (size >= strlen(template) && strcmp(text + size - strlen(template), template) == 0)
        size -= strlen(template);
    address_size = MIN(strcspn(text, "/"), size);
    snprintf(where, ADDRESS_TEXT_MAX, "%.*s", (int)address_size, text);
    return parse_path(address, text + address_size, size - address_size);
}

int listener_url_parse(struct listener_address *address, const char *text, const char **why)
{
    char where[ADDRESS_TEXT_MAX], any[ADDRESS_TEXT_MAX + 8];
    const char *rest, *problem;
    uint16_t port;

    memset(address, 0, sizeof(*address));
    *why = NULL;
    rest = parse_scheme(address, text, &port);
    if (!rest)
        return fail(why,
                    "unknown scheme; write dns:// (UDP and TCP), udp://, tcp://, tls://, https:// "
                    "or http://");
    if (!*rest)
        return fail(why, "no address; write an IP address, as in dns://127.0.0.1:53, or *");
    if (address->transports & LISTENER_ANY_HTTP) {
        problem = split_path(address, rest, where);
        if (problem)
            return fail(why, problem);
        rest = where;
    } else if (strchr(rest, '/')) {
        return fail(why, "such a listen address has no path; write dns://127.0.0.1:53");
    }
    if (rest[0] == '*' && strlen(rest) < 16) {
        snprintf(any, sizeof(any), "[::]%s", rest + 1);
        rest = any;
    }
    if (address_parse(&address->address, rest, port) != E_OK)
        return fail(why, "no IP address with or without a port; write dns://127.0.0.1:53, "
                         "dns://[::1]:53, or dns://*:53 for every address");
    return E_OK;
}

const char *listener_url_to_text(const struct listener_address *address,
                                 char text[LISTENER_URL_SIZE])
{
    const char *scheme = "dns";
    char where[ADDRESS_TEXT_MAX];

    for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
        if (schemes[i].transports == address->transports)
            scheme = schemes[i].name;
    }
    snprintf(text, LISTENER_URL_SIZE, "%s://%s%s", scheme,
             address_to_text(&address->address, where), address->path);
    return text;
}
