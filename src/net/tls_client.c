#include "net/tls_client.h"

#include <gnutls/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "net/tls_internal.h"

struct tls_ticket {
    gnutls_datum_t data;
    time_t expires; // with the certificate that was verified
    bool verified;
};

static void digest_authorities(struct tls_context *context)
{
    gnutls_x509_trust_list_t trust;
    gnutls_x509_trust_list_iter_t iter = NULL;
    gnutls_x509_crt_t certificate;
    gnutls_hash_hd_t hash;

    gnutls_certificate_get_trust_list(context->credentials, &trust);
    if (gnutls_hash_init(&hash, GNUTLS_DIG_SHA256) != 0)
        return;
    while (gnutls_x509_trust_list_iter_get_ca(trust, &iter, &certificate) == 0) {
        gnutls_datum_t der;

        if (gnutls_x509_crt_export2(certificate, GNUTLS_X509_FMT_DER, &der) == 0) {
            gnutls_hash(hash, der.data, der.size);
            gnutls_free(der.data);
        }
        gnutls_x509_crt_deinit(certificate);
    }
    gnutls_hash_deinit(hash, context->authorities);
}

static int load_authorities(struct tls_context *context, const char *ca_file,
                            char reason[TLS_REASON_SIZE])
{
    int count;

    if (*ca_file)
        count = gnutls_certificate_set_x509_trust_file(context->credentials, ca_file,
                                                       GNUTLS_X509_FMT_PEM);
    else
        count = gnutls_certificate_set_x509_system_trust(context->credentials);
    if (count > 0)
        return E_OK;
    if (*ca_file)
        snprintf(reason, TLS_REASON_SIZE, "no certificates could be read from %s: %s", ca_file,
                 count < 0 ? gnutls_strerror(count) : "it has none in PEM form");
    else
        snprintf(reason, TLS_REASON_SIZE,
                 "the system has no certificate authorities; install ca-certificates or name a "
                 "ca-file");
    return E_TLS;
}

struct tls_context *tls_context_new(const struct tls_client_options *options,
                                    char reason[TLS_REASON_SIZE])
{
    struct tls_context *context = calloc(1, sizeof(*context));

    snprintf(reason, TLS_REASON_SIZE, "out of memory");
    if (!context)
        return NULL;
    atomic_init(&context->refs, 1);
    require(strlen(options->auth_name) < sizeof(context->auth_name));
    require(options->pin_count <= TLS_PINS_MAX);
    strcpy(context->auth_name, options->auth_name);
    if (options->pin_count > 0)
        memcpy(context->pins, options->pins, options->pin_count * sizeof(context->pins[0]));
    context->pin_count = options->pin_count;
    context->has_name = options->has_name;
    context->opportunistic = options->opportunistic;

    if (gnutls_certificate_allocate_credentials(&context->credentials) != 0)
        goto fail;
    if (gnutls_priority_init(&context->priority, TLS_PRIORITY, NULL) != 0) {
        snprintf(reason, TLS_REASON_SIZE, "this GnuTLS lacks the algorithms that are needed");
        goto fail;
    }
    gnutls_certificate_set_verify_function(context->credentials, tls_verify_peer);
    // Where pins stand alone no authority is asked.
    if (options->has_name && load_authorities(context, options->ca_file, reason) != E_OK &&
        !options->opportunistic)
        goto fail;
    digest_authorities(context);
    return context;

fail:
    tls_context_unref(context);
    return NULL;
}

struct tls_context *tls_context_ref(struct tls_context *context)
{
    atomic_fetch_add_explicit(&context->refs, 1, memory_order_relaxed);
    return context;
}

void tls_context_unref(struct tls_context *context)
{
    if (!context || atomic_fetch_sub_explicit(&context->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (context->priority)
        gnutls_priority_deinit(context->priority);
    if (context->credentials)
        gnutls_certificate_free_credentials(context->credentials);
    free(context);
}

bool tls_context_same_authorities(const struct tls_context *a, const struct tls_context *b)
{
    return memcmp(a->authorities, b->authorities, sizeof(a->authorities)) == 0;
}

// A ticket made by a session that was not verified, or whose certificate has run out since, would
// skip the check that is due.
static bool ticket_usable(const struct tls_ticket *ticket)
{
    return ticket->verified && time(NULL) < ticket->expires;
}

struct tls *tls_new(struct tls_context *context, const struct address *address,
                    struct tls_ticket *ticket, tls_push_fn *push_fn, void *owner)
{
    struct tls *tls = tls_session_new(GNUTLS_CLIENT | GNUTLS_KEY_SHARE_TOP, context->credentials,
                                      context->priority, push_fn, owner);

    if (!tls) {
        tls_ticket_free(ticket);
        return NULL;
    }
    tls->context = tls_context_ref(context);
    tls->address = *address;
    gnutls_alpn_set_protocols(tls->session, &tls_alpn_dot, 1, 0);
    if (*context->auth_name)
        gnutls_server_name_set(tls->session, GNUTLS_NAME_DNS, context->auth_name,
                               strlen(context->auth_name));
    if (ticket && ticket_usable(ticket) &&
        gnutls_session_set_data(tls->session, ticket->data.data, ticket->data.size) == 0)
        tls->leaf_expires = ticket->expires;
    tls_ticket_free(ticket);
    return tls;
}

struct tls_ticket *tls_ticket_take(struct tls *tls)
{
    // Before TLS 1.3 what resumes a session is there when the handshake ends, ticket or session ID.
    bool there = gnutls_protocol_get_version(tls->session) < GNUTLS_TLS1_3 ||
                 (gnutls_session_get_flags(tls->session) & GNUTLS_SFLAGS_SESSION_TICKET);

    if (tls->ticket_taken || !there || !tls->established)
        return NULL;
    tls->ticket_taken = true;

    struct tls_ticket *ticket = calloc(1, sizeof(*ticket));

    if (!ticket)
        return NULL;
    if (gnutls_session_get_data2(tls->session, &ticket->data) != 0) {
        free(ticket);
        return NULL;
    }
    ticket->expires = tls->leaf_expires;
    ticket->verified = tls->verified;
    return ticket;
}

void tls_ticket_free(struct tls_ticket *ticket)
{
    if (!ticket)
        return;
    gnutls_memset(ticket->data.data, 0, ticket->data.size);
    gnutls_free(ticket->data.data);
    free(ticket);
}
