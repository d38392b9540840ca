#include "daemon/control_open.h"

#include <grp.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "daemon/privileges.h"

static int find_access(struct control_access *access, const struct config *config,
                       struct config_error *error)
{
    const char *name = config->control.group;
    struct group *group;

    access->mode = 0600;
    if (privileges_target(config->user, &access->user, &access->group, error) != E_OK)
        return E_INVALID;
    if (!*name)
        return E_OK;
    group = getgrnam(name);
    if (!group) {
        snprintf(error->text, sizeof(error->text),
                 "control.group: there is no group \"%s\"; create it, or name another", name);
        return E_INVALID;
    }
    access->group = group->gr_gid;
    access->mode = 0660;
    return E_OK;
}

int control_open(struct control_socket *socket, const struct config *config,
                 struct config_error *error)
{
    bool anywhere = strcmp(config->control.socket, "auto") == 0;
    struct control_place place = {.make_directory = false};
    struct control_access access;
    char reason[CONTROL_REASON_SIZE];

    socket->fd = -1;
    error->text[0] = '\0';
    if (strcmp(config->control.socket, "none") == 0)
        return E_OK;
    if (find_access(&access, config, error) != E_OK)
        return E_INVALID;
    if (anywhere && !control_place_of_server(&place, reason)) {
        snprintf(error->text, sizeof(error->text),
                 "no control socket: %s; set control.socket to a path if you want one", reason);
        return E_OK;
    }
    if (!anywhere)
        strcpy(place.path, config->control.socket);
    if (control_socket_open(socket, &place, &access, reason) == E_OK)
        return E_OK;
    snprintf(error->text, sizeof(error->text), "%s%s", anywhere ? "no control socket: " : "",
             reason);
    return anywhere ? E_OK : E_SYSTEM;
}
