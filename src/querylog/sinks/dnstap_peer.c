#include "querylog/sinks/dnstap_peer.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/reason.h"
#include "querylog/sinks/dnstap_frames.h"
#include "querylog/sinks/trouble.h"

// After how long without a sign of life of a collector over TCP its connection is given up, in ms:
// longer than a restart of what lies between, shorter than the kernel's quarter of an hour.
enum { TCP_TIMEOUT = 20 * 1000 };

bool dnstap_peer_wait(int fd, short events, usec_t deadline)
{
    struct pollfd ready = {.fd = fd, .events = events};
    usec_t now = querylog_now();

    return poll(&ready, 1, now < deadline ? (int)((deadline - now + 999) / USEC_MSEC) : 0) > 0;
}

static int connect_by(int fd, const struct dnstap_peer *peer, usec_t deadline)
{
    socklen_t size = sizeof(int);
    int error = 0;

    if (connect(fd, &peer->any, peer->size) == 0)
        return 0;
    if (errno != EINPROGRESS) // EAGAIN: the queue of a unix socket is full
        return errno == EAGAIN ? ETIMEDOUT : errno;
    if (!dnstap_peer_wait(fd, POLLOUT, deadline))
        return ETIMEDOUT;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

static bool send_control(int fd, fstrm_control_type type)
{
    uint8_t frame[DNSTAP_CONTROL_MAX];
    struct writer w = writer_of(frame, sizeof(frame));

    // There is room for it in the socket of one who reads.
    dnstap_control_write(&w, type);
    return send(fd, frame, w.pos, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)w.pos;
}

static bool receive(int fd, uint8_t *to, size_t size, usec_t deadline)
{
    while (size > 0) {
        ssize_t got = dnstap_peer_wait(fd, POLLIN, deadline) ? recv(fd, to, size, MSG_DONTWAIT) : 0;

        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (got <= 0)
            return false;
        to += got;
        size -= (size_t)got;
    }
    return true;
}

static bool receive_control(int fd, fstrm_control_type type, usec_t deadline)
{
    uint8_t frame[DNSTAP_CONTROL_MAX];
    size_t size;

    if (!receive(fd, frame, DNSTAP_CONTROL_HEADER, deadline))
        return false;
    size = dnstap_control_length(frame);
    return size > 0 && receive(fd, frame, size, deadline) && dnstap_control_is(frame, size, type);
}

static void set_tcp_options(int fd)
{
    static const int yes = 1, timeout = TCP_TIMEOUT, idle = TCP_TIMEOUT / 1000;

    // Without them it goes as well, if later.
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof(timeout));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof(yes));
}

int dnstap_peer_open(const struct dnstap_peer *peer, usec_t deadline,
                     char reason[QUERYLOG_REASON_SIZE])
{
    int family = peer->any.sa_family;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int error;

    if (fd < 0)
        return reason_give(E_SYSTEM, reason, QUERYLOG_REASON_SIZE, "%s", strerror(errno));
    if (family != AF_UNIX)
        set_tcp_options(fd);
    error = connect_by(fd, peer, deadline);
    if (error != 0)
        reason_give(0, reason, QUERYLOG_REASON_SIZE, "%s", strerror(error));
    else if (!send_control(fd, FSTRM_CONTROL_READY) ||
             !receive_control(fd, FSTRM_CONTROL_ACCEPT, deadline) ||
             !send_control(fd, FSTRM_CONTROL_START))
        reason_give(0, reason, QUERYLOG_REASON_SIZE,
                    "what listens there does not accept dnstap (Frame Streams, bidirectional)");
    else
        return fd;
    close(fd);
    return E_SYSTEM;
}

bool dnstap_peer_listens(int fd)
{
    char octet;

    return recv(fd, &octet, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && (errno == EAGAIN || errno == EINTR);
}

void dnstap_peer_close(int fd, usec_t deadline)
{
    if (send_control(fd, FSTRM_CONTROL_STOP))
        (void)receive_control(fd, FSTRM_CONTROL_FINISH, deadline);
    close(fd);
}
