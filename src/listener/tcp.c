// TCP, for whatever is spoken on it: accepting. What happens on a connection is in tcp_client.c.
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "listener/http_site.h"
#include "listener/internal.h"

// Connections accepted before the rest of the worker gets its turn.
#define ACCEPTS_PER_TURN 64

// How long accepting pauses when the process has no descriptors left.
#define ACCEPT_PAUSE (100 * USEC_MSEC)

// Errors of a connection that was gone before it was accepted (accept(2)).
static bool is_peers_error(int error)
{
    return error == ECONNABORTED || error == EINTR || error == ENETDOWN || error == EPROTO ||
           error == ENOPROTOOPT || error == EHOSTDOWN || error == ENONET || error == EHOSTUNREACH ||
           error == EOPNOTSUPP || error == ENETUNREACH;
}

// No descriptors or memory: an idle connection makes room, else wait instead of spinning.
static void pause_accepting(struct tcp_listener *tcp, int error)
{
    struct listener *listener = tcp->listener;
    usec_t now = loop_now(listener->loop);
    uint32_t suppressed;

    counter_inc(listener->counters, COUNTER_tcp_accept_paused);
    if (log_limit_pass(&listener->accept_log, now, &suppressed))
        log_warning(listener->log, "listener",
                    "cannot accept TCP connections: %s; trying again soon. Raise the limit of open "
                    "files, or lower tcp: max-connections (%u now)",
                    strerror(error), listener->limits.tcp_max_connections);
    watcher_want(&tcp->watcher, false, false);
    loop_arm(listener->loop, &tcp->resume, now + ACCEPT_PAUSE);
}

static void on_resume(struct wheel_timer *timer)
{
    struct tcp_listener *tcp = container_of(timer, struct tcp_listener, resume);

    watcher_want(&tcp->watcher, true, false);
}

static void take(struct tcp_listener *tcp, int fd, const struct address *peer)
{
    struct listener *listener = tcp->listener;
    bool full = listener->client_count >= listener->limits.tcp_max_connections;
    bool full_here = tcp->terms->client_count >= tcp->terms->limits.tcp_max_connections;

    counter_inc(listener->counters, COUNTER_tcp_accepted);
    if ((full || full_here) && !tcp_client_evict(listener, full_here ? tcp->terms : NULL)) {
        counter_inc(listener->counters, COUNTER_tcp_refused);
        close(fd);
        return;
    }
    tcp_client_start(tcp, fd, peer);
}

// accept4() reserves a descriptor before it looks whether anybody waits.
static bool is_somebody_waiting(int fd)
{
    struct pollfd polled = {.fd = fd, .events = POLLIN};

    return poll(&polled, 1, 0) != 0;
}

static void on_ready(struct watcher *watcher, bool readable, bool writable)
{
    struct tcp_listener *tcp = container_of(watcher, struct tcp_listener, watcher);

    for (unsigned i = 0; i < ACCEPTS_PER_TURN; i++) {
        struct address peer;
        socklen_t size = sizeof(peer);
        int fd = accept4(tcp->fd, &peer.any, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0) {
            take(tcp, fd, &peer);
        } else if (errno == EAGAIN) {
            return;
        } else if (!is_peers_error(errno)) {
            int error = errno;

            if (!is_somebody_waiting(tcp->fd))
                return;
            if (!tcp_client_evict(tcp->listener, NULL)) {
                pause_accepting(tcp, error);
                return;
            }
        }
    }
}

static void tcp_listener_free(struct tcp_listener *tcp)
{
    listener_terms_unref(tcp->terms);
    http_site_unref(tcp->site);
    free(tcp);
}

static void on_closed(struct watcher *watcher)
{
    struct tcp_listener *tcp = container_of(watcher, struct tcp_listener, watcher);

    tls_server_unref(tcp->tls);
    tcp_listener_free(tcp);
}

static struct tcp_listener *tcp_listener_new(struct listener *listener,
                                             const struct listener_address *at, int fd)
{
    static const struct listener_proxies nobody;
    struct tcp_listener *tcp = calloc(1, sizeof(*tcp));

    if (!tcp)
        return NULL;
    tcp->listener = listener;
    tcp->address = at->address;
    tcp->transport = at->transports & LISTENER_STREAM;
    tcp->protocol = &tcp_messages;
    tcp->fd = fd;
    wheel_timer_init(&tcp->resume, on_resume);
    tcp->terms = listener_terms_new(&listener->limits);
    if (tcp->transport & LISTENER_ANY_HTTP) {
        tcp->protocol = &tcp_http;
        tcp->site = http_site_new(at->path, &nobody);
    }
    if (tcp->terms && (tcp->site || tcp->protocol != &tcp_http))
        return tcp;
    tcp_listener_free(tcp);
    return NULL;
}

int tcp_listener_open(struct listener *listener, const struct listener_address *at, int fd,
                      struct tls_server *tls)
{
    struct tcp_listener *tcp = tcp_listener_new(listener, at, fd);

    if (!tcp) {
        close(fd);
        return E_NOMEM;
    }
    if (watcher_init(&tcp->watcher, listener->loop, fd, on_ready) != E_OK) {
        close(fd);
        tcp_listener_free(tcp);
        return E_SYSTEM;
    }
    if (tls)
        tcp->tls = tls_server_ref(tls);
    watcher_want(&tcp->watcher, true, false);
    list_append(&listener->tcp, &tcp->node);
    return E_OK;
}

void tcp_listener_set_rules(struct tcp_listener *tcp, const char *path,
                            const struct listener_rules *rules)
{
    struct http_site *site;

    tcp->proxies = rules->proxies;
    tcp_clients_retire_proxies(tcp, &rules->proxies);
    if (!tcp->site || http_site_is(tcp->site, path, &rules->forwarders))
        return;
    site = http_site_new(path, &rules->forwarders);
    if (!site) {
        log_error(tcp->listener->log, "listener", "out of memory: a worker keeps its old rules");
        return;
    }
    http_site_unref(tcp->site);
    tcp->site = site;
    tcp_clients_retire(tcp->listener, &tcp->address, tcp->transport);
}

void tcp_listener_pause(struct tcp_listener *tcp)
{
    // Those who are connected by now are heard.
    on_ready(&tcp->watcher, true, false);
    loop_disarm(tcp->listener->loop, &tcp->resume);
    watcher_want(&tcp->watcher, false, false);
}

void tcp_listener_close(struct tcp_listener *tcp)
{
    loop_disarm(tcp->listener->loop, &tcp->resume);
    list_remove(&tcp->node);
    watcher_close(&tcp->watcher, on_closed);
    close(tcp->fd);
}
