// The ways to write a listen address.
#pragma once

#include "base/compiler.h"
#include "listener/options.h"

// The ports of DNS (RFC 1035 section 4.2) and of DNS over TLS (RFC 7858 section 3.1).
#define LISTENER_PORT 53
#define LISTENER_PORT_TLS 853

// "dns://127.0.0.1:53" and the like.
#define LISTENER_URL_SIZE (ADDRESS_TEXT_MAX + 8)

// Reads dns://ADDRESS[:PORT], udp://…, tcp://…, tls://…, or without a scheme, which means dns://.
// ADDRESS is IPv4, [IPv6], or * for every address, IPv4 and IPv6 (the same as [::]). On failure
// returns E_INVALID and a static text that says what is wrong and what to write instead.
NONNULL NODISCARD int listener_url_parse(struct listener_address *address, const char *text,
                                         const char **why);

// The canonical form; reads back to the same. Returns `text`.
NONNULL const char *listener_url_to_text(const struct listener_address *address,
                                         char text[LISTENER_URL_SIZE]);
