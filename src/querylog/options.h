// What can be configured about the query log; plain values, see upstream/options.h.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/siphash.h"
#include "base/time.h"

#define QUERYLOG_SINKS_MAX 8
#define QUERYLOG_URL_SIZE 512
#define QUERYLOG_PATH_SIZE 256
#define QUERYLOG_INSTANCE_SIZE 64

// How clients are shown.
#define QUERYLOG_CLIENTS_LIST(X)                                                                   \
    X(FULL, "full")         /* by address and port */                                              \
    X(TRUNCATE, "truncate") /* IPv4 /24, IPv6 /48 */                                               \
    X(KEYED, "keyed")       /* by a pseudonym, the same as long as the key is */                   \
    X(NONE, "none")

enum querylog_clients {
#define X(name, text) QUERYLOG_CLIENTS_##name,
    QUERYLOG_CLIENTS_LIST(X)
#undef X
};

#define QUERYLOG_NAMES_LIST(X)                                                                     \
    X(FULL, "full")                                                                                \
    X(HASH, "hash") /* by a keyed hash */                                                          \
    X(NONE, "none")

enum querylog_names {
#define X(name, text) QUERYLOG_NAMES_##name,
    QUERYLOG_NAMES_LIST(X)
#undef X
};

// One place where records go. Which keys mean something depends on the URL's scheme.
struct querylog_sink_options {
    char url[QUERYLOG_URL_SIZE]; // sqlite:///PATH, postgresql://…, dnstap:///…, json:…
    char password_file[QUERYLOG_PATH_SIZE]; // postgresql; "": none
    usec_t max_age;                         // sqlite, postgresql: older ones are deleted; 0: none
    uint64_t max_size;                      // sqlite: in octets; the oldest are deleted; 0: none
};

struct querylog_options {
    uint32_t sink_count; // 0: off
    struct querylog_sink_options sinks[QUERYLOG_SINKS_MAX];
    enum querylog_clients clients;
    enum querylog_names names;
    char key_file[QUERYLOG_PATH_SIZE];     // for keyed and hash; "": a new key at each start
    uint32_t sample;                       // one query in so many; 1: all
    uint64_t ring_size;                    // of each worker, in octets
    uint64_t queue_size;                   // of each sink, in octets
    char instance[QUERYLOG_INSTANCE_SIZE]; // who we are among many; "": the host name

    struct siphash_key key; // from key_file, or at random; filled in by the daemon. The last
};
