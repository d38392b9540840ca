#include "net/tls.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "net/tls_client.h"
#include "net/tls_internal.h"
#include "net/tls_server.h"

// RFC 7858 asks for no more than the port; the protocol name is registered for it (ALPN "dot").
const gnutls_datum_t tls_alpn_dot = {(unsigned char *)"dot", 3};

// Warning alerts and the like tell us nothing; a peer that keeps sending them is left.
#define WARNINGS_MAX 8

// Records one after the other in which there is nothing to read: tickets, key updates, or nothing
// at all. They cost us more than the peer.
#define EMPTIES_MAX 64

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

struct tls *tls_session_new(unsigned flags, gnutls_certificate_credentials_t credentials,
                            gnutls_priority_t priority, tls_push_fn *push_fn, void *owner)
{
    struct tls *tls = calloc(1, sizeof(*tls));

    if (!tls || gnutls_init(&tls->session, flags | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL) != 0) {
        free(tls);
        return NULL;
    }
    tls->push = push_fn;
    tls->owner = owner;
    gnutls_session_set_ptr(tls->session, tls);
    gnutls_transport_set_ptr(tls->session, tls);
    gnutls_transport_set_pull_function(tls->session, pull);
    gnutls_transport_set_push_function(tls->session, push);
    gnutls_priority_set(tls->session, priority);
    gnutls_credentials_set(tls->session, GNUTLS_CRD_CERTIFICATE, credentials);
    return tls;
}

void tls_free(struct tls *tls)
{
    if (!tls)
        return;
    gnutls_deinit(tls->session);
    tls_context_unref(tls->context);
    tls_credentials_unref(tls->credentials);
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
    else if (code == GNUTLS_E_DECRYPTION_FAILED && tls->credentials && !tls->established)
        // OpenSSL's way to say that it does not like the certificate: an alert in the clear.
        snprintf(tls->reason, sizeof(tls->reason),
                 "the client gave up, in the clear; it may not trust the certificate");
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
        return tls->in_left > 0 && tls->in_left < left && ++tls->empties <= EMPTIES_MAX;
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
    if (tls->credentials)
        tls_server_send_ticket(tls);
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
        tls->empties = 0;
        *got = (size_t)code;
        return E_OK;
    }
    if (code == 0)
        return fail(tls, GNUTLS_E_SESSION_EOF);
    if (code == GNUTLS_E_AGAIN || code == GNUTLS_E_INTERRUPTED)
        return tls->empties > EMPTIES_MAX ? fail(tls, GNUTLS_E_TOO_MANY_EMPTY_PACKETS) : E_AGAIN;
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

const char *tls_protocol(const struct tls *tls, char name[TLS_PROTOCOL_SIZE])
{
    gnutls_datum_t selected;
    size_t size = 0;

    if (gnutls_alpn_get_selected_protocol(tls->session, &selected) == 0)
        size = MIN((size_t)selected.size, (size_t)TLS_PROTOCOL_SIZE - 1);
    if (size > 0)
        memcpy(name, selected.data, size);
    name[size] = '\0';
    return name;
}

const char *tls_version(const struct tls *tls)
{
    return gnutls_protocol_get_name(gnutls_protocol_get_version(tls->session));
}

uint8_t tls_version_number(const struct tls *tls)
{
    return gnutls_protocol_get_version(tls->session) >= GNUTLS_TLS1_3 ? 13 : 12;
}

bool tls_resumed(const struct tls *tls)
{
    return gnutls_session_is_resumed(tls->session);
}

bool tls_verified(const struct tls *tls)
{
    return tls->verified;
}
