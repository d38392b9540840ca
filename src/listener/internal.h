// Shared by src/listener/*.c only.
#pragma once

#include "base/list.h"
#include "base/slab.h"
#include "listener/listener.h"
#include "listener/terms.h"
#include "net/frame.h"
#include "net/http.h"
#include "net/proxy_header.h"
#include "net/stream.h"
#include "net/udp.h"

struct listener {
    struct loop *loop;
    struct log *log;
    struct counters *counters;
    struct engine *engine;

    struct listener_limits limits;

    struct udp_receiver *receiver;
    struct list udp; // struct udp_listener
    struct list tcp; // struct tcp_listener

    struct list clients; // all connections over TCP, plain and encrypted
    struct list idle;    // those with nothing in flight, the longest idle first
    uint32_t client_count;
    struct slab exchanges; // of HTTP
    struct http_clock date;
    struct log_limit accept_log;
    struct log_limit handshake_log;
    struct log_limit proxy_log;
};

struct udp_listener {
    struct list node;
    struct listener *listener;
    struct address address;
    struct udp_socket socket;
    struct listener_proxies proxies;
    struct policy_rules *policy; // NULL: those of the engine
    unsigned in_flight;
    bool closing;
};

struct tcp_listener {
    struct list node;
    struct listener *listener;
    struct address address;
    uint32_t transport; // one of LISTENER_STREAM
    const struct tcp_protocol *protocol;
    struct watcher watcher;
    struct wheel_timer resume; // accepting is paused until then
    struct tls_server *tls;    // NULL: plain
    struct listener_proxies proxies;
    struct listener_terms *terms;
    struct http_site *site; // HTTP; else NULL
    int fd;
};

// listener/listener.c
// Whether this peer must say by a PROXY header for whom it asks. Judged by the address that it has.
NONNULL bool listener_is_proxy(const struct listener_proxies *proxies, const struct address *peer);
// It sent none, or no right one: counts it, and logs it now and then.
NONNULL void listener_refuse_header(struct listener *listener, const struct address *peer);

// listener/udp.c. Takes over the descriptor.
NONNULL NODISCARD int udp_listener_open(struct listener *listener, const struct address *address,
                                        int fd);
// `policy` is referenced.
void udp_listener_set_rules(struct udp_listener *udp, const struct listener_rules *rules,
                            struct policy_rules *policy);
// Closes it when its queries are answered.
NONNULL void udp_listener_close(struct udp_listener *udp);

// listener/tcp.c. Takes over the descriptor; references `tls`, NULL for what is not encrypted.
NODISCARD int tcp_listener_open(struct listener *listener, const struct listener_address *at,
                                int fd, struct tls_server *tls);
// Connections for which that changes something are retired.
NONNULL void tcp_listener_set_rules(struct tcp_listener *tcp, const char *path,
                                    const struct listener_rules *rules);
NONNULL void tcp_listener_close(struct tcp_listener *tcp);
NONNULL void tcp_listener_pause(struct tcp_listener *tcp);

// listener/tcp_client.c
struct tcp_client;
// Takes over an accepted connection.
NONNULL void tcp_client_start(const struct tcp_listener *tcp, int fd, const struct address *peer);
// Closes the connection that has been idle for longest, of those on these terms or of all (NULL).
// False if none is idle.
bool tcp_client_evict(struct listener *listener, struct listener_terms *terms);
NONNULL void tcp_clients_close_all(struct listener *listener);
// Connections that came by that listening address (NULL: all), over one of these transports, read
// no more, and close when nothing is in flight.
void tcp_clients_retire(struct listener *listener, const struct address *address,
                        uint32_t transports);
// The same for those that came by this listener and must send a PROXY header by the one list and
// not by the other.
NONNULL void tcp_clients_retire_proxies(const struct tcp_listener *tcp,
                                        const struct listener_proxies *proxies);

// listener/tcp_messages.c, listener/http.c
extern const struct tcp_protocol tcp_messages, tcp_http;

// Of what the listener's slab for exchanges is made.
size_t http_exchange_size(void);
