#include "daemon/certificates.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"

#define DAY 86400L // seconds

// Time enough to see to it; whoever renews by themselves do so earlier.
#define WARN_DAYS 14

// What stat() tells of all files: another value means that one of them was changed or replaced.
struct file_state {
    uint64_t device, inode, size, modified, changed;
};

struct fingerprint {
    struct file_state cert[TLS_CERTIFICATES_MAX], key[TLS_CERTIFICATES_MAX], client_ca;
};

struct certificates {
    struct tls_server_options options;
    struct tls_server *server;
    time_t expire;
    char name[TLS_PATH_SIZE];
    struct fingerprint read; // when they were last read
    struct fingerprint seen; // when they were last looked at
    time_t warned;

    // Prepared for a reload, or NULL:
    struct tls_credentials *next;
    struct tls_server_options next_options;
    struct fingerprint next_read;
};

static uint64_t nanoseconds(const struct timespec *time)
{
    return (uint64_t)time->tv_sec * 1000000000 + (uint64_t)time->tv_nsec;
}

static void note_file(struct file_state *state, const char *path)
{
    struct stat status;

    // Links are followed: what matters is what they lead to.
    if (!*path || stat(path, &status) != 0)
        return;
    *state = (struct file_state){
        .device = status.st_dev,
        .inode = status.st_ino,
        .size = (uint64_t)status.st_size,
        .modified = nanoseconds(&status.st_mtim),
        .changed = nanoseconds(&status.st_ctim),
    };
}

static void take_fingerprint(struct fingerprint *fingerprint,
                             const struct tls_server_options *options)
{
    memset(fingerprint, 0, sizeof(*fingerprint));
    for (uint32_t i = 0; i < options->certificate_count; i++) {
        note_file(&fingerprint->cert[i], options->certificates[i].cert);
        note_file(&fingerprint->key[i], options->certificates[i].key);
    }
    note_file(&fingerprint->client_ca, options->client_ca_file);
}

static bool same(const struct fingerprint *a, const struct fingerprint *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

// What is asked for later.
static void note(struct certificates *certificates, const struct tls_credentials *credentials)
{
    certificates->expire = tls_credentials_expire(credentials);
    snprintf(certificates->name, sizeof(certificates->name), "%s",
             tls_credentials_name(credentials));
}

struct certificates *certificates_open(const struct tls_server_options *options,
                                       enum tls_protocols protocols, char reason[TLS_REASON_SIZE])
{
    struct certificates *certificates = calloc(1, sizeof(*certificates));
    struct tls_credentials *credentials = NULL;

    if (certificates) {
        certificates->options = *options;
        // Before they are read: what changes meanwhile is seen to be new.
        take_fingerprint(&certificates->read, options);
        certificates->seen = certificates->read;
        credentials = tls_credentials_new(options, reason);
    } else {
        strcpy(reason, "out of memory");
    }
    if (credentials) {
        note(certificates, credentials);
        certificates->server = tls_server_new(credentials, protocols);
        if (!certificates->server)
            strcpy(reason, "out of memory");
    }
    tls_credentials_unref(credentials);
    if (certificates && certificates->server)
        return certificates;
    free(certificates);
    return NULL;
}

void certificates_close(struct certificates *certificates)
{
    if (!certificates)
        return;
    certificates_abandon(certificates);
    tls_server_unref(certificates->server);
    free(certificates);
}

struct tls_server *certificates_server(struct certificates *certificates)
{
    return certificates->server;
}

const char *certificates_name(const struct certificates *certificates)
{
    return certificates->next ? tls_credentials_name(certificates->next) : certificates->name;
}

time_t certificates_expire(const struct certificates *certificates)
{
    return certificates->expire;
}

int certificates_prepare(struct certificates *certificates,
                         const struct tls_server_options *options, char reason[TLS_REASON_SIZE])
{
    certificates_abandon(certificates);
    certificates->next_options = *options;
    take_fingerprint(&certificates->next_read, options);
    certificates->next = tls_credentials_new(options, reason);
    return certificates->next ? E_OK : E_TLS;
}

void certificates_commit(struct certificates *certificates)
{
    if (!certificates->next)
        return;
    tls_server_renew(certificates->server, certificates->next);
    note(certificates, certificates->next);
    certificates->options = certificates->next_options;
    certificates->read = certificates->seen = certificates->next_read;
    certificates->warned = 0;
    certificates_abandon(certificates);
}

void certificates_abandon(struct certificates *certificates)
{
    tls_credentials_unref(certificates->next);
    certificates->next = NULL;
}

void certificates_look(struct certificates *certificates, const char *where, struct log *log)
{
    char reason[TLS_REASON_SIZE];
    struct fingerprint now;
    bool settled;

    take_fingerprint(&now, &certificates->options);
    settled = same(&now, &certificates->seen);
    certificates->seen = now;
    // Certificate and key are not written at the same moment: wait until nothing moves.
    if (!settled || same(&now, &certificates->read))
        return;

    const struct tls_server_options options = certificates->options;

    if (certificates_prepare(certificates, &options, reason) == E_OK) {
        certificates_commit(certificates);
        log_info(log, "listener", "%s: new certificates are in use", where);
        return;
    }
    // Not again until they change again.
    certificates->read = certificates->next_read;
    log_error(log, "listener",
              "%s: the certificates have changed, but the old ones stay in use: %s", where, reason);
}

void certificates_warn(struct certificates *certificates, const char *where, struct log *log)
{
    time_t now = time(NULL);
    long left = (long)(certificates->expire - now);

    if (left >= WARN_DAYS * DAY ||
        (certificates->warned != 0 && labs((long)(now - certificates->warned)) < DAY))
        return;
    certificates->warned = now;
    if (left <= 0)
        log_error(log, "listener", "%s: the certificate has ended: clients refuse it; renew it",
                  where);
    else
        log_warning(log, "listener", "%s: the certificate ends in %ld day%s; renew it", where,
                    left / DAY, left / DAY == 1 ? "" : "s");
}

void certificates_check_access(const struct certificates *certificates, const char *where,
                               struct log *log)
{
    for (uint32_t i = 0; i < certificates->options.certificate_count; i++) {
        const struct tls_certificate_files *files = &certificates->options.certificates[i];
        const char *key = *files->key ? files->key : files->cert;

        if (access(key, R_OK) != 0)
            log_warning(log, "listener",
                        "%s: %s cannot be read any more, now that privileges are given up (%s): a "
                        "new one takes a restart. Let user ID %u read it",
                        where, key, strerror(errno), (unsigned)geteuid());
    }
}
