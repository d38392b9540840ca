// The ways to write an upstream.
#pragma once

#include "base/compiler.h"
#include "upstream/options.h"

// The port of DNS over TLS (RFC 7858 section 3.1).
#define UPSTREAM_PORT 853

// Reads one of
//   cloudflare                            a preset (upstream_presets)
//   tls://1.1.1.1:853#cloudflare-dns.com  address, port if not 853, name in the certificate
//   tls://1.1.1.1                         the certificate must have the address itself
//   tls://dns.quad9.net[:853][#name]      resolved through the bootstrap; name defaults to the host
//   1.1.1.1@853#cloudflare-dns.com        as in unbound
//   1.1.1.1:853#cloudflare-dns.com        as in resolved.conf; [IPv6]:853#name likewise
//   [2606:4700:4700::1111], 2606:4700:4700::1111
// with tls:// or without. On failure returns E_INVALID and a static text that says what is wrong
// and what to write instead: also for schemes that are no DNS over TLS (udp://, https://, …).
NONNULL NODISCARD int upstream_url_parse(struct upstream_endpoint *endpoint, const char *text,
                                         const char **why);

struct upstream_preset {
    const char *name;
    const char *auth_name;
    const char *addresses[UPSTREAM_ADDRESSES_MAX]; // up to the first NULL
};

// Ends with a row whose name is NULL.
extern const struct upstream_preset upstream_presets[];
