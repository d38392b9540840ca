#include "daemon/cache_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "cache/archive.h"
#include "net/loop.h"

// Beside the file itself, so that it can be renamed.
#define NEW_SUFFIX ".new"

uint64_t cache_file_origin(const struct upstream_options *upstreams)
{
    const struct siphash_key key = {
        0}; // nobody gains by a collision but who writes our configuration
    uint64_t origin = upstreams->server_count;

    for (uint32_t i = 0; i < upstreams->server_count; i++) {
        const char *url = upstreams->servers[i].url;

        origin = origin * 31 + siphash(&key, (const uint8_t *)url, strlen(url));
    }
    return origin;
}

// ---- Loading

// Reads the whole file. NULL with the problem, which is empty if there is no file.
static uint8_t *read_file(const char *path, uint64_t limit, size_t *size, char problem[128])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat status;
    uint8_t *bytes = NULL;
    size_t used = 0;

    *problem = '\0';
    if (fd < 0 || fstat(fd, &status) != 0) {
        if (errno != ENOENT)
            snprintf(problem, 128, "%s", strerror(errno));
    } else if (!S_ISREG(status.st_mode)) {
        snprintf(problem, 128, "it is no file");
    } else if ((status.st_uid != geteuid() && status.st_uid != 0) ||
               (status.st_mode & (S_IWGRP | S_IWOTH))) {
        snprintf(problem, 128, "others can write to it");
    } else if ((uint64_t)status.st_size > limit) {
        snprintf(problem, 128, "it is larger than cache.size allows");
    } else {
        bytes = malloc((size_t)status.st_size + 1);
        if (!bytes)
            snprintf(problem, 128, "out of memory");
    }
    while (bytes && used < (size_t)status.st_size) {
        ssize_t got = read(fd, bytes + used, (size_t)status.st_size - used);

        if (got <= 0)
            break; // what is missing will be noticed
        used += (size_t)got;
    }
    if (fd >= 0)
        close(fd);
    *size = used;
    return bytes;
}

void cache_file_load(struct cache *cache, const struct cache_options *options, uint64_t origin,
                     struct log *log)
{
    const struct cache_archive_stamp stamp = {.origin = origin, .clock = (uint64_t)time(NULL)};
    struct counters counters = {0}; // the workers' are their own
    struct cache_archive_result result;
    char problem[128];
    size_t size;
    uint8_t *bytes =
        read_file(options->persist, cache_archive_limit(options->size), &size, problem);

    if (!bytes) {
        if (*problem)
            log_warning(log, "cache", "%s is ignored: %s", options->persist, problem);
        return;
    }
    cache_archive_read(&result, cache, options, bytes, size, &stamp, loop_clock(), &counters);
    free(bytes);
    if (result.problem)
        log_warning(log, "cache", "%s is ignored: %s; it will be written anew", options->persist,
                    result.problem);
    else
        log_info(log, "cache", "%" PRIu64 " of %" PRIu64 " answers in %s are still of use",
                 result.restored, result.records, options->persist);
}

// ---- Saving

static bool write_bytes(void *context, const uint8_t *bytes, size_t size)
{
    return fwrite(bytes, 1, size, context) == size;
}

// Writes it all and sees it onto the disk.
static bool write_file(FILE *file, struct cache *cache, const struct cache_options *options,
                       uint64_t origin, uint64_t *records)
{
    const struct cache_archive_stamp stamp = {.origin = origin, .clock = (uint64_t)time(NULL)};
    struct cache_archive_writer writer = {.write = write_bytes, .context = file};

    if (!cache_archive_write(&writer, cache, options, &stamp, loop_clock()))
        return false;
    *records = writer.records;
    return fflush(file) == 0 && fsync(fileno(file)) == 0;
}

static void fail(struct log *log, const char *path)
{
    log_warning(
        log, "cache",
        "cannot write %s: %s; its folder must exist, and user ID %u be allowed to write there",
        path, strerror(errno), (unsigned)geteuid());
}

void cache_file_save(struct cache *cache, const struct cache_options *options, uint64_t origin,
                     struct log *log)
{
    char path[CACHE_PATH_SIZE + sizeof(NEW_SUFFIX)];
    uint64_t records = 0;
    bool written;
    FILE *file;
    int fd;

    snprintf(path, sizeof(path), "%s%s", options->persist, NEW_SUFFIX);
    // Names that people looked up are nobody else's business.
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
    file = fd >= 0 && fchmod(fd, 0600) == 0 ? fdopen(fd, "w") : NULL;
    if (!file) {
        fail(log, path);
        if (fd >= 0)
            close(fd);
        return;
    }
    written = write_file(file, cache, options, origin, &records);
    if (fclose(file) != 0 || !written || rename(path, options->persist) != 0) {
        fail(log, path);
        unlink(path);
        return;
    }
    log_debug(log, "cache", "%" PRIu64 " answers written to %s", records, options->persist);
}
