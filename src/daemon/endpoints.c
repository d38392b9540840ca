#include "daemon/endpoints.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "net/socket.h"

enum {
    FIRST_PASSED_FD = 3, // SD_LISTEN_FDS_START
    // Where the kernel chooses the port, one that is free for UDP may be taken for TCP.
    PORT_TRIES = 16,
};

static struct endpoint *make(const struct listener_address *wanted)
{
    struct endpoint *endpoint = malloc(sizeof(*endpoint));

    if (!endpoint)
        return NULL;
    list_init(&endpoint->node);
    endpoint->wanted = *wanted;
    endpoint->bound = wanted->address;
    endpoint->inherited = false;
    endpoint->certificates = NULL;
    for (unsigned i = 0; i < CONFIG_WORKERS_MAX; i++)
        endpoint->udp[i] = endpoint->tcp[i] = -1;
    return endpoint;
}

static void close_all(struct endpoint *endpoint)
{
    for (unsigned i = 0; i < CONFIG_WORKERS_MAX; i++) {
        if (endpoint->udp[i] >= 0)
            close(endpoint->udp[i]);
        if (endpoint->tcp[i] >= 0)
            close(endpoint->tcp[i]);
        endpoint->udp[i] = endpoint->tcp[i] = -1;
    }
}

void endpoint_free(struct endpoint *endpoint)
{
    close_all(endpoint);
    certificates_close(endpoint->certificates);
    free(endpoint);
}

void endpoints_free(struct list *endpoints)
{
    for (struct list *node; (node = list_pop(endpoints));)
        endpoint_free(list_entry(node, struct endpoint, node));
}

bool endpoint_needs_only_v6(const struct listener_options *options,
                            const struct listener_address *wanted)
{
    for (unsigned i = 0; i < options->place_count; i++) {
        const struct address *other = &options->places[i].at.address;

        if (other->family == AF_INET && address_is_wildcard(other) &&
            address_port(other) == address_port(&wanted->address))
            return true;
    }
    return false;
}

bool endpoint_is_spare(const struct listener_options *options,
                       const struct listener_address *wanted)
{
    if (wanted->address.family != AF_INET6 || !IN6_IS_ADDR_LOOPBACK(&wanted->address.v6.sin6_addr))
        return false;
    for (unsigned i = 0; i < options->place_count; i++) {
        const struct address *other = &options->places[i].at.address;

        if (other->family == AF_INET && other->v4.sin_addr.s_addr == htonl(INADDR_LOOPBACK) &&
            address_port(other) == address_port(&wanted->address))
            return true;
    }
    return false;
}

// Workers share a port by SO_REUSEPORT, which would let a second sotto in as well. A socket without
// it is refused if anybody is there. 0 or an errno.
static int check_free(const struct address *address, int type, bool only_v6)
{
    int fd = socket(address->family, type | SOCK_CLOEXEC, 0);
    int error = 0;
    int on = 1;

    if (fd < 0)
        return errno;
    // Connections that have just ended are nobody.
    if (type == SOCK_STREAM)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    on = only_v6 || !address_is_wildcard(address);
    if (address->family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    if (bind(fd, &address->any, address_size(address)) != 0 ||
        (type == SOCK_STREAM && listen(fd, 1) != 0))
        error = errno;
    close(fd);
    return error;
}

// Opens one kind for all workers; the port is settled by the first. 0 or an errno.
static int open_kind(struct endpoint *endpoint, int *fds, unsigned workers, int type, bool only_v6,
                     bool beside_own)
{
    int error = beside_own ? 0 : check_free(&endpoint->bound, type, only_v6);

    for (unsigned i = 0; i < workers && error == 0; i++) {
        fds[i] = type == SOCK_DGRAM ? socket_open_udp(&endpoint->bound, only_v6)
                                    : socket_open_tcp(&endpoint->bound, only_v6);
        if (fds[i] < 0 || socket_local_address(fds[i], &endpoint->bound) != E_OK)
            error = errno;
    }
    return error;
}

static const char *remedy(int error, bool beside_own)
{
    switch (error) {
    case EADDRINUSE:
        if (beside_own) // SO_REUSEPORT is for sockets of the same user
            return "the sockets that were opened there before privileges were given up are in the "
                   "way; this change takes a restart";
        return "another program listens there ('ss -lntup' shows which); stop it, or choose "
               "another "
               "address or port with -l";
    case EACCES:
        return "ports below 1024 need root or CAP_NET_BIND_SERVICE; or choose a higher port with "
               "-l";
    case EADDRNOTAVAIL:
        return "no interface has this address";
    case EAFNOSUPPORT:
        return "this machine has no IPv6; leave the address out";
    default:
        return "choose another address or port with -l";
    }
}

struct endpoint *endpoint_open(const struct listener_address *wanted, unsigned workers,
                               bool only_v6, bool beside_own, struct config_error *error)
{
    struct endpoint *endpoint = make(wanted);
    int tries = address_port(&wanted->address) == 0 ? PORT_TRIES : 1;
    int code = ENOMEM;

    while (endpoint && tries-- > 0) {
        endpoint->bound = wanted->address;
        code = 0;
        if (wanted->transports & LISTENER_UDP)
            code = open_kind(endpoint, endpoint->udp, workers, SOCK_DGRAM, only_v6, beside_own);
        if (code == 0 && wanted->transports & LISTENER_STREAM)
            code = open_kind(endpoint, endpoint->tcp, workers, SOCK_STREAM, only_v6, beside_own);
        if (code == 0)
            return endpoint;
        close_all(endpoint);
        if (code != EADDRINUSE)
            break;
    }

    char url[LISTENER_URL_SIZE];

    snprintf(error->text, sizeof(error->text), "cannot listen on %s: %s: %s",
             listener_url_to_text(wanted, url), strerror(code), remedy(code, beside_own));
    free(endpoint);
    errno = code;
    return NULL;
}

struct listener_address endpoint_at(const struct endpoint *endpoint)
{
    struct listener_address at = endpoint->wanted;

    at.address = endpoint->bound;
    return at;
}

const char *endpoint_url(const struct endpoint *endpoint, char url[LISTENER_URL_SIZE])
{
    const struct listener_address at = endpoint_at(endpoint);

    return listener_url_to_text(&at, url);
}

// ---- Encryption

struct tls_server *endpoint_tls_server(const struct endpoint *endpoint)
{
    return endpoint->certificates ? certificates_server(endpoint->certificates) : NULL;
}

int endpoint_tls_place(const struct listener_options *options, const struct address *address)
{
    for (uint32_t i = 0; i < options->place_count; i++) {
        const struct listener_address *at = &options->places[i].at;

        if ((at->transports & LISTENER_ENCRYPTED) && address_equal(&at->address, address))
            return (int)i;
    }
    return -1;
}

int endpoint_encrypt(struct endpoint *endpoint, const struct listener_options *options,
                     struct config_error *error)
{
    int place = endpoint_tls_place(options, &endpoint->wanted.address);
    char url[LISTENER_URL_SIZE], reason[TLS_REASON_SIZE];
    struct tls_server_options tls;

    if (!(endpoint->wanted.transports & LISTENER_ENCRYPTED) || endpoint->certificates)
        return E_OK;
    require(place >= 0);
    listener_tls_options(options, (uint32_t)place, &tls);
    endpoint->certificates = certificates_open(
        &tls, endpoint->wanted.transports & LISTENER_HTTPS ? TLS_PROTOCOLS_HTTP : TLS_PROTOCOLS_DOT,
        reason);
    if (endpoint->certificates)
        return E_OK;
    snprintf(error->text, sizeof(error->text), "listen: %s: %s",
             listener_url_to_text(&endpoint->wanted, url), reason);
    return E_INVALID;
}

// ---- Socket activation

static struct endpoint *find_or_make(struct list *endpoints, const struct address *address)
{
    const struct listener_address wanted = {.address = *address};
    struct endpoint *endpoint;

    list_for_each(node, endpoints) {
        endpoint = list_entry(node, struct endpoint, node);
        if (address_equal(&endpoint->bound, address))
            return endpoint;
    }
    endpoint = make(&wanted);
    if (endpoint) {
        endpoint->inherited = true;
        list_append(endpoints, &endpoint->node);
    }
    return endpoint;
}

// Every worker waits on the one socket, by a descriptor of its own.
static bool share(int *fds, int fd, unsigned workers)
{
    fds[0] = fd;
    for (unsigned i = 1; i < workers; i++) {
        fds[i] = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        if (fds[i] < 0)
            return false;
    }
    return true;
}

static int inherit(struct list *endpoints, int fd, unsigned workers,
                   const struct listener_options *options, struct config_error *error)
{
    const struct listener_place *place;
    struct address address;
    struct endpoint *endpoint;
    int type = 0;
    socklen_t size = sizeof(type);

    if (socket_local_address(fd, &address) != E_OK ||
        getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 ||
        (address.family != AF_INET && address.family != AF_INET6) ||
        (type != SOCK_DGRAM && type != SOCK_STREAM)) {
        snprintf(
            error->text, sizeof(error->text),
            "descriptor %d of the socket activation is no UDP or TCP socket; use ListenDatagram= "
            "and ListenStream= with an IP address and port",
            fd);
        return E_INVALID;
    }
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    endpoint = find_or_make(endpoints, &address);
    if (!endpoint || !share(type == SOCK_DGRAM ? endpoint->udp : endpoint->tcp, fd, workers)) {
        snprintf(error->text, sizeof(error->text), "socket activation: %s", strerror(errno));
        return E_INVALID;
    }
    if (type == SOCK_DGRAM) {
        endpoint->wanted.transports |= LISTENER_UDP;
        socket_prepare_udp(fd, &address);
        return E_OK;
    }
    place = listener_place_at(options, &address, LISTENER_STREAM);
    endpoint->wanted.transports |= place ? place->at.transports & LISTENER_STREAM : LISTENER_TCP;
    if (place)
        strcpy(endpoint->wanted.path, place->at.path);
    return endpoint_encrypt(endpoint, options, error);
}

int endpoints_inherit(struct list *endpoints, unsigned workers,
                      const struct listener_options *options, struct config_error *error)
{
    const char *pid = getenv("LISTEN_PID");
    const char *fds = getenv("LISTEN_FDS");
    long count;

    if (!pid || !fds || strtol(pid, NULL, 10) != getpid())
        return 0;
    count = strtol(fds, NULL, 10);
    if (count < 0 || count > 2L * LISTENER_ADDRESSES_MAX) {
        snprintf(error->text, sizeof(error->text), "LISTEN_FDS=%s is out of range", fds);
        return E_INVALID;
    }
    for (int i = 0; i < count; i++)
        if (inherit(endpoints, FIRST_PASSED_FD + i, workers, options, error) != E_OK)
            return E_INVALID;
    // Not for programs that we might start.
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    return (int)count;
}
