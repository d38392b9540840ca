#include "config/secrets.h"

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

// The file that is read, for errors.
struct source {
    const char *key, *path;
    struct config_error *error;
};

static int fail(const struct source *source, const char *problem)
{
    char quoted[CONFIG_QUOTE_SIZE];

    return config_report(source->error, "%s: %s: %s", source->key,
                         config_quote(source->path, quoted), problem);
}

static size_t length_without_space_behind(const char *line)
{
    size_t length = strlen(line);

    while (length > 0 && strchr(" \t\r", line[length - 1]))
        length--;
    return length;
}

// What stands there is not shown.
static int parse_lines(struct siphash_key *secrets, uint32_t max, uint32_t *count, char *text,
                       const struct source *source)
{
    for (char *line; (line = strsep(&text, "\n"));) {
        line[length_without_space_behind(line)] = '\0';
        if (!*line)
            continue;
        if (*count == max)
            return fail(source, max == 1 ? "more than one secret" : "more than two secrets");
        if (parse_secret(&secrets[(*count)++], line) != E_OK)
            return fail(source,
                        "a secret is a line of 32 hexadecimal digits, as `openssl rand -hex 16` "
                        "makes them");
    }
    return *count > 0 ? E_OK : fail(source, "no secret in it");
}

int secrets_read(struct siphash_key *secrets, uint32_t max, uint32_t *count, const char *key,
                 const char *path, struct config_error *error)
{
    const struct source source = {key, path, error};
    char text[FILE_SIZE];
    // Not waiting for somebody to write, should it be a pipe.
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof(text));
    int problem = errno;

    *count = 0;
    if (fd >= 0)
        close(fd);
    if (size < 0)
        return fail(&source, strerror(problem));
    if (size == sizeof(text))
        return fail(&source, "too large to be secrets");
    text[size] = '\0';
    return parse_lines(secrets, max, count, text, &source);
}
