#include "config/admin_token.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "config/report.h"

static int fail(struct config_error *error, const char *path, const char *problem)
{
    char quoted[CONFIG_QUOTE_SIZE];

    return config_report(error, "admin.token-file: %s: %s", config_quote(path, quoted), problem);
}

// What stands there is not shown.
static int take(char token[ADMIN_TOKEN_SIZE], const char *text, const char *path,
                struct config_error *error)
{
    size_t length = strcspn(text, "\r\n");

    if (text[length + strspn(text + length, " \t\r\n")] != '\0')
        return fail(error, path, "more than one line");
    if (length < ADMIN_TOKEN_MIN)
        return fail(error, path,
                    "a token has at least 16 characters; `openssl rand -base64 32` makes one");
    if (length >= ADMIN_TOKEN_SIZE)
        return fail(error, path, "a token has at most 256 characters");
    for (size_t i = 0; i < length; i++)
        if (text[i] <= ' ' || text[i] > '~')
            return fail(error, path, "a token is of visible ASCII characters, without blanks");
    memset(token, 0, ADMIN_TOKEN_SIZE);
    memcpy(token, text, length);
    return E_OK;
}

int admin_token_read(char token[ADMIN_TOKEN_SIZE], const char *path, struct config_error *error)
{
    char text[2 * ADMIN_TOKEN_SIZE];
    // Not waiting for somebody to write, should it be a pipe.
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    int problem = errno;

    if (fd >= 0)
        close(fd);
    if (size < 0)
        return fail(error, path, strerror(problem));
    text[size] = '\0';
    if (strlen(text) != (size_t)size)
        return fail(error, path, "not a text");
    return take(token, text, path, error);
}
