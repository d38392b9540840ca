// What requests that came by an HTTP listener are judged by: immutable, shared by its connections,
// which keep the one that they began with. One thread.
#pragma once

#include "listener/options.h"

struct http_site {
    unsigned refs;
    char path[LISTENER_PATH_SIZE];
    struct listener_proxies forwarders;
};

// NULL out of memory.
NONNULL NODISCARD struct http_site *http_site_new(const char *path,
                                                  const struct listener_proxies *forwarders);
NONNULL struct http_site *http_site_ref(struct http_site *site);
void http_site_unref(struct http_site *site);

// Whether requests are judged the same by both.
NONNULL bool http_site_is(const struct http_site *site, const char *path,
                          const struct listener_proxies *forwarders);
