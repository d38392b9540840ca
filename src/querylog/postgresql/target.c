#include "querylog/postgresql/target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/reason.h"

#define give(code, reason, ...) reason_give(code, reason, POSTGRESQL_REASON_SIZE, __VA_ARGS__)

// What the URL says, or the environment as libpq reads it, or `otherwise`.
static const char *value_of(const struct postgresql_target *target, const char *keyword,
                            const char *otherwise)
{
    for (const PQconninfoOption *option = target->options; option->keyword; option++) {
        if (strcmp(option->keyword, keyword) != 0)
            continue;
        if (option->val)
            return option->val;
        const char *environment = option->envvar ? getenv(option->envvar) : NULL;
        if (environment)
            return environment;
    }
    return otherwise;
}

// ---- Password

static int read_password(struct postgresql_target *target, char reason[POSTGRESQL_REASON_SIZE])
{
    char text[sizeof(target->password)];
    // Not waiting for somebody to write, should it be a pipe.
    int fd = open(target->password_file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof(text));
    int problem = errno;

    if (fd >= 0)
        close(fd);
    if (size < 0)
        return give(E_SYSTEM, reason, "cannot read the password from %s: %s", target->password_file,
                    strerror(problem));
    if (size == sizeof(text))
        return give(E_INVALID, reason, "%s is too long to be a password", target->password_file);
    text[size] = '\0';
    text[strcspn(text, "\r\n")] = '\0';
    if (!*text)
        return give(E_INVALID, reason, "there is no password in the first line of %s",
                    target->password_file);
    strcpy(target->password, text);
    explicit_bzero(text, sizeof(text));
    return E_OK;
}

void postgresql_target_refresh(struct postgresql_target *target)
{
    char reason[POSTGRESQL_REASON_SIZE];

    if (*target->password_file && read_password(target, reason) != E_OK)
        return; // the old one is tried, and the server says what it thinks of it
}

// ---- URL

#define NO_PASSWORDS                                                                               \
    "the URL has a password in it, where others can see it: write it into a file, and name that "  \
    "as password-file"

// Before libpq reads it, as libpq quotes parts of what it does not understand.
static bool has_password(const char *url)
{
    const char *at = strstr(url, "://");
    size_t authority = at ? strcspn(at + 3, "/?#") : 0;
    const char *user_end = at ? memchr(at + 3, '@', authority) : NULL;

    if (user_end && memchr(at + 3, ':', (size_t)(user_end - at - 3)))
        return true;
    return strstr(url, "password=") != NULL; // sslpassword too
}

static int parse(struct postgresql_target *target, const char *url,
                 char reason[POSTGRESQL_REASON_SIZE])
{
    char *problem = NULL;

    if (has_password(url))
        return give(E_INVALID, reason, NO_PASSWORDS);
    target->options = PQconninfoParse(url, &problem);
    if (!target->options) {
        if (problem)
            problem[strcspn(problem, "\n")] = '\0';
        give(E_INVALID, reason,
             "%s; write postgresql://USER@HOST:PORT/DATABASE?sslmode=verify-full",
             problem ? problem : "out of memory");
        PQfreemem(problem);
        return E_INVALID;
    }
    for (const PQconninfoOption *option = target->options; option->keyword; option++)
        if (option->val && strchr(option->dispchar, '*'))
            return give(E_INVALID, reason, NO_PASSWORDS);
    return E_OK;
}

static void show(struct postgresql_target *target)
{
    const char *user = value_of(target, "user", "");
    const char *hosts = value_of(target, "host", value_of(target, "hostaddr", ""));
    const char *ports = value_of(target, "port", "");

    if (ports[strspn(ports, ",")] == '\0') // several hosts, none with a port
        ports = "";
    snprintf(target->shown, sizeof(target->shown), "postgresql://%s%s%s%s%s/%s", user,
             *user ? "@" : "", hosts, *ports ? ":" : "", ports, value_of(target, "dbname", ""));
}

int postgresql_target_init(struct postgresql_target *target,
                           const struct querylog_sink_options *options,
                           char reason[POSTGRESQL_REASON_SIZE])
{
    int rc;

    memset(target, 0, sizeof(*target));
    strcpy(target->password_file, options->password_file);
    if ((rc = parse(target, options->url, reason)) != E_OK)
        return rc;
    show(target);
    return *target->password_file ? read_password(target, reason) : E_OK;
}

void postgresql_target_deinit(struct postgresql_target *target)
{
    PQconninfoFree(target->options);
    target->options = NULL;
    explicit_bzero(target->password, sizeof(target->password));
}

// ---- Safety

static bool is_local(const char *host, size_t length)
{
    static const char *const names[] = {"localhost", "::1", "[::1]"};

    if (length == 0 || *host == '/' || *host == '@')
        return true; // a socket of this machine
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strlen(names[i]) == length && strncasecmp(host, names[i], length) == 0)
            return true;
    return strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") >= length;
}

bool postgresql_target_exposed(const struct postgresql_target *target)
{
    const char *mode = value_of(target, "sslmode", "prefer");
    const char *hosts = value_of(target, "hostaddr", value_of(target, "host", ""));

    if (strcmp(mode, "verify-full") == 0 || strcmp(mode, "verify-ca") == 0)
        return false;
    for (;;) { // several stand side by side with commas
        size_t length = strcspn(hosts, ",");

        if (!is_local(hosts, length))
            return true;
        if (!hosts[length])
            return false;
        hosts += length + 1;
    }
}

// ---- Parameters

static const struct {
    const char *keyword, *value;
} defaults[] = {
    // Of each address that a host has. The thread that connects waits, nobody else.
    {"connect_timeout", "5"},
    // A server that is gone without a word is noticed after 10 s, if something waits to be
    // acknowledged, or after 25 s of silence.
    {"tcp_user_timeout", "10000"},
    {"keepalives_idle", "10"},
    {"keepalives_interval", "5"},
    {"keepalives_count", "3"},
    {"gssencmode", "disable"},
    {"application_name", "sotto"},
};

void postgresql_target_parameters(const struct postgresql_target *target, bool writes,
                                  struct postgresql_parameters *parameters)
{
    size_t count = 0;
    const size_t room = ARRAY_LEN(parameters->keywords) - 1;

#define ADD(keyword, value)                                                                        \
    do {                                                                                           \
        require(count < room);                                                                     \
        parameters->keywords[count] = keyword;                                                     \
        parameters->values[count++] = value;                                                       \
    } while (0)

    // Of a keyword that comes twice, the last one counts.
    for (size_t i = 0; i < ARRAY_LEN(defaults); i++)
        ADD(defaults[i].keyword, defaults[i].value);
    if (writes && strchr(value_of(target, "host", value_of(target, "hostaddr", "")), ','))
        ADD("target_session_attrs", "read-write");
    for (const PQconninfoOption *option = target->options; option->keyword; option++)
        if (option->val)
            ADD(option->keyword, option->val);
    if (*target->password)
        ADD("password", target->password);
    ADD("client_encoding", "UTF8"); // what we send is ASCII or checked
#undef ADD
    parameters->keywords[count] = NULL;
    parameters->values[count] = NULL;
}
