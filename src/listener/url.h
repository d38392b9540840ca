// The ways to write a listen address.
#pragma once

#include "base/compiler.h"
#include "listener/options.h"

// The ports of DNS (RFC 1035 section 4.2), of DNS over TLS (RFC 7858 section 3.1) and of HTTP.
#define LISTENER_PORT 53
#define LISTENER_PORT_TLS 853
#define LISTENER_PORT_HTTP 80
#define LISTENER_PORT_HTTPS 443

// The path that everybody uses (RFC 8484 section 4.1.1 has it in its examples).
#define LISTENER_PATH "/dns-query"

// "dns://127.0.0.1:53" and the like.
#define LISTENER_URL_SIZE (ADDRESS_TEXT_MAX + LISTENER_PATH_SIZE + 8)

// Reads dns://ADDRESS[:PORT], udp://…, tcp://…, tls://…, http://ADDRESS[:PORT][/PATH], https://…,
// or without a scheme, which means dns://. The path may end in {?dns}, as clients write it.
// ADDRESS is IPv4, [IPv6], or * for every address, IPv4 and IPv6 (the same as [::]). On failure
// returns E_INVALID and a static text that says what is wrong and what to write instead.
NONNULL NODISCARD int listener_url_parse(struct listener_address *address, const char *text,
                                         const char **why);

// The canonical form; reads back to the same. Returns `text`.
NONNULL const char *listener_url_to_text(const struct listener_address *address,
                                         char text[LISTENER_URL_SIZE]);
