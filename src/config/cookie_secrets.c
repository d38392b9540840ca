#include "config/cookie_secrets.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "config/report.h"

#define SECRET_DIGITS 32

// Larger than any file that is right.
#define FILE_SIZE 512

static int digit_of(char c)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    const char *at = c ? strchr(digits, c) : NULL;

    return at ? (int)((at - digits) % 16) : -1;
}

// As RFC 9018 has them in hexadecimal: the key's octets in their order.
static int parse_secret(struct siphash_key *key, const char *text)
{
    *key = (struct siphash_key){0};
    for (unsigned i = 0; i < SECRET_DIGITS; i++) {
        uint64_t *half = i < SECRET_DIGITS / 2 ? &key->k0 : &key->k1;
        int digit = digit_of(text[i]);

        if (digit < 0)
            return E_INVALID;
        // The lower octets of a half are first, and the upper digit of each.
        *half |= (uint64_t)digit << (i % 16 / 2 * 8 + (i % 2 ? 0 : 4));
    }
    return text[SECRET_DIGITS] ? E_INVALID : E_OK;
}

static int fail(struct config_error *error, const char *path, const char *problem)
{
    char quoted[CONFIG_QUOTE_SIZE];

    return config_report(error, "cookies.secret-file: %s: %s", config_quote(path, quoted), problem);
}

static size_t length_without_space_behind(const char *line)
{
    size_t length = strlen(line);

    while (length > 0 && strchr(" \t\r", line[length - 1]))
        length--;
    return length;
}

// What stands there is not shown.
static int parse_lines(struct policy_cookie_secrets *secrets, char *text, const char *path,
                       struct config_error *error)
{
    for (char *line; (line = strsep(&text, "\n"));) {
        line[length_without_space_behind(line)] = '\0';
        if (!*line)
            continue;
        if (secrets->count == POLICY_COOKIE_SECRETS_MAX)
            return fail(error, path, "more than two secrets");
        if (parse_secret(&secrets->keys[secrets->count++], line) != E_OK)
            return fail(error, path,
                        "a secret is a line of 32 hexadecimal digits, as `openssl rand -hex 16` "
                        "makes them");
    }
    return secrets->count > 0 ? E_OK : fail(error, path, "no secret in it");
}

int cookie_secrets_read(struct policy_cookie_secrets *secrets, const char *path,
                        struct config_error *error)
{
    char text[FILE_SIZE];
    // Not waiting for somebody to write, should it be a pipe.
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof(text));
    int problem = errno;

    memset(secrets, 0, sizeof(*secrets));
    if (fd >= 0)
        close(fd);
    if (size < 0)
        return fail(error, path, strerror(problem));
    if (size == sizeof(text))
        return fail(error, path, "too large to be two secrets");
    text[size] = '\0';
    return parse_lines(secrets, text, path, error);
}
