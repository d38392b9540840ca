// The floor of a miss: UDP in, one pipelined GnuTLS connection out, IDs mapped, queries padded to
// 128 octets, one TLS record and one write a turn. No cache, no checks, no retries, no second
// connection.
//
// Usage: relay PORT CA.pem NAME. The resolver is at that port of 127.0.0.1. Listens on a port
// chosen by the kernel, and prints it.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BATCH = 32, SIZE = 1500, BLOCK = 128, HEADER = 12, STREAM = 1 << 17 };

static struct {
    struct sockaddr_in peer;
    uint16_t id;
} askers[65536];

static gnutls_session_t session;
static uint8_t received[1 << 16]; // read ahead of GnuTLS
static size_t received_from, received_to;
static uint8_t stream[STREAM]; // decrypted, not yet whole messages
static size_t stream_size;
static uint8_t outgoing[1 << 14];
static size_t outgoing_size;
static uint16_t next_id;
static int upstream;
static bool connected; // from then on, nothing waits for the upstream
static bool drained;   // all that had come was read: the next attempt would only tell so

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static ssize_t pull(gnutls_transport_ptr_t transport, void *to, size_t size)
{
    if (received_from == received_to) {
        if (drained) {
            errno = EAGAIN;
            return -1;
        }

        ssize_t got = recv(upstream, received, sizeof(received), 0);

        if (got <= 0)
            return got;
        drained = connected && (size_t)got < sizeof(received);
        received_from = 0;
        received_to = (size_t)got;
    }
    if (size > received_to - received_from)
        size = received_to - received_from;
    memcpy(to, received + received_from, size);
    received_from += size;
    return (ssize_t)size;
}

static void flush_out(void)
{
    size_t sent = 0;

    while (sent < outgoing_size) {
        ssize_t done = gnutls_record_send(session, outgoing + sent, outgoing_size - sent);

        if (done == GNUTLS_E_AGAIN)
            poll(&(struct pollfd){upstream, POLLOUT, 0}, 1, -1);
        else if (done < 0)
            exit(1);
        else
            sent += (size_t)done;
    }
    outgoing_size = 0;
}

// The question alone, with an OPT that pads it.
static void forward(const uint8_t *query, size_t size, const struct sockaddr_in *peer)
{
    uint8_t *to;
    size_t end = HEADER;

    while (end < size && query[end])
        end += (size_t)query[end] + 1;
    end += 5;
    if (end + 15 > BLOCK || end > size)
        return;
    if (outgoing_size + BLOCK + 2 > sizeof(outgoing))
        flush_out();
    askers[next_id].peer = *peer;
    memcpy(&askers[next_id].id, query, 2);
    to = outgoing + outgoing_size;
    memset(to, 0, BLOCK + 2);
    to[1] = BLOCK;
    to += 2;
    to[0] = (uint8_t)(next_id >> 8);
    to[1] = (uint8_t)next_id;
    next_id++;
    memcpy(to + 2, "\1\0\0\1\0\0\0\0\0\1", 10);
    memcpy(to + HEADER, query + HEADER, end - HEADER);
    to[end + 2] = 41;
    to[end + 3] = 4;
    to[end + 4] = 208;
    to[end + 10] = (uint8_t)(BLOCK - end - 11);
    to[end + 12] = 12;
    to[end + 14] = (uint8_t)(BLOCK - end - 15);
    outgoing_size += BLOCK + 2;
}

static void read_queries(int fd)
{
    static uint8_t buffers[BATCH][SIZE];
    static struct sockaddr_in peers[BATCH];
    struct mmsghdr in[BATCH] = {0};
    struct iovec vectors[BATCH];
    int got;

    for (int i = 0; i < BATCH; i++) {
        vectors[i] = (struct iovec){buffers[i], SIZE};
        in[i].msg_hdr = (struct msghdr){.msg_name = &peers[i],
                                        .msg_namelen = sizeof(peers[i]),
                                        .msg_iov = &vectors[i],
                                        .msg_iovlen = 1};
    }
    got = recvmmsg(fd, in, BATCH, MSG_DONTWAIT, NULL);
    for (int i = 0; i < got; i++)
        forward(buffers[i], in[i].msg_len, &peers[i]);
}

// Sends the whole replies that have come, and keeps the rest.
static void send_replies(int fd)
{
    struct mmsghdr out[BATCH] = {0};
    struct iovec vectors[BATCH];
    size_t at = 0;
    unsigned count = 0;

    for (;;) {
        size_t size = stream_size - at >= 2 ? (size_t)(stream[at] << 8 | stream[at + 1]) : STREAM;
        int whole = stream_size - at >= 2 && stream_size - at - 2 >= size;

        if (whole) {
            uint16_t id = (uint16_t)(stream[at + 2] << 8 | stream[at + 3]);

            memcpy(stream + at + 2, &askers[id].id, 2);
            vectors[count] = (struct iovec){stream + at + 2, size};
            out[count++].msg_hdr = (struct msghdr){.msg_name = &askers[id].peer,
                                                   .msg_namelen = sizeof(askers[id].peer),
                                                   .msg_iov = &vectors[count - 1],
                                                   .msg_iovlen = 1};
            at += 2 + size;
        }
        if (count == BATCH || (!whole && count > 0)) {
            sendmmsg(fd, out, count, 0);
            count = 0;
        }
        if (!whole)
            break;
    }
    memmove(stream, stream + at, stream_size - at);
    stream_size -= at;
}

static void read_upstream(int fd)
{
    drained = false;
    for (;;) {
        ssize_t got = gnutls_record_recv(session, stream + stream_size, STREAM - stream_size);

        if (got == GNUTLS_E_AGAIN)
            break;
        if (got == GNUTLS_E_INTERRUPTED)
            continue;
        if (got <= 0) {
            fprintf(stderr, "relay: the upstream has closed the connection\n");
            exit(1);
        }
        stream_size += (size_t)got;
        if (STREAM - stream_size < (size_t)1 << 16)
            send_replies(fd);
    }
    send_replies(fd);
}

static void connect_upstream(const char *port, const char *authority, const char *name)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons((uint16_t)atoi(port))};
    gnutls_certificate_credentials_t credentials;
    int result;

    upstream = socket(AF_INET, SOCK_STREAM, 0);
    if (upstream < 0 || connect(upstream, (struct sockaddr *)&to, sizeof(to)) != 0)
        die("relay: connect");
    setsockopt(upstream, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    gnutls_certificate_allocate_credentials(&credentials);
    gnutls_certificate_set_x509_trust_file(credentials, authority, GNUTLS_X509_FMT_PEM);
    gnutls_init(&session, GNUTLS_CLIENT);
    gnutls_set_default_priority(session);
    gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials);
    gnutls_server_name_set(session, GNUTLS_NAME_DNS, name, strlen(name));
    gnutls_session_set_verify_cert(session, name, 0);
    gnutls_transport_set_int(session, upstream);
    gnutls_transport_set_pull_function(session, pull);
    do
        result = gnutls_handshake(session);
    while (result < 0 && !gnutls_error_is_fatal(result));
    if (result < 0) {
        fprintf(stderr, "relay: %s\n", gnutls_strerror(result));
        exit(1);
    }
    fcntl(upstream, F_SETFL, O_NONBLOCK);
    connected = true;
}

int main(int argc, char **argv)
{
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(own);
    int fd = socket(AF_INET, SOCK_DGRAM, 0), epoll = epoll_create1(0);

    if (argc != 4) {
        fprintf(stderr, "usage: relay PORT CA.pem NAME\n");
        return 2;
    }
    connect_upstream(argv[1], argv[2], argv[3]);
    if (fd < 0 || bind(fd, (struct sockaddr *)&own, sizeof(own)) != 0 ||
        getsockname(fd, (struct sockaddr *)&own, &length) != 0)
        die("relay");
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){1 << 22}, sizeof(int));
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &(int){1 << 22}, sizeof(int)); // for root
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLIN, .data.fd = fd});
    epoll_ctl(epoll, EPOLL_CTL_ADD, upstream,
              &(struct epoll_event){.events = EPOLLIN, .data.fd = upstream});
    printf("%u\n", ntohs(own.sin_port));
    fflush(stdout);
    for (;;) {
        struct epoll_event events[2];
        int count = epoll_wait(epoll, events, 2, -1);

        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == fd)
                read_queries(fd);
            else
                read_upstream(fd);
        }
        if (outgoing_size > 0)
            flush_out();
    }
}
