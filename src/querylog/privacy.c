#include "querylog/privacy.h"

#include <string.h>
#include <sys/socket.h>

#include "dns/name.h"

// What is left of a truncated address: the network of a household or an office.
enum { IPV4_BITS = 24, IPV6_BITS = 48 };

static size_t octets_of(const struct querylog_address *address)
{
    return address->family == AF_INET ? 4 : address->family == AF_INET6 ? 16 : 0;
}

static void truncate_client(struct querylog_address *client)
{
    size_t size = octets_of(client);
    size_t kept = (client->family == AF_INET ? IPV4_BITS : IPV6_BITS) / 8;

    if (size == 0)
        return;
    memset(client->octets + kept, 0, size - kept);
    client->length = (uint8_t)(kept * 8);
    client->port = 0;
}

static void hide_client(struct querylog_entry *entry, enum querylog_clients clients,
                        const struct siphash_key *key)
{
    struct querylog_address *client = &entry->record.client;

    switch (clients) {
    case QUERYLOG_CLIENTS_FULL:
        return;
    case QUERYLOG_CLIENTS_TRUNCATE:
        truncate_client(client);
        return;
    case QUERYLOG_CLIENTS_KEYED:
        entry->client_key = siphash_2_4(key, client->octets, octets_of(client));
        break;
    case QUERYLOG_CLIENTS_NONE:
        break;
    }
    *client = (struct querylog_address){.family = AF_UNSPEC};
}

static void hide_name(struct querylog_entry *entry, enum querylog_names names,
                      const struct siphash_key *key)
{
    uint8_t lower[DNS_NAME_MAX];

    if (names == QUERYLOG_NAMES_FULL)
        return;
    if (names == QUERYLOG_NAMES_HASH && entry->name_size > 0 && entry->name_size <= sizeof(lower)) {
        dns_name_lower(lower, entry->name, entry->name_size);
        entry->name_hash = siphash_2_4(key, lower, entry->name_size);
    }
    // The reply has the name in it.
    entry->name_size = 0;
    entry->reply_message_size = 0;
}

void querylog_hide(struct querylog_entry *entry, enum querylog_clients clients,
                   enum querylog_names names, const struct siphash_key *key)
{
    hide_client(entry, clients, key);
    hide_name(entry, names, key);
}
