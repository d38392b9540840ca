#include "listener/options.h"

#include <string.h>

void listener_tls_options(const struct listener_options *options, uint32_t place,
                          struct tls_server_options *tls)
{
    *tls = options->places[place].tls;
    if (tls->certificate_count == 0) {
        tls->certificate_count = options->tls.certificate_count;
        memcpy(tls->certificates, options->tls.certificates, sizeof(tls->certificates));
    }
    if (!*tls->client_ca_file)
        memcpy(tls->client_ca_file, options->tls.client_ca_file, sizeof(tls->client_ca_file));
}
