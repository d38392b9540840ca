// Where records go: the interface of src/querylog/sinks/, one file a sink.
//
// Each open sink has a thread of its own, in which all of these are called; a sink may block in
// write() and tick(), but for no longer than a few seconds. Records that wait for it meanwhile are
// queued up to a bound; beyond that they are dropped and counted, and nobody else waits.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "querylog/options.h"
#include "querylog/record.h"

#define QUERYLOG_REASON_SIZE 320

// What a sink is given to be opened with. Stays valid until it is closed.
struct querylog_sink_setup {
    const struct querylog_sink_options *options;
    const char *instance; // who we are among many
    struct log *log;
};

struct querylog_sink_ops {
    const char *scheme;   // of its URLs, such as "sqlite"
    bool wants_replies;   // entries have whole replies
    usec_t tick_interval; // how often tick() is wanted when nothing comes; 0: never

    // NULL, with why in words and what to do, ends the start of the program. What may come later
    // (a server that does not answer yet) is no failure. Called in the main thread, when privileges
    // have been given up: files are opened, now and later, as the same user.
    void *(*open)(const struct querylog_sink_setup *setup, char reason[QUERYLOG_REASON_SIZE]);

    // Keeps the entries, all or none. E_OK; E_AGAIN: not now, called again with the same ones after
    // a second; E_SYSTEM: they cannot be kept, drop them. It logs what is wrong (once, not at each
    // call) and when it is well again.
    int (*write)(void *sink, const struct querylog_entry *entries, size_t count);

    // May be NULL. What is to be done from time to time: retention, a new connection, flushing.
    void (*tick)(void *sink);

    // The program was told that files were moved (SIGHUP). May be NULL.
    void (*reopen)(void *sink);

    // After the last write().
    void (*close)(void *sink);
};

// Their file is named as they are: sinks/sqlite.c and so on.
extern const struct querylog_sink_ops querylog_sqlite, querylog_postgresql, querylog_dnstap,
    querylog_json;
