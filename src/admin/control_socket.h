// The control socket as a file: where it is, who may connect, and how it is made and removed.
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "admin/options.h"
#include "base/compiler.h"

// Places that `auto` may stand for.
#define CONTROL_PLACES_MAX 2

#define CONTROL_REASON_SIZE 512

struct control_place {
    char path[CONTROL_PATH_SIZE];
    bool make_directory; // ours alone, under a directory of the system's
};

// Where a server started now by this user would have its socket by `auto`: control.sock in
// $RUNTIME_DIRECTORY if that is set (systemd), in /run/sotto as root, in $XDG_RUNTIME_DIR/sotto as
// another user. False with the reason if there is no such place.
NONNULL NODISCARD bool control_place_of_server(struct control_place *place,
                                               char reason[CONTROL_REASON_SIZE]);

// Where a client may find one by `auto`, its own user's first. Returns how many; 0 with the reason.
NONNULL NODISCARD unsigned control_places_of_client(struct control_place places[CONTROL_PLACES_MAX],
                                                    char reason[CONTROL_REASON_SIZE]);

// Who may connect.
struct control_access {
    uid_t user;
    gid_t group;
    mode_t mode;
};

struct control_socket {
    int fd; // listening, non-blocking
    char path[CONTROL_PATH_SIZE];
    dev_t device; // of the file, so that no other is removed in its place
    ino_t inode;
};

// Makes the socket, and listens. Nobody can connect before the access is as it should be. A socket
// that nobody listens on is replaced; one that is alive, and any other file, is left alone.
// E_SYSTEM with the reason: what, where, and what can be done. For one thread: it sets the umask
// meanwhile.
NONNULL NODISCARD int control_socket_open(struct control_socket *socket,
                                          const struct control_place *place,
                                          const struct control_access *access,
                                          char reason[CONTROL_REASON_SIZE]);

// Closes it and removes the file if it is still ours and we may.
NONNULL void control_socket_close(struct control_socket *socket);
