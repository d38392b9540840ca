#include "admin/control.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "admin/control_request.h"
#include "base/error.h"
#include "cache/reader.h"
#include "net/loop.h"

// No descriptors or memory for one more client: how long until the next try.
#define ACCEPT_PAUSE (100 * USEC_MSEC)

struct client {
    int fd; // -1: the place is free
    usec_t deadline;
    size_t read;
    char request[CONTROL_REQUEST_MAX];
    char *response; // NULL while it is being read from
    size_t response_size;
    size_t sent;
};

struct control {
    struct control_socket socket;
    struct control_handlers handlers;
    struct cache *cache;
    struct log *log;
    int stop; // an eventfd
    pthread_t thread;
    usec_t accept_at;
    struct client clients[CONTROL_CLIENTS_MAX];
};

// What poll() is asked: to stop, new clients, and each client.
enum { POLL_STOP, POLL_LISTEN, POLL_CLIENTS, POLL_COUNT = POLL_CLIENTS + CONTROL_CLIENTS_MAX };

// ---- Requests

static void print_error(FILE *out, const char *text)
{
    fprintf(out, CONTROL_PROTOCOL " error %s\n", text);
}

static void answer_status(struct control *control, bool json, FILE *out)
{
    struct status status = {0};

    if (control->handlers.collect(control->handlers.context, &status) != E_OK) {
        print_error(out, error_text(E_NOMEM));
    } else {
        fputs(CONTROL_PROTOCOL " ok\n", out);
        if (json)
            status_print_json(&status, out);
        else
            status_print_table(&status, out);
    }
    status_deinit(&status);
}

static void answer_ready(struct control *control, FILE *out)
{
    char reason[READINESS_REASON_SIZE] = "";
    int err = control->handlers.ready(control->handlers.context, reason);

    if (err == E_OK)
        fputs(CONTROL_PROTOCOL " ok\nready\n", out);
    else
        print_error(out, err == E_AGAIN ? reason : error_text(err));
}

// Who is at the other end, for the log.
static unsigned peer_user(const struct client *client)
{
    struct ucred peer = {.uid = (uid_t)-1};
    socklen_t size = sizeof(peer);

    (void)getsockopt(client->fd, SOL_SOCKET, SO_PEERCRED, &peer, &size);
    return (unsigned)peer.uid;
}

static void answer_flush(struct control *control, const struct client *client,
                         const struct control_request *request, FILE *out)
{
    const uint8_t *name = request->command == CONTROL_FLUSH_ALL ? NULL : request->name;
    bool subtree = request->command == CONTROL_FLUSH_SUBTREE;
    char text[DNS_NAME_TEXT_MAX] = "everything";
    uint64_t flushed;

    cache_reader_online();
    flushed = cache_flush(control->cache, name, subtree);
    cache_reader_offline();
    if (control->handlers.flushed)
        control->handlers.flushed(control->handlers.context);
    if (name)
        dns_name_to_text(name, text);
    log_info(control->log, "control", "user ID %u flushed %s%s from the cache: %" PRIu64 " entr%s",
             peer_user(client), text, subtree ? " and all below it" : "", flushed,
             flushed == 1 ? "y" : "ies");
    fprintf(out, CONTROL_PROTOCOL " ok\nflushed %" PRIu64 " entr%s\n", flushed,
            flushed == 1 ? "y" : "ies");
}

static void answer_request(struct control *control, const struct client *client, size_t size,
                           FILE *out)
{
    struct control_request request;
    const char *why;

    if (control_request_parse(&request, client->request, size, &why) != E_OK)
        print_error(out, why);
    else if (request.command == CONTROL_STATUS_TABLE || request.command == CONTROL_STATUS_JSON)
        answer_status(control, request.command == CONTROL_STATUS_JSON, out);
    else if (request.command == CONTROL_READY)
        answer_ready(control, out);
    else
        answer_flush(control, client, &request, out);
}

// ---- Clients

static void close_client(struct client *client)
{
    close(client->fd);
    free(client->response);
    *client = (struct client){.fd = -1};
}

static void write_response(struct client *client)
{
    while (client->sent < client->response_size) {
        ssize_t wrote = send(client->fd, client->response + client->sent,
                             client->response_size - client->sent, MSG_NOSIGNAL);

        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0 && errno == EAGAIN)
            return;
        if (wrote < 0)
            break;
        client->sent += (size_t)wrote;
    }
    close_client(client);
}

// Answers the request of so many octets, or says what is wrong with it.
static void respond(struct control *control, struct client *client, size_t size,
                    const char *problem)
{
    FILE *out = open_memstream(&client->response, &client->response_size);
    bool failed;

    if (!out) {
        close_client(client);
        return;
    }
    if (problem)
        print_error(out, problem);
    else
        answer_request(control, client, size, out);
    failed = ferror(out);
    if (fclose(out) != 0 || failed) { // out of memory: better nothing than a part
        close_client(client);
        return;
    }
    client->deadline = loop_clock() + CONTROL_WRITE_TIMEOUT;
    write_response(client);
}

static void read_request(struct control *control, struct client *client)
{
    ssize_t got =
        recv(client->fd, client->request + client->read, sizeof(client->request) - client->read, 0);
    const char *newline;

    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (got < 0) {
        close_client(client);
        return;
    }
    if (got == 0) {
        respond(control, client, 0, "the connection ended before the line did");
        return;
    }
    client->read += (size_t)got;
    newline = memchr(client->request, '\n', client->read);
    if (newline && newline + 1 < client->request + client->read)
        respond(control, client, 0, "more than one line");
    else if (newline)
        respond(control, client, client->read - 1, NULL);
    else if (client->read == sizeof(client->request))
        respond(control, client, 0, "the line is too long");
}

static void expire(struct control *control, struct client *client)
{
    if (client->response)
        close_client(client);
    else
        respond(control, client, 0, "no request came in time");
}

static struct client *free_place(struct control *control)
{
    for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++)
        if (control->clients[i].fd < 0)
            return &control->clients[i];
    return NULL;
}

static void accept_clients(struct control *control, usec_t now)
{
    struct client *client;

    while ((client = free_place(control))) {
        client->fd = accept4(control->socket.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (client->fd >= 0) {
            client->deadline = now + CONTROL_READ_TIMEOUT;
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            control->accept_at = now + ACCEPT_PAUSE;
        return;
    }
}

// ---- The thread

static void want(struct control *control, struct pollfd fds[POLL_COUNT], usec_t now)
{
    bool accepting = free_place(control) && now >= control->accept_at;

    fds[POLL_STOP] = (struct pollfd){.fd = control->stop, .events = POLLIN};
    fds[POLL_LISTEN] = (struct pollfd){.fd = accepting ? control->socket.fd : -1, .events = POLLIN};
    for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        const struct client *client = &control->clients[i];

        fds[POLL_CLIENTS + i] =
            (struct pollfd){.fd = client->fd, .events = client->response ? POLLOUT : POLLIN};
    }
}

// In milliseconds, as poll() takes it.
static int time_left(const struct control *control, usec_t now)
{
    usec_t due = now < control->accept_at ? control->accept_at : USEC_NEVER;

    for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++)
        if (control->clients[i].fd >= 0)
            due = MIN(due, control->clients[i].deadline);
    if (due == USEC_NEVER)
        return -1;
    return due > now ? (int)((due - now) / USEC_MSEC) + 1 : 0;
}

static void serve_client(struct control *control, struct client *client, short events)
{
    if (client->fd < 0)
        return;
    if (events && client->response)
        write_response(client);
    else if (events)
        read_request(control, client);
    if (client->fd >= 0 && loop_clock() >= client->deadline)
        expire(control, client);
}

static void *run(void *arg)
{
    struct control *control = arg;
    struct pollfd fds[POLL_COUNT];

    cache_reader_start();
    for (;;) {
        usec_t now = loop_clock();

        want(control, fds, now);
        if (poll(fds, POLL_COUNT, time_left(control, now)) < 0)
            continue; // interrupted
        if (fds[POLL_STOP].revents)
            break;
        for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++)
            serve_client(control, &control->clients[i], fds[POLL_CLIENTS + i].revents);
        if (fds[POLL_LISTEN].revents)
            accept_clients(control, loop_clock());
    }
    cache_reader_stop();
    return NULL;
}

static void destroy(struct control *control)
{
    for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++)
        if (control->clients[i].fd >= 0)
            close_client(&control->clients[i]);
    control_socket_close(&control->socket);
    if (control->stop >= 0)
        close(control->stop);
    free(control);
}

struct control *control_start(struct control_socket *socket,
                              const struct control_handlers *handlers, struct cache *cache,
                              struct log *log)
{
    struct control *control = calloc(1, sizeof(*control));

    if (!control) {
        control_socket_close(socket);
        return NULL;
    }
    control->socket = *socket;
    socket->fd = -1;
    control->handlers = *handlers;
    control->cache = cache;
    control->log = log;
    for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++)
        control->clients[i].fd = -1;
    control->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (control->stop >= 0 && pthread_create(&control->thread, NULL, run, control) == 0)
        return control;
    destroy(control);
    return NULL;
}

void control_stop(struct control *control)
{
    if (!control)
        return;
    (void)eventfd_write(control->stop, 1);
    pthread_join(control->thread, NULL);
    destroy(control);
}
