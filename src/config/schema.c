#include "config/schema.h"

#include <string.h>

#include "config/config.h"
#include "config/defaults.h"
#include "config/texts.h"

// The offset of a field, checked to be of the type that the row's kind wants.
#define FIELD(type, field, wanted)                                                                 \
    (offsetof(type, field) +                                                                       \
     0 * sizeof(                                                                                   \
             char[__builtin_types_compatible_p(__typeof__(((type *)0)->field), wanted) ? 1 : -1]))

#define UINT(key_, type, field, min_, max_, about_)                                                \
    {                                                                                              \
        .key = (key_), .kind = SCHEMA_UINT, .offset = FIELD(type, field, uint32_t), .min = (min_), \
        .max = (max_), .about = (about_)                                                           \
    }
#define DURATION(key_, type, field, min_, max_, about_)                                            \
    {                                                                                              \
        .key = (key_), .kind = SCHEMA_DURATION, .offset = FIELD(type, field, usec_t),              \
        .min = (min_), .max = (max_), .about = (about_)                                            \
    }
#define ENUM(key_, type, field, enum_, words_, about_)                                             \
    {                                                                                              \
        .key = (key_), .kind = SCHEMA_ENUM, .offset = FIELD(type, field, enum enum_),              \
        .words = (words_), .about = (about_)                                                       \
    }
// As a listen entry has them: the word stands for what is said for all.
#define OWN_UINT(key_, field, min_, max_, bias_, about_)                                           \
    {                                                                                              \
        .key = (key_), .kind = SCHEMA_UINT,                                                        \
        .offset = FIELD(struct listener_place, field, uint32_t), .min = (min_), .max = (max_),     \
        .zero = INHERIT, .bias = (bias_), .about = (about_)                                        \
    }
#define OWN_DURATION(key_, field, min_, max_, about_)                                              \
    {                                                                                              \
        .key = (key_), .kind = SCHEMA_DURATION,                                                    \
        .offset = FIELD(struct listener_place, field, usec_t), .min = (min_), .max = (max_),       \
        .zero = INHERIT, .about = (about_)                                                         \
    }
#define STRING(key_, type, field, min_, size, about_)                                              \
    {                                                                                              \
        .key = (key_), .kind = SCHEMA_STRING, .offset = FIELD(type, field, char[size]),            \
        .min = (min_), .max = (size)-1, .about = (about_)                                          \
    }
#define SECTION(key_, offset_, rows_, about_)                                                      \
    {                                                                                              \
        .key = (key_), .kind = SCHEMA_SECTION, .offset = (offset_), .rows = (rows_),               \
        .about = (about_)                                                                          \
    }
#define LIST(key_, type, array, count, min_, item_, defaults_, about_)                             \
    {                                                                                              \
        .key = (key_), .kind = SCHEMA_LIST, .offset = offsetof(type, array),                       \
        .count_offset = FIELD(type, count, uint32_t), .item_size = sizeof(((type *)0)->array[0]),  \
        .min = (min_), .max = ARRAY_LEN(((type *)0)->array), .item = (item_),                      \
        .item_defaults = (defaults_), .about = (about_)                                            \
    }
#define END                                                                                        \
    {                                                                                              \
        .key = NULL                                                                                \
    }

#define INHERIT "inherit"

#define WORD(name, text) text,
static const char *const strategies[] = {UPSTREAM_STRATEGY_LIST(WORD) NULL};
static const char *const profiles[] = {UPSTREAM_PROFILE_LIST(WORD) NULL};
static const char *const paddings[] = {ENGINE_PADDING_LIST(WORD) NULL};
static const char *const private_reverses[] = {ENGINE_PRIVATE_REVERSE_LIST(WORD) NULL};
static const char *const refusals[] = {POLICY_REFUSE_LIST(WORD) NULL};
static const char *const querylog_clients[] = {QUERYLOG_CLIENTS_LIST(WORD) NULL};
static const char *const querylog_names[] = {QUERYLOG_NAMES_LIST(WORD) NULL};
static const char *const own_refusals[] = {INHERIT, POLICY_REFUSE_LIST(WORD) NULL};
static const char *const log_levels[] = {LOG_LEVEL_LIST(WORD) NULL};
static const char *const log_formats[] = {LOG_FORMAT_LIST(WORD) NULL};
#undef WORD

#define FILE_ABOUT "a relative path starts at the working directory"

static const struct schema_row certificate_rows[] = {
    STRING("cert", struct tls_certificate_files, cert, 1, TLS_PATH_SIZE,
           "The certificate and what leads to its authority, in PEM; " FILE_ABOUT "."),
    STRING("key", struct tls_certificate_files, key, 0, TLS_PATH_SIZE,
           "Its private key, in PEM, without a password. Empty: it is in the same file."),
    END,
};

static const struct schema_row certificate_item = {
    .key = "certificate",
    .kind = SCHEMA_SECTION,
    .rows = certificate_rows,
    .required = "cert",
    .about = "A certificate with its key.",
};

#define TLS_ROWS(type, tls, otherwise)                                                             \
    LIST("certificates", type, tls.certificates, tls.certificate_count, 0, &certificate_item,      \
         NULL,                                                                                     \
         "What clients are shown over tls:// and https://: the one that has the name that the "    \
         "client asks "                                                                            \
         "for, else the first. Read again at HUP and when the files change. " otherwise),          \
        STRING("client-ca-file", type, tls.client_ca_file, 0, TLS_PATH_SIZE,                       \
               "Clients over tls:// and https:// need a certificate of these authorities, in "     \
               "PEM. " otherwise)

static const struct schema_row prefix_item = {
    .key = "prefix",
    .kind = SCHEMA_TEXT,
    .text = &text_prefix,
    .about = "An address or a prefix; private, addresses that only neighbours have; any.",
};

// Bounds of what may be said for all listeners and for one.
#define RATE_LIMIT_MAX 1000000
#define TCP_TIMEOUT_MIN (100 * USEC_MSEC)
#define TCP_TIMEOUT_MAX (3600 * USEC_SEC)
#define TCP_CONNECTIONS_MAX 1000000
#define TCP_IN_FLIGHT_MAX 10000
#define HANDSHAKE_TIMEOUT_MIN (100 * USEC_MSEC)
#define HANDSHAKE_TIMEOUT_MAX (60 * USEC_SEC)

static const struct schema_row listen_rows[] = {
    {.key = "url",
     .kind = SCHEMA_TEXT,
     .offset = FIELD(struct listener_place, at, struct listener_address),
     .text = &text_listener_url,
     .about =
         "dns:// (UDP and TCP), udp://, tcp://, tls://, https:// or http://, an address, and a "
         "port if not 53 (tls: 853, https: 443, http: 80); for the last two a path too, if not "
         "/dns-query."},
    TLS_ROWS(struct listener_place, tls, "Empty: as under tls."),
    LIST("proxy-from", struct listener_place, rules.proxies.prefixes, rules.proxies.count, 0,
         &prefix_item, NULL,
         "The load balancers in front of it, by address: they must begin with a PROXY header "
         "(version 2) that says who asks. From all others none is read."),
    LIST("forwarded-from", struct listener_place, rules.forwarders.prefixes, rules.forwarders.count,
         0, &prefix_item, NULL,
         "For http:// and https://, the HTTP proxies in front of it, by address: their requests "
         "must "
         "say who asks in Forwarded or X-Forwarded-For. From all others these are not read."),
    LIST("allow", struct listener_place, rules.policy.allow, rules.policy.allow_count, 0,
         &prefix_item, NULL, "Who is answered here, by address. Empty: as under clients."),
    {.key = "refuse",
     .kind = SCHEMA_ENUM,
     .offset = FIELD(struct listener_place, rules.policy.refuse, enum policy_own_refuse),
     .words = own_refusals,
     .zero = INHERIT,
     .about = "What all others get: refused or drop; inherit: as under clients."},
    OWN_UINT("rate-limit", rules.policy.rate_limit, 0, RATE_LIMIT_MAX, 1,
             "Over UDP, most queries a second of one client to one worker here; inherit: as under "
             "clients."),
    OWN_DURATION("idle-timeout", rules.limits.tcp_idle_timeout, TCP_TIMEOUT_MIN, TCP_TIMEOUT_MAX,
                 "A connection with nothing in flight is closed after this; inherit: as under "
                 "tcp."),
    OWN_DURATION("message-timeout", rules.limits.tcp_message_timeout, TCP_TIMEOUT_MIN,
                 TCP_TIMEOUT_MAX,
                 "How long a message or request may take from its first octet to its last; "
                 "inherit: as under tcp."),
    OWN_UINT("max-connections", rules.limits.tcp_max_connections, 1, TCP_CONNECTIONS_MAX, 0,
             "Most connections of clients here to one worker, of those that tcp: max-connections "
             "are for all listeners; inherit: no other limit."),
    OWN_UINT("max-in-flight", rules.limits.tcp_max_in_flight, 1, TCP_IN_FLIGHT_MAX, 0,
             "Most queries of one connection at a time; inherit: as under tcp."),
    OWN_DURATION("handshake-timeout", rules.limits.tls_handshake_timeout, HANDSHAKE_TIMEOUT_MIN,
                 HANDSHAKE_TIMEOUT_MAX,
                 "Over tls:// and https://, how long a client's handshake may take; inherit: as "
                 "under tls."),
    END,
};

static const struct schema_row listen_item = {
    .key = "listen address",
    .kind = SCHEMA_SECTION,
    .rows = listen_rows,
    .required = "url",
    .about = "Where to listen, and over what.",
};

static const struct schema_row pin_item = {
    .key = "pin",
    .kind = SCHEMA_TEXT,
    .text = &text_pin,
    .about = "SHA-256 of a SubjectPublicKeyInfo, in base64.",
};

static const struct schema_row server_rows[] = {
    {.key = "url",
     .kind = SCHEMA_TEXT,
     .text = &text_upstream_url,
     .about = "tls://ADDRESS:PORT#NAME, tls://NAME, or a preset such as cloudflare or quad9."},
    STRING("ca-file", struct upstream_server_options, ca_file, 0, UPSTREAM_PATH_SIZE,
           "The authorities to trust, in PEM; a relative path starts at the working directory. "
           "Empty: those of the system."),
    LIST("pin-sha256", struct upstream_server_options, pins, pin_count, 0, &pin_item, NULL,
         "One of these public keys must be in the server's certificate chain."),
    ENUM("profile", struct upstream_server_options, profile, upstream_profile, profiles,
         "strict: nothing is sent to a server that cannot prove who it is. opportunistic: "
         "encrypted, but to whoever answers."),
    UINT("max-connections", struct upstream_server_options, max_connections, 1, 64,
         "Most connections of one worker to this server."),
    DURATION("idle-timeout", struct upstream_server_options, idle_timeout, 10 * USEC_MSEC,
             3600 * USEC_SEC, "An idle connection is closed after this, or before."),
    END,
};

static const struct schema_row server_item = {
    .key = "server",
    .kind = SCHEMA_SECTION,
    .rows = server_rows,
    .required = "url",
    .about = "A server over TLS.",
};

static const struct schema_row upstream_rows[] = {
    ENUM("strategy", struct upstream_options, strategy, upstream_strategy, strategies,
         "Which server is asked: failover, the first that works; fastest, by measured latency; "
         "balance, the one with the fewest queries in flight; parallel, up to three at once."),
    DURATION("timeout", struct upstream_options, timeout, 100 * USEC_MSEC, 60 * USEC_SEC,
             "How long a query may take, all attempts included."),
    LIST("servers", struct upstream_options, servers, server_count, 1, &server_item,
         config_server_defaults, "Where queries go, over TLS."),
    LIST("bootstrap", struct upstream_options, bootstrap, bootstrap_count, 0, &server_item,
         config_server_defaults,
         "Servers over TLS that look up the names of servers given by name."),
    END,
};

static const struct schema_row log_rows[] = {
    ENUM("level", struct log_options, level, log_level, log_levels, "The least that is logged."),
    ENUM("format", struct log_options, format, log_format, log_formats,
         "Plain lines, or a JSON object a line."),
    END,
};

static const struct schema_row clients_rows[] = {
    LIST("allow", struct policy_options, allow, allow_count, 1, &prefix_item, NULL,
         "Who is answered, by address."),
    ENUM("refuse", struct policy_options, refuse, policy_refuse, refusals,
         "What all others get: refused, REFUSED with an extended error; drop, silence."),
    UINT(
        "rate-limit", struct policy_options, rate_limit.rate, 0, RATE_LIMIT_MAX,
        "Most queries a second that one client is answered by one worker over UDP, unless it shows "
        "a valid cookie; 0: no limit."),
    UINT("rate-limit-ipv4-prefix", struct policy_options, rate_limit.ipv4_prefix, 1, 32,
         "Clients whose IPv4 addresses share so many bits count as one."),
    UINT("rate-limit-ipv6-prefix", struct policy_options, rate_limit.ipv6_prefix, 1, 128,
         "Clients whose IPv6 addresses share so many bits count as one."),
    UINT("rate-limit-slip", struct policy_options, rate_limit.slip, 0, 10,
         "Every so many queries over the limit are answered with TC, or BADCOOKIE to a client with "
         "a cookie, the others not; 0: none is."),
    END,
};

static const struct schema_row cookies_rows[] = {
    {.key = "enabled",
     .kind = SCHEMA_BOOL,
     .offset = FIELD(struct policy_cookie_options, enabled, bool),
     .about = "Give a server cookie to clients that send a cookie (RFC 7873, RFC 9018)."},
    STRING(
        "secret-file", struct policy_cookie_options, secret_file, 0, POLICY_PATH_SIZE,
        "File with the secret that cookies are made with, 32 hexadecimal digits, and on a second "
        "line one that is believed too; for servers that share an address. Empty: a secret made "
        "at the start."),
    END,
};

static const struct schema_row tcp_rows[] = {
    DURATION("idle-timeout", struct listener_limits, tcp_idle_timeout, TCP_TIMEOUT_MIN,
             TCP_TIMEOUT_MAX, "A client's connection with nothing in flight is closed after this."),
    DURATION("message-timeout", struct listener_limits, tcp_message_timeout, TCP_TIMEOUT_MIN,
             TCP_TIMEOUT_MAX,
             "How long a client may take from a message's first octet to its last."),
    UINT("max-connections", struct listener_limits, tcp_max_connections, 1, TCP_CONNECTIONS_MAX,
         "Most connections of clients to one worker."),
    UINT("max-in-flight", struct listener_limits, tcp_max_in_flight, 1, TCP_IN_FLIGHT_MAX,
         "Most queries of one connection at a time; beyond, it is not read from."),
    END,
};

static const struct schema_row udp_rows[] = {
    UINT("max-size", struct listener_limits, udp_max_size, 512, 4096,
         "Largest reply over UDP in octets; a client that takes less gets less."),
    END,
};

static const struct schema_row tls_rows[] = {
    TLS_ROWS(struct listener_options, tls, "Empty: none."),
    DURATION("handshake-timeout", struct listener_options, limits.tls_handshake_timeout,
             HANDSHAKE_TIMEOUT_MIN, HANDSHAKE_TIMEOUT_MAX,
             "How long a client's handshake may take."),
    END,
};

#define DAY (86400 * USEC_SEC)

static const struct schema_row cache_rows[] = {
    {.key = "size",
     .kind = SCHEMA_SIZE,
     .offset = FIELD(struct cache_options, size, uint64_t),
     .max = UINT64_C(1) << 40,
     .about = "Room for answers, all told, shared by the workers; 0: nothing is kept."},
    DURATION("min-ttl", struct cache_options, min_ttl, 0, DAY,
             "Lower TTLs of positive answers are raised to this; but what has TTL 0 is not kept."),
    DURATION("max-ttl", struct cache_options, max_ttl, USEC_SEC, 30 * DAY,
             "Higher TTLs are lowered to this."),
    DURATION("negative-max-ttl", struct cache_options, negative_max_ttl, 0, 30 * DAY,
             "How long it is remembered, at most, that a name or type does not exist; 0: not."),
    DURATION("failure-ttl", struct cache_options, failure_ttl, 0, 300 * USEC_SEC,
             "How long a SERVFAIL of the upstreams is remembered; 0: not."),
    DURATION("stale-after", struct cache_options, stale_after, 0, 60 * USEC_SEC,
             "How long a client waits for the upstreams before it is given an answer past its TTL; "
             "0: it is given at once, and refreshed for the next."),
    DURATION("stale-max", struct cache_options, stale_max, 0, 30 * DAY,
             "How long past its TTL an answer may be given when no upstream answers; 0: never."),
    {.key = "prefetch",
     .kind = SCHEMA_BOOL,
     .offset = FIELD(struct cache_options, prefetch, bool),
     .about = "Refresh answers that are asked for often shortly before their end."},
    UINT("negative-per-client", struct cache_options, negative_per_client, 0, 1000000,
         "Most negative answers a second that are kept for one client (and one worker), so that "
         "made-up names do not wash out the rest; 0: no limit."),
    STRING("persist", struct cache_options, persist, 0, CACHE_PATH_SIZE,
           "File in which the cache survives a restart. It tells which names were looked up: only "
           "its owner may read it. Empty: none."),
    DURATION("persist-interval", struct cache_options, persist_interval, USEC_SEC, 7 * DAY,
             "How often that file is written, besides at the end."),
    END,
};

static const struct schema_row sink_rows[] = {
    {.key = "url",
     .kind = SCHEMA_TEXT,
     .offset = FIELD(struct querylog_sink_options, url, char[QUERYLOG_URL_SIZE]),
     .text = &text_querylog_url,
     .about = "sqlite:///PATH, postgresql://USER@HOST/DATABASE, dnstap:///SOCKET, "
              "dnstap://ADDRESS:PORT or dnstap:///PATH?file, json:///PATH or json:- (standard "
              "output)."},
    STRING("password-file", struct querylog_sink_options, password_file, 0, QUERYLOG_PATH_SIZE,
           "postgresql: the file with the password. Empty: none is sent."),
    DURATION("max-age", struct querylog_sink_options, max_age, 0, 3650 * DAY,
             "sqlite, postgresql: older records are deleted; 0: none are."),
    {.key = "max-size",
     .kind = SCHEMA_SIZE,
     .offset = FIELD(struct querylog_sink_options, max_size, uint64_t),
     .max = UINT64_C(1) << 50,
     .about = "sqlite: when the file is larger, the oldest records are deleted; 0: they are not."},
    END,
};

static const struct schema_row sink_item = {
    .key = "sink",
    .kind = SCHEMA_SECTION,
    .rows = sink_rows,
    .required = "url",
    .about = "Where records go.",
};

static const struct schema_row querylog_rows[] = {
    LIST("sinks", struct querylog_options, sinks, sink_count, 0, &sink_item, config_sink_defaults,
         "Where a record of each query goes. None: queries are not written down."),
    ENUM(
        "clients", struct querylog_options, clients, querylog_clients, querylog_clients,
        "How clients are shown: full, by address; truncate, IPv4 to /24 and IPv6 to /48; keyed, by "
        "a pseudonym; none."),
    ENUM("names", struct querylog_options, names, querylog_names, querylog_names,
         "How names are shown: full; hash, by a keyed hash; none."),
    STRING(
        "key-file", struct querylog_options, key_file, 0, QUERYLOG_PATH_SIZE,
        "The key of pseudonyms and hashes, 32 hexadecimal digits: another key, other pseudonyms. "
        "Empty: a new one at each start."),
    UINT("sample", struct querylog_options, sample, 1, 1000000,
         "One query in so many is written down; 1: all."),
    {.key = "ring-size",
     .kind = SCHEMA_SIZE,
     .offset = FIELD(struct querylog_options, ring_size, uint64_t),
     .min = UINT64_C(64) * 1024,
     .max = UINT64_C(1) << 30,
     .about = "Room for records of one worker that are on their way; beyond, they are dropped."},
    {.key = "queue-size",
     .kind = SCHEMA_SIZE,
     .offset = FIELD(struct querylog_options, queue_size, uint64_t),
     .min = UINT64_C(64) * 1024,
     .max = UINT64_C(1) << 40,
     .about = "Room for records that wait for one sink; beyond, they are dropped for it."},
    STRING("instance", struct querylog_options, instance, 0, QUERYLOG_INSTANCE_SIZE,
           "Which of several servers this is, in stores that they share. Empty: the host's name."),
    END,
};

static const struct schema_row control_rows[] = {
    {.key = "socket",
     .kind = SCHEMA_TEXT,
     .offset = FIELD(struct control_options, socket, char[CONTROL_PATH_SIZE]),
     .text = &text_control_socket,
     .about = "Where `sotto status` and `sotto flush` reach it: auto, control.sock in "
              "$RUNTIME_DIRECTORY, /run/sotto or $XDG_RUNTIME_DIR/sotto; none; or a path."},
    STRING("group", struct control_options, group, 0, CONTROL_GROUP_SIZE,
           "The group whose members may use it. Empty: only its own user, and root."),
    END,
};

static const struct schema_row host_item = {
    .key = "host",
    .kind = SCHEMA_STRING,
    .min = 1,
    .max = ADMIN_HOST_SIZE - 1,
    .about = "A name without a port.",
};

static const struct schema_row admin_rows[] = {
    {.key = "listen",
     .kind = SCHEMA_TEXT,
     .offset = FIELD(struct admin_options, listen, struct address),
     .text = &text_admin_url,
     .about = "Where /metrics (Prometheus), /healthz and /readyz are served: none, or "
              "http://ADDRESS:PORT. Loopback, if there is no token-file."},
    STRING("token-file", struct admin_options, token_file, 0, ADMIN_PATH_SIZE,
           "File with the token that has to be shown (Authorization: Bearer), on one line; "
           "/healthz and /readyz are free of it, on loopback /metrics too. Empty: none."),
    LIST("hosts", struct admin_options, hosts, host_count, 0, &host_item, NULL,
         "Names by which it is asked, beside addresses and localhost. A request by any other name "
         "is refused, as it may come from a page of somebody else's (DNS rebinding)."),
    END,
};

static const struct schema_row identity_rows[] = {
    STRING("version", struct engine_options, identity_version, 0, ENGINE_IDENTITY_SIZE,
           "The answer to version.bind CH TXT. Empty: refused."),
    STRING("id", struct engine_options, identity_id, 0, ENGINE_IDENTITY_SIZE,
           "The answer to id.server CH TXT. Empty: refused."),
    END,
};

static const struct schema_row top_rows[] = {
    LIST("listen", struct config, listener.places, listener.place_count, 1, &listen_item, NULL,
         "Where clients ask."),
    SECTION("clients", offsetof(struct config, engine.policy), clients_rows,
            "Who may ask, whatever the transport."),
    SECTION("cookies", offsetof(struct config, engine.policy.cookies), cookies_rows,
            "DNS cookies, by which clients show that their address is not forged."),
    {.key = "workers",
     .kind = SCHEMA_UINT,
     .offset = FIELD(struct config, workers, uint32_t),
     .min = 1,
     .max = CONFIG_WORKERS_MAX,
     .zero = "auto",
     .about = "Threads that answer queries; auto: one for each CPU."},
    STRING("user", struct config, user, 1, CONFIG_USER_SIZE,
           "Whom to become once the ports are open, when started as root."),
    SECTION("upstream", offsetof(struct config, upstream), upstream_rows,
            "The servers that answer our queries."),
    SECTION("cache", offsetof(struct config, engine.cache), cache_rows,
            "Answers that were given before, by question."),
    ENUM("padding", struct config, engine.padding, engine_padding, paddings,
         "Padding of replies: auto, to clients that padded their query; always, and to all others "
         "with EDNS over TLS; off, never; mirror, as it came from upstream, to be looked at. "
         "Queries to upstreams are always padded."),
    ENUM("private-reverse", struct config, engine.private_reverse, engine_private_reverse,
         private_reverses,
         "Reverse lookups of private addresses: local, answered here; forward, sent upstream."),
    SECTION("log", offsetof(struct config, log), log_rows, "The log, on stderr."),
    SECTION("query-log", offsetof(struct config, querylog), querylog_rows,
            "What was asked, by whom, when, and how it ended, written down."),
    SECTION("control", offsetof(struct config, control), control_rows,
            "The socket by which a running server is asked and told."),
    SECTION("admin", offsetof(struct config, admin), admin_rows, "Metrics and health, over HTTP."),
    SECTION("tcp", offsetof(struct config, listener.limits), tcp_rows,
            "Clients over TCP, with or without TLS."),
    SECTION("udp", offsetof(struct config, listener.limits), udp_rows, "Clients over UDP."),
    SECTION("tls", offsetof(struct config, listener), tls_rows, "Clients over TLS."),
    UINT("max-in-flight", struct config, engine.max_in_flight, 1, 1000000,
         "Most queries of one worker at a time; beyond, new ones get SERVFAIL."),
    SECTION("identity", offsetof(struct config, engine), identity_rows,
            "What is said of this server to those who ask."),
    END,
};

const struct schema_row config_schema = {
    .key = "sotto",
    .kind = SCHEMA_SECTION,
    .rows = top_rows,
    .about = "The configuration of sotto, a DNS proxy that forwards over verified DNS over TLS.",
};

const struct schema_row *schema_find(const struct schema_row *rows, const char *key)
{
    for (; rows->key; rows++) {
        if (strcmp(rows->key, key) == 0)
            return rows;
    }
    return NULL;
}
