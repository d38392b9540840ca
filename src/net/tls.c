#include "net/tls.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "net/tls_internal.h"

// TLS 1.3 and 1.2 with forward secrecy and AEAD only; X25519 and AES-GCM first, since they cost
// least.
#define PRIORITY                                                                                   \
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"                                                   \
    ":-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305"                                    \
    ":-KX-ALL:+ECDHE-ECDSA:+ECDHE-RSA:-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1"

// RFC 7858 asks for no more than the port; the protocol name is registered for it (ALPN "dot").
static const gnutls_datum_t alpn_dot = {(unsigned char *)"dot", 3};

// Warning alerts and the like tell us nothing; a peer that keeps sending them is left.
#define WARNINGS_MAX 8

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
    if (gnutls_priority_init(&context->priority, PRIORITY, NULL) != 0) {
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

static ssize_t pull(gnutls_transport_ptr_t ptr, void *to, size_t size)
{
    struct tls *tls = ptr;

    if (tls->in_left == 0) {
        if (tls->in_eof)
            return 0;
        gnutls_transport_set_errno(tls->session, EAGAIN);
        return -1;
    }
    size = MIN(size, tls->in_left);
    memcpy(to, tls->in, size);
    tls->in += size;
    tls->in_left -= size;
    return (ssize_t)size;
}

static ssize_t push(gnutls_transport_ptr_t ptr, const void *bytes, size_t size)
{
    struct tls *tls = ptr;

    if (tls->push(tls->owner, bytes, size))
        return (ssize_t)size;
    gnutls_transport_set_errno(tls->session, ENOBUFS);
    return -1;
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
    struct tls *tls = calloc(1, sizeof(*tls));

    if (!tls || gnutls_init(&tls->session, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL |
                                               GNUTLS_KEY_SHARE_TOP) != 0) {
        free(tls);
        tls_ticket_free(ticket);
        return NULL;
    }
    tls->context = tls_context_ref(context);
    tls->address = *address;
    tls->push = push_fn;
    tls->owner = owner;
    gnutls_session_set_ptr(tls->session, tls);
    gnutls_transport_set_ptr(tls->session, tls);
    gnutls_transport_set_pull_function(tls->session, pull);
    gnutls_transport_set_push_function(tls->session, push);
    gnutls_priority_set(tls->session, context->priority);
    gnutls_credentials_set(tls->session, GNUTLS_CRD_CERTIFICATE, context->credentials);
    gnutls_alpn_set_protocols(tls->session, &alpn_dot, 1, 0);
    if (*context->auth_name)
        gnutls_server_name_set(tls->session, GNUTLS_NAME_DNS, context->auth_name,
                               strlen(context->auth_name));
    if (ticket && ticket_usable(ticket) &&
        gnutls_session_set_data(tls->session, ticket->data.data, ticket->data.size) == 0)
        tls->leaf_expires = ticket->expires;
    tls_ticket_free(ticket);
    return tls;
}

void tls_free(struct tls *tls)
{
    if (!tls)
        return;
    gnutls_deinit(tls->session);
    tls_context_unref(tls->context);
    free(tls);
}

void tls_feed(struct tls *tls, const uint8_t *bytes, size_t size, bool eof)
{
    tls->in = bytes;
    tls->in_left = size;
    tls->in_eof = eof;
}

static int fail(struct tls *tls, int code)
{
    if (tls->verify_failed)
        return E_VERIFY; // the reason is there already
    if (code == GNUTLS_E_PREMATURE_TERMINATION || code == GNUTLS_E_SESSION_EOF) {
        snprintf(tls->reason, sizeof(tls->reason), "closed by the peer");
        return E_CLOSED;
    }
    if (code == GNUTLS_E_FATAL_ALERT_RECEIVED)
        snprintf(tls->reason, sizeof(tls->reason), "the peer sent the alert: %s",
                 gnutls_alert_get_name(gnutls_alert_get(tls->session)));
    else if (code == GNUTLS_E_UNEXPECTED_PACKET_LENGTH || code == GNUTLS_E_UNEXPECTED_PACKET)
        snprintf(tls->reason, sizeof(tls->reason), "the peer does not speak TLS on this port (%s)",
                 gnutls_strerror(code));
    else
        snprintf(tls->reason, sizeof(tls->reason), "%s", gnutls_strerror(code));
    return E_TLS;
}

// Whether a code that is no failure may be passed over once more. `left` is what there was to be
// read before the call that returned it.
static bool tolerate(struct tls *tls, int code, size_t left)
{
    // After a message that is GnuTLS's own affair (a ticket, a key update) it says E_AGAIN too,
    // though more was fed.
    if (code == GNUTLS_E_AGAIN || code == GNUTLS_E_INTERRUPTED)
        return tls->in_left > 0 && tls->in_left < left;
    return code == GNUTLS_E_WARNING_ALERT_RECEIVED && ++tls->warnings <= WARNINGS_MAX;
}

int tls_handshake(struct tls *tls)
{
    size_t left;
    int code;

    do {
        left = tls->in_left;
        code = gnutls_handshake(tls->session);
    } while (code < 0 && tolerate(tls, code, left));
    if (code == GNUTLS_E_AGAIN || code == GNUTLS_E_INTERRUPTED)
        return E_AGAIN;
    if (code < 0) {
        if (!gnutls_error_is_fatal(code))
            return fail(tls, GNUTLS_E_UNEXPECTED_PACKET);
        gnutls_alert_send_appropriate(tls->session, code);
        return fail(tls, code);
    }
    // A resumed session has no certificate to look at: the one that made its ticket was verified.
    if (gnutls_session_is_resumed(tls->session))
        tls->verified = true;
    tls->established = true;
    return E_OK;
}

int tls_read(struct tls *tls, uint8_t *to, size_t size, size_t *got)
{
    size_t left;
    ssize_t code;

    do {
        left = tls->in_left;
        code = gnutls_record_recv(tls->session, to, size);
    } while (code < 0 && tolerate(tls, (int)code, left));
    if (code > 0) {
        *got = (size_t)code;
        return E_OK;
    }
    if (code == 0)
        return fail(tls, GNUTLS_E_SESSION_EOF);
    if (code == GNUTLS_E_AGAIN || code == GNUTLS_E_INTERRUPTED)
        return E_AGAIN;
    return fail(tls, (int)code);
}

int tls_write(struct tls *tls, const uint8_t *bytes, size_t size)
{
    while (size > 0) {
        ssize_t code = gnutls_record_send(tls->session, bytes, size);

        if (code < 0)
            return fail(tls, (int)code);
        bytes += code;
        size -= (size_t)code;
    }
    return E_OK;
}

void tls_close_notify(struct tls *tls)
{
    if (tls->established)
        gnutls_bye(tls->session, GNUTLS_SHUT_WR);
}

const char *tls_reason(const struct tls *tls)
{
    return tls->reason;
}

const char *tls_version(const struct tls *tls)
{
    return gnutls_protocol_get_name(gnutls_protocol_get_version(tls->session));
}

bool tls_resumed(const struct tls *tls)
{
    return gnutls_session_is_resumed(tls->session);
}

bool tls_verified(const struct tls *tls)
{
    return tls->verified;
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
