#include "net/tls_authority.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/reason.h"

#define DAY ((time_t)24 * 60 * 60)

// 128 bits, so that nobody guesses it and none comes twice (RFC 5280 section 4.1.2.2 allows 160).
#define SERIAL_SIZE 16

// RFC 7093 section 2: the leftmost 160 bits of the key's SHA-256.
#define KEY_ID_SIZE 20
#define SHA256_SIZE 32

// The longest common name (RFC 5280 appendix A.1, ub-common-name).
#define COMMON_NAME_MAX 64

struct tls_authority {
    gnutls_x509_crt_t certificate;
    gnutls_x509_privkey_t key;
};

#define fail(reason, ...) reason_give(E_TLS, reason, TLS_REASON_SIZE, __VA_ARGS__)

static const char *date(time_t time, char text[16])
{
    struct tm parts;

    if (!gmtime_r(&time, &parts) || strftime(text, 16, "%Y-%m-%d", &parts) == 0)
        *text = '\0';
    return text;
}

// ---- Making. These return a code of GnuTLS, negative after a failure.

static int make_key(gnutls_x509_privkey_t *key)
{
    int code = gnutls_x509_privkey_init(key);

    if (code < 0)
        return code;
    return gnutls_x509_privkey_generate(*key, GNUTLS_PK_ECDSA,
                                        GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
}

static int set_serial(gnutls_x509_crt_t certificate)
{
    uint8_t serial[SERIAL_SIZE];
    int code = gnutls_rnd(GNUTLS_RND_NONCE, serial, sizeof(serial));

    if (code < 0)
        return code;
    serial[0] = (serial[0] & 0x7f) | 0x40; // positive, and no leading zeros (X.690 section 8.3.2)
    return gnutls_x509_crt_set_serial(certificate, serial, sizeof(serial));
}

static int set_key(gnutls_x509_crt_t certificate, gnutls_x509_privkey_t key)
{
    uint8_t id[SHA256_SIZE];
    size_t size = sizeof(id);
    int code;

    if ((code = gnutls_x509_crt_set_key(certificate, key)) < 0 ||
        (code = gnutls_x509_crt_get_key_id(certificate, GNUTLS_KEYID_USE_SHA256, id, &size)) < 0)
        return code;
    return gnutls_x509_crt_set_subject_key_id(certificate, id, KEY_ID_SIZE);
}

// What the authority's and a server's certificate have alike.
static int fill(gnutls_x509_crt_t certificate, gnutls_x509_privkey_t key, const char *common_name,
                time_t now, time_t expires)
{
    int code;

    if ((code = gnutls_x509_crt_set_version(certificate, 3)) < 0 ||
        (code = set_serial(certificate)) < 0 ||
        (code = gnutls_x509_crt_set_activation_time(certificate, now - DAY)) < 0 ||
        (code = gnutls_x509_crt_set_expiration_time(certificate, expires)) < 0 ||
        (code = gnutls_x509_crt_set_dn_by_oid(certificate, GNUTLS_OID_X520_COMMON_NAME, 0,
                                              common_name, (unsigned)strlen(common_name))) < 0)
        return code;
    return set_key(certificate, key);
}

static int make_authority(struct tls_authority *authority, const char *common_name, time_t now,
                          unsigned days)
{
    gnutls_x509_crt_t certificate;
    int code;

    if ((code = make_key(&authority->key)) < 0 ||
        (code = gnutls_x509_crt_init(&authority->certificate)) < 0)
        return code;
    certificate = authority->certificate;
    if ((code = fill(certificate, authority->key, common_name, now, now + days * DAY - 1)) < 0 ||
        (code = gnutls_x509_crt_set_basic_constraints(certificate, 1, 0)) < 0 ||
        (code = gnutls_x509_crt_set_key_usage(certificate,
                                              GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN)) < 0)
        return code;
    return gnutls_x509_crt_sign2(certificate, certificate, authority->key, GNUTLS_DIG_SHA256, 0);
}

static int set_names(gnutls_x509_crt_t certificate, const struct tls_issue_options *options)
{
    int code = 0;

    for (unsigned i = 0; i < options->count && code >= 0; i++) {
        const struct tls_name *name = &options->names[i];

        if (name->address_size > 0)
            code = gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_IPADDRESS,
                                                        name->address, (unsigned)name->address_size,
                                                        GNUTLS_FSAN_APPEND);
        else
            code = gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_DNSNAME, name->text,
                                                        (unsigned)strlen(name->text),
                                                        GNUTLS_FSAN_APPEND);
    }
    return code;
}

// Says which of the authority's keys signed it, if the authority says it of itself.
static int set_issuer_key_id(gnutls_x509_crt_t certificate, gnutls_x509_crt_t issuer)
{
    uint8_t id[64];
    size_t size = sizeof(id);

    if (gnutls_x509_crt_get_subject_key_id(issuer, id, &size, NULL) < 0)
        return 0;
    return gnutls_x509_crt_set_authority_key_id(certificate, id, size);
}

static int make_leaf(gnutls_x509_crt_t certificate, gnutls_x509_privkey_t key,
                     const struct tls_authority *authority, const struct tls_issue_options *options,
                     time_t expires)
{
    // Only for people to read: clients look at the alternative names (RFC 9525 section 2).
    const char *first = options->names[0].text;
    const char *common_name = strlen(first) <= COMMON_NAME_MAX ? first : "sotto";
    int code;

    if ((code = fill(certificate, key, common_name, options->now, expires)) < 0 ||
        (code = gnutls_x509_crt_set_basic_constraints(certificate, 0, -1)) < 0 ||
        (code = gnutls_x509_crt_set_key_usage(certificate, GNUTLS_KEY_DIGITAL_SIGNATURE)) < 0 ||
        (code = gnutls_x509_crt_set_key_purpose_oid(certificate, GNUTLS_KP_TLS_WWW_SERVER, 0)) <
            0 ||
        (code = set_names(certificate, options)) < 0 ||
        (code = set_issuer_key_id(certificate, authority->certificate)) < 0)
        return code;
    return gnutls_x509_crt_sign2(certificate, authority->certificate, authority->key,
                                 GNUTLS_DIG_SHA256, 0);
}

static int export_pair(gnutls_x509_crt_t certificate, gnutls_x509_privkey_t key,
                       struct tls_pair *pair)
{
    gnutls_datum_t certificate_text = {NULL, 0}, key_text = {NULL, 0};
    int code;

    memset(pair, 0, sizeof(*pair));
    if ((code = gnutls_x509_crt_export2(certificate, GNUTLS_X509_FMT_PEM, &certificate_text)) >= 0)
        code = gnutls_x509_privkey_export2_pkcs8(key, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN,
                                                 &key_text);
    if (code >= 0) {
        pair->certificate = strndup((char *)certificate_text.data, certificate_text.size);
        pair->key = strndup((char *)key_text.data, key_text.size);
        pair->expires = gnutls_x509_crt_get_expiration_time(certificate);
        if (!pair->certificate || !pair->key) {
            tls_pair_clear(pair);
            code = GNUTLS_E_MEMORY_ERROR;
        }
    }
    if (key_text.data)
        gnutls_memset(key_text.data, 0, key_text.size);
    gnutls_free(key_text.data);
    gnutls_free(certificate_text.data);
    return code;
}

// ---- Reading

// The one certificate in `pem`, to be released. NULL with the reason.
static gnutls_x509_crt_t read_certificate(const char *pem, char reason[TLS_REASON_SIZE])
{
    const gnutls_datum_t text = {(unsigned char *)pem, (unsigned)strlen(pem)};
    gnutls_x509_crt_t *list = NULL, certificate = NULL;
    unsigned count = 0;
    int code = gnutls_x509_crt_list_import2(&list, &count, &text, GNUTLS_X509_FMT_PEM, 0);

    if (code < 0) {
        fail(reason, "there is no certificate in PEM form in it (%s)", gnutls_strerror(code));
        return NULL;
    }
    if (count == 1)
        certificate = list[0];
    else
        fail(reason, "there are %u certificates in it; only that of the authority may be", count);
    for (unsigned i = 0; i < count && !certificate; i++)
        gnutls_x509_crt_deinit(list[i]);
    gnutls_free(list);
    return certificate;
}

// That it is an authority's, and valid.
static int check_authority(gnutls_x509_crt_t certificate, time_t now, char reason[TLS_REASON_SIZE])
{
    time_t from = gnutls_x509_crt_get_activation_time(certificate);
    time_t expires = gnutls_x509_crt_get_expiration_time(certificate);
    unsigned usage = 0;
    char day[16];

    if (gnutls_x509_crt_get_ca_status(certificate, NULL) <= 0)
        return fail(reason, "the certificate in it is no authority's");
    if (gnutls_x509_crt_get_key_usage(certificate, &usage, NULL) >= 0 &&
        !(usage & GNUTLS_KEY_KEY_CERT_SIGN))
        return fail(reason, "the certificate in it may not issue certificates");
    if (expires <= now)
        return fail(reason, "the authority ended on %s", date(expires, day));
    if (from > now)
        return fail(reason, "the authority begins on %s only: is the clock right?",
                    date(from, day));
    return E_OK;
}

static bool same_key(const struct tls_authority *authority)
{
    uint8_t of_certificate[SHA256_SIZE], of_key[SHA256_SIZE];
    size_t size = SHA256_SIZE, key_size = SHA256_SIZE;

    return gnutls_x509_crt_get_key_id(authority->certificate, GNUTLS_KEYID_USE_SHA256,
                                      of_certificate, &size) >= 0 &&
           gnutls_x509_privkey_get_key_id(authority->key, GNUTLS_KEYID_USE_SHA256, of_key,
                                          &key_size) >= 0 &&
           size == key_size && memcmp(of_certificate, of_key, size) == 0;
}

static int load_authority(struct tls_authority *authority, const char *certificate, const char *key,
                          time_t now, char reason[TLS_REASON_SIZE])
{
    const gnutls_datum_t text = {(unsigned char *)key, (unsigned)strlen(key)};
    int code;

    authority->certificate = read_certificate(certificate, reason);
    if (!authority->certificate || check_authority(authority->certificate, now, reason) != E_OK)
        return E_TLS;
    if (!gnutls_x509_crt_check_issuer(authority->certificate, authority->certificate))
        return fail(reason, "the authority is no root: another one stands above it");
    if ((code = gnutls_x509_privkey_init(&authority->key)) < 0 ||
        (code = gnutls_x509_privkey_import2(authority->key, &text, GNUTLS_X509_FMT_PEM, NULL,
                                            GNUTLS_PKCS_PLAIN)) < 0)
        return fail(reason, "its key cannot be read: %s", gnutls_strerror(code));
    if (!same_key(authority))
        return fail(reason, "its key is that of another certificate");
    return E_OK;
}

// ---- The interface

struct tls_authority *tls_authority_new(const char *common_name, time_t now, unsigned days,
                                        char reason[TLS_REASON_SIZE])
{
    struct tls_authority *authority = calloc(1, sizeof(*authority));
    int code =
        authority ? make_authority(authority, common_name, now, days) : GNUTLS_E_MEMORY_ERROR;

    if (code >= 0)
        return authority;
    fail(reason, "%s", gnutls_strerror(code));
    tls_authority_free(authority);
    return NULL;
}

struct tls_authority *tls_authority_load(const char *certificate, const char *key, time_t now,
                                         char reason[TLS_REASON_SIZE])
{
    struct tls_authority *authority = calloc(1, sizeof(*authority));

    snprintf(reason, TLS_REASON_SIZE, "%s", error_text(E_NOMEM));
    if (authority && load_authority(authority, certificate, key, now, reason) == E_OK)
        return authority;
    tls_authority_free(authority);
    return NULL;
}

void tls_authority_free(struct tls_authority *authority)
{
    if (!authority)
        return;
    if (authority->certificate)
        gnutls_x509_crt_deinit(authority->certificate);
    if (authority->key)
        gnutls_x509_privkey_deinit(authority->key);
    free(authority);
}

int tls_authority_export(const struct tls_authority *authority, struct tls_pair *pair,
                         char reason[TLS_REASON_SIZE])
{
    int code = export_pair(authority->certificate, authority->key, pair);

    return code < 0 ? fail(reason, "%s", gnutls_strerror(code)) : E_OK;
}

int tls_authority_issue(const struct tls_authority *authority,
                        const struct tls_issue_options *options, struct tls_pair *pair,
                        char reason[TLS_REASON_SIZE])
{
    time_t expires = MIN(options->now + options->days * DAY - 1,
                         gnutls_x509_crt_get_expiration_time(authority->certificate));
    gnutls_x509_crt_t certificate = NULL;
    gnutls_x509_privkey_t key = NULL;
    int code;

    memset(pair, 0, sizeof(*pair));
    if ((code = make_key(&key)) >= 0 && (code = gnutls_x509_crt_init(&certificate)) >= 0 &&
        (code = make_leaf(certificate, key, authority, options, expires)) >= 0)
        code = export_pair(certificate, key, pair);
    if (certificate)
        gnutls_x509_crt_deinit(certificate);
    if (key)
        gnutls_x509_privkey_deinit(key);
    return code < 0 ? fail(reason, "%s", gnutls_strerror(code)) : E_OK;
}

void tls_pair_clear(struct tls_pair *pair)
{
    if (pair->key)
        explicit_bzero(pair->key, strlen(pair->key));
    free(pair->key);
    free(pair->certificate);
    memset(pair, 0, sizeof(*pair));
}

char *tls_authority_to_base64(const char *pem, time_t now, char reason[TLS_REASON_SIZE])
{
    gnutls_datum_t der = {NULL, 0}, base64 = {NULL, 0};
    gnutls_x509_crt_t certificate = read_certificate(pem, reason);
    char *text = NULL;

    if (!certificate)
        return NULL;
    if (check_authority(certificate, now, reason) == E_OK) {
        if (gnutls_x509_crt_export2(certificate, GNUTLS_X509_FMT_DER, &der) >= 0 &&
            gnutls_base64_encode2(&der, &base64) >= 0)
            text = strndup((char *)base64.data, base64.size);
        if (!text)
            fail(reason, "%s", error_text(E_NOMEM));
    }
    gnutls_free(base64.data);
    gnutls_free(der.data);
    gnutls_x509_crt_deinit(certificate);
    return text;
}
