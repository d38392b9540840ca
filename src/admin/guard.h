// Who may see what over HTTP: judged by the request alone.
#pragma once

#include <stdbool.h>

#include "admin/options.h"
#include "base/compiler.h"

// Whether the Host header (NULL: none) is a name of ours: an IP address, localhost, or one of
// `hosts`, with or without a port. A page of somebody else's, whose name was made to lead here (DNS
// rebinding), is asked for under that name.
bool guard_allows_host(const char *host, const struct admin_options *options);

// Whether the Authorization header (NULL: none) is "Bearer" with the token. Takes as long whatever
// the header has.
bool guard_allows_token(const char *authorization, const char *token);

// Whether a request that changes something comes from a page of ours, or from no page: its Origin
// (NULL: none) is of the Host that it goes to.
bool guard_allows_origin(const char *origin, const char *host);
