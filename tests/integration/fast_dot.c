/*
 * A quick DNS-over-TLS server for measurements: answers every A query with the address derived
 * from its name, by the rule of lib/dns_wire.py. One thread a connection; all queries that
 * arrive in one record are answered in one record.
 *
 * Usage: fast_dot CHAIN.pem KEY.pem [TTL]. Listens on a port of 127.0.0.1 chosen by the kernel,
 * prints it, and runs until its standard input is closed. For each line there, it prints how many
 * queries it has answered. The TTL is 300 unless given.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <gnutls/gnutls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    READ_SIZE = 16384, /* one TLS record */
    STREAM_SIZE = 2 * READ_SIZE + 65538,
    HEADER_SIZE = 12,
    ANSWER_SIZE = 16, /* pointer, type, class, TTL, length, address */
    MAX_NAME = 255,
    MAX_REPLY = 2 + HEADER_SIZE + MAX_NAME + 4 + ANSWER_SIZE + 11,
};

static gnutls_certificate_credentials_t credentials;
static gnutls_priority_t priorities;
static gnutls_datum_t ticket_key;
static uint32_t crc_table[256];
static uint32_t ttl = 300;
static atomic_ulong answered;

static void make_crc_table(void)
{
    for (uint32_t octet = 0; octet < 256; octet++) {
        uint32_t crc = octet;
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? 0xedb88320U ^ (crc >> 1) : crc >> 1;
        crc_table[octet] = crc;
    }
}

static uint32_t crc_of_name(const uint8_t *name, size_t length)
{
    uint32_t crc = 0xffffffffU;
    for (size_t i = 0; i < length; i++)
        crc = crc_table[(crc ^ (uint8_t)tolower(name[i])) & 0xff] ^ (crc >> 8);
    return ~crc;
}

/* Write the framed reply to one query; returns its size, or 0 if the query makes no sense. */
static size_t reply_to(const uint8_t *query, size_t length, uint8_t *reply)
{
    size_t end = HEADER_SIZE;
    while (end < length && query[end] != 0 && query[end] < 64)
        end += 1 + query[end];
    if (end + 5 > length || query[end] != 0 || end - HEADER_SIZE >= MAX_NAME)
        return 0;
    size_t name_length = end + 1 - HEADER_SIZE;
    size_t question_end = end + 5;
    uint32_t crc = crc_of_name(query + HEADER_SIZE, name_length);
    static const uint8_t opt[11] = {0, 0, 41, 0x04, 0xd0};
    const uint8_t derived[4] = {203, crc >> 16 & 0xff, crc >> 8 & 0xff, crc & 0xff};
    const uint32_t ttl_in_order = htonl(ttl);
    uint8_t answer[ANSWER_SIZE] = {0xc0, 0x0c, 0, 1, 0, 1, [10] = 0, 4};
    memcpy(answer + 6, &ttl_in_order, 4);
    memcpy(answer + 12, derived, 4);
    int edns = query[11] != 0;
    size_t size = question_end + ANSWER_SIZE + (edns ? sizeof(opt) : 0);
    uint8_t *out = reply;
    *out++ = size >> 8;
    *out++ = size & 0xff;
    memcpy(out, query, question_end);
    out[2] = 0x80 | (query[2] & 1);
    out[3] = 0x80;
    memcpy(out + 4, (uint8_t[]){0, 1, 0, 1, 0, 0, 0, edns}, 8);
    out += question_end;
    memcpy(out, answer, sizeof(answer));
    out += sizeof(answer);
    if (edns)
        memcpy(out, opt, sizeof(opt));
    return 2 + size;
}

static int send_all(gnutls_session_t session, const uint8_t *data, size_t length)
{
    while (length > 0) {
        ssize_t sent = gnutls_record_send(session, data, length);
        if (sent == GNUTLS_E_AGAIN || sent == GNUTLS_E_INTERRUPTED)
            continue;
        if (sent < 0)
            return -1;
        data += sent;
        length -= (size_t)sent;
    }
    return 0;
}

/* Answer all whole queries in the stream; returns how much of it was used. */
static ssize_t answer_stream(gnutls_session_t session, const uint8_t *stream, size_t length)
{
    static __thread uint8_t replies[READ_SIZE];
    size_t used = 0, filled = 0, count = 0;
    while (length - used >= 2) {
        size_t message = (size_t)stream[used] << 8 | stream[used + 1];
        if (length - used < 2 + message)
            break;
        if (filled + MAX_REPLY > sizeof(replies)) {
            if (send_all(session, replies, filled) < 0)
                return -1;
            filled = 0;
        }
        filled += reply_to(stream + used + 2, message, replies + filled);
        used += 2 + message;
        count++;
    }
    atomic_fetch_add_explicit(&answered, count, memory_order_relaxed);
    if (filled > 0 && send_all(session, replies, filled) < 0)
        return -1;
    return (ssize_t)used;
}

static void serve_session(gnutls_session_t session)
{
    static __thread uint8_t stream[STREAM_SIZE];
    size_t length = 0;
    for (;;) {
        ssize_t got = gnutls_record_recv(session, stream + length, sizeof(stream) - length);
        if (got == GNUTLS_E_AGAIN || got == GNUTLS_E_INTERRUPTED)
            continue;
        if (got <= 0)
            return;
        length += (size_t)got;
        ssize_t used = answer_stream(session, stream, length);
        if (used < 0)
            return;
        length -= (size_t)used;
        memmove(stream, stream + used, length);
    }
}

static void *serve_connection(void *argument)
{
    int fd = (int)(intptr_t)argument;
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    gnutls_session_t session;
    gnutls_init(&session, GNUTLS_SERVER);
    gnutls_priority_set(session, priorities);
    gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials);
    gnutls_session_ticket_enable_server(session, &ticket_key);
    const gnutls_datum_t dot = {(unsigned char *)"dot", 3};
    gnutls_alpn_set_protocols(session, &dot, 1, 0);
    gnutls_transport_set_int(session, fd);
    int result;
    do
        result = gnutls_handshake(session);
    while (result < 0 && !gnutls_error_is_fatal(result));
    if (result == 0) {
        serve_session(session);
        gnutls_bye(session, GNUTLS_SHUT_WR);
    }
    gnutls_deinit(session);
    close(fd);
    return NULL;
}

static void *accept_connections(void *argument)
{
    int listener = *(int *)argument;
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        pthread_t thread;
        if (fd >= 0 && pthread_create(&thread, NULL, serve_connection, (void *)(intptr_t)fd) == 0)
            pthread_detach(thread);
    }
    return NULL;
}

static int fail(const char *what)
{
    fprintf(stderr, "fast_dot: %s\n", what);
    return 1;
}

int main(int argc, char **argv)
{
    if (argc != 3 && argc != 4)
        return fail("usage: fast_dot CHAIN.pem KEY.pem [TTL]");
    if (argc == 4)
        ttl = (uint32_t)strtoul(argv[3], NULL, 10);
    signal(SIGPIPE, SIG_IGN); // clients may go at any time
    make_crc_table();
    gnutls_certificate_allocate_credentials(&credentials);
    if (gnutls_certificate_set_x509_key_file(credentials, argv[1], argv[2], GNUTLS_X509_FMT_PEM) <
        0)
        return fail("cannot load the certificate");
    gnutls_priority_init(&priorities, "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2", NULL);
    gnutls_session_ticket_key_generate(&ticket_key);

    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    if (bind(listener, (struct sockaddr *)&address, length) < 0 || listen(listener, 128) < 0)
        return fail("cannot listen");
    getsockname(listener, (struct sockaddr *)&address, &length);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);

    pthread_t acceptor;
    pthread_create(&acceptor, NULL, accept_connections, &listener);
    for (int c; (c = getchar()) != EOF;) {
        if (c == '\n') {
            printf("%lu\n", atomic_load(&answered));
            fflush(stdout);
        }
    }
    return 0;
}
