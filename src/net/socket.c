#include "net/socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"

enum {
    // Some thousand queries that may come while a worker is busy elsewhere.
    UDP_RECEIVE_BUFFER = 4 * 1024 * 1024,
    TCP_BACKLOG = 511,
};

static void set(int fd, int level, int option, int value)
{
    setsockopt(fd, level, option, &value, sizeof(value));
}

static int open_bound(const struct address *address, int type, bool only_v6)
{
    int fd = socket(address->family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int error;

    if (fd < 0)
        return E_SYSTEM;
    set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (type == SOCK_STREAM)
        set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (address->family == AF_INET6)
        set(fd, IPPROTO_IPV6, IPV6_V6ONLY, only_v6 || !address_is_wildcard(address));
    if (bind(fd, &address->any, address_size(address)) == 0)
        return fd;
    error = errno;
    close(fd);
    errno = error;
    return E_SYSTEM;
}

void socket_prepare_udp(int fd, const struct address *address)
{
    // Beyond the system's limit where we are allowed to, else up to it.
    int size = UDP_RECEIVE_BUFFER;

    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) != 0)
        set(fd, SOL_SOCKET, SO_RCVBUF, size);
    if (address->family == AF_INET6) {
        if (address_is_wildcard(address))
            set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
        // Nobody may shrink our path MTU by forged ICMP; replies are small enough to go as they
        // are.
        set(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_OMIT);
    } else {
        if (address_is_wildcard(address))
            set(fd, IPPROTO_IP, IP_PKTINFO, 1);
        set(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_OMIT);
    }
}

int socket_open_udp(const struct address *address, bool only_v6)
{
    int fd = open_bound(address, SOCK_DGRAM, only_v6);

    if (fd >= 0)
        socket_prepare_udp(fd, address);
    return fd;
}

int socket_open_tcp(const struct address *address, bool only_v6)
{
    int fd = open_bound(address, SOCK_STREAM, only_v6);
    int error;

    if (fd < 0 || listen(fd, TCP_BACKLOG) == 0)
        return fd;
    error = errno;
    close(fd);
    errno = error;
    return E_SYSTEM;
}

int socket_local_address(int fd, struct address *address)
{
    socklen_t size = sizeof(*address);

    return getsockname(fd, &address->any, &size) == 0 ? E_OK : E_SYSTEM;
}
