// Records as dnstap messages: to a collector that listens on a unix socket (dnstap:///PATH) or over
// TCP (dnstap://ADDRESS:PORT), or to a file (dnstap:///PATH?file), which may be moved and reopened.
//
// Frames wait in one buffer, and where sending ended, it goes on when write() is called again with
// the same entries: a collector that is slow loses nothing and gets nothing twice. When a
// connection is lost, the batch is sent anew to the next: what the old collector had read of it is
// then there twice, rather than not at all. (What had been sent before and it had not read is lost;
// nobody can tell.)
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/reason.h"
#include "querylog/sink.h"
#include "querylog/sinks/dnstap_file.h"
#include "querylog/sinks/dnstap_frames.h"
#include "querylog/sinks/dnstap_message.h"
#include "querylog/sinks/dnstap_peer.h"
#include "querylog/sinks/file.h"
#include "querylog/sinks/trouble.h"

// For how long a call may take in all.
#define CALL_TIME (2 * USEC_SEC)

// How often it is looked whether the collector is there.
#define TICK (1 * USEC_SEC)

// Until a connection is tried again: nothing after one that has lasted this long, else from one
// second on twice as long each time.
#define BACKOFF_MIN (1 * USEC_SEC)
#define BACKOFF_MAX (8 * USEC_SEC)

// Of one entry's frames, and of the buffer: much more than that, so that calls to the system are
// few.
enum { ENTRY_MAX = 4 * (DNSTAP_FRAME_HEADER + DNSTAP_MESSAGE_MAX), BUFFER_SIZE = 2 * ENTRY_MAX };

struct dnstap_sink {
    bool is_file;
    char path[QUERYLOG_URL_SIZE];
    struct dnstap_peer peer; // unless it is a file
    const char *instance;
    struct querylog_trouble trouble;
    bool was_open;

    int fd; // -1: none
    usec_t opened_at, try_at, backoff;

    size_t made; // of the entries of the batch that is being written
    struct writer frames;
    size_t sent; // of them
    uint8_t buffer[BUFFER_SIZE];
};

// ---- Where to

static int set_unix(struct dnstap_peer *peer, const char *path, char reason[QUERYLOG_REASON_SIZE])
{
    struct sockaddr_un *local = &peer->local;

    if (strlen(path) >= sizeof(local->sun_path))
        return reason_give(E_INVALID, reason, QUERYLOG_REASON_SIZE,
                           "the path of a unix socket has at most %zu octets",
                           sizeof(local->sun_path) - 1);
    local->sun_family = AF_UNIX;
    strcpy(local->sun_path, path);
    peer->size = sizeof(*local);
    return E_OK;
}

static int set_target(struct dnstap_sink *sink, const char *url, char reason[QUERYLOG_REASON_SIZE])
{
    const char *place = strncmp(url, "dnstap://", 9) == 0 ? url + 9 : "";
    size_t length = strcspn(place, "?");
    bool is_absolute = place[0] == '/' && length > 1;

    snprintf(sink->path, sizeof(sink->path), "%.*s", (int)length, place);
    sink->is_file = is_absolute && strcmp(place + length, "?file") == 0;
    if (sink->is_file)
        return E_OK;
    if (is_absolute && !place[length])
        return set_unix(&sink->peer, sink->path, reason);
    if (!place[length] && address_parse(&sink->peer.ip, sink->path, 0) == E_OK &&
        address_port(&sink->peer.ip) > 0) {
        sink->peer.size = address_size(&sink->peer.ip);
        return E_OK;
    }
    return reason_give(E_INVALID, reason, QUERYLOG_REASON_SIZE,
                       "is none of dnstap:///PATH (a unix socket), dnstap://ADDRESS:PORT (TCP; an "
                       "IP address) and dnstap:///PATH?file");
}

// ---- Open and lost

static bool is_open(const struct dnstap_sink *sink)
{
    return sink->fd >= 0;
}

static void try_later(struct dnstap_sink *sink)
{
    sink->try_at = querylog_now() + sink->backoff;
    sink->backoff = MIN(MAX(2 * sink->backoff, BACKOFF_MIN), BACKOFF_MAX);
}

// False: not now.
static bool open_now(struct dnstap_sink *sink, usec_t deadline)
{
    char reason[QUERYLOG_REASON_SIZE];

    if (querylog_now() < sink->try_at)
        return false;
    sink->fd = sink->is_file ? dnstap_file_open(sink->path, reason)
                             : dnstap_peer_open(&sink->peer, deadline, reason);
    if (!is_open(sink)) {
        sink->fd = -1;
        sink->backoff = MAX(sink->backoff, BACKOFF_MIN);
        try_later(sink);
        querylog_trouble_begin(&sink->trouble, reason);
        return false;
    }
    if (!sink->was_open && !sink->trouble.failing)
        log_info(sink->trouble.log, "querylog", "%s: records are written", sink->trouble.place);
    sink->was_open = true;
    querylog_trouble_end(&sink->trouble);
    sink->opened_at = querylog_now();
    return true;
}

static void lose(struct dnstap_sink *sink, const char *why)
{
    close(sink->fd);
    sink->fd = -1;
    sink->made = 0;
    sink->frames = writer_of(sink->buffer, sizeof(sink->buffer));
    sink->sent = 0;
    if (querylog_now() - sink->opened_at >= BACKOFF_MAX)
        sink->backoff = 0;
    try_later(sink);
    querylog_trouble_begin(&sink->trouble, why);
}

// Loses a collector that is gone, which a socket over TCP tells too late: after the next write.
static void look(struct dnstap_sink *sink)
{
    if (is_open(sink) && !sink->is_file && !dnstap_peer_listens(sink->fd))
        lose(sink, "the collector has closed the connection");
}

// ---- Frames

static void make_frames(struct dnstap_sink *sink, const struct querylog_entry *entry)
{
    struct writer *w = &sink->frames;
    enum dnstap_type types[4];
    unsigned count = dnstap_types_of(&entry->record, types);

    for (unsigned i = 0; i < count; i++) {
        uint8_t *header = writer_take(w, DNSTAP_FRAME_HEADER);
        size_t start = w->pos;

        dnstap_message_write(w, types[i], entry, sink->instance);
        require(!w->failed);
        put_u32(header, (uint32_t)(w->pos - start));
    }
}

static void fill(struct dnstap_sink *sink, const struct querylog_entry *entries, size_t count)
{
    while (sink->made < count && writer_left(&sink->frames) >= ENTRY_MAX)
        make_frames(sink, &entries[sink->made++]);
}

static ssize_t send_some(struct dnstap_sink *sink)
{
    const uint8_t *from = sink->buffer + sink->sent;
    size_t left = sink->frames.pos - sink->sent;

    if (sink->is_file)
        return write(sink->fd, from, left);
    return send(sink->fd, from, left, MSG_NOSIGNAL | MSG_DONTWAIT);
}

// Sends what is in the buffer. E_AGAIN: it waits there for the next call; E_CLOSED: see errno.
static int flush(struct dnstap_sink *sink, usec_t deadline)
{
    while (sink->sent < sink->frames.pos) {
        ssize_t sent = send_some(sink);

        if (sent >= 0)
            sink->sent += (size_t)sent;
        else if (errno == EAGAIN && !dnstap_peer_wait(sink->fd, POLLOUT, deadline))
            return E_AGAIN;
        else if (errno != EAGAIN && errno != EINTR)
            return E_CLOSED;
        if (sink->sent < sink->frames.pos && querylog_now() >= deadline)
            return E_AGAIN;
    }
    sink->frames = writer_of(sink->buffer, sizeof(sink->buffer));
    sink->sent = 0;
    return E_OK;
}

// Takes away from the file what was written of a frame that is not whole.
static void take_back(struct dnstap_sink *sink)
{
    size_t whole = dnstap_frames_whole(sink->buffer, sink->sent);
    off_t part = (off_t)(sink->sent - whole);
    struct stat status;

    // If it cannot be taken away, the next write() goes on behind it.
    if (part > 0 && fstat(sink->fd, &status) == 0 && status.st_size >= part &&
        ftruncate(sink->fd, status.st_size - part) == 0)
        sink->sent = whole;
}

// ---- The interface

static void *dnstap_open(const struct querylog_sink_setup *setup, char reason[QUERYLOG_REASON_SIZE])
{
    const char *url = setup->options->url;
    struct dnstap_sink *sink = calloc(1, sizeof(*sink));
    char why[QUERYLOG_REASON_SIZE];

    if (!sink) {
        reason_give(E_NOMEM, reason, QUERYLOG_REASON_SIZE, "out of memory");
        return NULL;
    }
    sink->instance = setup->instance;
    sink->trouble = (struct querylog_trouble){.log = setup->log, .place = url};
    sink->frames = writer_of(sink->buffer, sizeof(sink->buffer));
    sink->fd = -1;
    if (set_target(sink, url, why) != E_OK) {
        reason_give(E_INVALID, reason, QUERYLOG_REASON_SIZE, "%.*s: %s", QUERYLOG_PATH_SIZE, url,
                    why);
        free(sink);
        return NULL;
    }
    // A collector may come later, and is not waited for here; a file is there or is not.
    if (!sink->is_file)
        return sink;
    sink->fd = dnstap_file_open(sink->path, reason);
    if (is_open(sink))
        return sink;
    free(sink);
    return NULL;
}

static int dnstap_write(void *context, const struct querylog_entry *entries, size_t count)
{
    struct dnstap_sink *sink = context;
    usec_t deadline = querylog_now() + CALL_TIME;

    look(sink);
    for (;;) {
        int err;

        if (!is_open(sink) && !open_now(sink, deadline))
            return E_AGAIN;
        fill(sink, entries, count);
        if (sink->sent == sink->frames.pos)
            break;
        err = flush(sink, deadline);
        if (err == E_AGAIN) {
            querylog_trouble_begin(&sink->trouble, sink->is_file ? "it takes too long"
                                                                 : "the collector does not read");
            return E_AGAIN;
        }
        if (err != E_OK && sink->is_file) {
            querylog_trouble_begin(&sink->trouble, strerror(errno));
            take_back(sink);
            return E_AGAIN;
        }
        if (err != E_OK)
            lose(sink, strerror(errno));
    }
    sink->made = 0;
    querylog_trouble_end(&sink->trouble);
    return E_OK;
}

static void dnstap_tick(void *context)
{
    struct dnstap_sink *sink = context;

    look(sink);
    if (!is_open(sink))
        open_now(sink, querylog_now() + CALL_TIME);
}

static void dnstap_reopen(void *context)
{
    struct dnstap_sink *sink = context;

    if (!sink->is_file)
        return;
    if (is_open(sink)) {
        take_back(sink);
        sink->sent = dnstap_frames_whole(sink->buffer, sink->sent);
        dnstap_file_close(sink->fd);
        sink->fd = -1;
    }
    sink->try_at = 0;
    open_now(sink, querylog_now() + CALL_TIME);
}

static void dnstap_close(void *context)
{
    struct dnstap_sink *sink = context;

    if (is_open(sink) && sink->is_file) {
        take_back(sink);
        dnstap_file_close(sink->fd);
    } else if (is_open(sink) && sink->sent == sink->frames.pos) {
        dnstap_peer_close(sink->fd, querylog_now() + CALL_TIME);
    } else if (is_open(sink)) {
        close(sink->fd); // in the middle of something
    }
    free(sink);
}

const struct querylog_sink_ops querylog_dnstap = {
    .scheme = "dnstap",
    .wants_replies = true,
    .tick_interval = TICK,
    .open = dnstap_open,
    .write = dnstap_write,
    .tick = dnstap_tick,
    .reopen = dnstap_reopen,
    .close = dnstap_close,
};
