#include "admin/http.h"

#include <errno.h>
#include <microhttpd.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "admin/guard.h"
#include "base/list.h"
#include "net/loop.h"

// What a connection may use: the head of a request, and headers of the response.
#define CONNECTION_MEMORY ((size_t)16 * 1024)

// More than we let in, so that it is we who choose whom to send away.
#define CONNECTIONS_OF_LIBRARY (ADMIN_CLIENTS_MAX + 4)

#define TYPE_TEXT "text/plain; charset=utf-8"
#define POLICY_NOTHING                                                                             \
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// A connection.
struct client {
    struct list node; // the one that has waited for longest first
    struct admin_http *http;
    int fd;
    usec_t deadline;
    bool busy; // a request is whole, and its response not yet taken
    bool gone; // it was shut down
};

// A request, and what came of its body.
struct exchange {
    const struct admin_route *route;
    char *body;
    size_t size;
};

struct admin_http {
    struct MHD_Daemon *daemon;
    const struct admin_route *routes;
    void *context;
    struct log *log;
    int stop; // an eventfd
    pthread_t thread;
    struct list clients;
    unsigned client_count;
    bool closed; // one was, in this run
    struct log_limit refusals;
    pthread_mutex_t lock;         // of the options
    struct admin_options options; // token and hosts may change
    bool local;
};

// ---- Connections

static void shut(struct client *client)
{
    client->gone = true;
    shutdown(client->fd, SHUT_RDWR); // the library sees its end, and closes it
}

static void wait_until(struct client *client, usec_t timeout, bool busy)
{
    client->deadline = loop_clock() + timeout;
    client->busy = busy;
    list_remove(&client->node);
    list_append(&client->http->clients, &client->node);
}

// One that is not being answered.
static void make_room(struct admin_http *http)
{
    list_for_each(node, &http->clients) {
        struct client *client = list_entry(node, struct client, node);

        if (client->busy || client->gone)
            continue;
        shut(client);
        return;
    }
}

static struct client *client_of(struct MHD_Connection *connection)
{
    return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

static void on_connection(void *context, struct MHD_Connection *connection, void **socket_context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct admin_http *http = context;
    struct client *client = *socket_context;

    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        if (!client)
            return;
        list_remove(&client->node);
        http->client_count--;
        http->closed = true;
        free(client);
        return;
    }
    client = calloc(1, sizeof(*client));
    if (!client)
        return; // it goes without a deadline of ours; the library's own holds
    client->http = http;
    client->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    list_init(&client->node);
    wait_until(client, ADMIN_REQUEST_TIMEOUT, false);
    *socket_context = client;
    if (++http->client_count > ADMIN_CLIENTS_MAX)
        make_room(http);
}

static void close_late(struct admin_http *http, usec_t now)
{
    list_for_each(node, &http->clients) {
        struct client *client = list_entry(node, struct client, node);

        if (now >= client->deadline && !client->gone)
            shut(client);
    }
}

// ---- Responses

static void add_headers(struct MHD_Response *response, const char *type, const char *policy)
{
    static const char *const headers[][2] = {
        {"Cache-Control", "no-store"},
        {"Cross-Origin-Opener-Policy", "same-origin"},
        {"Cross-Origin-Resource-Policy", "same-origin"},
        {"Referrer-Policy", "no-referrer"},
        {"X-Content-Type-Options", "nosniff"},
        {"X-Frame-Options", "DENY"},
    };

    MHD_add_response_header(response, "Content-Type", type);
    MHD_add_response_header(response, "Content-Security-Policy", policy);
    for (size_t i = 0; i < ARRAY_LEN(headers); i++)
        MHD_add_response_header(response, headers[i][0], headers[i][1]);
}

// `header` may be NULL.
static enum MHD_Result refuse(struct MHD_Connection *connection, unsigned status, const char *text,
                              const char *header, const char *value)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(strlen(text), (void *)text, MHD_RESPMEM_PERSISTENT);
    enum MHD_Result queued;

    if (!response)
        return MHD_NO;
    add_headers(response, TYPE_TEXT, POLICY_NOTHING);
    if (header)
        MHD_add_response_header(response, header, value);
    queued = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return queued;
}

const char *admin_request_header(const struct admin_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

const char *admin_request_argument(const struct admin_request *request, const char *name)
{
    const char *value = NULL;
    size_t size;

    if (MHD_lookup_connection_value_n(request->connection, MHD_GET_ARGUMENT_KIND, name,
                                      strlen(name), &value, &size) != MHD_YES)
        return NULL;
    return value ? value : "";
}

static enum MHD_Result answer(struct admin_http *http, struct MHD_Connection *connection,
                              const struct exchange *exchange, const char *path)
{
    const struct admin_request request = {
        .method = exchange->route->method,
        .path = path,
        .body = exchange->body ? exchange->body : "",
        .body_size = exchange->size,
        .connection = connection,
    };
    struct admin_response made = {
        .status = MHD_HTTP_OK, .content_type = TYPE_TEXT, .policy = POLICY_NOTHING};
    struct MHD_Response *response;
    enum MHD_Result queued;
    char *body = NULL;
    size_t size = 0;
    bool failed;

    made.out = open_memstream(&body, &size);
    if (!made.out)
        return MHD_NO;
    exchange->route->handle(http->context, &request, &made);
    failed = ferror(made.out);
    if (fclose(made.out) != 0 || failed) { // out of memory: better nothing than a part
        free(body);
        return MHD_NO;
    }
    response = MHD_create_response_from_buffer(size, body, MHD_RESPMEM_MUST_FREE);
    if (!response) {
        free(body);
        return MHD_NO;
    }
    add_headers(response, made.content_type, made.policy);
    queued = MHD_queue_response(connection, made.status, response);
    MHD_destroy_response(response);
    return queued;
}

// ---- Requests

static bool has_method(const struct admin_route *route, const char *method)
{
    return strcmp(route->method, method) == 0 ||
           (strcmp(method, "HEAD") == 0 && strcmp(route->method, "GET") == 0);
}

// NULL; then `known` is a route of this path with another method, or NULL too.
static const struct admin_route *find_route(const struct admin_route *routes, const char *method,
                                            const char *path, const struct admin_route **known)
{
    *known = NULL;
    for (const struct admin_route *route = routes; route->method; route++) {
        if (strcmp(route->path, path) != 0)
            continue;
        if (has_method(route, method))
            return route;
        *known = route;
    }
    return NULL;
}

static void log_refusal(struct admin_http *http, const char *what)
{
    char more[40] = "";
    uint32_t suppressed;

    if (!log_limit_pass(&http->refusals, loop_clock(), &suppressed))
        return;
    if (suppressed > 0)
        snprintf(more, sizeof(more), " (%u more like this before)", suppressed);
    log_info(http->log, "admin", "refused a request %s%s", what, more);
}

static enum MHD_Result refuse_host(struct admin_http *http, struct MHD_Connection *connection)
{
    log_refusal(http, "for a host that is not ours; set admin.hosts to the names we are asked by");
    return refuse(connection, MHD_HTTP_MISDIRECTED_REQUEST,
                  "421: not asked for by an address, localhost, or a name of admin.hosts\n", NULL,
                  NULL);
}

static enum MHD_Result refuse_token(struct admin_http *http, struct MHD_Connection *connection)
{
    log_refusal(http, "without the token of admin.token-file");
    return refuse(connection, MHD_HTTP_UNAUTHORIZED,
                  "401: send the token of admin.token-file as Authorization: Bearer TOKEN\n",
                  MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer realm=\"sotto\"");
}

// Whether the request may have this route. Else `*result` is what became of the refusal.
static bool admit(struct admin_http *http, struct MHD_Connection *connection,
                  const struct admin_route *route, enum MHD_Result *result)
{
    const char *host = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Host");
    const char *origin = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Origin");
    const char *authorization =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Authorization");
    bool right_host, right_token;

    pthread_mutex_lock(&http->lock);
    right_host = guard_allows_host(host, &http->options);
    right_token = !*http->options.token || route->access == ADMIN_OPEN ||
                  (route->access == ADMIN_TOKEN_FAR && http->local) ||
                  guard_allows_token(authorization, http->options.token);
    pthread_mutex_unlock(&http->lock);
    if (!right_host)
        *result = refuse_host(http, connection);
    else if (!right_token)
        *result = refuse_token(http, connection);
    else if (strcmp(route->method, "GET") != 0 && !guard_allows_origin(origin, host))
        *result = refuse(connection, MHD_HTTP_FORBIDDEN,
                         "403: only pages of this server may do that\n", NULL, NULL);
    else
        return true;
    return false;
}

// The head of a request is there.
static enum MHD_Result begin(struct admin_http *http, struct MHD_Connection *connection,
                             const char *method, const char *path, void **state)
{
    const struct admin_route *known;
    const struct admin_route *route = find_route(http->routes, method, path, &known);
    struct exchange *exchange;
    enum MHD_Result result;

    // Whether a path exists is for those to know who may ask for it.
    static const struct admin_route nothing = {.method = "GET", .access = ADMIN_TOKEN};

    if (!admit(http, connection, route ? route : known ? known : &nothing, &result))
        return result;
    if (!route && known)
        return refuse(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "405: not by this method\n",
                      MHD_HTTP_HEADER_ALLOW, known->method);
    if (!route)
        return refuse(connection, MHD_HTTP_NOT_FOUND, "404: nothing is here\n", NULL, NULL);
    exchange = calloc(1, sizeof(*exchange));
    if (!exchange)
        return MHD_NO;
    exchange->route = route;
    *state = exchange;
    return MHD_YES;
}

// A part of the body. False if it is too large, or out of memory.
static bool take_body(struct exchange *exchange, const char *bytes, size_t size)
{
    char *body;

    if (size > ADMIN_BODY_MAX - exchange->size)
        return false;
    body = realloc(exchange->body, exchange->size + size + 1);
    if (!body)
        return false;
    memcpy(body + exchange->size, bytes, size);
    exchange->size += size;
    body[exchange->size] = '\0';
    exchange->body = body;
    return true;
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection,
                                  const char *path, const char *method, const char *version,
                                  const char *upload, size_t *upload_size, void **state)
{
    struct exchange *exchange = *state;
    struct client *client = client_of(connection);

    if (!exchange)
        return begin(context, connection, method, path, state);
    if (*upload_size > 0) {
        size_t size = *upload_size;

        *upload_size = 0;
        return take_body(exchange, upload, size) ? MHD_YES : MHD_NO;
    }
    if (client)
        wait_until(client, ADMIN_RESPONSE_TIMEOUT, true);
    return answer(context, connection, exchange, path);
}

// The response was taken, or never will be.
static void on_completed(void *context, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode code)
{
    struct exchange *exchange = *state;
    struct client *client = client_of(connection);

    if (exchange) {
        free(exchange->body);
        free(exchange);
    }
    *state = NULL;
    if (client)
        wait_until(client, ADMIN_IDLE_TIMEOUT, false);
}

// ---- The thread

// In milliseconds: the library's, or until the next deadline of ours.
static int time_left(struct admin_http *http)
{
    usec_t now = loop_clock();
    usec_t due = USEC_NEVER;
    MHD_UNSIGNED_LONG_LONG wanted;

    list_for_each(node, &http->clients) {
        const struct client *client = list_entry(node, struct client, node);

        if (!client->gone)
            due = MIN(due, client->deadline);
    }
    if (MHD_get_timeout(http->daemon, &wanted) == MHD_YES)
        due = MIN(due, now + (usec_t)MIN(wanted, 60000) * USEC_MSEC);
    if (due == USEC_NEVER)
        return -1;
    return due > now ? (int)((due - now) / USEC_MSEC) + 1 : 0;
}

static void *run(void *arg)
{
    struct admin_http *http = arg;
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    struct pollfd fds[] = {
        {.fd = http->stop, .events = POLLIN},
        {.fd = info->epoll_fd, .events = POLLIN},
    };

    for (;;) {
        if (poll(fds, ARRAY_LEN(fds), time_left(http)) < 0)
            continue; // interrupted
        if (fds[0].revents)
            return NULL;
        close_late(http, loop_clock());
        // One that is gone may have made room, which the library sees only when it runs again.
        do {
            http->closed = false;
            MHD_run(http->daemon);
        } while (http->closed);
    }
}

static struct MHD_Daemon *start_daemon(struct admin_http *http, int fd)
{
    return MHD_start_daemon(
        MHD_USE_EPOLL, 0, NULL, NULL, on_request, http, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_OF_LIBRARY,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)(ADMIN_IDLE_TIMEOUT / USEC_SEC), MHD_OPTION_NOTIFY_CONNECTION, on_connection,
        http, MHD_OPTION_NOTIFY_COMPLETED, on_completed, http, MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
}

static void destroy(struct admin_http *http)
{
    if (http->daemon)
        MHD_stop_daemon(http->daemon); // closes the listening socket too
    if (http->stop >= 0)
        close(http->stop);
    pthread_mutex_destroy(&http->lock);
    free(http);
}

struct admin_http *admin_http_start(const struct admin_http_setup *setup)
{
    struct admin_http *http = calloc(1, sizeof(*http));

    if (!http) {
        close(setup->fd);
        return NULL;
    }
    http->routes = setup->routes;
    http->context = setup->context;
    http->log = setup->log;
    http->options = *setup->options;
    http->local = admin_is_local(setup->options);
    list_init(&http->clients);
    pthread_mutex_init(&http->lock, NULL);
    http->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    http->daemon = start_daemon(http, setup->fd);
    if (!http->daemon)
        close(setup->fd);
    else if (http->stop >= 0 && pthread_create(&http->thread, NULL, run, http) == 0)
        return http;
    destroy(http);
    return NULL;
}

void admin_http_configure(struct admin_http *http, const struct admin_options *options)
{
    pthread_mutex_lock(&http->lock);
    memcpy(http->options.token, options->token, sizeof(options->token));
    memcpy(http->options.hosts, options->hosts, sizeof(options->hosts));
    http->options.host_count = options->host_count;
    pthread_mutex_unlock(&http->lock);
}

void admin_http_stop(struct admin_http *http)
{
    if (!http)
        return;
    (void)eventfd_write(http->stop, 1);
    pthread_join(http->thread, NULL);
    destroy(http);
}
