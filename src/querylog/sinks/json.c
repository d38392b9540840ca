// Records as JSON lines: to a file (json:///PATH), which may be moved and reopened, or to stdout
// (json:-).
//
// Lines are whole: what a full disk cuts off is taken away again, and to pipes they are written in
// pieces that the kernel keeps together (PIPE_BUF), so that other writers' lines do not come
// between. Where writing ended, it goes on when it is called again with the same entries; so
// nothing is written twice. SIGPIPE must be ignored.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/reason.h"
#include "querylog/sink.h"
#include "querylog/sinks/file.h"
#include "querylog/sinks/json_line.h"
#include "querylog/sinks/trouble.h"

// For how long a write() waits for whoever reads stdout.
#define WRITE_TIME (1 * USEC_SEC)

// Lines are made and written in pieces of about this size.
enum { PIECE = 64 * 1024 };

struct json_sink {
    const char *path; // NULL: stdout
    const char *instance;
    int fd;
    bool is_socket;
    bool limited; // to PIPE_BUF at once
    struct querylog_trouble trouble;

    size_t made; // of the entries of the batch that is being written
    char *piece; // the lines that are being written; NULL: none
    size_t piece_size, piece_written;
};

// A file whose last line is not whole, as after a power failure, must not swallow the next one.
static void end_last_line(int fd)
{
    struct stat status;
    char last = '\n';

    if (fstat(fd, &status) != 0 || status.st_size == 0)
        return;
    if (pread(fd, &last, 1, status.st_size - 1) == 1 && last != '\n' && write(fd, "\n", 1) != 1)
        return; // the disk is full: the next write() tells
}

static int open_file(struct json_sink *sink, char reason[QUERYLOG_REASON_SIZE])
{
    int fd = querylog_file_open(sink->path, reason);

    if (fd < 0)
        return fd;
    end_last_line(fd);
    sink->fd = fd;
    return E_OK;
}

// Others may share stdout: whether it blocks is theirs. So it is opened anew where that is
// possible; else it is written to only when there is room.
static int open_stdout(struct json_sink *sink, char reason[QUERYLOG_REASON_SIZE])
{
    struct stat status;

    if (fstat(STDOUT_FILENO, &status) != 0)
        return reason_give(E_SYSTEM, reason, QUERYLOG_REASON_SIZE,
                           "json:-: stdout is closed: give a file (json:///PATH)");
    sink->is_socket = S_ISSOCK(status.st_mode);
    sink->limited = S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode);
    sink->fd = open("/proc/self/fd/1", O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (sink->fd < 0)
        sink->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    return sink->fd >= 0
               ? E_OK
               : reason_give(E_SYSTEM, reason, QUERYLOG_REASON_SIZE, "json:-: %s", strerror(errno));
}

static void *json_open_sink(const struct querylog_sink_setup *setup,
                            char reason[QUERYLOG_REASON_SIZE])
{
    const char *url = setup->options->url;
    bool to_stdout = strcmp(url, "json:-") == 0;
    struct json_sink *sink = calloc(1, sizeof(*sink));

    if (!sink) {
        reason_give(E_NOMEM, reason, QUERYLOG_REASON_SIZE, "out of memory");
        return NULL;
    }
    sink->path = to_stdout ? NULL : querylog_file_path(url);
    sink->instance = setup->instance;
    sink->trouble = (struct querylog_trouble){.log = setup->log, .place = url};
    if (!sink->path && !to_stdout)
        reason_give(E_INVALID, reason, QUERYLOG_REASON_SIZE,
                    "%s: is neither json:///PATH nor json:- (stdout)", url);
    else if ((to_stdout ? open_stdout(sink, reason) : open_file(sink, reason)) == E_OK)
        return sink;
    free(sink);
    return NULL;
}

// ---- Pieces

static void drop_piece(struct json_sink *sink)
{
    free(sink->piece);
    sink->piece = NULL;
}

static int make_piece(struct json_sink *sink, const struct querylog_entry *entries, size_t count)
{
    size_t made = sink->made;
    FILE *out = open_memstream(&sink->piece, &sink->piece_size);
    bool failed;

    if (!out) {
        sink->piece = NULL;
        return E_NOMEM;
    }
    __fsetlocking(out, FSETLOCKING_BYCALLER);
    for (; made < count && ftello(out) < PIECE; made++)
        querylog_json_line(out, &entries[made], sink->instance);
    failed = ferror(out);
    if (fclose(out) != 0 || failed) {
        drop_piece(sink);
        return E_NOMEM;
    }
    sink->piece_written = 0;
    sink->made = made;
    return E_OK;
}

// How much may be written at once, so that lines stay whole.
static size_t portion(const char *text, size_t left)
{
    const char *end;

    if (left <= PIPE_BUF)
        return left;
    end = memrchr(text, '\n', PIPE_BUF);
    return end ? (size_t)(end - text) + 1 : PIPE_BUF;
}

static ssize_t write_some(struct json_sink *sink)
{
    const char *text = sink->piece + sink->piece_written;
    size_t left = sink->piece_size - sink->piece_written;

    if (sink->is_socket)
        return send(sink->fd, text, left, MSG_DONTWAIT | MSG_NOSIGNAL);
    return write(sink->fd, text, sink->limited ? portion(text, left) : left);
}

// How much of what was written is whole lines.
static size_t whole_lines(const struct json_sink *sink)
{
    size_t whole = sink->piece_written;

    while (whole > 0 && sink->piece[whole - 1] != '\n')
        whole--;
    return whole;
}

// Takes away from the file what was written of a line that is not whole.
static void take_back(struct json_sink *sink)
{
    size_t whole = whole_lines(sink);
    off_t part = (off_t)(sink->piece_written - whole);
    struct stat status;

    if (part == 0 || fstat(sink->fd, &status) != 0 || status.st_size < part)
        return;
    // If it cannot be taken away, the next write() goes on behind it.
    if (ftruncate(sink->fd, status.st_size - part) == 0)
        sink->piece_written = whole;
}

static int fail(struct json_sink *sink, const char *why)
{
    if (sink->path && sink->piece)
        take_back(sink);
    querylog_trouble_begin(&sink->trouble, why);
    return E_AGAIN;
}

// E_OK: the piece is written.
static int write_piece(struct json_sink *sink, usec_t deadline)
{
    while (sink->piece_written < sink->piece_size) {
        struct pollfd ready = {.fd = sink->fd, .events = POLLOUT};
        usec_t now = querylog_now();
        ssize_t wrote;

        // A file is always ready.
        if (poll(&ready, 1, now < deadline ? (int)((deadline - now) / USEC_MSEC) : 0) == 0)
            return fail(sink, "nobody reads it");
        wrote = write_some(sink);
        if (wrote < 0 && errno != EAGAIN && errno != EINTR)
            return fail(sink, strerror(errno));
        if (wrote <= 0 && querylog_now() >= deadline)
            return fail(sink, "nobody reads it");
        sink->piece_written += wrote > 0 ? (size_t)wrote : 0;
    }
    drop_piece(sink);
    return E_OK;
}

static int json_write(void *context, const struct querylog_entry *entries, size_t count)
{
    struct json_sink *sink = context;
    usec_t deadline = querylog_now() + WRITE_TIME;

    while (sink->piece || sink->made < count) {
        if (!sink->piece && make_piece(sink, entries, count) != E_OK)
            return fail(sink, "out of memory");
        if (write_piece(sink, deadline) != E_OK)
            return E_AGAIN;
    }
    sink->made = 0;
    querylog_trouble_end(&sink->trouble);
    return E_OK;
}

static void json_reopen(void *context)
{
    struct json_sink *sink = context;
    char reason[QUERYLOG_REASON_SIZE];
    int old = sink->fd;

    if (!sink->path)
        return;
    if (open_file(sink, reason) != E_OK) {
        log_error(sink->trouble.log, "querylog",
                  "%s: cannot be opened again, records go on into the old file: %s",
                  sink->trouble.place, reason);
        return;
    }
    close(old);
    if (sink->piece)
        sink->piece_written = whole_lines(sink);
}

static void json_close_sink(void *context)
{
    struct json_sink *sink = context;

    drop_piece(sink);
    close(sink->fd);
    free(sink);
}

const struct querylog_sink_ops querylog_json = {
    .scheme = "json",
    .open = json_open_sink,
    .write = json_write,
    .reopen = json_reopen,
    .close = json_close_sink,
};
