// The floor of a cache hit: a UDP server that does nothing but answer. Each query comes back with
// one A record appended, in batches of 32. It checks nothing: no proxy can cost less.
//
// Usage: echo. Listens on a port of 127.0.0.1 chosen by the kernel, and prints it.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum { BATCH = 32, SIZE = 512, HEADER = 12 };

// Behind the question, over whatever else the query had. Returns the reply's size.
static size_t answer(uint8_t *message, size_t size)
{
    static const uint8_t record[16] = {0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 1, 44, 0, 4, 192, 0, 2, 1};
    size_t end = HEADER;

    while (end < size && message[end])
        end += (size_t)message[end] + 1;
    end += 5;
    if (end > size || end + sizeof(record) > SIZE)
        return 0;
    memcpy(message + end, record, sizeof(record));
    message[2] |= 0x80;
    message[3] = 0x80;
    memcpy(message + 4, "\0\1\0\1\0\0\0\0", 8);
    return end + sizeof(record);
}

int main(void)
{
    static uint8_t buffers[BATCH][SIZE];
    static struct sockaddr_in peers[BATCH];
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(own);
    struct mmsghdr in[BATCH] = {0}, out[BATCH];
    struct iovec vectors[BATCH];
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&own, sizeof(own)) != 0 ||
        getsockname(fd, (struct sockaddr *)&own, &length) != 0) {
        perror("echo");
        return 1;
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){1 << 22}, sizeof(int));
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &(int){1 << 22}, sizeof(int)); // for root
    printf("%u\n", ntohs(own.sin_port));
    fflush(stdout);
    for (;;) {
        int got, count = 0;

        for (int i = 0; i < BATCH; i++) {
            vectors[i] = (struct iovec){buffers[i], SIZE};
            in[i].msg_hdr = (struct msghdr){.msg_name = &peers[i],
                                            .msg_namelen = sizeof(peers[i]),
                                            .msg_iov = &vectors[i],
                                            .msg_iovlen = 1};
        }
        got = recvmmsg(fd, in, BATCH, MSG_WAITFORONE, NULL);
        for (int i = 0; i < got; i++) {
            vectors[i].iov_len = answer(buffers[i], in[i].msg_len);
            if (vectors[i].iov_len > 0)
                out[count++] = in[i];
        }
        for (int sent = 0; sent < count;) {
            int done = sendmmsg(fd, out + sent, (unsigned)(count - sent), 0);

            if (done <= 0)
                break;
            sent += done;
        }
    }
}
