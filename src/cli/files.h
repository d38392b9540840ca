// Small text files, whole: read, and replaced together.
#pragma once

#include <sys/types.h>

#include "base/compiler.h"

// No certificate or key comes near it.
#define FILE_TEXT_MAX ((size_t)1 << 20)

#define FILE_REASON_SIZE 512

// The text of a file below the directory `dir` (AT_FDCWD: as open() takes it), for the caller to
// free; `*text` is NULL if there is no such file. E_SYSTEM with the reason, without the name.
NONNULL NODISCARD int file_read(int dir, const char *name, char **text,
                                char reason[FILE_REASON_SIZE]);

struct file_new {
    const char *name; // without a slash
    const char *text;
    mode_t mode; // of a file that was not there; one that was keeps its owner and group, and of its
                 // mode what is in this one or lets its group read
};

#define FILES_REPLACED_MAX 4

// Puts files into a directory in the place of those that were there, all or none: every one is
// written and on the disk, readable by its owner only until its mode is set, before the first is
// renamed; and if one cannot be, those before it are taken back. Whoever is killed in between
// leaves the old files whole, and ".NAME.new", which the next call removes. One process at a time.
// E_SYSTEM with the reason, which begins with the name.
NONNULL NODISCARD int files_replace(int dir, const struct file_new *files, unsigned count,
                                    char reason[FILE_REASON_SIZE]);
