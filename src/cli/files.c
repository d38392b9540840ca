#include "cli/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/reason.h"

#define fail(reason, ...) reason_give(E_SYSTEM, reason, FILE_REASON_SIZE, __VA_ARGS__)

// ---- Reading

static int read_all(int fd, char *text, char reason[FILE_REASON_SIZE])
{
    size_t used = 0;

    for (;;) {
        ssize_t got = read(fd, text + used, FILE_TEXT_MAX + 1 - used);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail(reason, "%s", strerror(errno));
        used += (size_t)got;
        if (used > FILE_TEXT_MAX)
            return fail(reason, "it is too large for a certificate or key");
        if (got == 0)
            break;
    }
    text[used] = '\0';
    if (strlen(text) != used)
        return fail(reason, "it is no text; convert it to PEM (`openssl x509 -inform der`)");
    return E_OK;
}

int file_read(int dir, const char *name, char **text, char reason[FILE_REASON_SIZE])
{
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    int err;

    *text = NULL;
    if (fd < 0)
        return errno == ENOENT ? E_OK : fail(reason, "%s", strerror(errno));
    *text = malloc(FILE_TEXT_MAX + 2);
    err = *text ? read_all(fd, *text, reason) : fail(reason, "%s", error_text(E_NOMEM));
    if (err != E_OK) {
        free(*text);
        *text = NULL;
    }
    close(fd);
    return err;
}

// ---- Replacing

#define NEW_NAME_SIZE 64

static const char *new_name(const struct file_new *file, char name[NEW_NAME_SIZE])
{
    snprintf(name, NEW_NAME_SIZE, ".%s.new", file->name);
    return name;
}

static int write_all(int fd, const char *text)
{
    size_t left = strlen(text);

    while (left > 0) {
        ssize_t written = write(fd, text, left);

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return E_SYSTEM;
        text += written;
        left -= (size_t)written;
    }
    return E_OK;
}

// Gives it the owner and mode of the one that it is to replace, or else its own mode.
static int set_access(int fd, const struct file_new *file, const struct stat *old)
{
    mode_t mode = file->mode;

    if (old && fchown(fd, old->st_uid, old->st_gid) == 0)
        mode = (old->st_mode & (mode | S_IRGRP)) | S_IRUSR | S_IWUSR;
    return fchmod(fd, mode);
}

// Writes the new file beside the old one.
static int stage(int dir, const struct file_new *file, char reason[FILE_REASON_SIZE])
{
    char name[NEW_NAME_SIZE];
    struct stat old;
    bool there = fstatat(dir, file->name, &old, AT_SYMLINK_NOFOLLOW) == 0;
    int fd, error;

    if (!there && errno != ENOENT)
        return fail(reason, "%s: %s", file->name, strerror(errno));
    if (there && !S_ISREG(old.st_mode))
        return fail(reason, "%s is there, but is no regular file; move it away", file->name);
    unlinkat(dir, new_name(file, name), 0); // left by one that was killed
    fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (fd < 0)
        return fail(reason, "%s cannot be written: %s", file->name, strerror(errno));
    error = set_access(fd, file, there ? &old : NULL) != 0 || write_all(fd, file->text) != E_OK ||
                    fsync(fd) != 0
                ? errno
                : 0;
    if (close(fd) != 0 && error == 0)
        error = errno;
    if (error == 0)
        return E_OK;
    unlinkat(dir, name, 0);
    return fail(reason, "%s cannot be written: %s", file->name, strerror(error));
}

enum placed {
    PLACED_NEW,      // there was none
    PLACED_EXCHANGE, // the one that was there now has the new one's name
    PLACED_OVER,     // ... is gone: the file system knows no exchange
};

static int place(int dir, const struct file_new *file, enum placed *how)
{
    char name[NEW_NAME_SIZE];

    *how = PLACED_EXCHANGE;
    if (renameat2(dir, new_name(file, name), dir, file->name, RENAME_EXCHANGE) == 0)
        return E_OK;
    *how = errno == ENOENT ? PLACED_NEW : PLACED_OVER;
    if (errno != ENOENT && errno != EINVAL && errno != ENOSYS)
        return E_SYSTEM;
    return renameat(dir, name, dir, file->name) == 0 ? E_OK : E_SYSTEM;
}

static void take_back(int dir, const struct file_new *file, enum placed how)
{
    char name[NEW_NAME_SIZE];

    if (how == PLACED_EXCHANGE)
        renameat(dir, new_name(file, name), dir, file->name);
    else if (how == PLACED_NEW)
        unlinkat(dir, file->name, 0);
}

static void drop(int dir, const struct file_new *files, unsigned count)
{
    char name[NEW_NAME_SIZE];

    for (unsigned i = 0; i < count; i++)
        unlinkat(dir, new_name(&files[i], name), 0);
}

int files_replace(int dir, const struct file_new *files, unsigned count,
                  char reason[FILE_REASON_SIZE])
{
    enum placed placed[FILES_REPLACED_MAX];
    unsigned done = 0;
    int err = E_OK;

    require(count <= FILES_REPLACED_MAX);
    for (unsigned i = 0; i < count && err == E_OK; i++)
        err = stage(dir, &files[i], reason);
    while (done < count && err == E_OK) {
        if (place(dir, &files[done], &placed[done]) == E_OK)
            done++;
        else
            err = fail(reason, "%s cannot be put in its place: %s", files[done].name,
                       strerror(errno));
    }
    while (err != E_OK && done > 0) {
        done--;
        take_back(dir, &files[done], placed[done]);
    }
    fsync(dir); // not every file system can; then it writes the names when it likes
    drop(dir, files, count);
    return err;
}
