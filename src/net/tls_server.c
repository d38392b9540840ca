#include "net/tls_server.h"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "net/tls_internal.h"

// What costs least is for us to choose, as many come to us: AES-128-GCM with SHA-256 where a client
// would rather have AES-256-GCM with SHA-384.
#define PRIORITY TLS_PRIORITY ":%SERVER_PRECEDENCE"

// Chains and keys are a few kilobytes.
#define FILE_SIZE_MAX ((off_t)1024 * 1024)

// A longer certificate list of one file has something else in mind.
#define CHAIN_MAX 16

// The largest handshake message that a client may send: a ClientHello with post-quantum key shares
// has some 2 KB, the chain of a client's certificate a few more.
#define HANDSHAKE_MESSAGE_MAX ((size_t)16 * 1024)

// How long a ticket is good for. GnuTLS makes new keys for tickets of the one that it is given, for
// each three of these; we make a new one of those after a day, so that none can be used to read
// what was recorded long ago.
#define TICKET_LIFETIME 21600 // seconds
#define TICKET_KEY_LIFETIME 86400

static const gnutls_datum_t alpn_http[] = {
    {(unsigned char *)"h2", 2},
    {(unsigned char *)"http/1.1", 8},
};

// A certificate with its key, and the leaf by itself to look at its names.
struct pair {
    gnutls_certificate_credentials_t credentials;
    gnutls_x509_crt_t leaf;
};

struct tls_credentials {
    atomic_uint refs;
    unsigned pair_count;
    struct pair pairs[TLS_CERTIFICATES_MAX];
    gnutls_priority_t priority;
    time_t expire;
    char name[TLS_AUTH_NAME_SIZE];
    bool asks_clients; // for a certificate
};

struct tls_server {
    atomic_uint refs;
    enum tls_protocols protocols;
    pthread_mutex_t lock;
    // Under the lock:
    struct tls_credentials *credentials;
    gnutls_datum_t ticket_key;
    time_t ticket_key_made;
};

// ---- Credentials

// NULL, or why the file cannot be read.
static const char *read_file(const char *path, gnutls_datum_t *content)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    const char *problem = NULL;
    struct stat status;
    ssize_t got = -1;

    *content = (gnutls_datum_t){NULL, 0};
    if (fd < 0)
        return strerror(errno);
    if (fstat(fd, &status) != 0)
        problem = strerror(errno);
    else if (!S_ISREG(status.st_mode))
        problem = "it is not a regular file";
    else if (status.st_size > FILE_SIZE_MAX)
        problem = "it is larger than 1 MiB";
    if (!problem) {
        content->data = gnutls_malloc((size_t)status.st_size + 1);
        if (content->data)
            got = read(fd, content->data, (size_t)status.st_size);
        if (got < 0)
            problem = content->data ? strerror(errno) : "out of memory";
        else
            content->size = (unsigned)got;
    }
    close(fd);
    return problem;
}

// Of what may be a key.
static void forget(gnutls_datum_t *content)
{
    if (content->data)
        gnutls_memset(content->data, 0, content->size);
    gnutls_free(content->data);
    *content = (gnutls_datum_t){NULL, 0};
}

static int read_leaf(struct pair *pair, const char *path, const gnutls_datum_t *pem,
                     char reason[TLS_REASON_SIZE])
{
    gnutls_x509_crt_t chain[CHAIN_MAX];
    unsigned count = CHAIN_MAX;
    int code = gnutls_x509_crt_list_import(chain, &count, pem, GNUTLS_X509_FMT_PEM, 0);

    if (code <= 0) {
        snprintf(reason, TLS_REASON_SIZE, "%s: no certificate can be read: %s", path,
                 code == GNUTLS_E_SHORT_MEMORY_BUFFER ? "it has more than 16"
                 : code < 0                           ? gnutls_strerror(code)
                                                      : "it has none in PEM form");
        return E_TLS;
    }
    pair->leaf = chain[0];
    for (unsigned i = 1; i < count; i++)
        gnutls_x509_crt_deinit(chain[i]);
    return E_OK;
}

static void note_name(struct tls_credentials *credentials, gnutls_x509_crt_t leaf)
{
    char name[TLS_AUTH_NAME_SIZE];

    for (unsigned i = 0;; i++) {
        size_t size = sizeof(name);
        unsigned type;
        int code = gnutls_x509_crt_get_subject_alt_name2(leaf, i, name, &size, &type, NULL);

        if (code == GNUTLS_E_SHORT_MEMORY_BUFFER)
            continue;
        if (code < 0)
            return;
        if (type != GNUTLS_SAN_DNSNAME || size == 0 || size >= sizeof(name) || name[0] == '*')
            continue;
        memcpy(credentials->name, name, size);
        return;
    }
}

static int use_pair(struct pair *pair, const struct tls_certificate_files *files,
                    const gnutls_datum_t *cert, const gnutls_datum_t *key,
                    char reason[TLS_REASON_SIZE])
{
    const char *key_path = *files->key ? files->key : files->cert;
    int code = gnutls_certificate_set_x509_key_mem2(pair->credentials, cert, key,
                                                    GNUTLS_X509_FMT_PEM, NULL, 0);

    if (code >= 0)
        return E_OK;
    if (code == GNUTLS_E_CERTIFICATE_KEY_MISMATCH)
        snprintf(reason, TLS_REASON_SIZE, "the key in %s is not that of the certificate in %s",
                 key_path, files->cert);
    else if (code == GNUTLS_E_DECRYPTION_FAILED)
        snprintf(reason, TLS_REASON_SIZE,
                 "the key in %s is encrypted; keep it without a password, readable only by its "
                 "owner",
                 key_path);
    else
        snprintf(reason, TLS_REASON_SIZE, "no key can be read from %s: %s", key_path,
                 gnutls_strerror(code));
    return E_TLS;
}

static int load_pair(struct pair *pair, const struct tls_certificate_files *files,
                     char reason[TLS_REASON_SIZE])
{
    gnutls_datum_t cert, key = {NULL, 0};
    const char *problem = read_file(files->cert, &cert);
    int err = E_TLS;

    if (problem) {
        snprintf(reason, TLS_REASON_SIZE, "cannot read the certificate %s: %s", files->cert,
                 problem);
        forget(&cert);
        return E_TLS;
    }
    if (*files->key)
        problem = read_file(files->key, &key);
    if (problem)
        snprintf(reason, TLS_REASON_SIZE, "cannot read the key %s: %s", files->key, problem);
    else if (read_leaf(pair, files->cert, &cert, reason) == E_OK)
        err = use_pair(pair, files, &cert, *files->key ? &key : &cert, reason);
    forget(&cert);
    forget(&key);
    return err;
}

// Whether a client's certificate leads to the authorities and is one for clients. 0 to go on.
static int verify_client(gnutls_session_t session)
{
    gnutls_typed_vdata_st purpose = {
        .type = GNUTLS_DT_KEY_PURPOSE_OID,
        .data = (unsigned char *)GNUTLS_KP_TLS_WWW_CLIENT,
    };
    struct tls *tls = gnutls_session_get_ptr(session);
    unsigned status = 0;
    int code = gnutls_certificate_verify_peers(session, &purpose, 1, &status);
    gnutls_datum_t text;

    if (code == 0 && status == 0)
        return 0;
    tls->verify_failed = true;
    if (code < 0) {
        snprintf(tls->reason, sizeof(tls->reason), "%s", gnutls_strerror(code));
    } else if (gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &text, 0) ==
               0) {
        snprintf(tls->reason, sizeof(tls->reason), "the client's certificate: %s",
                 (const char *)text.data);
        gnutls_free(text.data);
    }
    return GNUTLS_E_CERTIFICATE_ERROR;
}

static int load_client_authorities(struct pair *pair, const char *path,
                                   char reason[TLS_REASON_SIZE])
{
    gnutls_datum_t pem;
    const char *problem = read_file(path, &pem);
    int count = 0;

    if (!problem)
        count = gnutls_certificate_set_x509_trust_mem(pair->credentials, &pem, GNUTLS_X509_FMT_PEM);
    forget(&pem);
    if (count > 0)
        return E_OK;
    snprintf(reason, TLS_REASON_SIZE, "cannot read the authorities of clients from %s: %s", path,
             problem     ? problem
             : count < 0 ? gnutls_strerror(count)
                         : "it has no certificates in PEM form");
    return E_TLS;
}

static int add_pair(struct tls_credentials *credentials, const struct tls_certificate_files *files,
                    const char *client_ca_file, char reason[TLS_REASON_SIZE])
{
    struct pair *pair = &credentials->pairs[credentials->pair_count];
    time_t expire;

    if (gnutls_certificate_allocate_credentials(&pair->credentials) != 0)
        return E_NOMEM;
    credentials->pair_count++;
    if (load_pair(pair, files, reason) != E_OK)
        return E_TLS;
    if (credentials->pair_count == 1)
        note_name(credentials, pair->leaf);
    expire = gnutls_x509_crt_get_expiration_time(pair->leaf);
    if (credentials->expire == 0 || expire < credentials->expire)
        credentials->expire = expire;
    if (!*client_ca_file)
        return E_OK;
    credentials->asks_clients = true;
    gnutls_certificate_set_verify_function(pair->credentials, verify_client);
    return load_client_authorities(pair, client_ca_file, reason);
}

struct tls_credentials *tls_credentials_new(const struct tls_server_options *options,
                                            char reason[TLS_REASON_SIZE])
{
    struct tls_credentials *credentials = calloc(1, sizeof(*credentials));

    require(options->certificate_count > 0);
    snprintf(reason, TLS_REASON_SIZE, "out of memory");
    if (!credentials)
        return NULL;
    atomic_init(&credentials->refs, 1);
    if (gnutls_priority_init(&credentials->priority, PRIORITY, NULL) != 0) {
        snprintf(reason, TLS_REASON_SIZE, "this GnuTLS lacks the algorithms that are needed");
        goto fail;
    }
    for (uint32_t i = 0; i < options->certificate_count; i++)
        if (add_pair(credentials, &options->certificates[i], options->client_ca_file, reason) !=
            E_OK)
            goto fail;
    return credentials;

fail:
    tls_credentials_unref(credentials);
    return NULL;
}

struct tls_credentials *tls_credentials_ref(struct tls_credentials *credentials)
{
    atomic_fetch_add_explicit(&credentials->refs, 1, memory_order_relaxed);
    return credentials;
}

void tls_credentials_unref(struct tls_credentials *credentials)
{
    if (!credentials || atomic_fetch_sub_explicit(&credentials->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (credentials->priority)
        gnutls_priority_deinit(credentials->priority);
    for (unsigned i = 0; i < credentials->pair_count; i++) {
        if (credentials->pairs[i].leaf)
            gnutls_x509_crt_deinit(credentials->pairs[i].leaf);
        gnutls_certificate_free_credentials(credentials->pairs[i].credentials);
    }
    free(credentials);
}

time_t tls_credentials_expire(const struct tls_credentials *credentials)
{
    return credentials->expire;
}

const char *tls_credentials_name(const struct tls_credentials *credentials)
{
    return credentials->name;
}

// ---- What a listener shows

// Under the lock, or before anybody else knows the server. Tickets of the old key are of no use any
// more: those who have one do a whole handshake.
static int renew_ticket_key(struct tls_server *server)
{
    gnutls_datum_t key;

    if (gnutls_session_ticket_key_generate(&key) != 0)
        return E_TLS;
    forget(&server->ticket_key);
    server->ticket_key = key;
    server->ticket_key_made = time(NULL);
    return E_OK;
}

struct tls_server *tls_server_new(struct tls_credentials *credentials, enum tls_protocols protocols)
{
    struct tls_server *server = calloc(1, sizeof(*server));

    if (!server || renew_ticket_key(server) != E_OK) {
        free(server);
        return NULL;
    }
    atomic_init(&server->refs, 1);
    pthread_mutex_init(&server->lock, NULL);
    server->credentials = tls_credentials_ref(credentials);
    server->protocols = protocols;
    return server;
}

struct tls_server *tls_server_ref(struct tls_server *server)
{
    atomic_fetch_add_explicit(&server->refs, 1, memory_order_relaxed);
    return server;
}

void tls_server_unref(struct tls_server *server)
{
    if (!server || atomic_fetch_sub_explicit(&server->refs, 1, memory_order_acq_rel) != 1)
        return;
    tls_credentials_unref(server->credentials);
    forget(&server->ticket_key);
    pthread_mutex_destroy(&server->lock);
    free(server);
}

void tls_server_renew(struct tls_server *server, struct tls_credentials *credentials)
{
    struct tls_credentials *old;

    pthread_mutex_lock(&server->lock);
    old = server->credentials;
    server->credentials = tls_credentials_ref(credentials);
    // A ticket stands for what its session was shown, and for a client's certificate that the old
    // authorities vouched for.
    renew_ticket_key(server);
    pthread_mutex_unlock(&server->lock);
    tls_credentials_unref(old);
}

// After the ClientHello: the first certificate that has the name which it asks for. (GnuTLS's own
// choice knows no wildcards.)
static int choose_pair(gnutls_session_t session)
{
    const struct tls *tls = gnutls_session_get_ptr(session);
    const struct tls_credentials *credentials = tls->credentials;
    char name[256]; // longer ones are none (RFC 1035)
    size_t size = sizeof(name);
    unsigned type;

    if (gnutls_server_name_get(session, name, &size, &type, 0) != 0 || type != GNUTLS_NAME_DNS)
        return 0;
    for (unsigned i = 0; i < credentials->pair_count; i++) {
        const struct pair *pair = &credentials->pairs[i];

        if (gnutls_x509_crt_check_hostname(pair->leaf, name)) {
            gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, pair->credentials);
            return 0;
        }
    }
    return 0;
}

// One, not the two that GnuTLS sends by itself: a session that is resumed gets another. Making a
// ticket costs as much as a fifth of the handshake. With TLS 1.2 it is part of the handshake.
void tls_server_send_ticket(struct tls *tls)
{
    if (gnutls_protocol_get_version(tls->session) >= GNUTLS_TLS1_3)
        gnutls_session_ticket_send(tls->session, 1, 0);
}

struct tls *tls_server_session(struct tls_server *server, tls_push_fn *push, void *owner)
{
    struct tls_credentials *credentials;
    struct tls *tls;

    pthread_mutex_lock(&server->lock);
    credentials = server->credentials;
    tls = tls_session_new(GNUTLS_SERVER | GNUTLS_NO_AUTO_SEND_TICKET,
                          credentials->pairs[0].credentials, credentials->priority, push, owner);
    if (tls) {
        time_t age = time(NULL) - server->ticket_key_made;

        tls->credentials = tls_credentials_ref(credentials);
        if (age < 0 || age > TICKET_KEY_LIFETIME)
            renew_ticket_key(server);
        gnutls_db_set_cache_expiration(tls->session, TICKET_LIFETIME);
        gnutls_session_ticket_enable_server(tls->session, &server->ticket_key);
    }
    pthread_mutex_unlock(&server->lock);
    if (!tls)
        return NULL;
    if (tls->credentials->pair_count > 1)
        gnutls_handshake_set_post_client_hello_function(tls->session, choose_pair);
    gnutls_handshake_set_max_packet_length(tls->session, HANDSHAKE_MESSAGE_MAX);
    gnutls_certificate_server_set_request(
        tls->session, tls->credentials->asks_clients ? GNUTLS_CERT_REQUIRE : GNUTLS_CERT_IGNORE);
    // Who speaks of other protocols only has come to the wrong door (RFC 7301 section 3.2).
    if (server->protocols == TLS_PROTOCOLS_HTTP)
        gnutls_alpn_set_protocols(tls->session, alpn_http, ARRAY_LEN(alpn_http),
                                  GNUTLS_ALPN_MANDATORY);
    else
        gnutls_alpn_set_protocols(tls->session, &tls_alpn_dot, 1, GNUTLS_ALPN_MANDATORY);
    return tls;
}
