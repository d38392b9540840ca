// The control socket: a Unix socket on which the program tells how it is, and flushes its cache.
// `sotto status` and `sotto flush` are its clients (cli/control_client.h).
//
// The protocol, version 1: the client sends one line, gets one response, and the connection is
// closed. Lines end with a newline (10).
//
//   request    sotto/1 status table             for people
//              sotto/1 status json              for programs
//              sotto/1 ready                    an error, if queries are not answered now
//              sotto/1 flush                    drops all that is in the cache
//              sotto/1 flush name NAME          what is kept under that name
//              sotto/1 flush subtree NAME       and under all names below it
//   response   sotto/1 ok                       then the body, to the end: whole lines
//              sotto/1 error TEXT
//
// A name is in presentation form (dns_name_from_text()). A request has at most CONTROL_REQUEST_MAX
// octets and must be there in CONTROL_READ_TIMEOUT; the response must be taken in
// CONTROL_WRITE_TIMEOUT. Who may connect is a matter of the file's permissions.
//
// One thread serves all clients. It asks workers for what it shows by `collect`, and waits for none
// for long; no worker ever waits for it.
#pragma once

#include "admin/control_socket.h"
#include "admin/readiness.h"
#include "admin/status.h"
#include "base/log.h"
#include "cache/cache.h"

// At a time; more wait in the backlog.
#define CONTROL_CLIENTS_MAX 8

// A client is a program that has its request ready.
#define CONTROL_READ_TIMEOUT (2 * USEC_SEC)
// Longer than a pager that is still being started; short enough to give the place to others.
#define CONTROL_WRITE_TIMEOUT (10 * USEC_SEC)

struct control;

// What the rest of the program does for it, on its thread.
struct control_handlers {
    void *context;
    // Fills in the status, for which status_deinit() will be called. E_NOMEM.
    int (*collect)(void *context, struct status *status);
    // Whether queries are answered (admin/readiness.h). E_AGAIN with the reason; E_NOMEM.
    int (*ready)(void *context, char reason[READINESS_REASON_SIZE]);
    // The cache was flushed, in whole or in part. NULL: nobody wants to know.
    void (*flushed)(void *context);
};

// Starts the thread. Takes over the socket, also on failure: NULL out of memory or threads. The
// handlers are copied; log and cache must outlive it.
NODISCARD struct control *control_start(struct control_socket *socket,
                                        const struct control_handlers *handlers,
                                        struct cache *cache, struct log *log);

// Ends the thread, whatever its clients do, and removes the socket. NULL is allowed.
void control_stop(struct control *control);
