#include "net/udp.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"

enum {
    BATCH = 32,
    // Queries are tiny; what is longer than this is none that we could use. Not a multiple of a
    // page: all buffers' first lines would fall into the same few sets of the processor's cache.
    RECEIVE_SIZE = 4096 + 64,
    // Batches before the other sockets of the worker get their turn.
    BATCHES_PER_TURN = 4,
    CONTROL_SIZE = CMSG_SPACE(sizeof(struct in6_pktinfo)),
};

// A batch of messages and all that they point to.
struct batch {
    struct mmsghdr messages[BATCH];
    struct iovec vectors[BATCH];
    struct address peers[BATCH];
    union {
        struct cmsghdr align;
        char bytes[CONTROL_SIZE];
    } controls[BATCH];
};

struct udp_receiver {
    struct batch batch;
    uint8_t buffers[BATCH][RECEIVE_SIZE];
};

struct udp_sender {
    struct batch batch;
    unsigned count;
    uint8_t buffers[]; // BATCH of max_size
};

struct udp_receiver *udp_receiver_new(void)
{
    struct udp_receiver *receiver = calloc(1, sizeof(*receiver));

    for (unsigned i = 0; receiver && i < BATCH; i++) {
        struct batch *batch = &receiver->batch;

        batch->vectors[i] =
            (struct iovec){.iov_base = receiver->buffers[i], .iov_len = RECEIVE_SIZE};
        batch->messages[i].msg_hdr = (struct msghdr){
            .msg_name = &batch->peers[i],
            .msg_iov = &batch->vectors[i],
            .msg_iovlen = 1,
        };
    }
    return receiver;
}

void udp_receiver_free(struct udp_receiver *receiver)
{
    free(receiver);
}

// Where a datagram was sent to, from its packet information.
static void read_local(struct msghdr *message, struct address *local)
{
    local->family = AF_UNSPEC;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;

            memcpy(&info, CMSG_DATA(c), sizeof(info));
            local->v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = info.ipi_spec_dst};
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;

            memcpy(&info, CMSG_DATA(c), sizeof(info));
            local->v6 = (struct sockaddr_in6){
                .sin6_family = AF_INET6,
                .sin6_addr = info.ipi6_addr,
                // Elsewhere the routing table knows better by which interface to answer.
                .sin6_scope_id = IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr) ? info.ipi6_ifindex : 0,
            };
        }
    }
}

// Makes a reply leave from the address that was asked. Returns the size of the control data.
static size_t write_local(char *control, const struct address *local)
{
    struct cmsghdr *c = (struct cmsghdr *)control;

    if (local->family == AF_INET) {
        const struct in_pktinfo info = {.ipi_spec_dst = local->v4.sin_addr};

        c->cmsg_level = IPPROTO_IP;
        c->cmsg_type = IP_PKTINFO;
        c->cmsg_len = CMSG_LEN(sizeof(info));
        memcpy(CMSG_DATA(c), &info, sizeof(info));
        return CMSG_SPACE(sizeof(info));
    }
    if (local->family == AF_INET6) {
        const struct in6_pktinfo info = {
            .ipi6_addr = local->v6.sin6_addr,
            .ipi6_ifindex = local->v6.sin6_scope_id,
        };

        c->cmsg_level = IPPROTO_IPV6;
        c->cmsg_type = IPV6_PKTINFO;
        c->cmsg_len = CMSG_LEN(sizeof(info));
        memcpy(CMSG_DATA(c), &info, sizeof(info));
        return CMSG_SPACE(sizeof(info));
    }
    return 0;
}

// Returns how many datagrams came.
static unsigned receive(struct udp_socket *socket)
{
    struct udp_receiver *receiver = socket->receiver;
    struct batch *batch = &receiver->batch;
    struct address local = {.family = AF_UNSPEC};
    int count;

    for (unsigned i = 0; i < BATCH; i++) {
        struct msghdr *message = &batch->messages[i].msg_hdr;

        message->msg_namelen = sizeof(batch->peers[i]);
        message->msg_control = socket->wildcard ? batch->controls[i].bytes : NULL;
        message->msg_controllen = socket->wildcard ? CONTROL_SIZE : 0;
    }
    count = recvmmsg(socket->fd, batch->messages, BATCH, MSG_DONTWAIT, NULL);
    for (int i = 0; i < count && socket->fd >= 0; i++) {
        if (socket->wildcard)
            read_local(&batch->messages[i].msg_hdr, &local);
        socket->ops->received(socket, &batch->peers[i], &local, receiver->buffers[i],
                              batch->messages[i].msg_len);
    }
    return count > 0 ? (unsigned)count : 0;
}

// Gives the kernel what it takes. What it refuses for good is left out; what it has no room for now
// stays for later.
static void flush(struct udp_socket *socket)
{
    struct udp_sender *sender = socket->sender;
    unsigned done = 0, failed = 0;
    bool blocked = false;

    while (done < sender->count && !blocked) {
        int sent =
            sendmmsg(socket->fd, sender->batch.messages + done, sender->count - done, MSG_DONTWAIT);

        if (sent > 0) {
            done += (unsigned)sent;
        } else if (errno == EAGAIN) {
            blocked = true;
        } else if (errno != EINTR) {
            done++;
            failed++;
        }
    }
    if (failed > 0)
        socket->ops->send_failed(socket, failed);
    if (blocked && done > 0) {
        // To the front, each with its buffer: swap, so that no buffer is used twice.
        for (unsigned i = 0; done + i < sender->count; i++) {
            struct mmsghdr message = sender->batch.messages[i];

            sender->batch.messages[i] = sender->batch.messages[done + i];
            sender->batch.messages[done + i] = message;
        }
    }
    sender->count = blocked ? sender->count - done : 0;
    if (socket->blocked != blocked) {
        socket->blocked = blocked;
        watcher_want(&socket->watcher, !socket->stopped, blocked);
    }
}

static void on_flush(struct task *task)
{
    flush(container_of(task, struct udp_socket, flush));
}

static void on_ready(struct watcher *watcher, bool readable, bool writable)
{
    struct udp_socket *socket = container_of(watcher, struct udp_socket, watcher);

    if (writable && socket->sender)
        flush(socket);
    for (unsigned i = 0; readable && i < BATCHES_PER_TURN && socket->fd >= 0; i++)
        if (receive(socket) < BATCH)
            break;
}

int udp_open(struct udp_socket *socket, struct loop *loop, const struct udp_ops *ops,
             struct udp_receiver *receiver, int fd, const struct address *address, size_t max_size)
{
    *socket = (struct udp_socket){
        .ops = ops,
        .loop = loop,
        .receiver = receiver,
        .max_size = max_size,
        .fd = fd,
        .wildcard = address_is_wildcard(address),
    };
    task_init(&socket->flush, on_flush);
    if (watcher_init(&socket->watcher, loop, fd, on_ready) != E_OK)
        return E_SYSTEM;
    watcher_want(&socket->watcher, true, false);
    return E_OK;
}

static struct udp_sender *sender_new(size_t max_size)
{
    struct udp_sender *sender = calloc(1, sizeof(*sender) + BATCH * max_size);

    for (unsigned i = 0; sender && i < BATCH; i++) {
        struct batch *batch = &sender->batch;

        batch->vectors[i].iov_base = sender->buffers + i * max_size;
        batch->messages[i].msg_hdr = (struct msghdr){
            .msg_name = &batch->peers[i],
            .msg_iov = &batch->vectors[i],
            .msg_iovlen = 1,
            .msg_control = batch->controls[i].bytes,
        };
    }
    return sender;
}

void udp_send(struct udp_socket *socket, const struct address *peer, const struct address *local,
              const uint8_t *bytes, size_t size)
{
    struct udp_sender *sender = socket->sender;
    struct msghdr *message;

    if (socket->fd < 0)
        return;
    if (UNLIKELY(!sender)) {
        sender = socket->sender = sender_new(socket->max_size);
        if (!sender) {
            socket->ops->send_failed(socket, 1);
            return;
        }
    }
    if (sender->count == BATCH)
        flush(socket);
    if (sender->count == BATCH) {
        socket->ops->send_failed(socket, 1);
        return;
    }
    require(size <= socket->max_size);
    message = &sender->batch.messages[sender->count++].msg_hdr;
    memcpy(message->msg_name, peer, address_size(peer));
    message->msg_namelen = address_size(peer);
    memcpy(message->msg_iov->iov_base, bytes, size);
    message->msg_iov->iov_len = size;
    message->msg_controllen = socket->wildcard ? write_local(message->msg_control, local) : 0;
    loop_at_turn_end(socket->loop, &socket->flush);
}

void udp_stop_reading(struct udp_socket *socket)
{
    if (socket->stopped || socket->fd < 0)
        return;
    // Bounded: what keeps coming is for whoever listens next.
    for (unsigned i = 0; i < 16 * BATCHES_PER_TURN && receive(socket) == BATCH; i++)
        ;
    socket->stopped = true;
    watcher_want(&socket->watcher, false, socket->blocked);
}

static void on_closed(struct watcher *watcher)
{
    struct udp_socket *socket = container_of(watcher, struct udp_socket, watcher);

    free(socket->sender);
    socket->ops->released(socket);
}

void udp_close(struct udp_socket *socket)
{
    if (socket->fd < 0)
        return;
    if (socket->sender)
        flush(socket);
    if (list_linked(&socket->flush.node))
        list_remove(&socket->flush.node);
    watcher_close(&socket->watcher, on_closed);
    close(socket->fd);
    socket->fd = -1;
}
