#include "querylog/sinks/dnstap_file.h"

#include <errno.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/reason.h"
#include "querylog/sinks/dnstap_frames.h"
#include "querylog/sinks/file.h"

// Writes the control frame, whole or not at all.
static int write_control(int fd, fstrm_control_type type)
{
    uint8_t frame[DNSTAP_CONTROL_MAX];
    struct writer w = writer_of(frame, sizeof(frame));
    struct stat before;

    dnstap_control_write(&w, type);
    if (fstat(fd, &before) != 0)
        return E_SYSTEM;
    if (write(fd, frame, w.pos) == (ssize_t)w.pos)
        return E_OK;
    if (ftruncate(fd, before.st_size) != 0)
        return E_SYSTEM; // the next one to open it takes it away
    errno = ENOSPC;
    return E_SYSTEM;
}

// The size of the START that the file begins with; 0 if it does not.
static off_t size_of_start(int fd)
{
    uint8_t frame[DNSTAP_CONTROL_MAX];
    size_t size;

    if (pread(fd, frame, DNSTAP_CONTROL_HEADER, 0) != DNSTAP_CONTROL_HEADER)
        return 0;
    size = dnstap_control_length(frame);
    if (size == 0 || pread(fd, frame, size, DNSTAP_CONTROL_HEADER) != (ssize_t)size ||
        !dnstap_control_is(frame, size, FSTRM_CONTROL_START))
        return 0;
    return (off_t)(DNSTAP_CONTROL_HEADER + size);
}

static bool ends_with_stop(int fd, off_t size)
{
    uint8_t stop[DNSTAP_CONTROL_MAX], end[DNSTAP_CONTROL_MAX];
    struct writer w = writer_of(stop, sizeof(stop));

    dnstap_control_write(&w, FSTRM_CONTROL_STOP);
    return size >= (off_t)w.pos && pread(fd, end, w.pos, size - (off_t)w.pos) == (ssize_t)w.pos &&
           memcmp(end, stop, w.pos) == 0;
}

// Where the data frames end that begin at `pos`: at the STOP, or behind the last whole one.
static off_t end_of_data(int fd, off_t pos, off_t size)
{
    uint8_t header[DNSTAP_FRAME_HEADER];

    while (pread(fd, header, sizeof(header), pos) == (ssize_t)sizeof(header)) {
        off_t length = (off_t)get_u32(header);

        if (length == 0 || length > size - pos - DNSTAP_FRAME_HEADER)
            break;
        pos += DNSTAP_FRAME_HEADER + length;
    }
    return pos;
}

static int go_on(int fd, off_t size, char reason[QUERYLOG_REASON_SIZE])
{
    static const off_t stop_size = DNSTAP_CONTROL_HEADER + 4; // its type alone
    off_t start = size_of_start(fd);
    off_t end;

    if (start == 0)
        return reason_give(E_INVALID, reason, QUERYLOG_REASON_SIZE,
                           "holds something else than dnstap messages: move it away");
    end = ends_with_stop(fd, size) ? size - stop_size : end_of_data(fd, start, size);
    if (ftruncate(fd, end) != 0)
        return reason_give(E_SYSTEM, reason, QUERYLOG_REASON_SIZE, "%s", strerror(errno));
    return E_OK;
}

int dnstap_file_open(const char *path, char reason[QUERYLOG_REASON_SIZE])
{
    int fd = querylog_file_open(path, reason);
    char why[QUERYLOG_REASON_SIZE] = "";
    struct stat status;

    if (fd < 0)
        return fd;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        reason_give(0, why, sizeof(why), "another program writes to it");
    else if (fstat(fd, &status) == 0 && status.st_size > 0)
        go_on(fd, status.st_size, why);
    else if (write_control(fd, FSTRM_CONTROL_START) != E_OK)
        reason_give(0, why, sizeof(why), "%s", strerror(errno));
    if (!*why)
        return fd;
    close(fd);
    return reason_give(E_SYSTEM, reason, QUERYLOG_REASON_SIZE, "%.*s: %s", QUERYLOG_PATH_SIZE, path,
                       why);
}

void dnstap_file_close(int fd)
{
    write_control(fd, FSTRM_CONTROL_STOP); // the next one to open it does without
    close(fd);
}
