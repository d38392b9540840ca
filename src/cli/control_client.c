#include "cli/control_client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"
#include "base/reason.h"

#define fail(error, ...) reason_give(E_SYSTEM, error, CONTROL_CLIENT_ERROR_SIZE, __VA_ARGS__)

// ---- Connecting

// What happened, in words.
static const char *text_of(int error)
{
    return error == EAGAIN ? "no answer in time" : strerror(error);
}

static const char *remedy(int error)
{
    switch (error) {
    case ENOENT:
    case ENOTDIR:
        return " (is sotto running, and is this its control.socket?)";
    case ECONNREFUSED:
        return " (nobody listens there: has sotto ended?)";
    case EACCES:
    case EPERM:
        return " (try as root or as the user that sotto runs as, or set its control.group to a "
               "group of yours)";
    case EAGAIN:
        return " (too many clients, or sotto is stuck: see its log)";
    default:
        return "";
    }
}

// A descriptor, or -1 with errno.
static int open_connection(const char *path)
{
    const struct timeval timeout = {.tv_sec = CONTROL_CLIENT_TIMEOUT_S};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int error;

    if (fd < 0)
        return -1;
    strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
    if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) == 0 &&
        connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    error = errno;
    close(fd);
    errno = error;
    return -1;
}

// To the first place where somebody listens, whose path is then in `*path`. -1 with the error,
// which names all places.
static int connect_to_any(const struct control_place *places, unsigned count, const char **path,
                          char error[CONTROL_CLIENT_ERROR_SIZE])
{
    size_t used = (size_t)snprintf(error, CONTROL_CLIENT_ERROR_SIZE, "cannot reach sotto at ");

    for (unsigned i = 0; i < count; i++) {
        int fd = open_connection(places[i].path);

        *path = places[i].path;
        if (fd >= 0)
            return fd;
        if (used < CONTROL_CLIENT_ERROR_SIZE)
            used += (size_t)snprintf(error + used, CONTROL_CLIENT_ERROR_SIZE - used, "%s%s: %s%s",
                                     i > 0 ? "; nor at " : "", places[i].path, text_of(errno),
                                     remedy(errno));
    }
    return -1;
}

// ---- Asking

static int send_all(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(fd, bytes, size, MSG_NOSIGNAL);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return E_SYSTEM;
        bytes += sent;
        size -= (size_t)sent;
    }
    return E_OK;
}

// All that comes until the server closes. E_SYSTEM with errno.
static int receive_all(int fd, FILE *to)
{
    char bytes[16 * 1024];

    for (;;) {
        ssize_t got = recv(fd, bytes, sizeof(bytes), 0);

        if (got == 0)
            return E_OK;
        if (got < 0 && errno == EINTR)
            continue;
        // It closed without having read all: what it said about that is here.
        if (got < 0)
            return errno == ECONNRESET ? E_OK : E_SYSTEM;
        if (fwrite(bytes, 1, (size_t)got, to) != (size_t)got)
            return E_SYSTEM;
    }
}

// Writes the body of a response, or puts into words what is wrong.
static int judge(const char *response, size_t size, const char *path, FILE *out,
                 char error[CONTROL_CLIENT_ERROR_SIZE])
{
    static const char ok[] = CONTROL_PROTOCOL " ok\n", failed[] = CONTROL_PROTOCOL " error ";

    // Whole lines: else the server ended, or lost patience.
    if (size == 0 || response[size - 1] != '\n')
        return fail(error, "%s: the response is cut short; see the log of sotto", path);
    if (strncmp(response, failed, sizeof(failed) - 1) == 0) {
        response += sizeof(failed) - 1;
        return fail(error, "%s: sotto says: %.*s", path, (int)strcspn(response, "\n"), response);
    }
    if (strncmp(response, ok, sizeof(ok) - 1) != 0)
        return fail(error, "%s: no sotto listens there, or one of another version", path);
    response += sizeof(ok) - 1;
    size -= sizeof(ok) - 1;
    if (fwrite(response, 1, size, out) != size || fflush(out) != 0)
        return fail(error, "cannot write the response: %s", strerror(errno));
    return E_OK;
}

static int exchange(int fd, const char *path, const char *line, size_t length, FILE *out,
                    char error[CONTROL_CLIENT_ERROR_SIZE])
{
    char *response = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&response, &size);
    int err;

    if (!stream)
        return fail(error, "out of memory");
    err = send_all(fd, line, length);
    if (err == E_OK)
        err = receive_all(fd, stream);
    if (err != E_OK)
        fail(error, "%s: %s%s", path, text_of(errno), remedy(errno));
    if (fclose(stream) != 0 && err == E_OK)
        err = fail(error, "out of memory");
    if (err == E_OK)
        err = judge(response, size, path, out, error);
    free(response);
    return err;
}

int control_client_ask(const struct control_place *places, unsigned count,
                       enum control_command command, const uint8_t *name, FILE *out,
                       char error[CONTROL_CLIENT_ERROR_SIZE])
{
    char line[CONTROL_REQUEST_MAX + 1];
    size_t length = control_request_print(command, name, line);
    const char *path = NULL;
    int fd = connect_to_any(places, count, &path, error);
    int err;

    if (fd < 0)
        return E_CLOSED;
    err = exchange(fd, path, line, length, out, error);
    close(fd);
    return err;
}
