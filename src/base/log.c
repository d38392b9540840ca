#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/utf8.h"

enum {
    BUFFER_BYTES = 128 * 1024, // some thousand lines between two turns of the writer
    LINE_MAX_BYTES = 8192,     // the counters as one JSON line take about half of it
    FLUSH_SECONDS = 1,         // how long the end of the program waits for a stuck stderr
};

// One line a cause each 10 s: often enough to be seen, too rare to fill a disk.
#define LIMIT_INTERVAL (10 * USEC_SEC)

struct log {
    _Atomic int level;
    _Atomic int format;
    bool timestamps;

    pthread_t writer;
    pthread_mutex_t lock;
    pthread_cond_t filled;
    // All below under the lock.
    bool stop;
    uint64_t lost;
    size_t used;
    char *pending; // lines not yet taken by the writer
    char *writing; // the writer's own buffer, swapped with `pending`
};

static const char *const level_names[] = {
#define X(name, text) text,
    LOG_LEVEL_LIST(X)
#undef X
};

static void write_all(const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t wrote = write(STDERR_FILENO, bytes, size);

        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return; // closed or broken: nobody is there to be told
        bytes += wrote;
        size -= (size_t)wrote;
    }
}

static size_t format_line(const struct log *log, char *line, size_t size, enum log_level level,
                          const char *area, const char *message);

// Past the buffer, which may be full again by now.
static void write_lost(const struct log *log, uint64_t lost)
{
    char message[100];
    char line[200];

    if (!log_enabled(log, LOG_WARNING))
        return;
    snprintf(message, sizeof(message),
             "%" PRIu64 " lines were lost: stderr was not read fast enough", lost);
    write_all(line, format_line(log, line, sizeof(line), LOG_WARNING, "log", message));
}

static void *writer_main(void *arg)
{
    struct log *log = arg;

    pthread_mutex_lock(&log->lock);
    for (;;) {
        while (log->used == 0 && !log->stop)
            pthread_cond_wait(&log->filled, &log->lock);
        if (log->used == 0)
            break;

        char *lines = log->pending;
        size_t used = log->used;
        uint64_t lost = log->lost;

        log->pending = log->writing;
        log->writing = lines;
        log->used = 0;
        log->lost = 0;
        pthread_mutex_unlock(&log->lock);
        write_all(lines, used);
        if (lost > 0)
            write_lost(log, lost);
        pthread_mutex_lock(&log->lock);
    }
    pthread_mutex_unlock(&log->lock);
    return NULL;
}

struct log *log_new(const struct log_options *options)
{
    struct log *log = calloc(1, sizeof(*log));

    if (!log)
        return NULL;
    log->pending = malloc(BUFFER_BYTES);
    log->writing = malloc(BUFFER_BYTES);
    // systemd's journal and its like have their own clock.
    log->timestamps = !getenv("JOURNAL_STREAM");
    log_configure(log, options);
    pthread_mutex_init(&log->lock, NULL);
    pthread_cond_init(&log->filled, NULL);
    if (!log->pending || !log->writing ||
        pthread_create(&log->writer, NULL, writer_main, log) != 0) {
        free(log->pending);
        free(log->writing);
        free(log);
        return NULL;
    }
    return log;
}

void log_free(struct log *log)
{
    struct timespec until;

    if (!log)
        return;
    pthread_mutex_lock(&log->lock);
    log->stop = true;
    pthread_cond_signal(&log->filled);
    pthread_mutex_unlock(&log->lock);

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += FLUSH_SECONDS;
    if (pthread_timedjoin_np(log->writer, NULL, &until) != 0)
        return; // stuck in write(): its memory stays until the process ends
    pthread_cond_destroy(&log->filled);
    pthread_mutex_destroy(&log->lock);
    free(log->pending);
    free(log->writing);
    free(log);
}

void log_configure(struct log *log, const struct log_options *options)
{
    atomic_store_explicit(&log->level, (int)options->level, memory_order_relaxed);
    atomic_store_explicit(&log->format, (int)options->format, memory_order_relaxed);
}

bool log_enabled(const struct log *log, enum log_level level)
{
    return (int)level <= atomic_load_explicit(&log->level, memory_order_relaxed);
}

// Copies the message, made harmless. Returns the new end; stops where there is no more room.
static size_t append_escaped(char *line, size_t used, size_t size, const char *message, bool json)
{
    for (const char *s = message; *s && used + 8 < size;) {
        unsigned char c = (unsigned char)*s;
        size_t length = utf8_length(s);

        if (length == 0 || c < 0x20 || c == 0x7f) {
            used += (size_t)snprintf(line + used, size - used, json ? "\\u%04x" : "\\x%02x", c);
            s++;
            continue;
        }
        if (json && (c == '"' || c == '\\'))
            line[used++] = '\\';
        memcpy(line + used, s, length);
        used += length;
        s += length;
    }
    return used;
}

static size_t format_line(const struct log *log, char *line, size_t size, enum log_level level,
                          const char *area, const char *message)
{
    bool json = atomic_load_explicit(&log->format, memory_order_relaxed) == LOG_JSON;
    char stamp[40] = "";
    size_t used;

    if (json || log->timestamps) {
        struct timespec now;
        struct tm tm;

        clock_gettime(CLOCK_REALTIME, &now);
        gmtime_r(&now.tv_sec, &tm);
        used = strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
        snprintf(stamp + used, sizeof(stamp) - used, ".%03ldZ", now.tv_nsec / 1000000);
    }
    if (json)
        used = (size_t)snprintf(line, size,
                                "{\"time\":\"%s\",\"level\":\"%s\",\"area\":\"%s\",\"msg\":\"",
                                stamp, level_names[level], area);
    else
        used = (size_t)snprintf(line, size, "%s%s%s %s: ", stamp, *stamp ? " " : "",
                                level_names[level], area);
    used = append_escaped(line, used, size - 4, message, json);
    if (json) {
        line[used++] = '"';
        line[used++] = '}';
    }
    line[used++] = '\n';
    return used;
}

void log_write(struct log *log, enum log_level level, const char *area, const char *format, ...)
{
    char message[LINE_MAX_BYTES / 2];
    char line[LINE_MAX_BYTES];
    va_list args;

    if (!log_enabled(log, level))
        return;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);

    size_t size = format_line(log, line, sizeof(line), level, area, message);

    pthread_mutex_lock(&log->lock);
    if (log->used + size <= BUFFER_BYTES) {
        memcpy(log->pending + log->used, line, size);
        log->used += size;
        pthread_cond_signal(&log->filled);
    } else {
        log->lost++;
    }
    pthread_mutex_unlock(&log->lock);
}

bool log_limit_pass(struct log_limit *limit, usec_t now, uint32_t *suppressed)
{
    if (now < limit->until) {
        limit->suppressed++;
        return false;
    }
    *suppressed = limit->suppressed;
    limit->suppressed = 0;
    limit->until = now + LIMIT_INTERVAL;
    return true;
}
