#include "daemon/admin_open.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "net/socket.h"

// Connections that wait to be accepted: more than anybody needs at once.
#define BACKLOG 64

static const char *remedy(int error)
{
    switch (error) {
    case EADDRINUSE:
        return "another program listens there ('ss -lntp' shows which); stop it, or choose another "
               "port in admin.listen";
    case EACCES:
        return "ports below 1024 need root or CAP_NET_BIND_SERVICE; choose a higher one in "
               "admin.listen";
    case EADDRNOTAVAIL:
        return "no interface has this address";
    default:
        return "choose another address in admin.listen";
    }
}

// Not shared with anybody (SO_REUSEPORT), as the listeners' sockets are among workers.
static int open_at(const struct address *address, struct address *bound)
{
    int fd = socket(address->family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1;

    if (fd < 0)
        return -1;
    // Connections that have just ended are nobody.
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, &address->any, address_size(address)) == 0 && listen(fd, BACKLOG) == 0 &&
        socket_local_address(fd, bound) == E_OK)
        return fd;

    int problem = errno;

    close(fd);
    errno = problem;
    return -1;
}

int admin_open(const struct admin_options *options, struct address *bound,
               struct config_error *error)
{
    char text[ADDRESS_TEXT_MAX];
    int fd = open_at(&options->listen, bound);

    if (fd < 0)
        snprintf(error->text, sizeof(error->text), "cannot listen on http://%s: %s: %s",
                 address_to_text(&options->listen, text), strerror(errno), remedy(errno));
    return fd;
}
