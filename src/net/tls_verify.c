// Who the server is: chain, name, pins (RFC 8310, RFC 7858 section 4.2, RFC 6125).
#include <arpa/inet.h>
#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/reason.h"
#include "net/tls_internal.h"

// Longer chains exist only to keep us busy.
#define CHAIN_MAX 16

struct chain {
    gnutls_x509_crt_t certificate[CHAIN_MAX];
    unsigned count;
};

#define refuse(tls, ...) reason_give(E_VERIFY, (tls)->reason, sizeof((tls)->reason), __VA_ARGS__)

static void chain_clear(struct chain *chain)
{
    while (chain->count > 0)
        gnutls_x509_crt_deinit(chain->certificate[--chain->count]);
}

static int chain_read(struct tls *tls, struct chain *chain)
{
    unsigned count = 0;
    const gnutls_datum_t *raw = gnutls_certificate_get_peers(tls->session, &count);

    if (!raw || count == 0)
        return refuse(tls, "the server sent no certificate");
    if (count > CHAIN_MAX)
        return refuse(tls, "the server sent %u certificates; %d are allowed", count, CHAIN_MAX);
    for (unsigned i = 0; i < count; i++) {
        gnutls_x509_crt_t *slot = &chain->certificate[chain->count];

        if (gnutls_x509_crt_init(slot) != 0)
            return refuse(tls, "out of memory");
        chain->count++;
        if (gnutls_x509_crt_import(*slot, &raw[i], GNUTLS_X509_FMT_DER) != 0)
            return refuse(tls, "a certificate of the server cannot be read");
    }
    return E_OK;
}

static bool is_pinned(const struct tls_context *context, gnutls_x509_crt_t certificate)
{
    gnutls_datum_t spki = {NULL, 0};
    gnutls_pubkey_t key;
    uint8_t digest[TLS_PIN_SIZE];
    bool found = false;

    if (gnutls_pubkey_init(&key) != 0)
        return false;
    if (gnutls_pubkey_import_x509(key, certificate, 0) == 0 &&
        gnutls_pubkey_export2(key, GNUTLS_X509_FMT_DER, &spki) == 0 &&
        gnutls_hash_fast(GNUTLS_DIG_SHA256, spki.data, spki.size, digest) == 0)
        for (unsigned i = 0; i < context->pin_count; i++)
            found |= memcmp(digest, context->pins[i], sizeof(digest)) == 0;
    gnutls_free(spki.data);
    gnutls_pubkey_deinit(key);
    return found;
}

// Whether `issuer`'s key signed `certificate`. That the list has it next to it proves nothing.
static bool is_signed_by(gnutls_x509_crt_t certificate, gnutls_x509_crt_t issuer)
{
    unsigned status = 0;

    return gnutls_x509_crt_check_issuer(certificate, issuer) &&
           gnutls_x509_crt_verify(certificate, &issuer, 1,
                                  GNUTLS_VERIFY_DISABLE_TIME_CHECKS |
                                      GNUTLS_VERIFY_ALLOW_ANY_X509_V1_CA_CRT,
                                  &status) == 0 &&
           status == 0;
}

static int check_pins(struct tls *tls, const struct chain *chain)
{
    const struct tls_context *context = tls->context;

    if (is_pinned(context, chain->certificate[0]))
        return E_OK;
    // A pinned authority says nothing about which of its servers this is, so it counts only next to
    // a name.
    for (unsigned i = 1; context->has_name && i < chain->count; i++) {
        if (!is_signed_by(chain->certificate[i - 1], chain->certificate[i]))
            break;
        if (is_pinned(context, chain->certificate[i]))
            return E_OK;
    }
    return refuse(tls, "no public key of the server's certificates is pinned");
}

static int check_chain(struct tls *tls)
{
    gnutls_typed_vdata_st purpose = {
        .type = GNUTLS_DT_KEY_PURPOSE_OID,
        .data = (unsigned char *)GNUTLS_KP_TLS_WWW_SERVER,
    };
    gnutls_datum_t text = {NULL, 0};
    unsigned status = 0;

    if (gnutls_certificate_verify_peers(tls->session, &purpose, 1, &status) != 0)
        return refuse(tls, "the server's certificate cannot be checked");
    if (status == 0)
        return E_OK;
    if (gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &text, 0) != 0)
        return refuse(tls, "the server's certificate is not trusted");

    size_t length = strlen((char *)text.data);

    while (length > 0 && (text.data[length - 1] == ' ' || text.data[length - 1] == '.'))
        text.data[--length] = '\0';
    refuse(tls, "%s", text.data);
    gnutls_free(text.data);
    return E_VERIFY;
}

// Whether the leaf has this address among its subject alternative names.
static bool has_address(gnutls_x509_crt_t leaf, const struct address *address)
{
    const void *want = address->family == AF_INET6 ? (const void *)&address->v6.sin6_addr
                                                   : (const void *)&address->v4.sin_addr;
    size_t want_size = address->family == AF_INET6 ? 16 : 4;

    for (unsigned i = 0;; i++) {
        uint8_t name[256];
        size_t size = sizeof(name);
        int type = gnutls_x509_crt_get_subject_alt_name(leaf, i, name, &size, NULL);

        if (type == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
            return false;
        if (type == GNUTLS_SAN_IPADDRESS && size == want_size && memcmp(name, want, size) == 0)
            return true;
        if (type < 0 && type != GNUTLS_E_SHORT_MEMORY_BUFFER)
            return false;
    }
}

// Writes the names that the leaf does have, for the reason; the log makes them harmless to print.
static bool list_names(gnutls_x509_crt_t leaf, char *text, size_t text_size)
{
    size_t used = 0;
    bool any = false;

    *text = '\0';
    for (unsigned i = 0;; i++) {
        char name[256];
        size_t size = sizeof(name) - 1;
        int type = gnutls_x509_crt_get_subject_alt_name(leaf, i, name, &size, NULL);

        if (type < 0 && type != GNUTLS_E_SHORT_MEMORY_BUFFER)
            return any;
        if (type != GNUTLS_SAN_DNSNAME)
            continue;
        any = true;
        name[size] = '\0';
        if (used + size + 3 < text_size)
            used += (size_t)snprintf(text + used, text_size - used, "%s%s", used ? ", " : "", name);
    }
}

static int check_name(struct tls *tls, gnutls_x509_crt_t leaf)
{
    const char *want = tls->context->auth_name;
    char names[128];

    if (*want == '\0') {
        char ip[ADDRESS_TEXT_MAX];

        if (has_address(leaf, &tls->address))
            return E_OK;
        address_ip_to_text(&tls->address, ip);
        return refuse(tls,
                      "the certificate does not have the address %s; "
                      "name the server with '#name' if it is known by name",
                      ip);
    }
    // Without a DNS name among the alternatives GnuTLS would fall back to the common name.
    if (!list_names(leaf, names, sizeof(names)))
        return refuse(tls, "the certificate has no DNS name (subject alternative name), not %s",
                      want);
    if (!gnutls_x509_crt_check_hostname2(leaf, want, GNUTLS_VERIFY_DO_NOT_ALLOW_IP_MATCHES))
        return refuse(tls, "the certificate is for %s, not for %s", names, want);
    return E_OK;
}

static int check(struct tls *tls, const struct chain *chain)
{
    int err;

    if (tls->context->has_name && (err = check_chain(tls)) != E_OK)
        return err;
    if (tls->context->has_name && (err = check_name(tls, chain->certificate[0])) != E_OK)
        return err;
    if (tls->context->pin_count > 0)
        return check_pins(tls, chain);
    return E_OK;
}

int tls_verify_peer(gnutls_session_t session)
{
    struct tls *tls = gnutls_session_get_ptr(session);
    struct chain chain = {.count = 0};
    int err = chain_read(tls, &chain);

    if (err == E_OK) {
        tls->leaf_expires = gnutls_x509_crt_get_expiration_time(chain.certificate[0]);
        err = check(tls, &chain);
    }
    chain_clear(&chain);
    tls->verified = err == E_OK;
    if (err == E_OK || tls->context->opportunistic)
        return 0;
    tls->verify_failed = true;
    return GNUTLS_E_CERTIFICATE_ERROR;
}
