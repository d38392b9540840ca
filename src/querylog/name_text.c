#include "querylog/name_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "querylog/text.h"

size_t querylog_name_text(const struct querylog_entry *entry, char text[QUERYLOG_NAME_TEXT_SIZE])
{
    if (entry->name_size > 0)
        return strlen(dns_name_to_text(entry->name, text));
    if (entry->name_hash != 0)
        return (size_t)snprintf(text, QUERYLOG_NAME_TEXT_SIZE, "hash %016" PRIx64,
                                entry->name_hash);
    *text = '\0';
    return 0;
}

size_t querylog_name_lower_text(const struct querylog_entry *entry,
                                char text[QUERYLOG_NAME_TEXT_SIZE])
{
    uint8_t name[DNS_NAME_MAX];

    if (entry->name_size == 0)
        return querylog_name_text(entry, text);
    dns_name_lower(name, entry->name, MIN(entry->name_size, sizeof(name)));
    return strlen(dns_name_to_text(name, text));
}

size_t querylog_name_key(const struct querylog_entry *entry, char key[QUERYLOG_NAME_TEXT_SIZE])
{
    if (entry->name_size == 0)
        return querylog_name_text(entry, key);
    return querylog_name_key_of(entry->name, key);
}

size_t querylog_name_key_of(const uint8_t *name, char key[QUERYLOG_NAME_TEXT_SIZE])
{
    uint8_t lower[DNS_NAME_MAX], label[DNS_LABEL_MAX + 2], starts[DNS_NAME_MAX / 2 + 1];
    char text[QUERYLOG_NAME_TEXT_SIZE];
    unsigned labels = 0;
    size_t used = 0;

    dns_name_lower(lower, name, dns_name_length(name));
    for (size_t at = 0; lower[at] != 0; at += (size_t)lower[at] + 1)
        starts[labels++] = (uint8_t)at;
    if (labels == 0)
        key[used++] = '.';
    while (labels-- > 0) {
        size_t size = (size_t)lower[starts[labels]] + 1;

        memcpy(label, lower + starts[labels], size);
        label[size] = 0;
        size = strlen(dns_name_to_text(label, text));
        memcpy(key + used, text, size);
        used += size;
        if (labels > 0)
            key[used++] = '.';
    }
    key[used] = '\0';
    return used;
}

size_t querylog_client_text(const struct querylog_entry *entry,
                            char text[QUERYLOG_CLIENT_TEXT_SIZE])
{
    querylog_address_text(&entry->record.client, text);
    if (!*text && entry->client_key != 0)
        return (size_t)snprintf(text, QUERYLOG_CLIENT_TEXT_SIZE, "key %016" PRIx64,
                                entry->client_key);
    return strlen(text);
}

size_t querylog_endpoint_text(const struct querylog_address *address,
                              char text[QUERYLOG_CLIENT_TEXT_SIZE])
{
    char ip[QUERYLOG_ADDRESS_TEXT_MAX];

    *text = '\0';
    if (!*querylog_address_text(address, ip))
        return 0;
    return (size_t)snprintf(text, QUERYLOG_CLIENT_TEXT_SIZE,
                            address->family == AF_INET6 ? "[%.46s]:%u" : "%.46s:%u", ip,
                            address->port);
}
