#include "querylog/sinks/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/reason.h"

enum { MODE = 0640 };

int querylog_file_open(const char *path, char reason[QUERYLOG_REASON_SIZE])
{
    // What is no file may make open() wait, or have effects; a link may lead to what somebody else
    // wants written.
    const int flags = O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    int fd = open(path, flags, MODE);
    struct stat status;

    if (fd < 0) {
        const char *why =
            errno == ELOOP ? "is a symbolic link: give the file itself" : strerror(errno);

        return reason_give(E_SYSTEM, reason, QUERYLOG_REASON_SIZE, "%s: %s", path, why);
    }
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode))
        return fd;
    close(fd);
    return reason_give(E_SYSTEM, reason, QUERYLOG_REASON_SIZE, "%s: is no regular file", path);
}

const char *querylog_file_path(const char *url)
{
    const char *path = strchr(url, ':');

    return path && strncmp(path, ":///", 4) == 0 && path[4] ? path + 3 : NULL;
}
