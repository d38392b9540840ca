#include "cli/probe.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cursor.h"
#include "base/error.h"
#include "base/random.h"
#include "base/reason.h"
#include "dns/build.h"
#include "dns/edns.h"
#include "dns/message.h"
#include "dns/tables.h"
#include "net/loop.h"

// After this a lost datagram is sent again.
#define UDP_PATIENCE (1500 * USEC_MSEC)

#define MESSAGE_SIZE 4096

#define say(code, ...) reason_give(code, text, PROBE_TEXT_SIZE, __VA_ARGS__)

void probe_address(struct address *address)
{
    if (!address_is_wildcard(address))
        return;
    if (address->family == AF_INET)
        address->v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else
        address->v6.sin6_addr = in6addr_loopback;
}

// Sets how long the next call on the socket may take. False if the time is over.
static bool set_time_left(int fd, usec_t deadline)
{
    usec_t now = loop_clock();
    usec_t left = deadline > now ? deadline - now : 0;
    const struct timeval timeout = {
        .tv_sec = (time_t)(left / USEC_SEC),
        .tv_usec = (suseconds_t)(left % USEC_SEC),
    };

    errno = EAGAIN;
    return left > 0 && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) == 0 &&
           setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) == 0;
}

// A connected socket, or -1 with the reason.
static int open_socket(const struct address *address, int type, usec_t deadline,
                       char text[PROBE_TEXT_SIZE])
{
    char where[ADDRESS_TEXT_MAX];
    int fd = socket(address->family, type | SOCK_CLOEXEC, 0);

    if (fd >= 0 && set_time_left(fd, deadline) &&
        connect(fd, &address->any, address_size(address)) == 0)
        return fd;
    say(E_SYSTEM, "cannot reach %s: %s (is sotto running, and does it listen there?)",
        address_to_text(address, where), strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

static int fail(const struct address *address, char text[PROBE_TEXT_SIZE])
{
    char where[ADDRESS_TEXT_MAX];

    return say(E_SYSTEM, "%s: %s", address_to_text(address, where),
               errno == EAGAIN ? "no answer in time" : strerror(errno));
}

static bool send_all(int fd, const void *bytes, size_t size)
{
    const char *at = bytes;

    while (size > 0) {
        ssize_t sent = send(fd, at, size, MSG_NOSIGNAL);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return false;
        at += sent;
        size -= (size_t)sent;
    }
    return true;
}

// Until so many octets are there, or the end. What there is then, or -1 with errno.
static ssize_t receive(int fd, void *to, size_t size, usec_t deadline)
{
    size_t got = 0;

    while (got < size) {
        ssize_t more;

        if (!set_time_left(fd, deadline))
            return -1;
        more = recv(fd, (char *)to + got, size - got, 0);
        if (more < 0 && errno == EINTR)
            continue;
        if (more < 0)
            return -1;
        if (more == 0)
            break;
        got += (size_t)more;
    }
    return (ssize_t)got;
}

// ---- HTTP

static int judge_http(const struct address *address, char *response, char text[PROBE_TEXT_SIZE])
{
    static const char version[] = "HTTP/1.1 ";
    char where[ADDRESS_TEXT_MAX];
    char *body = strstr(response, "\r\n\r\n");
    long status;

    address_to_text(address, where);
    if (strncmp(response, version, sizeof(version) - 1) != 0 || !body)
        return say(E_SYSTEM, "%s: what answers there is not sotto's admin", where);
    status = strtol(response + sizeof(version) - 1, NULL, 10);
    body += 4;
    body[strcspn(body, "\n")] = '\0';
    if (status == 200)
        return say(E_OK, "%s", body);
    if (status == 503)
        return say(E_AGAIN, "%s", body);
    return say(E_SYSTEM, "%s: sotto says: %s", where, body);
}

int probe_http(const struct address *address, char text[PROBE_TEXT_SIZE])
{
    usec_t deadline = loop_clock() + PROBE_TIMEOUT;
    int fd = open_socket(address, SOCK_STREAM, deadline, text);
    char request[256], response[MESSAGE_SIZE + 1], host[ADDRESS_TEXT_MAX];
    ssize_t got = -1;

    if (fd < 0)
        return E_SYSTEM;
    snprintf(request, sizeof(request),
             "GET /readyz HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n",
             address_to_text(address, host));
    if (send_all(fd, request, strlen(request)))
        got = receive(fd, response, sizeof(response) - 1, deadline);
    close(fd);
    if (got < 0)
        return fail(address, text);
    response[got] = '\0';
    return judge_http(address, response, text);
}

// ---- DNS

// The root's name servers: what every resolver has at hand.
static const uint8_t question[] = {0, 0, DNS_TYPE_NS, 0, DNS_CLASS_IN};

static int judge_dns(const struct address *address, const uint8_t *wire, size_t size,
                     char text[PROBE_TEXT_SIZE])
{
    char where[ADDRESS_TEXT_MAX];
    struct dns_message reply;
    struct dns_option why;
    uint16_t rcode;

    address_to_text(address, where);
    if (dns_message_parse(&reply, wire, size) != E_OK)
        return say(E_SYSTEM, "%s: what answers there is no DNS server", where);
    rcode = dns_message_rcode(&reply);
    if (rcode == DNS_RCODE_NOERROR || rcode == DNS_RCODE_NXDOMAIN)
        return say(E_OK, "%s answers queries", where);
    if (rcode == DNS_RCODE_REFUSED)
        return say(E_OK, "%s answers, though clients.allow keeps us from seeing more", where);
    if (dns_option_find(&reply, DNS_OPTION_EDE, &why) && why.size > 2)
        return say(E_AGAIN, "%s cannot answer: %.*s", where, (int)why.size - 2,
                   (const char *)why.data + 2);
    return say(E_AGAIN, "%s cannot answer: %s", where,
               dns_rcode_name(rcode) ? dns_rcode_name(rcode) : "an unknown rcode");
}

static size_t make_query(uint8_t query[512], uint16_t *id)
{
    const struct dns_opt opt = dns_opt_plain(MESSAGE_SIZE, false);
    struct random random;

    random_init(&random);
    *id = random_u16(&random);
    return dns_query_build(query, 512, *id, DNS_FLAG_RD, question, sizeof(question), &opt);
}

// The size of the reply with this ID, or -1 with errno.
static ssize_t ask_udp(int fd, const uint8_t *query, size_t size, uint16_t id,
                       uint8_t reply[MESSAGE_SIZE], usec_t deadline)
{
    usec_t again = 0;

    for (;;) {
        usec_t now = loop_clock();
        ssize_t got;

        if (now >= again) {
            again = now + UDP_PATIENCE;
            if (!send_all(fd, query, size))
                return -1;
        }
        if (!set_time_left(fd, MIN(again, deadline)))
            return -1;
        got = recv(fd, reply, MESSAGE_SIZE, 0);
        if (got >= DNS_HEADER_SIZE && get_u16(reply) == id)
            return got;
        if (got < 0 && errno != EINTR && (errno != EAGAIN || loop_clock() >= deadline))
            return -1;
    }
}

static ssize_t ask_tcp(int fd, const uint8_t *query, size_t size, uint8_t reply[MESSAGE_SIZE],
                       usec_t deadline)
{
    uint8_t length[2];
    ssize_t got;

    put_u16(length, (uint16_t)size);
    if (!send_all(fd, length, 2) || !send_all(fd, query, size))
        return -1;
    got = receive(fd, length, 2, deadline);
    if (got < 2)
        return got;
    return receive(fd, reply, MIN((size_t)get_u16(length), (size_t)MESSAGE_SIZE), deadline);
}

int probe_dns(const struct address *address, bool tcp, char text[PROBE_TEXT_SIZE])
{
    usec_t deadline = loop_clock() + PROBE_TIMEOUT;
    int fd = open_socket(address, tcp ? SOCK_STREAM : SOCK_DGRAM, deadline, text);
    uint8_t query[512], reply[MESSAGE_SIZE];
    uint16_t id;
    size_t size = make_query(query, &id);
    ssize_t got;

    if (fd < 0)
        return E_SYSTEM;
    got = tcp ? ask_tcp(fd, query, size, reply, deadline)
              : ask_udp(fd, query, size, id, reply, deadline);
    close(fd);
    return got < 0 ? fail(address, text) : judge_dns(address, reply, (size_t)got, text);
}
