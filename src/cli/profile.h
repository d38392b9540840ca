// A configuration profile for devices of Apple that makes them use one DNS server: a property list
// with a payload com.apple.dnsSettings.managed (iOS 14, macOS 11 and later), and one with the
// certificate authority if it is a private one.
#pragma once

#include <stdio.h>

#include "base/compiler.h"
#include "net/tls_name.h"

// Texts are UTF-8 without control characters, and the caller's.
struct profile {
    const char *name;                 // shown to the user
    const char *host;                 // of the server, as its certificate has it
    const char *url;                  // of DNS over HTTPS; NULL: DNS over TLS
    const char *authority;            // base64 of the certificate in DER; NULL: none goes with it
    const struct tls_name *addresses; // of the server; none: the device looks up the host
    unsigned address_count;
};

// The identifier follows from transport and host: a profile takes the place of an older one for the
// same server. The UUIDs follow from the whole content: the same profile is the same text.
// E_NOMEM, or E_SYSTEM with errno.
NONNULL NODISCARD int profile_print(const struct profile *profile, FILE *out);
