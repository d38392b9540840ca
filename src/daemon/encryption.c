#include "daemon/encryption.h"

#include <stdio.h>
#include <time.h>

#include "base/error.h"
#include "dns/name.h"

bool encryption_is_used(const struct list *endpoints)
{
    list_for_each(node, endpoints)
        if (list_entry(node, struct endpoint, node)->certificates)
            return true;
    return false;
}

void encryption_log(const struct list *endpoints, struct log *log)
{
    char url[LISTENER_URL_SIZE];

    list_for_each(node, endpoints) {
        const struct endpoint *endpoint = list_entry(node, struct endpoint, node);

        if (!endpoint->certificates)
            continue;
        certificates_check_access(endpoint->certificates, endpoint_url(endpoint, url), log);
        certificates_warn(endpoint->certificates, url, log);
    }
}

void encryption_look(const struct list *endpoints, struct log *log)
{
    char url[LISTENER_URL_SIZE];

    list_for_each(node, endpoints) {
        const struct endpoint *endpoint = list_entry(node, struct endpoint, node);

        if (!endpoint->certificates)
            continue;
        certificates_look(endpoint->certificates, endpoint_url(endpoint, url), log);
        certificates_warn(endpoint->certificates, url, log);
    }
}

int encryption_prepare(const struct list *endpoints, const struct listener_options *options,
                       struct config_error *error)
{
    char url[LISTENER_URL_SIZE], reason[TLS_REASON_SIZE];
    struct tls_server_options tls;

    list_for_each(node, endpoints) {
        const struct endpoint *endpoint = list_entry(node, struct endpoint, node);
        int place = endpoint_tls_place(options, &endpoint->wanted.address);

        if (!endpoint->certificates || place < 0)
            continue;
        listener_tls_options(options, (uint32_t)place, &tls);
        if (certificates_prepare(endpoint->certificates, &tls, reason) == E_OK)
            continue;
        snprintf(error->text, sizeof(error->text), "listen: %s: %s", endpoint_url(endpoint, url),
                 reason);
        return E_INVALID;
    }
    return E_OK;
}

void encryption_end(const struct list *endpoints, void (*end)(struct certificates *))
{
    list_for_each(node, endpoints) {
        const struct endpoint *endpoint = list_entry(node, struct endpoint, node);

        if (endpoint->certificates)
            end(endpoint->certificates);
    }
}

void encryption_advertise(const struct list *endpoints, const struct listener_options *options,
                          struct policy_discovery *discovery)
{
    list_for_each(node, endpoints) {
        const struct endpoint *endpoint = list_entry(node, struct endpoint, node);
        struct policy_endpoint *told = &discovery->endpoints[discovery->count];

        if (discovery->count == POLICY_ENDPOINTS_MAX)
            return;
        if (!endpoint->certificates)
            continue;

        const struct listener_place *place = listener_place_at(
            options, &endpoint->wanted.address, endpoint->wanted.transports & LISTENER_ENCRYPTED);

        if (!endpoint->inherited && !place)
            continue;

        const char *name = certificates_name(endpoint->certificates);

        if (!*name || dns_name_from_text(name, told->name) != E_OK)
            continue;
        told->address = endpoint->bound;
        snprintf(told->path, sizeof(told->path), "%s", place ? place->at.path : "");
        discovery->count++;
    }
}

void encryption_show(const struct list *endpoints, struct status *status)
{
    time_t now = time(NULL);

    list_for_each(node, endpoints) {
        const struct endpoint *endpoint = list_entry(node, struct endpoint, node);
        struct status_certificate *shown = &status->certificates[status->certificate_count];
        char url[LISTENER_URL_SIZE];

        if (status->certificate_count == STATUS_CERTIFICATES_MAX)
            return;
        if (!endpoint->certificates)
            continue;
        snprintf(shown->listener, sizeof(shown->listener), "%s", endpoint_url(endpoint, url));
        snprintf(shown->name, sizeof(shown->name), "%s", certificates_name(endpoint->certificates));
        shown->seconds_left = (int64_t)(certificates_expire(endpoint->certificates) - now);
        status->certificate_count++;
    }
}
