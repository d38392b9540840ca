#include "daemon/listening.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/error.h"

// Descriptors kept for the log, upstream connections, sockets and what libraries open.
#define DESCRIPTORS_RESERVED 128

// What is left of `wanted` to open, beside the endpoints that there are: perhaps one transport, on
// the port that the kernel chose for the other.
static struct listener_address still_missing(const struct list *endpoints,
                                             const struct listener_address *wanted)
{
    struct listener_address missing = *wanted;

    list_for_each(node, endpoints) {
        const struct endpoint *endpoint = list_entry(node, struct endpoint, node);

        if (!address_equal(&endpoint->wanted.address, &wanted->address) ||
            ((endpoint->wanted.transports ^ wanted->transports) & ~LISTENER_DNS))
            continue;
        missing.transports &= ~endpoint->wanted.transports;
        missing.address = endpoint->bound;
    }
    return missing;
}

static bool same_socket_kind(uint32_t a, uint32_t b)
{
    return (a & b & LISTENER_UDP) || ((a & LISTENER_STREAM) && (b & LISTENER_STREAM));
}

// Whether we are on the same port: with another transport, or one of the two addresses is every
// address.
static bool is_own_port(const struct daemon *daemon, const struct listener_address *wanted)
{
    list_for_each(node, &daemon->endpoints) {
        const struct endpoint *endpoint = list_entry(node, struct endpoint, node);

        if (address_port(&endpoint->bound) == address_port(&wanted->address) &&
            same_socket_kind(endpoint->wanted.transports, wanted->transports) &&
            (address_is_wildcard(&endpoint->bound) || address_is_wildcard(&wanted->address) ||
             address_equal(&endpoint->bound, &wanted->address)))
            return true;
    }
    return false;
}

static void say_missing(const struct daemon *daemon, const char *text)
{
    if (daemon->log)
        log_warning(daemon->log, "listener", "%s", text);
    else
        fprintf(stderr, "sotto: %s\n", text);
}

int listening_open_missing(struct daemon *daemon, const struct listener_options *options,
                           struct list *opened, struct config_error *error)
{
    for (unsigned i = 0; i < options->place_count; i++) {
        const struct listener_address *wanted = &options->places[i].at;
        struct listener_address missing = *wanted;
        struct endpoint *endpoint;

        if (opened != &daemon->endpoints)
            missing = still_missing(&daemon->endpoints, wanted);
        if (missing.transports == 0)
            continue;
        endpoint =
            endpoint_open(&missing, daemon->worker_count, endpoint_needs_only_v6(options, wanted),
                          opened != &daemon->endpoints && is_own_port(daemon, &missing), error);
        if (endpoint) {
            endpoint->wanted.address = wanted->address;
            list_append(opened, &endpoint->node);
            if (endpoint_encrypt(endpoint, options, error) != E_OK)
                return E_INVALID;
        }
        // EACCES: at a reload, when no privilege is left, the kernel says this first.
        else if ((errno == EADDRNOTAVAIL || errno == EAFNOSUPPORT || errno == EACCES) &&
                 endpoint_is_spare(options, wanted))
            say_missing(daemon, error->text);
        else
            return E_SYSTEM;
    }
    return E_OK;
}

int listening_open(struct daemon *daemon, struct config_error *error)
{
    int inherited = endpoints_inherit(&daemon->endpoints, daemon->worker_count,
                                      &daemon->config->listener, error);

    if (inherited < 0)
        return E_INVALID;
    daemon->activated = inherited > 0;
    if (daemon->activated)
        return E_OK;
    return listening_open_missing(daemon, &daemon->config->listener, &daemon->endpoints, error);
}

uint32_t listening_fit_descriptors(const struct daemon *daemon, uint32_t wanted)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return wanted;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return wanted;

    uint64_t sockets =
        (uint64_t)daemon->worker_count * 2 * MAX(daemon->config->listener.place_count, 1u);
    uint64_t reserved = DESCRIPTORS_RESERVED + sockets;
    uint64_t left = limit.rlim_cur > reserved ? limit.rlim_cur - reserved : 1;

    return (uint32_t)MIN((uint64_t)wanted, MAX(left / daemon->worker_count, (uint64_t)1));
}

const uint32_t listening_kinds[LISTENING_KINDS] = {LISTENER_UDP, LISTENER_STREAM};

const struct listener_rules *listening_rules(const struct endpoint *endpoint,
                                             const struct listener_options *options, uint32_t kind,
                                             struct listener_address *at)
{
    static const struct listener_rules none;
    const struct listener_place *place;

    *at = endpoint_at(endpoint);
    at->transports &= kind;
    if (at->transports == 0)
        return NULL;
    place = listener_place_at(options, &endpoint->wanted.address, at->transports);
    if (!place)
        return &none;
    if (at->transports & LISTENER_ANY_HTTP)
        memcpy(at->path, place->at.path, sizeof(at->path));
    return &place->rules;
}
