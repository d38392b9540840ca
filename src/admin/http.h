// The HTTP server for those who look after the program: metrics, health, and pages to come. It is
// libmicrohttpd, driven by one thread of its own; queries have no part in it, nor it in them.
//
// What there is to be asked for is a table of routes (admin/routes.c). The server itself judges the
// Host header (admin/guard.h), the token, the method and the body's size, before a handler is
// called, and puts the headers that keep browsers strict.
//
// At most ADMIN_CLIENTS_MAX are connected; one more takes the place of the one that has kept us
// waiting for longest. A request must be there whole in ADMIN_REQUEST_TIMEOUT, however slowly it
// drips, and its response be taken in ADMIN_RESPONSE_TIMEOUT. Handlers run on the one thread: while
// one works, the others wait.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "admin/options.h"
#include "base/compiler.h"
#include "base/log.h"
#include "base/time.h"

#define ADMIN_CLIENTS_MAX 16
#define ADMIN_REQUEST_TIMEOUT (10 * USEC_SEC)
#define ADMIN_RESPONSE_TIMEOUT (30 * USEC_SEC)
// Longer than Prometheus waits between two scrapes, as a rule.
#define ADMIN_IDLE_TIMEOUT (75 * USEC_SEC)
// Of a request; its head is bounded too, by what a connection may use of memory.
#define ADMIN_BODY_MAX ((size_t)64 * 1024)

struct admin_http;

// What came. All of it lives until the handler returns.
struct admin_request {
    const char *method; // GET for HEAD too
    const char *path;   // decoded, without the query string
    const char *body;   // with a NUL behind it
    size_t body_size;
    void *connection; // libmicrohttpd's
};

// NULL if there is none.
NONNULL const char *admin_request_header(const struct admin_request *request, const char *name);
// Of the query string, decoded; NULL if it is not there, "" if it has no value.
NONNULL const char *admin_request_argument(const struct admin_request *request, const char *name);

// What goes back: the handler writes the body to `out`, and changes the rest where it must.
struct admin_response {
    FILE *out;
    unsigned status;          // 200
    const char *content_type; // static; text/plain in UTF-8
    const char *policy;       // static: the Content-Security-Policy; by default nothing is allowed
};

// Who may ask, beside those who know the token, if there is one.
enum admin_access {
    ADMIN_TOKEN,     // nobody
    ADMIN_TOKEN_FAR, // everybody where only this machine can reach us
    ADMIN_OPEN,      // everybody
};

struct admin_route {
    const char *method; // GET (which is HEAD too), POST, ...; NULL: the end of the table
    const char *path;   // exact
    enum admin_access access;
    // On the server's thread.
    void (*handle)(void *context, const struct admin_request *request,
                   struct admin_response *response);
};

struct admin_http_setup {
    const struct admin_options *options; // copied
    const struct admin_route *routes;    // static; several methods of a path follow each other
    void *context;                       // of the handlers
    struct log *log;
    int fd; // listens, non-blocking
};

// Starts the thread. Takes over the descriptor, also on failure: NULL out of memory or threads.
NONNULL NODISCARD struct admin_http *admin_http_start(const struct admin_http_setup *setup);

// For a reload, any thread: token and hosts are these from the next request on.
NONNULL void admin_http_configure(struct admin_http *http, const struct admin_options *options);

// Ends the thread, whatever its clients do. NULL is allowed.
void admin_http_stop(struct admin_http *http);
