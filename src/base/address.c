#include "base/address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

static int parse_port(const char *text, uint16_t *port)
{
    unsigned value = 0;

    if (!*text)
        return E_INVALID;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return E_INVALID;
        value = value * 10 + (unsigned)(*text - '0');
        if (value > UINT16_MAX)
            return E_INVALID;
    }
    *port = (uint16_t)value;
    return E_OK;
}

static int parse_v6(struct address *address, char *host, uint16_t port)
{
    struct sockaddr_in6 *v6 = &address->v6;
    char *scope = strchr(host, '%');

    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    if (scope) {
        *scope++ = '\0';
        v6->sin6_scope_id = if_nametoindex(scope);
        if (v6->sin6_scope_id == 0) {
            char *end;
            unsigned long index = strtoul(scope, &end, 10);

            if (end == scope || *end || index == 0 || index > UINT32_MAX)
                return E_INVALID;
            v6->sin6_scope_id = (uint32_t)index;
        }
    }
    return inet_pton(AF_INET6, host, &v6->sin6_addr) == 1 ? E_OK : E_INVALID;
}

int address_parse(struct address *address, const char *text, uint16_t default_port)
{
    char host[ADDRESS_TEXT_MAX];
    size_t length = strlen(text);
    uint16_t port = default_port;

    memset(address, 0, sizeof(*address));
    if (length == 0 || length >= sizeof(host))
        return E_INVALID;
    memcpy(host, text, length + 1);

    if (host[0] == '[') {
        char *close = strchr(host, ']');

        if (!close)
            return E_INVALID;
        if (close[1] != '\0' && (close[1] != ':' || parse_port(close + 2, &port) != E_OK))
            return E_INVALID;
        *close = '\0';
        return parse_v6(address, host + 1, port);
    }

    char *colon = strchr(host, ':');

    if (colon && strchr(colon + 1, ':'))
        return parse_v6(address, host, port);
    if (colon) {
        if (parse_port(colon + 1, &port) != E_OK)
            return E_INVALID;
        *colon = '\0';
    }
    address->v4.sin_family = AF_INET;
    address->v4.sin_port = htons(port);
    return inet_pton(AF_INET, host, &address->v4.sin_addr) == 1 ? E_OK : E_INVALID;
}

const char *address_ip_to_text(const struct address *address, char text[ADDRESS_TEXT_MAX])
{
    if (address->family == AF_INET) {
        inet_ntop(AF_INET, &address->v4.sin_addr, text, ADDRESS_TEXT_MAX);
    } else if (address->family == AF_INET6) {
        inet_ntop(AF_INET6, &address->v6.sin6_addr, text, ADDRESS_TEXT_MAX);
        if (address->v6.sin6_scope_id != 0) {
            size_t used = strlen(text);

            snprintf(text + used, ADDRESS_TEXT_MAX - used, "%%%u", address->v6.sin6_scope_id);
        }
    } else {
        strcpy(text, "none");
    }
    return text;
}

const char *address_to_text(const struct address *address, char text[ADDRESS_TEXT_MAX])
{
    char ip[ADDRESS_TEXT_MAX - 10];
    char whole[ADDRESS_TEXT_MAX];

    address_ip_to_text(address, whole);
    memcpy(ip, whole, sizeof(ip));
    ip[sizeof(ip) - 1] = '\0';
    snprintf(text, ADDRESS_TEXT_MAX, address->family == AF_INET6 ? "[%s]:%u" : "%s:%u", ip,
             address_port(address));
    return text;
}

socklen_t address_size(const struct address *address)
{
    return address->family == AF_INET6 ? sizeof(address->v6) : sizeof(address->v4);
}

uint16_t address_port(const struct address *address)
{
    return ntohs(address->family == AF_INET6 ? address->v6.sin6_port : address->v4.sin_port);
}

void address_set_port(struct address *address, uint16_t port)
{
    if (address->family == AF_INET6)
        address->v6.sin6_port = htons(port);
    else
        address->v4.sin_port = htons(port);
}

bool address_equal(const struct address *a, const struct address *b)
{
    if (a->family != b->family || address_port(a) != address_port(b))
        return false;
    if (a->family == AF_INET)
        return a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
    return memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, sizeof(a->v6.sin6_addr)) == 0 &&
           a->v6.sin6_scope_id == b->v6.sin6_scope_id;
}

const uint8_t *address_octets(const struct address *address, size_t *size)
{
    const uint8_t *octets = address->v6.sin6_addr.s6_addr;

    if (address->family == AF_INET) {
        *size = 4;
        return (const uint8_t *)&address->v4.sin_addr;
    }
    *size = address->family == AF_INET6 ? 16 : 0;
    if (*size == 0 || !IN6_IS_ADDR_V4MAPPED(&address->v6.sin6_addr))
        return octets;
    *size = 4;
    return octets + 12;
}

bool address_is_wildcard(const struct address *address)
{
    if (address->family == AF_INET)
        return address->v4.sin_addr.s_addr == htonl(INADDR_ANY);
    return IN6_IS_ADDR_UNSPECIFIED(&address->v6.sin6_addr);
}
