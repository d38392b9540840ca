#include "admin/control_socket.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"
#include "base/reason.h"

static_assert(sizeof(((struct sockaddr_un *)NULL)->sun_path) == CONTROL_PATH_SIZE,
              "a path that fits the option fits the address");

// Connections that wait to be accepted: more than anybody needs at once.
#define BACKLOG 16

#define SYSTEM_DIRECTORY "/run/sotto"
#define NAME "control.sock"

#define fail(reason, ...) reason_give(E_SYSTEM, reason, CONTROL_REASON_SIZE, __VA_ARGS__)

// ---- Places

// False with the reason if the path is too long.
static bool set_place(struct control_place *place, const char *directory, int length,
                      const char *name, char reason[CONTROL_REASON_SIZE])
{
    int wanted = snprintf(place->path, sizeof(place->path), "%.*s/%s", length, directory, name);

    if (wanted < CONTROL_PATH_SIZE)
        return true;
    fail(reason, "the path %.*s/%s is longer than the %d octets that a socket's may have", length,
         directory, name, CONTROL_PATH_SIZE - 1);
    return false;
}

static const char *directory_from(const char *variable)
{
    const char *value = getenv(variable);

    return value && *value == '/' ? value : NULL;
}

unsigned control_places_of_client(struct control_place places[CONTROL_PLACES_MAX],
                                  char reason[CONTROL_REASON_SIZE])
{
    const char *runtime = directory_from("RUNTIME_DIRECTORY");
    const char *own = geteuid() == 0 ? NULL : directory_from("XDG_RUNTIME_DIR");
    unsigned count = 0;

    strcpy(reason, "neither RUNTIME_DIRECTORY nor XDG_RUNTIME_DIR is set");
    memset(places, 0, CONTROL_PLACES_MAX * sizeof(places[0]));
    if (runtime) // several are separated by colons (systemd.exec(5))
        return set_place(&places[0], runtime, (int)strcspn(runtime, ":"), NAME, reason);
    if (own && set_place(&places[0], own, (int)strlen(own), "sotto/" NAME, reason))
        places[count++].make_directory = true;
    strcpy(places[count].path, SYSTEM_DIRECTORY "/" NAME);
    places[count++].make_directory = true;
    return count;
}

bool control_place_of_server(struct control_place *place, char reason[CONTROL_REASON_SIZE])
{
    struct control_place places[CONTROL_PLACES_MAX];
    unsigned count = control_places_of_client(places, reason);

    *place = places[0];
    // Only root may have the last of them, which is the system's.
    return count == 2 || (count == 1 && (geteuid() == 0 || !place->make_directory));
}

// ---- Opening

static const char *remedy(int error)
{
    switch (error) {
    case ENOENT:
    case ENOTDIR:
        return "; make the directory, or set control.socket to another path";
    case EACCES:
    case EPERM:
    case EROFS:
        return "; set control.socket to a path where this user may write";
    default:
        return "";
    }
}

static int fail_at(char reason[CONTROL_REASON_SIZE], const char *path, int error)
{
    return fail(reason, "cannot make the control socket %s: %s%s", path, strerror(error),
                remedy(error));
}

static void set_address(struct sockaddr_un *address, const char *path)
{
    memset(address, 0, sizeof(*address));
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path, path, strlen(path));
}

// 0: somebody listens there; or why not.
static int try_connect(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int error = fd < 0 ? errno : 0;

    if (fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof(*address)) != 0)
        error = errno;
    if (fd >= 0)
        close(fd);
    return error == EAGAIN ? 0 : error; // its backlog is full
}

// Makes room for the socket: nothing is there, or one that nobody listens on.
static int clear_path(const struct sockaddr_un *address, char reason[CONTROL_REASON_SIZE])
{
    const char *path = address->sun_path;
    struct stat found;
    int error;

    if (lstat(path, &found) != 0)
        return errno == ENOENT ? E_OK : fail_at(reason, path, errno);
    if (!S_ISSOCK(found.st_mode))
        return fail(reason,
                    "cannot make the control socket %s: there is a file that is no socket; remove "
                    "it, or set control.socket to another path",
                    path);
    error = try_connect(address);
    if (error == ECONNREFUSED)
        return unlink(path) == 0 || errno == ENOENT ? E_OK : fail_at(reason, path, errno);
    if (error == ENOENT)
        return E_OK;
    if (error != 0)
        return fail_at(reason, path, error);
    return fail(reason,
                "cannot make the control socket %s: another sotto answers there; stop it, or set "
                "control.socket to another path",
                path);
}

// /run/sotto, or sotto in the user's own runtime directory. Whoever the program becomes must be
// able to remove the socket, and is the only one who may.
static int make_directory(const char *path, const struct control_access *access,
                          char reason[CONTROL_REASON_SIZE])
{
    char copy[CONTROL_PATH_SIZE];
    const char *directory = dirname(strcpy(copy, path));
    struct stat found;
    int error = 0;
    int fd;
    mode_t before = umask(022);

    if (mkdir(directory, 0755) != 0)
        error = errno;
    umask(before);
    if (error != 0 && error != EEXIST)
        return fail_at(reason, path, error);
    fd = open(directory, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return fail_at(reason, path, errno);
    error = 0;
    if (fstat(fd, &found) != 0 ||
        (found.st_uid != access->user &&
         fchownat(fd, "", access->user, access->group, AT_EMPTY_PATH) != 0))
        error = errno;
    close(fd);
    return error ? fail_at(reason, path, error) : E_OK;
}

// Gives the file to whom it is for. By a descriptor, and after a look at what it is: the directory
// may belong to a user whom we do not trust.
static int give(struct control_socket *socket, const struct control_access *access,
                char reason[CONTROL_REASON_SIZE])
{
    int fd = open(socket->path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    struct stat made;
    int err = E_OK;

    if (fd < 0)
        return fail_at(reason, socket->path, errno);
    if (fstat(fd, &made) != 0)
        err = fail_at(reason, socket->path, errno);
    else if (!S_ISSOCK(made.st_mode) || made.st_uid != geteuid() || made.st_nlink != 1)
        err = fail(reason, "cannot make the control socket %s: somebody put a file in its place",
                   socket->path);
    if (err == E_OK) {
        socket->device = made.st_dev;
        socket->inode = made.st_ino;
    }
    if (err == E_OK && (made.st_uid != access->user || made.st_gid != access->group) &&
        fchownat(fd, "", access->user, access->group, AT_EMPTY_PATH) != 0)
        err = fail(reason,
                   "cannot give the control socket %s to user ID %u and group ID %u: %s; start as "
                   "root, or set control.group to a group of this user's",
                   socket->path, (unsigned)access->user, (unsigned)access->group, strerror(errno));
    close(fd);
    return err;
}

static int make_file(struct control_socket *socket, const struct sockaddr_un *address,
                     const struct control_access *access, char reason[CONTROL_REASON_SIZE])
{
    mode_t before = umask(0777 & ~access->mode);
    int error = bind(socket->fd, (const struct sockaddr *)address, sizeof(*address)) ? errno : 0;
    int err;

    umask(before);
    if (error != 0)
        return fail_at(reason, socket->path, error);
    err = give(socket, access, reason);
    // Until then whoever tries is refused.
    if (err == E_OK && listen(socket->fd, BACKLOG) != 0)
        err = fail_at(reason, socket->path, errno);
    return err;
}

int control_socket_open(struct control_socket *made, const struct control_place *place,
                        const struct control_access *access, char reason[CONTROL_REASON_SIZE])
{
    struct sockaddr_un address;

    set_address(&address, place->path);
    *made = (struct control_socket){.fd = -1};
    strcpy(made->path, place->path);
    if (place->make_directory && make_directory(place->path, access, reason) != E_OK)
        return E_SYSTEM;
    if (clear_path(&address, reason) != E_OK)
        return E_SYSTEM;
    made->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (made->fd < 0)
        return fail_at(reason, place->path, errno);
    if (make_file(made, &address, access, reason) == E_OK)
        return E_OK;
    control_socket_close(made);
    return E_SYSTEM;
}

void control_socket_close(struct control_socket *socket)
{
    struct stat found;

    if (socket->fd < 0)
        return;
    if (lstat(socket->path, &found) == 0 && found.st_dev == socket->device &&
        found.st_ino == socket->inode)
        unlink(socket->path);
    close(socket->fd);
    socket->fd = -1;
}
