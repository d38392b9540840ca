// Asking a server on this machine how it is, as `sotto healthcheck` does: over HTTP or DNS. Each
// call blocks, for at most PROBE_TIMEOUT.
#pragma once

#include "base/address.h"
#include "base/compiler.h"
#include "base/time.h"

// Longer than the server may take to hear its workers, and than a query's deadline by default.
#define PROBE_TIMEOUT (5 * USEC_SEC)

#define PROBE_TEXT_SIZE 1024

// Where to connect to reach who listens there: an address for all is replaced by loopback.
NONNULL void probe_address(struct address *address);

// GET /readyz. E_OK: ready; E_AGAIN: not; E_SYSTEM: nobody could be asked, or this is no sotto.
// `text` says in words what is so.
NONNULL NODISCARD int probe_http(const struct address *address, char text[PROBE_TEXT_SIZE]);

// A query for the name servers of the root, over UDP or TCP. Returns as above.
NONNULL NODISCARD int probe_dns(const struct address *address, bool tcp,
                                char text[PROBE_TEXT_SIZE]);
