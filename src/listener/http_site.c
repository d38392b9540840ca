#include "listener/http_site.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct http_site *http_site_new(const char *path, const struct listener_proxies *forwarders)
{
    struct http_site *site = calloc(1, sizeof(*site));

    if (!site)
        return NULL;
    site->refs = 1;
    snprintf(site->path, sizeof(site->path), "%s", path);
    site->forwarders = *forwarders;
    return site;
}

struct http_site *http_site_ref(struct http_site *site)
{
    site->refs++;
    return site;
}

void http_site_unref(struct http_site *site)
{
    if (site && --site->refs == 0)
        free(site);
}

bool http_site_is(const struct http_site *site, const char *path,
                  const struct listener_proxies *forwarders)
{
    return strcmp(site->path, path) == 0 && listener_proxies_equal(&site->forwarders, forwarders);
}
