#include "admin/guard.h"

#include <string.h>
#include <strings.h>

#include "base/error.h"

bool admin_is_local(const struct admin_options *options)
{
    size_t size;
    const uint8_t *octets = address_octets(&options->listen, &size);
    static const uint8_t loopback6[16] = {[15] = 1};

    return size == 4 ? octets[0] == 127 : size == 16 && memcmp(octets, loopback6, 16) == 0;
}

// Without the port, and without the dot at the end. False if it does not fit.
static bool name_of(const char *host, char name[ADMIN_HOST_SIZE])
{
    size_t length = *host == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");

    if (length > strlen(host)) // a bracket that is not closed
        return false;
    if (host[length] == ':' && strspn(host + length + 1, "0123456789") != strlen(host + length + 1))
        return false;
    if (host[length] != ':' && host[length] != '\0')
        return false;
    if (length > 1 && host[length - 1] == '.')
        length--;
    if (length == 0 || length >= ADMIN_HOST_SIZE)
        return false;
    memcpy(name, host, length);
    name[length] = '\0';
    return true;
}

bool guard_allows_host(const char *host, const struct admin_options *options)
{
    char name[ADMIN_HOST_SIZE];
    struct address address;

    if (!host || !name_of(host, name))
        return false;
    if (strcasecmp(name, "localhost") == 0 || address_parse(&address, name, 0) == E_OK)
        return true;
    for (uint32_t i = 0; i < options->host_count; i++)
        if (strcasecmp(name, options->hosts[i]) == 0)
            return true;
    return false;
}

// In a time that depends on the length of what was sent alone.
static bool equal(const char *sent, const char *token)
{
    size_t sent_length = strlen(sent), token_length = strlen(token);
    volatile unsigned char differ = sent_length != token_length;

    for (size_t i = 0; i < sent_length; i++)
        differ |=
            (unsigned char)sent[i] ^ (unsigned char)token[token_length ? i % token_length : 0];
    return !differ;
}

bool guard_allows_token(const char *authorization, const char *token)
{
    static const char scheme[] = "Bearer ";

    if (!authorization || !*token || strncasecmp(authorization, scheme, sizeof(scheme) - 1) != 0)
        return false;
    authorization += sizeof(scheme) - 1;
    authorization += strspn(authorization, " ");
    return equal(authorization, token);
}

bool guard_allows_origin(const char *origin, const char *host)
{
    const char *at;

    if (!origin)
        return true;
    at = strstr(origin, "://");
    return host && at && strcasecmp(at + 3, host) == 0;
}
