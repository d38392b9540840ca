// TLS client sessions against a server of GnuTLS in this process, over memory: certificates made on
// the spot, the wall clock set by the test.
#include "net/tls_client.h"

#include <errno.h>
#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"
#include "wire.h"

#define DAY (24 * 60 * 60)

// 2030-01-01: a time at which a certificate of today would not do, so that the clock is ours.
static time_t wall_clock = 1893456000;

// Takes the place of the C library's, for us and for GnuTLS.
time_t time(time_t *to)
{
    if (to)
        *to = wall_clock;
    return wall_clock;
}

// ---- Certificates

// What a certificate says; the rest is usual.
struct form {
    const char *common_name;
    const char *dns[3];
    const char *ip[2];
    long from, until; // days from now; 0 and 0: from a day ago for 90 days
    bool authority;
    bool for_clients; // its purpose
};

struct certificate {
    gnutls_x509_crt_t crt;
    gnutls_x509_privkey_t key;
    uint8_t pin[TLS_PIN_SIZE];
};

#define OK(call) require((call) >= 0)

static gnutls_x509_privkey_t new_key(void)
{
    gnutls_x509_privkey_t key;

    OK(gnutls_x509_privkey_init(&key));
    OK(gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
                                    GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0));
    return key;
}

static void set_names(gnutls_x509_crt_t crt, const struct form *form)
{
    OK(gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, form->common_name,
                                     (unsigned)strlen(form->common_name)));
    for (size_t i = 0; i < ARRAY_LEN(form->dns) && form->dns[i]; i++)
        OK(gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME, form->dns[i],
                                                (unsigned)strlen(form->dns[i]),
                                                GNUTLS_FSAN_APPEND));
    for (size_t i = 0; i < ARRAY_LEN(form->ip) && form->ip[i]; i++) {
        struct address address;

        OK(address_parse(&address, form->ip[i], 0));
        if (address.family == AF_INET)
            OK(gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_IPADDRESS, &address.v4.sin_addr,
                                                    4, GNUTLS_FSAN_APPEND));
        else
            OK(gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_IPADDRESS,
                                                    &address.v6.sin6_addr, 16, GNUTLS_FSAN_APPEND));
    }
}

// GnuTLS compares names as they were read.
static void read_back(gnutls_x509_crt_t crt)
{
    gnutls_datum_t der;

    OK(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_DER, &der));
    OK(gnutls_x509_crt_import(crt, &der, GNUTLS_X509_FMT_DER));
    gnutls_free(der.data);
}

static void make_pin(struct certificate *certificate)
{
    gnutls_datum_t spki;
    gnutls_pubkey_t key;

    OK(gnutls_pubkey_init(&key));
    OK(gnutls_pubkey_import_x509(key, certificate->crt, 0));
    OK(gnutls_pubkey_export2(key, GNUTLS_X509_FMT_DER, &spki));
    OK(gnutls_hash_fast(GNUTLS_DIG_SHA256, spki.data, spki.size, certificate->pin));
    gnutls_free(spki.data);
    gnutls_pubkey_deinit(key);
}

// Signed by `issuer`, or by itself if NULL.
static struct certificate issue(const struct form *form, const struct certificate *issuer)
{
    static uint32_t serial;
    struct certificate made = {.key = new_key()};
    bool usual = form->from == 0 && form->until == 0;
    uint8_t number[4];

    put_u32(number, ++serial);
    OK(gnutls_x509_crt_init(&made.crt));
    OK(gnutls_x509_crt_set_version(made.crt, 3));
    OK(gnutls_x509_crt_set_serial(made.crt, number, sizeof(number)));
    OK(gnutls_x509_crt_set_activation_time(made.crt, wall_clock + (usual ? -1 : form->from) * DAY));
    OK(gnutls_x509_crt_set_expiration_time(made.crt,
                                           wall_clock + (usual ? 90 : form->until) * DAY));
    OK(gnutls_x509_crt_set_key(made.crt, made.key));
    set_names(made.crt, form);
    OK(gnutls_x509_crt_set_basic_constraints(made.crt, form->authority, -1));
    OK(gnutls_x509_crt_set_key_usage(made.crt, form->authority ? GNUTLS_KEY_KEY_CERT_SIGN
                                                               : GNUTLS_KEY_DIGITAL_SIGNATURE));
    if (!form->authority)
        OK(gnutls_x509_crt_set_key_purpose_oid(
            made.crt, form->for_clients ? GNUTLS_KP_TLS_WWW_CLIENT : GNUTLS_KP_TLS_WWW_SERVER, 0));
    OK(gnutls_x509_crt_sign2(made.crt, issuer ? issuer->crt : made.crt,
                             issuer ? issuer->key : made.key, GNUTLS_DIG_SHA256, 0));
    read_back(made.crt);
    make_pin(&made);
    return made;
}

// One row each: what the tests call it, who signed it (NO_ISSUER: itself), what it says.
enum id {
    ROOT,
    INTERMEDIATE,
    OTHER_ROOT,
    FALSE_ROOT,
    FALSE_INTERMEDIATE,
    GOOD,
    BY_ROOT,
    WILDCARD,
    ONLY_CN,
    BY_ADDRESS,
    BY_BOTH,
    ADDRESS_AS_NAME,
    EXPIRED,
    NOT_YET,
    SELF_SIGNED,
    UNKNOWN_CA,
    FOR_CLIENTS,
    BY_LEAF,
    SHORT_LIVED,
    CERTIFICATES,
    NO_ISSUER = CERTIFICATES,
};

static const struct {
    enum id issuer;
    struct form form;
} forms[] = {
    [ROOT] = {NO_ISSUER, {.common_name = "root", .authority = true, .from = -1, .until = 1000}},
    [INTERMEDIATE] =
        {ROOT, {.common_name = "intermediate", .authority = true, .from = -1, .until = 1000}},
    [OTHER_ROOT] = {NO_ISSUER,
                    {.common_name = "other root", .authority = true, .from = -1, .until = 1000}},
    // Have the names of the true ones, and signed nothing.
    [FALSE_ROOT] = {NO_ISSUER, {.common_name = "root", .authority = true}},
    [FALSE_INTERMEDIATE] = {NO_ISSUER, {.common_name = "intermediate", .authority = true}},
    [GOOD] = {INTERMEDIATE, {.common_name = "leaf", .dns = {"dot.test", "alt.dot.test"}}},
    [BY_ROOT] = {ROOT, {.common_name = "leaf", .dns = {"dot.test"}}},
    [WILDCARD] = {ROOT, {.common_name = "leaf", .dns = {"*.dot.test"}}},
    [ONLY_CN] = {ROOT, {.common_name = "dot.test"}},
    [BY_ADDRESS] = {ROOT, {.common_name = "leaf", .ip = {"192.0.2.1", "2001:db8::1"}}},
    [BY_BOTH] = {ROOT, {.common_name = "leaf", .dns = {"dot.test"}, .ip = {"192.0.2.1"}}},
    [ADDRESS_AS_NAME] = {ROOT, {.common_name = "192.0.2.1", .dns = {"192.0.2.1"}}},
    [EXPIRED] = {ROOT, {.common_name = "leaf", .dns = {"dot.test"}, .from = -30, .until = -1}},
    [NOT_YET] = {ROOT, {.common_name = "leaf", .dns = {"dot.test"}, .from = 1, .until = 30}},
    [SELF_SIGNED] = {NO_ISSUER, {.common_name = "leaf", .dns = {"dot.test"}}},
    [UNKNOWN_CA] = {OTHER_ROOT, {.common_name = "leaf", .dns = {"dot.test"}}},
    [FOR_CLIENTS] = {ROOT, {.common_name = "leaf", .dns = {"dot.test"}, .for_clients = true}},
    [BY_LEAF] = {GOOD, {.common_name = "leaf below", .dns = {"dot.test"}}},
    [SHORT_LIVED] = {ROOT, {.common_name = "leaf", .dns = {"dot.test"}, .from = -1, .until = 2}},
};

static struct certificate certificates[CERTIFICATES];
static char ca_file[] = "/tmp/sotto-test-tls-XXXXXX";
static char empty_file[] = "/tmp/sotto-test-tls-XXXXXX";

static int make_certificates(void **state)
{
    gnutls_datum_t pem;
    int fd = mkstemp(ca_file);

    for (size_t i = 0; i < CERTIFICATES; i++)
        certificates[i] = issue(
            &forms[i].form, forms[i].issuer == NO_ISSUER ? NULL : &certificates[forms[i].issuer]);
    OK(gnutls_x509_crt_export2(certificates[ROOT].crt, GNUTLS_X509_FMT_PEM, &pem));
    OK(fd);
    require(write(fd, pem.data, pem.size) == (ssize_t)pem.size);
    close(fd);
    gnutls_free(pem.data);
    OK(fd = mkstemp(empty_file));
    close(fd);
    return 0;
}

static int free_certificates(void **state)
{
    for (size_t i = 0; i < CERTIFICATES; i++) {
        gnutls_x509_crt_deinit(certificates[i].crt);
        gnutls_x509_privkey_deinit(certificates[i].key);
    }
    unlink(ca_file);
    unlink(empty_file);
    return 0;
}

// ---- A server, and a client that talks to it

struct pipe_end {
    uint8_t bytes[256 * 1024];
    size_t start, end;
};

static struct pipe_end to_server, to_client;

struct server {
    gnutls_certificate_credentials_t credentials;
    gnutls_session_t session;
    gnutls_datum_t ticket_key;
    const char *priority;
    bool tickets;
};

static struct server server;
static struct tls *client;
static struct tls_context *held_context;
static struct address address;

static bool on_push(void *owner, const uint8_t *bytes, size_t size)
{
    assert_ptr_equal(owner, &client);
    require(to_server.end + size <= sizeof(to_server.bytes));
    memcpy(to_server.bytes + to_server.end, bytes, size);
    to_server.end += size;
    return true;
}

static ssize_t server_push(gnutls_transport_ptr_t ptr, const void *bytes, size_t size)
{
    require(to_client.end + size <= sizeof(to_client.bytes));
    memcpy(to_client.bytes + to_client.end, bytes, size);
    to_client.end += size;
    return (ssize_t)size;
}

static ssize_t server_pull(gnutls_transport_ptr_t ptr, void *to, size_t size)
{
    size = MIN(size, to_server.end - to_server.start);
    if (size == 0) {
        gnutls_transport_set_errno(server.session, EAGAIN);
        return -1;
    }
    memcpy(to, to_server.bytes + to_server.start, size);
    to_server.start += size;
    return (ssize_t)size;
}

// A server that shows these certificates, up to a negative one, in this order, whether they belong
// together or not. The first has its key.
static void server_new(const int *chain)
{
    gnutls_pcert_st list[8];
    gnutls_privkey_t key;
    int count = 0;

    for (; chain[count] >= 0; count++)
        OK(gnutls_pcert_import_x509(&list[count], certificates[chain[count]].crt, 0));
    OK(gnutls_privkey_init(&key));
    OK(gnutls_privkey_import_x509(key, certificates[chain[0]].key, GNUTLS_PRIVKEY_IMPORT_COPY));
    OK(gnutls_certificate_allocate_credentials(&server.credentials));
    OK(gnutls_certificate_set_key(server.credentials, NULL, 0, list, count, key));
    OK(gnutls_session_ticket_key_generate(&server.ticket_key));
    server.priority = "NORMAL";
    server.tickets = true;
}

static void server_free(void)
{
    if (server.session)
        gnutls_deinit(server.session);
    if (server.credentials)
        gnutls_certificate_free_credentials(server.credentials);
    gnutls_free(server.ticket_key.data);
    server = (struct server){0};
}

static void server_begin(void)
{
    if (server.session)
        gnutls_deinit(server.session);
    to_server.start = to_server.end = to_client.start = to_client.end = 0;
    OK(gnutls_init(&server.session, GNUTLS_SERVER | GNUTLS_NONBLOCK));
    OK(gnutls_priority_set_direct(server.session, server.priority, NULL));
    OK(gnutls_credentials_set(server.session, GNUTLS_CRD_CERTIFICATE, server.credentials));
    if (server.tickets)
        OK(gnutls_session_ticket_enable_server(server.session, &server.ticket_key));
    gnutls_db_set_cache_expiration(server.session, 6 * DAY); // how long it takes a ticket
    gnutls_transport_set_push_function(server.session, server_push);
    gnutls_transport_set_pull_function(server.session, server_pull);
    gnutls_transport_set_ptr(server.session, &server);
}

// Lends the client what the server sent, in memory of exactly its size, and goes on.
static int client_step(int (*step)(struct tls *tls))
{
    struct wire bytes =
        wire_copy(to_client.bytes + to_client.start, to_client.end - to_client.start);
    int err;

    to_client.start = to_client.end;
    tls_feed(client, bytes.bytes, bytes.size, false);
    err = step(client);
    tls_feed(client, (const uint8_t *)"", 0, false);
    wire_free(&bytes);
    return err;
}

static int read_nothing(struct tls *tls)
{
    uint8_t byte;
    size_t got;

    return tls_read(tls, &byte, 1, &got);
}

// What comes with the end of the handshake is read at once, as a stream does.
static int handshake_and_read(struct tls *tls)
{
    int err = tls_handshake(tls);

    if (err == E_OK)
        assert_int_equal(read_nothing(tls), E_AGAIN);
    return err;
}

// The handshake of both; what the client made of it. With a ticket that is sent after it.
static int shake_hands(struct tls_context *context, struct tls_ticket *ticket)
{
    int err = E_AGAIN, theirs = GNUTLS_E_AGAIN;

    server_begin();
    client = tls_new(context, &address, ticket, on_push, &client);
    assert_non_null(client);
    for (unsigned turn = 0; err == E_AGAIN && turn < 20; turn++) {
        err = client_step(handshake_and_read);
        if (theirs != 0)
            theirs = gnutls_handshake(server.session);
    }
    if (err == E_OK) {
        assert_int_equal(theirs, 0);
        assert_int_equal(client_step(read_nothing), E_AGAIN);
    }
    return err;
}

static void client_free(void)
{
    tls_free(client);
    client = NULL;
}

// Held until the next is made, or the test ends.
static struct tls_context *context_new(const struct tls_client_options *options)
{
    char reason[TLS_REASON_SIZE];

    tls_context_unref(held_context);
    held_context = tls_context_new(options, reason);
    if (!held_context)
        fail_msg("no context: %s", reason);
    return held_context;
}

static struct tls_client_options named(const char *name)
{
    return (struct tls_client_options){.ca_file = ca_file, .auth_name = name, .has_name = true};
}

static int begin(void **state)
{
    OK(address_parse(&address, "192.0.2.1", 853));
    return 0;
}

static int end(void **state)
{
    client_free();
    server_free();
    tls_context_unref(held_context);
    held_context = NULL;
    return 0;
}

// ---- Who is let pass

#define END (-1)

// Which certificates the server shows, who is expected; why not (a part of the reason), or NULL.
static const struct {
    const char *what;
    int chain[6];
    const char *name;    // "": by address
    const char *address; // of the server
    const char *reason;
} checks[] = {
    {"a good one", {GOOD, INTERMEDIATE, END}, "dot.test", "192.0.2.1", NULL},
    {"root sent too", {GOOD, INTERMEDIATE, ROOT, END}, "dot.test", "192.0.2.1", NULL},
    {"the second name", {GOOD, INTERMEDIATE, END}, "alt.dot.test", "192.0.2.1", NULL},
    {"letter case of a name", {GOOD, INTERMEDIATE, END}, "DOT.Test", "192.0.2.1", NULL},
    {"an unrelated one behind",
     {GOOD, INTERMEDIATE, OTHER_ROOT, END},
     "dot.test",
     "192.0.2.1",
     NULL},
    {"T1 wrong name",
     {GOOD, INTERMEDIATE, END},
     "other.test",
     "192.0.2.1",
     "is for dot.test, alt.dot.test, not for other.test"},
    {"T1 name above", {GOOD, INTERMEDIATE, END}, "test", "192.0.2.1", "not for test"},
    {"T1 name below", {GOOD, INTERMEDIATE, END}, "x.dot.test", "192.0.2.1", "not for x.dot.test"},
    {"T1 the common name's", {GOOD, INTERMEDIATE, END}, "leaf", "192.0.2.1", "not for leaf"},
    {"T1 only in the common name", {ONLY_CN, END}, "dot.test", "192.0.2.1", "no DNS name"},
    {"T1 no name at all", {BY_ADDRESS, END}, "dot.test", "192.0.2.1", "no DNS name"},
    {"wildcard", {WILDCARD, END}, "a.dot.test", "192.0.2.1", NULL},
    {"T1 wildcard, too deep", {WILDCARD, END}, "a.b.dot.test", "192.0.2.1", "not for a.b.dot.test"},
    {"T1 wildcard, not deep enough", {WILDCARD, END}, "dot.test", "192.0.2.1", "not for dot.test"},
    {"T1 intermediate missing", {GOOD, END}, "dot.test", "192.0.2.1", "issuer is unknown"},
    {"T1 expired", {EXPIRED, END}, "dot.test", "192.0.2.1", "expired"},
    {"T1 not yet valid", {NOT_YET, END}, "dot.test", "192.0.2.1", "not yet"},
    {"T1 self-signed", {SELF_SIGNED, END}, "dot.test", "192.0.2.1", "NOT trusted"},
    {"T1 unknown authority", {UNKNOWN_CA, END}, "dot.test", "192.0.2.1", "issuer is unknown"},
    {"T1 unknown authority sent",
     {UNKNOWN_CA, OTHER_ROOT, END},
     "dot.test",
     "192.0.2.1",
     "issuer is unknown"},
    {"T1 known root behind an unknown chain",
     {UNKNOWN_CA, OTHER_ROOT, ROOT, END},
     "dot.test",
     "192.0.2.1",
     "issuer is unknown"},
    {"T1 false intermediate",
     {GOOD, FALSE_INTERMEDIATE, END},
     "dot.test",
     "192.0.2.1",
     "NOT trusted"},
    {"T1 signed by a leaf",
     {BY_LEAF, GOOD, INTERMEDIATE, END},
     "dot.test",
     "192.0.2.1",
     "NOT trusted"},
    {"T1 for clients only", {FOR_CLIENTS, END}, "dot.test", "192.0.2.1", "NOT trusted"},
    {"IPv4 address", {BY_ADDRESS, END}, "", "192.0.2.1", NULL},
    {"IPv6 address", {BY_ADDRESS, END}, "", "2001:db8::1", NULL},
    {"T1 other IPv4 address", {BY_ADDRESS, END}, "", "192.0.2.2", "not have the address 192.0.2.2"},
    {"T1 other IPv6 address", {BY_ADDRESS, END}, "", "2001:db8::2", "the address 2001:db8::2"},
    {"T1 IPv4 as an IPv6 address", {BY_ADDRESS, END}, "", "::ffff:192.0.2.1", "the address"},
    {"T1 address, only names there",
     {GOOD, INTERMEDIATE, END},
     "",
     "192.0.2.1",
     "name the server with '#name'"},
    {"T1 address as a DNS name", {ADDRESS_AS_NAME, END}, "", "192.0.2.1", "the address 192.0.2.1"},
    {"name and address there, by name", {BY_BOTH, END}, "dot.test", "192.0.2.2", NULL},
    {"name and address there, by address", {BY_BOTH, END}, "", "192.0.2.1", NULL},
    {"T1 a name that looks like the address",
     {BY_BOTH, END},
     "192.0.2.1",
     "192.0.2.1",
     "not for 192.0.2.1"},
    {"T1 name that is the address's text",
     {BY_ADDRESS, END},
     "192.0.2.1",
     "192.0.2.1",
     "no DNS name"},
};

// All that left is the handshake: a client that refuses has sent no query, and says why.
static void test_strict(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
        struct tls_client_options options = named(checks[i].name);
        struct tls_context *context = context_new(&options);
        int err;

        assert_int_equal(address_parse(&address, checks[i].address, 853), E_OK);
        server_new(checks[i].chain);
        err = shake_hands(context, NULL);
        if (err != (checks[i].reason ? E_VERIFY : E_OK))
            fail_msg("%s: %s (%s)", checks[i].what, error_text(err), tls_reason(client));
        if (err == E_OK) {
            assert_true(tls_verified(client));
            assert_false(tls_resumed(client));
            assert_string_equal(tls_version(client), "TLS1.3");
        } else {
            assert_false(tls_verified(client));
            if (!strstr(tls_reason(client), checks[i].reason))
                fail_msg("%s: %s", checks[i].what, tls_reason(client));
            // The server is told by an alert.
            assert_true(gnutls_record_recv(server.session, (uint8_t[1]){0}, 1) < 0);
        }
        client_free();
        server_free();
    }
}

// Opportunistic goes on in each of these cases, and knows that it is not verified (RFC 8310).
static void test_opportunistic(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
        struct tls_client_options options = named(checks[i].name);
        struct tls_context *context;

        options.opportunistic = true;
        context = context_new(&options);
        assert_int_equal(address_parse(&address, checks[i].address, 853), E_OK);
        server_new(checks[i].chain);
        assert_int_equal(shake_hands(context, NULL), E_OK);
        assert_int_equal(tls_verified(client), !checks[i].reason);
        client_free();
        server_free();
    }
}

// Pins, up to a negative one, next to a name or alone.
static const struct {
    const char *what;
    int chain[6];
    int pins[4];
    const char *name; // NULL: pins alone
    const char *reason;
} pin_checks[] = {
    {"leaf", {GOOD, INTERMEDIATE, END}, {GOOD, END}, "dot.test", NULL},
    {"intermediate", {GOOD, INTERMEDIATE, END}, {INTERMEDIATE, END}, "dot.test", NULL},
    {"root, sent", {GOOD, INTERMEDIATE, ROOT, END}, {ROOT, END}, "dot.test", NULL},
    {"T2 backup pin",
     {GOOD, INTERMEDIATE, END},
     {OTHER_ROOT, SELF_SIGNED, GOOD, END},
     "dot.test",
     NULL},
    {"T2 chain matches, pin doesn't",
     {GOOD, INTERMEDIATE, END},
     {BY_ROOT, END},
     "dot.test",
     "pinned"},
    {"T2 pin matches, name doesn't",
     {GOOD, INTERMEDIATE, END},
     {GOOD, END},
     "other.test",
     "not for other.test"},
    {"T2 pin matches, chain doesn't",
     {SELF_SIGNED, END},
     {SELF_SIGNED, END},
     "dot.test",
     "NOT trusted"},
    {"T2 pin matches, expired", {EXPIRED, END}, {EXPIRED, END}, "dot.test", "expired"},
    {"pinned one only appended",
     {GOOD, INTERMEDIATE, OTHER_ROOT, END},
     {OTHER_ROOT, END},
     "dot.test",
     "pinned"},
    {"pinned leaf of somebody else appended",
     {GOOD, INTERMEDIATE, BY_ROOT, END},
     {BY_ROOT, END},
     "dot.test",
     "pinned"},
    {"pinned one of the issuer's name appended",
     {GOOD, INTERMEDIATE, FALSE_INTERMEDIATE, END},
     {FALSE_INTERMEDIATE, END},
     "dot.test",
     "pinned"},
    {"pinned true issuer of another chain appended",
     {BY_ROOT, INTERMEDIATE, END},
     {INTERMEDIATE, END},
     "dot.test",
     "pinned"},
    {"pinned one of the issuer's name in its place",
     {BY_ROOT, FALSE_ROOT, END},
     {FALSE_ROOT, END},
     "dot.test",
     "pinned"},

    {"alone: leaf", {GOOD, INTERMEDIATE, END}, {GOOD, END}, NULL, NULL},
    {"alone: self-signed leaf", {SELF_SIGNED, END}, {SELF_SIGNED, END}, NULL, NULL},
    {"alone: expired leaf", {EXPIRED, END}, {EXPIRED, END}, NULL, NULL},
    {"alone: other", {SELF_SIGNED, END}, {GOOD, END}, NULL, "pinned"},
    {"alone: intermediate", {GOOD, INTERMEDIATE, END}, {INTERMEDIATE, END}, NULL, "pinned"},
    {"alone: appended", {SELF_SIGNED, GOOD, END}, {GOOD, END}, NULL, "pinned"},
};

static void test_pins(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(pin_checks); i++) {
        uint8_t pins[4][TLS_PIN_SIZE];
        struct tls_client_options options = named(pin_checks[i].name ? pin_checks[i].name : "");
        struct tls_context *context;
        int err;

        for (; pin_checks[i].pins[options.pin_count] >= 0; options.pin_count++)
            memcpy(pins[options.pin_count], certificates[pin_checks[i].pins[options.pin_count]].pin,
                   TLS_PIN_SIZE);
        options.pins = pins;
        options.has_name = pin_checks[i].name != NULL;
        if (!options.has_name)
            options.ca_file = "/no such file"; // no authority is asked
        context = context_new(&options);
        memset(pins, 0, sizeof(pins)); // they were copied
        server_new(pin_checks[i].chain);
        err = shake_hands(context, NULL);
        if (err != (pin_checks[i].reason ? E_VERIFY : E_OK))
            fail_msg("%s: %s (%s)", pin_checks[i].what, error_text(err), tls_reason(client));
        if (err == E_OK)
            assert_true(tls_verified(client));
        else if (!strstr(tls_reason(client), pin_checks[i].reason))
            fail_msg("%s: %s", pin_checks[i].what, tls_reason(client));
        client_free();
        server_free();
    }
}

// ---- Versions, protocols, data

static const int good_chain[] = {GOOD, INTERMEDIATE, END};

static void test_versions_and_suites(void **state)
{
    static const struct {
        const char *priority, *version; // NULL: refused
    } cases[] = {
        {"NORMAL:-VERS-ALL:+VERS-TLS1.3", "TLS1.3"},
        {"NORMAL:-VERS-ALL:+VERS-TLS1.2", "TLS1.2"},
        {"NORMAL:-VERS-ALL:+VERS-TLS1.2:-CIPHER-ALL:+CHACHA20-POLY1305", "TLS1.2"},
        // T3
        {"NORMAL:-VERS-ALL:+VERS-TLS1.1", NULL},
        {"NORMAL:-VERS-ALL:+VERS-TLS1.0", NULL},
        {"NORMAL:-VERS-ALL:+VERS-TLS1.2:-CIPHER-ALL:+AES-128-CBC", NULL},
        {"NORMAL:-VERS-ALL:+VERS-TLS1.2:-KX-ALL:+DHE-RSA:+RSA", NULL},
    };
    struct tls_client_options options = named("dot.test");
    struct tls_context *context = context_new(&options);

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int err;

        server_new(good_chain);
        server.priority = cases[i].priority;
        err = shake_hands(context, NULL);
        if ((err == E_OK) != (cases[i].version != NULL))
            fail_msg("%s: %s", cases[i].priority, error_text(err));
        if (err == E_OK)
            assert_string_equal(tls_version(client), cases[i].version);
        client_free();
        server_free();
    }
}

static void test_what_the_client_offers(void **state)
{
    struct tls_client_options options = named("dot.test");
    struct tls_context *context = context_new(&options);
    gnutls_datum_t protocol = {(unsigned char *)"dot", 3}, selected;
    char name[256];
    size_t size = sizeof(name);
    unsigned type;

    server_new(good_chain);
    server_begin();
    gnutls_alpn_set_protocols(server.session, &protocol, 1, GNUTLS_ALPN_MANDATORY);
    client = tls_new(context, &address, NULL, on_push, &client);
    assert_non_null(client);
    for (unsigned turn = 0; turn < 4; turn++) {
        (void)!client_step(tls_handshake);
        gnutls_handshake(server.session);
    }
    assert_int_equal(gnutls_alpn_get_selected_protocol(server.session, &selected), 0);
    assert_int_equal(selected.size, 3);
    assert_memory_equal(selected.data, "dot", 3);
    assert_int_equal(gnutls_server_name_get(server.session, name, &size, &type, 0), 0);
    assert_string_equal(name, "dot.test");
}

static void connect_good(struct tls_context *context)
{
    server_new(good_chain);
    assert_int_equal(shake_hands(context, NULL), E_OK);
}

static void test_octets_both_ways(void **state)
{
    static uint8_t sent[100000], got[100000];
    struct tls_client_options options = named("dot.test");
    struct tls_context *context = context_new(&options);
    size_t have = 0, size;

    for (size_t i = 0; i < sizeof(sent); i++)
        sent[i] = (uint8_t)(i * i >> 3);
    connect_good(context);

    size_t before = to_server.end;

    assert_int_equal(tls_write(client, sent, sizeof(sent)), E_OK);
    // In as few records as can be: 7, of at most 22 octets more than their content.
    assert_in_range(to_server.end - before, sizeof(sent), sizeof(sent) + (size_t)7 * 22);
    while (have < sizeof(got)) {
        ssize_t more = gnutls_record_recv(server.session, got + have, sizeof(got) - have);

        assert_true(more > 0);
        have += (size_t)more;
    }
    assert_memory_equal(got, sent, sizeof(sent));

    // Back, fed one octet at a time.
    memset(got, 0, sizeof(got));
    have = 0;
    for (size_t at = 0; at < 50000;)
        at += (size_t)gnutls_record_send(server.session, sent + at, 50000 - at);
    while (to_client.start < to_client.end) {
        int err;

        tls_feed(client, to_client.bytes + to_client.start++, 1, false);
        while ((err = tls_read(client, got + have, sizeof(got) - have, &size)) == E_OK)
            have += size;
        assert_int_equal(err, E_AGAIN);
    }
    assert_int_equal(have, 50000);
    assert_memory_equal(got, sent, have);
}

static int read_some(struct tls *tls)
{
    uint8_t bytes[100];
    size_t got;

    return tls_read(tls, bytes, sizeof(bytes), &got);
}

static void test_close_notify(void **state)
{
    struct tls_client_options options = named("dot.test");
    struct tls_context *context = context_new(&options);
    uint8_t byte;

    connect_good(context);
    tls_close_notify(client);
    assert_int_equal(gnutls_record_recv(server.session, &byte, 1), 0);
    gnutls_bye(server.session, GNUTLS_SHUT_WR);
    assert_int_equal(client_step(read_some), E_CLOSED);
}

static void test_end_without_close_notify(void **state)
{
    struct tls_client_options options = named("dot.test");
    struct tls_context *context = context_new(&options);

    connect_good(context);
    tls_feed(client, (const uint8_t *)"", 0, true);
    assert_int_equal(read_some(client), E_CLOSED);
}

static void test_end_within_the_handshake(void **state)
{
    struct tls_client_options options = named("dot.test");
    struct tls_context *context = context_new(&options);

    client = tls_new(context, &address, NULL, on_push, &client);
    assert_non_null(client);
    to_client.start = to_client.end = 0;
    assert_int_equal(client_step(tls_handshake), E_AGAIN);
    tls_feed(client, (const uint8_t *)"", 0, true);
    assert_int_equal(tls_handshake(client), E_CLOSED);
    assert_string_equal(tls_reason(client), "closed by the peer");
}

// T3: something else on the port.
static void test_not_tls_at_all(void **state)
{
    static const char *const greetings[] = {
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\n\r\n",
        "220 mail.example.org ESMTP\r\n",
        "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
        "\x16\x03\x03\xff\xff\xff\xff\xff\xff\xff",
        "\x15\x03\x03\x00\x02\x02\x28", // the alert handshake_failure
    };
    static const size_t sizes[] = {50, 28, 32, 10, 7};
    struct tls_client_options options = named("dot.test");
    struct tls_context *context = context_new(&options);

    for (size_t i = 0; i < ARRAY_LEN(greetings); i++) {
        to_client.start = to_client.end = 0;
        to_server.start = to_server.end = 0;
        client = tls_new(context, &address, NULL, on_push, &client);
        assert_non_null(client);
        assert_int_equal(client_step(tls_handshake), E_AGAIN);
        memcpy(to_client.bytes, greetings[i], sizes[i]);
        to_client.end = sizes[i];
        if (client_step(tls_handshake) != E_TLS)
            fail_msg("%s", greetings[i]);
        assert_true(strlen(tls_reason(client)) > 0);
        client_free();
    }
}

// T11: a record whose content was changed on its way.
static void test_forged_record(void **state)
{
    struct tls_client_options options = named("dot.test");
    struct tls_context *context = context_new(&options);

    connect_good(context);
    assert_int_equal(gnutls_record_send(server.session, "answer", 6), 6);
    to_client.bytes[to_client.end - 3] ^= 1;
    assert_int_equal(client_step(read_some), E_TLS);
    assert_true(strlen(tls_reason(client)) > 0);
}

static bool push_nothing(void *owner, const uint8_t *bytes, size_t size)
{
    return false;
}

static void test_no_room_to_send(void **state)
{
    struct tls_client_options options = named("dot.test");
    struct tls_context *context = context_new(&options);

    client = tls_new(context, &address, NULL, push_nothing, NULL);
    assert_non_null(client);
    assert_int_equal(client_step(tls_handshake), E_TLS);
}

// ---- Tickets

static const struct {
    const char *priority;
    bool tickets;
} resumptions[] = {
    {"NORMAL:-VERS-ALL:+VERS-TLS1.3", true},
    {"NORMAL:-VERS-ALL:+VERS-TLS1.2", true},
};

// A first session with this chain; the ticket that it gave.
static struct tls_ticket *first_session(struct tls_context *context, const int *chain,
                                        const char *priority)
{
    struct tls_ticket *ticket;

    server_new(chain);
    server.priority = priority;
    assert_int_equal(shake_hands(context, NULL), E_OK);
    assert_false(tls_resumed(client));
    ticket = tls_ticket_take(client);
    assert_non_null(ticket);
    assert_null(tls_ticket_take(client)); // once
    client_free();
    return ticket;
}

static void test_resumption(void **state)
{
    struct tls_client_options options = named("dot.test");
    struct tls_context *context = context_new(&options);

    for (size_t i = 0; i < ARRAY_LEN(resumptions); i++) {
        struct tls_ticket *ticket = first_session(context, good_chain, resumptions[i].priority);

        // Ticket by ticket: each resumed session gives the next.
        for (unsigned turn = 0; turn < 3; turn++) {
            assert_int_equal(shake_hands(context, ticket), E_OK);
            assert_true(tls_resumed(client));
            assert_true(tls_verified(client));
            ticket = tls_ticket_take(client);
            assert_non_null(ticket);
            client_free();
        }
        tls_ticket_free(ticket);
        server_free();
    }
}

// T9: whatever a server does with a ticket, there is a session in the end.
static void test_refused_ticket(void **state)
{
    struct tls_client_options options = named("dot.test");
    struct tls_context *context = context_new(&options);

    for (size_t i = 0; i < ARRAY_LEN(resumptions); i++) {
        struct tls_ticket *ticket = first_session(context, good_chain, resumptions[i].priority);

        gnutls_free(server.ticket_key.data); // rotated
        OK(gnutls_session_ticket_key_generate(&server.ticket_key));
        assert_int_equal(shake_hands(context, ticket), E_OK);
        assert_false(tls_resumed(client));
        assert_true(tls_verified(client));
        ticket = tls_ticket_take(client);
        assert_non_null(ticket);
        client_free();

        server.tickets = false;
        assert_int_equal(shake_hands(context, ticket), E_OK);
        assert_false(tls_resumed(client));
        client_free();
        server_free();
    }
}

static void test_no_ticket_before_there_is_one(void **state)
{
    struct tls_client_options options = named("dot.test");
    struct tls_context *context = context_new(&options);

    client = tls_new(context, &address, NULL, on_push, &client);
    assert_non_null(client);
    assert_null(tls_ticket_take(client));
    client_free();

    server_new(good_chain);
    server.priority = "NORMAL:-VERS-ALL:+VERS-TLS1.3";
    server.tickets = false;
    assert_int_equal(shake_hands(context, NULL), E_OK);
    assert_null(tls_ticket_take(client));
    tls_ticket_free(NULL);
}

// A resumed session shows no certificate: when the one that was verified has run out, its ticket is
// of no more use, and the server's present one is looked at.
static void test_ticket_ends_with_the_certificate(void **state)
{
    static const int chain[] = {SHORT_LIVED, END};
    struct tls_client_options options = named("dot.test");
    struct tls_context *context = context_new(&options);
    time_t now = wall_clock;

    for (size_t i = 0; i < ARRAY_LEN(resumptions); i++) {
        // Of a certificate that is still good then, so that it is not the ticket's own age.
        struct tls_ticket *ticket = first_session(context, good_chain, resumptions[i].priority);

        wall_clock = now + 2 * DAY + 1;
        assert_int_equal(shake_hands(context, ticket), E_OK);
        assert_true(tls_resumed(client));
        client_free();
        server_free();

        wall_clock = now;
        ticket = first_session(context, chain, resumptions[i].priority);
        wall_clock = now + 1;
        assert_int_equal(shake_hands(context, ticket), E_OK);
        assert_true(tls_resumed(client));
        ticket = tls_ticket_take(client); // of a resumed session: the certificate is still that one
        assert_non_null(ticket);
        client_free();

        wall_clock = now + 2 * DAY + 1;
        assert_int_equal(shake_hands(context, ticket), E_VERIFY);
        assert_non_null(strstr(tls_reason(client), "expired"));
        client_free();
        server_free();
        wall_clock = now;
    }
}

// A ticket of a session that was not verified would carry the next one past the check.
static void test_ticket_of_an_unverified_session(void **state)
{
    static const int chain[] = {SELF_SIGNED, END};
    struct tls_client_options options = named("dot.test");
    struct tls_context *context;
    struct tls_ticket *ticket;

    options.opportunistic = true;
    context = context_new(&options);
    ticket = first_session(context, chain, "NORMAL:-VERS-ALL:+VERS-TLS1.3");
    assert_int_equal(shake_hands(context, ticket), E_OK);
    assert_false(tls_resumed(client));
    assert_false(tls_verified(client));
}

// ---- Contexts

static void test_context_without_authorities(void **state)
{
    static const char *const files[] = {"/no such file", empty_file, "/"};

    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        struct tls_client_options options = named("dot.test");
        char reason[TLS_REASON_SIZE];

        options.ca_file = files[i];
        assert_null(tls_context_new(&options, reason));
        assert_non_null(strstr(reason, files[i]));
    }
}

static void test_same_authorities(void **state)
{
    struct tls_client_options options = named("dot.test"), pinned = named("");
    struct tls_context *a = tls_context_ref(context_new(&options));
    struct tls_context *b = tls_context_ref(context_new(&options)), *c;

    pinned.has_name = false;
    pinned.pins = (const uint8_t(*)[TLS_PIN_SIZE])certificates[GOOD].pin;
    pinned.pin_count = 1;
    c = context_new(&pinned);
    assert_true(tls_context_same_authorities(a, b));
    assert_false(tls_context_same_authorities(a, c));
    tls_context_unref(a);
    tls_context_unref(b);
    tls_context_unref(NULL);
}

// A session holds its context for as long as it lives.
static void test_context_outlived_by_its_session(void **state)
{
    struct tls_client_options options = named("dot.test");
    struct tls_context *context = context_new(&options);

    server_new(good_chain);
    server_begin();
    client = tls_new(context, &address, NULL, on_push, &client);
    assert_non_null(client);
    tls_context_unref(held_context);
    held_context = NULL;
    assert_int_equal(client_step(tls_handshake), E_AGAIN);
    gnutls_handshake(server.session);
    assert_int_equal(client_step(tls_handshake), E_OK);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        CASE(test_strict),
        CASE(test_opportunistic),
        CASE(test_pins),
        CASE(test_versions_and_suites),
        CASE(test_what_the_client_offers),
        CASE(test_octets_both_ways),
        CASE(test_close_notify),
        CASE(test_end_without_close_notify),
        CASE(test_end_within_the_handshake),
        CASE(test_not_tls_at_all),
        CASE(test_forged_record),
        CASE(test_no_room_to_send),
        CASE(test_resumption),
        CASE(test_refused_ticket),
        CASE(test_no_ticket_before_there_is_one),
        CASE(test_ticket_ends_with_the_certificate),
        CASE(test_ticket_of_an_unverified_session),
        CASE(test_context_without_authorities),
        CASE(test_same_authorities),
        CASE(test_context_outlived_by_its_session),
    };
#undef CASE

    return cmocka_run_group_tests(tests, make_certificates, free_certificates);
}
