#include "transport.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    BATCH = 64,
    DATAGRAM_MAX = 1500,
    EVENTS = 64,
    STUCK_WAIT = 1000000, // nanoseconds until the next attempt to send
    STREAM_MAX = 1 << 17, // a whole message of 64 KiB fits behind the rest of another
};

struct stream {
    uint8_t in[STREAM_MAX], out[STREAM_MAX];
    size_t in_size, out_size;
};

struct transport {
    bool tcp;
    struct sockaddr_in server;
    struct transport_events events;
    int epoll;
    unsigned connections;
    int *sockets;
    struct stream *streams; // TCP: one for each socket
    bool stuck;             // TCP: something could not be sent, since the server does not read
    // UDP: a batch, all of one socket.
    unsigned batch_connection, batch_size;
    uint8_t out[BATCH][DATAGRAM_MAX], in[BATCH][DATAGRAM_MAX];
    size_t out_sizes[BATCH];
};

static void die(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int open_socket(const struct transport *t)
{
    int fd = socket(AF_INET, (t->tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0);

    if (fd < 0)
        die("socket");
    if (!t->tcp) {
        // What is lost must not be lost here. FORCE is for root, who need not mind rmem_max.
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){1 << 22}, sizeof(int));
        setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &(int){1 << 22}, sizeof(int));
    }
    if (connect(fd, (const struct sockaddr *)&t->server, sizeof(t->server)) != 0)
        die("connect");
    if (t->tcp)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    return fd;
}

static void watch(struct transport *t, unsigned connection)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = connection};

    t->sockets[connection] = open_socket(t);
    if (epoll_ctl(t->epoll, EPOLL_CTL_ADD, t->sockets[connection], &event) != 0)
        die("epoll_ctl");
}

struct transport *transport_open(bool tcp, uint16_t port, unsigned connections, unsigned idle,
                                 struct transport_events events)
{
    struct transport *t = calloc(1, sizeof(*t));
    struct transport idler = {.tcp = true};

    if (!t || !(t->sockets = calloc(connections, sizeof(*t->sockets))) ||
        (tcp && !(t->streams = calloc(connections, sizeof(*t->streams)))))
        die("memory");
    t->tcp = tcp;
    t->connections = connections;
    t->server = (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    t->events = events;
    t->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (t->epoll < 0)
        die("epoll_create1");
    for (unsigned i = 0; i < connections; i++)
        watch(t, i);
    idler.server = t->server;
    for (unsigned i = 0; i < idle; i++) {
        open_socket(&idler);
        if (i % 100 == 99) // the server's backlog may be short
            nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    if (idle > 0) // what accepting them costs is not to be measured
        nanosleep(&(struct timespec){.tv_nsec = 500000000}, NULL);
    return t;
}

static void flush_batch(struct transport *t)
{
    struct mmsghdr headers[BATCH];
    struct iovec vectors[BATCH];

    for (unsigned i = 0; i < t->batch_size; i++) {
        vectors[i] = (struct iovec){t->out[i], t->out_sizes[i]};
        headers[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &vectors[i], .msg_iovlen = 1}};
    }
    for (unsigned sent = 0; sent < t->batch_size;) {
        int done =
            sendmmsg(t->sockets[t->batch_connection], headers + sent, t->batch_size - sent, 0);

        // An error is that of an earlier datagram (nobody listens): this one counts as lost.
        sent += done > 0 ? (unsigned)done : 1;
    }
    t->batch_size = 0;
}

void transport_queue(struct transport *t, unsigned connection, const uint8_t *message, size_t size)
{
    if (t->tcp) {
        struct stream *stream = &t->streams[connection];

        if (stream->out_size + 2 + size > STREAM_MAX)
            return;
        stream->out[stream->out_size++] = (uint8_t)(size >> 8);
        stream->out[stream->out_size++] = (uint8_t)size;
        memcpy(stream->out + stream->out_size, message, size);
        stream->out_size += size;
        return;
    }
    if (t->batch_size == BATCH || (t->batch_size > 0 && t->batch_connection != connection))
        flush_batch(t);
    t->batch_connection = connection;
    memcpy(t->out[t->batch_size], message, size);
    t->out_sizes[t->batch_size++] = size;
}

static void reopen(struct transport *t, unsigned connection)
{
    close(t->sockets[connection]);
    t->streams[connection].in_size = t->streams[connection].out_size = 0;
    watch(t, connection);
    t->events.lost(t->events.context, connection);
}

static void flush_stream(struct transport *t, unsigned connection)
{
    struct stream *stream = &t->streams[connection];
    ssize_t done =
        send(t->sockets[connection], stream->out, stream->out_size, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (done > 0) {
        stream->out_size -= (size_t)done;
        memmove(stream->out, stream->out + done, stream->out_size);
    } else if (errno != EAGAIN) {
        reopen(t, connection);
    }
}

void transport_flush(struct transport *t)
{
    if (!t->tcp) {
        flush_batch(t);
        return;
    }
    t->stuck = false;
    for (unsigned i = 0; i < t->connections; i++) {
        if (t->streams[i].out_size > 0)
            flush_stream(t, i);
        t->stuck |= t->streams[i].out_size > 0;
    }
}

static void receive_datagrams(struct transport *t, unsigned connection)
{
    struct mmsghdr headers[BATCH];
    struct iovec vectors[BATCH];

    for (unsigned i = 0; i < BATCH; i++) {
        vectors[i] = (struct iovec){t->in[i], DATAGRAM_MAX};
        headers[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &vectors[i], .msg_iovlen = 1}};
    }

    int got = recvmmsg(t->sockets[connection], headers, BATCH, MSG_DONTWAIT, NULL);

    for (int i = 0; i < got; i++)
        t->events.received(t->events.context, connection, t->in[i], headers[i].msg_len);
}

static void receive_stream(struct transport *t, unsigned connection)
{
    struct stream *stream = &t->streams[connection];
    ssize_t got = recv(t->sockets[connection], stream->in + stream->in_size,
                       STREAM_MAX - stream->in_size, MSG_DONTWAIT);
    size_t at = 0;

    if (got <= 0) {
        if (got == 0 || errno != EAGAIN)
            reopen(t, connection);
        return;
    }
    stream->in_size += (size_t)got;
    while (stream->in_size - at >= 2) {
        size_t size = (size_t)stream->in[at] << 8 | stream->in[at + 1];

        if (stream->in_size - at - 2 < size)
            break;
        t->events.received(t->events.context, connection, stream->in + at + 2, size);
        at += 2 + size;
    }
    stream->in_size -= at;
    memmove(stream->in, stream->in + at, stream->in_size);
}

void transport_wait(struct transport *t, uint64_t at_most)
{
    struct epoll_event events[EVENTS];

    if (t->stuck && at_most > STUCK_WAIT)
        at_most = STUCK_WAIT;

    struct timespec time = {(time_t)(at_most / 1000000000), (long)(at_most % 1000000000)};
    int count = epoll_pwait2(t->epoll, events, EVENTS, &time, NULL);

    for (int i = 0; i < count; i++) {
        if (t->tcp)
            receive_stream(t, events[i].data.u32);
        else
            receive_datagrams(t, events[i].data.u32);
    }
}
