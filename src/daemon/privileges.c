#include "daemon/privileges.h"

#include <cap-ng.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/error.h"

static struct passwd *find_user(const char *user, struct config_error *error)
{
    struct passwd *entry = getpwnam(user);

    if (!entry)
        snprintf(error->text, sizeof(error->text),
                 "user: there is no user \"%s\"; create it, or name another with 'user:' in the "
                 "configuration",
                 user);
    return entry;
}

int privileges_target(const char *user, uid_t *uid, gid_t *gid, struct config_error *error)
{
    struct passwd *entry;

    *uid = geteuid();
    *gid = getegid();
    if (*uid != 0)
        return E_OK;
    entry = find_user(user, error);
    if (!entry)
        return E_INVALID;
    *uid = entry->pw_uid;
    *gid = entry->pw_gid;
    return E_OK;
}

static int become(const char *user, struct config_error *error)
{
    struct passwd *entry = find_user(user, error);

    if (!entry)
        return E_INVALID;
    if (entry->pw_uid == 0)
        return E_OK;
    if (initgroups(user, entry->pw_gid) == 0 &&
        setresgid(entry->pw_gid, entry->pw_gid, entry->pw_gid) == 0 &&
        setresuid(entry->pw_uid, entry->pw_uid, entry->pw_uid) == 0)
        return E_OK;
    snprintf(error->text, sizeof(error->text), "user: cannot become \"%s\": %s", user,
             strerror(errno));
    return E_SYSTEM;
}

int privileges_drop(const char *user, struct config_error *error)
{
    if (geteuid() == 0) {
        // While CAP_SETPCAP is there, which goes with the user.
        capng_clear(CAPNG_SELECT_BOUNDS);
        (void)capng_apply(CAPNG_SELECT_BOUNDS);

        int err = become(user, error);

        if (err != E_OK)
            return err;
    }
    capng_clear(CAPNG_SELECT_BOTH);
    // The bounding set can be emptied only by those who have CAP_SETPCAP; the rest by anybody.
    if (capng_apply(CAPNG_SELECT_BOTH) != 0 && capng_apply(CAPNG_SELECT_CAPS) != 0) {
        snprintf(error->text, sizeof(error->text), "cannot give up capabilities: %s",
                 strerror(errno));
        return E_SYSTEM;
    }
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
#ifdef __SANITIZE_ADDRESS__
    // The leak check looks at its own process as a debugger does, which the kernel refuses after a
    // change of user.
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
#endif
    return E_OK;
}
