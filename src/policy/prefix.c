#include "policy/prefix.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"

// ::ffff:0:0/96 (RFC 4291 section 2.5.5.2)
static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

// Up to three digits, without a zero in front.
static int parse_length(const char *text, unsigned max, uint8_t *length)
{
    unsigned value = 0;
    size_t digits = strspn(text, "0123456789");

    if (digits == 0 || digits > 3 || text[digits] || (text[0] == '0' && digits > 1))
        return E_INVALID;
    for (; *text; text++)
        value = value * 10 + (unsigned)(*text - '0');
    if (value > max)
        return E_INVALID;
    *length = (uint8_t)value;
    return E_OK;
}

static bool has_bits_behind(const struct policy_prefix *prefix)
{
    for (unsigned bit = prefix->length; bit < 8 * sizeof(prefix->address); bit++)
        if (prefix->address[bit / 8] & 0x80 >> bit % 8)
            return true;
    return false;
}

static void unmap(struct policy_prefix *prefix)
{
    if (prefix->kind != POLICY_PREFIX_IPV6 || prefix->length < 8 * sizeof(mapped) ||
        memcmp(prefix->address, mapped, sizeof(mapped)) != 0)
        return;
    prefix->kind = POLICY_PREFIX_IPV4;
    prefix->length = (uint8_t)(prefix->length - 8 * sizeof(mapped));
    memmove(prefix->address, prefix->address + sizeof(mapped), 4);
    memset(prefix->address + 4, 0, sizeof(prefix->address) - 4);
}

int policy_prefix_parse(struct policy_prefix *prefix, const char *text, const char **why)
{
    char host[INET6_ADDRSTRLEN];
    const char *slash = strchr(text, '/');
    size_t length = slash ? (size_t)(slash - text) : strlen(text);
    unsigned bits = 32;

    *why = NULL;
    memset(prefix, 0, sizeof(*prefix));
    prefix->kind = strcmp(text, "any") == 0 ? POLICY_PREFIX_ANY : POLICY_PREFIX_PRIVATE;
    if (prefix->kind == POLICY_PREFIX_ANY || strcmp(text, "private") == 0)
        return E_OK;
    if (length >= sizeof(host))
        return E_INVALID;
    memcpy(host, text, length);
    host[length] = '\0';
    prefix->kind = POLICY_PREFIX_IPV4;
    if (inet_pton(AF_INET, host, prefix->address) != 1) {
        prefix->kind = POLICY_PREFIX_IPV6;
        bits = 128;
        if (inet_pton(AF_INET6, host, prefix->address) != 1)
            return E_INVALID;
    }
    prefix->length = (uint8_t)bits;
    if (slash && parse_length(slash + 1, bits, &prefix->length) != E_OK) {
        *why = "a prefix has a length of up to 32 bits, or 128 with IPv6, as in 192.168.0.0/16";
        return E_INVALID;
    }
    if (has_bits_behind(prefix)) {
        *why = "bits are set behind the prefix: write 192.168.1.0/24 for the network, or "
               "192.168.1.5 for one address in it";
        return E_INVALID;
    }
    unmap(prefix);
    return E_OK;
}

const char *policy_prefix_to_text(const struct policy_prefix *prefix,
                                  char text[POLICY_PREFIX_TEXT_MAX])
{
    bool v4 = prefix->kind == POLICY_PREFIX_IPV4;
    size_t used;

    if (prefix->kind == POLICY_PREFIX_ANY || prefix->kind == POLICY_PREFIX_PRIVATE) {
        strcpy(text, prefix->kind == POLICY_PREFIX_ANY ? "any" : "private");
        return text;
    }
    inet_ntop(v4 ? AF_INET : AF_INET6, prefix->address, text, INET6_ADDRSTRLEN);
    used = strlen(text);
    if (prefix->length < (v4 ? 32 : 128))
        snprintf(text + used, POLICY_PREFIX_TEXT_MAX - used, "/%u", prefix->length);
    return text;
}
