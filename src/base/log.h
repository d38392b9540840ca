// The program's own log, to stderr. A line is handed to a writer thread through a bounded buffer,
// so that no caller ever waits for a terminal, a full pipe or a stuck collector; lines that find no
// room are counted, and their number is said when there is room again. Any thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/time.h"

#define LOG_LEVEL_LIST(X)                                                                          \
    X(ERROR, "error")                                                                              \
    X(WARNING, "warning")                                                                          \
    X(INFO, "info")                                                                                \
    X(DEBUG, "debug")

enum log_level {
#define X(name, text) LOG_##name,
    LOG_LEVEL_LIST(X)
#undef X
};

#define LOG_FORMAT_LIST(X)                                                                         \
    X(TEXT, "text")                                                                                \
    X(JSON, "json")

enum log_format {
#define X(name, text) LOG_##name,
    LOG_FORMAT_LIST(X)
#undef X
};

struct log_options {
    enum log_level level; // lines above it are not written
    enum log_format format;
};

struct log;

// Starts the writer thread. NULL if out of memory or threads.
NODISCARD struct log *log_new(const struct log_options *options);

// Writes what is left, for at most a second, and ends the thread.
void log_free(struct log *log);

// For a reload. Any thread.
NONNULL void log_configure(struct log *log, const struct log_options *options);

NONNULL bool log_enabled(const struct log *log, enum log_level level);

// One line: "TIME LEVEL AREA: message", or a JSON object with these keys. `area` names the part of
// the program. Control characters and broken UTF-8 are written as \xNN (in JSON \u00NN), so that no
// peer can forge a line.
PRINTF(4, 5)
NONNULL void log_write(struct log *log, enum log_level level, const char *area, const char *format,
                       ...);

#define log_error(log, ...) log_write(log, LOG_ERROR, __VA_ARGS__)
#define log_warning(log, ...) log_write(log, LOG_WARNING, __VA_ARGS__)
#define log_info(log, ...) log_write(log, LOG_INFO, __VA_ARGS__)
#define log_debug(log, ...)                                                                        \
    do {                                                                                           \
        if (UNLIKELY(log_enabled(log, LOG_DEBUG)))                                                 \
            log_write(log, LOG_DEBUG, __VA_ARGS__);                                                \
    } while (0)

// Bounds how often one cause is logged: one line, then no more of it until the interval has passed.
struct log_limit {
    usec_t until;
    uint32_t suppressed;
};

// Whether a line of this cause may be written now. `*suppressed` is how many were not since the
// last that was.
NONNULL bool log_limit_pass(struct log_limit *limit, usec_t now, uint32_t *suppressed);
