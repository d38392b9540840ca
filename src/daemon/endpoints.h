// The sockets that we listen on: a set for each configured address, one of each kind for each
// worker. Opened by the main thread, while it may still bind to ports below 1024.
#pragma once

#include <stdbool.h>

#include "base/compiler.h"
#include "base/list.h"
#include "config/config.h"
#include "daemon/certificates.h"
#include "listener/url.h"

struct endpoint {
    struct list node;
    struct listener_address wanted;    // as configured
    struct address bound;              // with the port that the kernel chose, if it did
    bool inherited;                    // from socket activation
    struct certificates *certificates; // of one with TLS, owned; else NULL
    // For each worker; -1: none, or handed over.
    int udp[CONFIG_WORKERS_MAX];
    int tcp[CONFIG_WORKERS_MAX];
};

// Opens the sockets of one address for all workers. `only_v6`: see socket_open_udp(). `beside_own`:
// who is there already are our own sockets, at another address of the same port. NULL with errno,
// and with what went wrong and what to do in `error`.
NONNULL NODISCARD struct endpoint *endpoint_open(const struct listener_address *wanted,
                                                 unsigned workers, bool only_v6, bool beside_own,
                                                 struct config_error *error);

// Takes over the sockets that systemd passed (sd_listen_fds(3)), and appends an endpoint for each
// address. Those that `options` have as tls:// are encrypted. Returns how many sockets there were,
// or E_INVALID with the error.
NONNULL NODISCARD int endpoints_inherit(struct list *endpoints, unsigned workers,
                                        const struct listener_options *options,
                                        struct config_error *error);

// Where it listens, with the port that it has.
NONNULL struct listener_address endpoint_at(const struct endpoint *endpoint);

// The same for the log. Returns `url`.
NONNULL const char *endpoint_url(const struct endpoint *endpoint, char url[LISTENER_URL_SIZE]);

// What its workers make TLS sessions with, or NULL.
NONNULL struct tls_server *endpoint_tls_server(const struct endpoint *endpoint);

// Reads the certificates of an endpoint with TLS, if it has none yet. E_INVALID with the error.
NONNULL NODISCARD int endpoint_encrypt(struct endpoint *endpoint,
                                       const struct listener_options *options,
                                       struct config_error *error);

// The place in the configuration that says how this address is encrypted, or -1.
NONNULL int endpoint_tls_place(const struct listener_options *options,
                               const struct address *address);

// Closes what was not handed over. The endpoint must be in no list.
NONNULL void endpoint_free(struct endpoint *endpoint);
// All of a list, which is empty then.
NONNULL void endpoints_free(struct list *endpoints);

// Whether `wanted` is [::1] and 127.0.0.1 is listened on by the same port: a machine whose IPv6 is
// off then loses nothing but what it does not have.
NONNULL bool endpoint_is_spare(const struct listener_options *options,
                               const struct listener_address *wanted);

// Whether 0.0.0.0 with the same port is listened on too, so that [::] must leave IPv4 alone.
NONNULL bool endpoint_needs_only_v6(const struct listener_options *options,
                                    const struct listener_address *wanted);
