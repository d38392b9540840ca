#include "admin/prometheus.h"

#include <string.h>

#include "admin/exposition.h"

// ---- Counters of all workers (metrics/counters.h)

#define MEMBERS_MAX 8

// Counters that are one metric with a label, or have another name than their own. All others are
// sotto_NAME_total.
static const struct group {
    const char *name;
    const char *help;
    const char *label; // NULL: one counter without
    struct {
        enum counter counter;
        const char *value; // NULL: the end
    } members[MEMBERS_MAX];
} groups[] = {
    {"sotto_queries_turned_away",
     "Queries that were not resolved, by reason; not_dns, got silence",
     "reason",
     {{COUNTER_queries_ignored, "not_dns"},
      {COUNTER_queries_not_allowed, "not_allowed"},
      {COUNTER_queries_malformed, "malformed"},
      {COUNTER_queries_not_implemented, "not_implemented"},
      {COUNTER_queries_refused, "refused"},
      {COUNTER_queries_badvers, "badvers"},
      {COUNTER_queries_overload, "overload"}}},
    {"sotto_queries_limited",
     "Queries over the rate limit, by what they got: silence, or TC or BADCOOKIE",
     "action",
     {{COUNTER_queries_limited_dropped, "dropped"}, {COUNTER_queries_limited_slipped, "told"}}},
    {"sotto_cookies",
     "Queries with a server cookie, by whether it was ours and of their source",
     "state",
     {{COUNTER_cookies_valid, "valid"}, {COUNTER_cookies_bad, "bad"}}},
    {"sotto_client_connections_accepted",
     "TCP connections of clients accepted, with or without TLS",
     NULL,
     {{COUNTER_tcp_accepted, ""}}},
    {"sotto_client_connections_refused",
     "TCP connections of clients refused: at the limit and none idle",
     NULL,
     {{COUNTER_tcp_refused, ""}}},
    {"sotto_client_connections_closed",
     "TCP connections of clients that were closed by us, by reason",
     "reason",
     {{COUNTER_tcp_closed_idle, "idle"},
      {COUNTER_tcp_closed_evicted, "evicted"},
      {COUNTER_tcp_closed_slow, "slow"},
      {COUNTER_tcp_closed_invalid, "invalid"}}},
    {"sotto_client_tls_handshakes",
     "TLS handshakes with clients that were completed",
     NULL,
     {{COUNTER_tls_handshakes, ""}}},
    {"sotto_client_tls_handshakes_resumed",
     "TLS handshakes with clients that resumed a session",
     NULL,
     {{COUNTER_tls_handshakes_resumed, ""}}},
    {"sotto_client_accept_pauses",
     "Times that accepting TCP connections paused for lack of descriptors",
     NULL,
     {{COUNTER_tcp_accept_paused, ""}}},
    {"sotto_upstream_replies_dropped",
     "Replies of upstreams that were not accepted, by reason",
     "reason",
     {{COUNTER_upstream_replies_unmatched, "unmatched"},
      {COUNTER_upstream_replies_mismatched, "mismatched"},
      {COUNTER_upstream_replies_malformed, "malformed"},
      {COUNTER_upstream_replies_late, "late"}}},
    {"sotto_upstream_state_changes",
     "Times that an upstream went down, or came back, for one worker",
     "to",
     {{COUNTER_upstream_down, "down"}, {COUNTER_upstream_up, "up"}}},
};

// These are shown with more detail: by transport, reason or upstream.
static const enum counter detailed[] = {
    COUNTER_queries_udp,
    COUNTER_queries_tcp,
    COUNTER_queries_tls,
    COUNTER_queries_https,
    COUNTER_tls_handshakes_failed,
    COUNTER_tls_handshakes_closed,
    COUNTER_tls_handshakes_alert,
    COUNTER_tls_handshakes_no_tls,
    COUNTER_tls_handshakes_certificate,
    COUNTER_tls_handshakes_slow,
    COUNTER_upstream_connections_opened,
    COUNTER_upstream_connections_resumed,
    COUNTER_upstream_connections_failed,
    COUNTER_upstream_connections_verify_failed,
    COUNTER_upstream_connections_stalled,
    COUNTER_upstream_connections_closed_invalid,
    COUNTER_upstream_connections_idle,
    COUNTER_upstream_queries,
    COUNTER_upstream_replies,
};

static void print_groups(struct exposition *to, const uint64_t *counters, bool shown[COUNTER_COUNT])
{
    for (size_t g = 0; g < ARRAY_LEN(groups); g++) {
        const struct group *group = &groups[g];

        exposition_counter(to, group->name, group->help);
        for (unsigned m = 0; m < MEMBERS_MAX && group->members[m].value; m++) {
            enum counter counter = group->members[m].counter;

            shown[counter] = true;
            exposition_uint(
                to, group->label ? LABELS({group->label, group->members[m].value}) : NO_LABELS,
                counters[counter]);
        }
    }
}

static void print_counters(struct exposition *to, const uint64_t *counters)
{
    bool shown[COUNTER_COUNT] = {false};
    char name[64];

    for (size_t i = 0; i < ARRAY_LEN(detailed); i++)
        shown[detailed[i]] = true;
    print_groups(to, counters, shown);
    for (unsigned c = 0; c < COUNTER_COUNT; c++) {
        if (shown[c])
            continue;
        snprintf(name, sizeof(name), "sotto_%s", counter_name((enum counter)c));
        exposition_counter(to, name, counter_text((enum counter)c));
        exposition_uint(to, NO_LABELS, counters[c]);
    }
}

// ---- Queries

// Types, and outcomes with their rcodes, that everybody has: there from the start, so that the
// first of them is seen to be one more. Others appear when there is one.
static bool is_usual_type(unsigned type)
{
    return type == QUERY_TYPE_A || type == QUERY_TYPE_AAAA;
}

static bool is_usual_end(unsigned outcome, unsigned rcode)
{
    switch (outcome) {
    case QUERYLOG_REFUSED:
        return rcode == DNS_RCODE_REFUSED;
    case QUERYLOG_LIMITED:
    case QUERYLOG_ERROR:
        return rcode == DNS_RCODE_SERVFAIL;
    default:
        return rcode == DNS_RCODE_NOERROR || rcode == DNS_RCODE_NXDOMAIN;
    }
}

static void print_queries(struct exposition *to, const struct query_sums *sums)
{
    static const char *const families[QUERY_FAMILIES] = {"ipv4", "ipv6"};

    exposition_counter(to, "sotto_queries",
                       "Queries received, by transport, the client's address family, and type");
    for (unsigned t = 0; t < QUERY_TRANSPORTS; t++)
        for (unsigned f = 0; f < QUERY_FAMILIES; f++)
            for (unsigned q = 0; q < QUERY_TYPES; q++)
                if (sums->queries[t][f][q] > 0 || is_usual_type(q))
                    exposition_uint(to,
                                    LABELS({"transport", querylog_transport_name(t)},
                                           {"family", families[f]}, {"type", query_type_name(q)}),
                                    sums->queries[t][f][q]);
}

static void print_responses(struct exposition *to, const struct query_sums *sums)
{
    exposition_counter(to, "sotto_responses", "Responses sent, by how the query ended, and rcode");
    for (unsigned o = 0; o < QUERY_OUTCOMES; o++) {
        for (unsigned r = 0; r < QUERY_RCODES; r++) {
            const char *name = dns_rcode_name((uint16_t)r);
            char number[16];

            if (sums->responses[o][r] == 0 && !is_usual_end(o, r))
                continue;
            snprintf(number, sizeof(number), "%s", r == QUERY_RCODES - 1 ? "other" : "RCODE");
            if (!name && r < QUERY_RCODES - 1)
                snprintf(number, sizeof(number), "RCODE%u", r);
            exposition_uint(
                to, LABELS({"outcome", querylog_outcome_name(o)}, {"rcode", name ? name : number}),
                sums->responses[o][r]);
        }
    }
}

static void print_durations(struct exposition *to, const struct query_sums *sums)
{
    exposition_histogram(to, "sotto_query_duration_seconds",
                         "How long queries took that the cache answered at once (hit), and that "
                         "had to wait for upstreams (miss), however these ended");
    exposition_values(to, LABELS({"cache", "hit"}), &sums->hits);
    exposition_values(to, LABELS({"cache", "miss"}), &sums->misses);
}

// ---- Clients

static void print_client_handshakes(struct exposition *to, const uint64_t *counters)
{
    static const struct {
        enum counter counter;
        enum handshake_failure failure;
    } rows[] = {
        {COUNTER_tls_handshakes_closed, HANDSHAKE_CLOSED},
        {COUNTER_tls_handshakes_alert, HANDSHAKE_ALERT},
        {COUNTER_tls_handshakes_no_tls, HANDSHAKE_NO_TLS},
        {COUNTER_tls_handshakes_certificate, HANDSHAKE_CERTIFICATE},
    };
    uint64_t failed = counters[COUNTER_tls_handshakes_failed];
    uint64_t known = 0;

    exposition_counter(to, "sotto_client_tls_handshakes_failed",
                       "TLS handshakes with clients that failed, by reason: the client went away "
                       "(closed), refused us (alert), spoke no TLS, had no good certificate, was "
                       "too slow (timeout), or another");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        known += counters[rows[i].counter];
        exposition_uint(to, LABELS({"reason", handshake_failure_name(rows[i].failure)}),
                        counters[rows[i].counter]);
    }
    exposition_uint(to, LABELS({"reason", handshake_failure_name(HANDSHAKE_TIMEOUT)}),
                    counters[COUNTER_tls_handshakes_slow]);
    // Read at another moment, they may be more.
    exposition_uint(to, LABELS({"reason", handshake_failure_name(HANDSHAKE_OTHER)}),
                    failed > known ? failed - known : 0);
}

static void print_workers(struct exposition *to, const struct status *status)
{
    uint64_t answered = 0, in_flight = 0, clients = 0;

    for (uint32_t i = 0; i < status->worker_count; i++) {
        if (!status->workers[i].answered)
            continue;
        answered++;
        in_flight += status->workers[i].in_flight;
        clients += status->workers[i].tcp_clients;
    }
    exposition_gauge(to, "sotto_workers", "Threads that answer queries");
    exposition_uint(to, NO_LABELS, status->worker_count);
    exposition_gauge(
        to, "sotto_workers_responding",
        "Of these, those that told how they are; what the others have is missing here");
    exposition_uint(to, NO_LABELS, answered);
    exposition_gauge(to, "sotto_queries_in_flight", "Queries that have not been answered yet");
    exposition_uint(to, NO_LABELS, in_flight);
    exposition_gauge(to, "sotto_client_connections", "TCP connections of clients that are open");
    exposition_uint(to, NO_LABELS, clients);
}

static void print_cache(struct exposition *to, const struct cache_usage *cache)
{
    exposition_gauge(to, "sotto_cache_size_bytes", "Room for answers");
    exposition_uint(to, NO_LABELS, cache->size);
    exposition_gauge(to, "sotto_cache_used_bytes", "Of these, in use");
    exposition_uint(to, NO_LABELS, cache->bytes);
    exposition_gauge(to, "sotto_cache_entries", "Answers in the cache");
    exposition_uint(to, NO_LABELS, cache->entries);
}

static void print_certificates(struct exposition *to, const struct status *status, double now)
{
    exposition_gauge(to, "sotto_certificate_not_after_timestamp_seconds",
                     "When the first of the certificates ends that clients of this listener are "
                     "shown, in seconds since 1970 UTC");
    for (uint32_t i = 0; i < status->certificate_count; i++)
        exposition_seconds(to, LABELS({"listener", status->certificates[i].listener}),
                           now + (double)status->certificates[i].seconds_left);
}

// ---- Upstreams

struct upstreams {
    unsigned count;
    struct status_upstream_sum sums[STATUS_UPSTREAMS_MAX];
    char names[STATUS_UPSTREAMS_MAX][STATUS_URL_SIZE + 8];
};

// The label: its URL. Two may have the same URL, with other settings.
static void name_upstreams(struct upstreams *upstreams)
{
    for (unsigned i = 0; i < upstreams->count; i++) {
        unsigned before = 0;

        for (unsigned j = 0; j < i; j++)
            before += strcmp(upstreams->sums[j].url, upstreams->sums[i].url) == 0;
        snprintf(upstreams->names[i], sizeof(upstreams->names[i]), before ? "%s (%u)" : "%s",
                 upstreams->sums[i].url, before + 1);
    }
}

// Metrics of an upstream that are one number.
static const struct {
    const char *name;
    const char *help;
    bool is_counter;
    size_t offset; // of a uint64_t in struct status_upstream_sum
} of_upstream[] = {
#define LOAD(field) offsetof(struct status_upstream_sum, load.field)
#define TOTAL(field) offsetof(struct status_upstream_sum, totals.field)
    {"sotto_upstream_connections", "Connections with an upstream that are open", false,
     LOAD(connections)},
    {"sotto_upstream_connections_pending", "Connections with an upstream that are being set up",
     false, LOAD(dialling)},
    {"sotto_upstream_queries_in_flight", "Queries sent to an upstream and not answered", false,
     LOAD(in_flight)},
    {"sotto_upstream_queries_waiting", "Queries that wait for a connection with an upstream", false,
     LOAD(waiting)},
    {"sotto_upstream_queries", "Queries sent to an upstream, our own probes included", true,
     LOAD(queries)},
    {"sotto_upstream_replies", "Replies of an upstream that were accepted", true, LOAD(replies)},
    {"sotto_upstream_connections_opened", "Connections established, TLS handshake included", true,
     TOTAL(opened)},
    {"sotto_upstream_connections_resumed", "Of these, those with a resumed TLS session", true,
     TOTAL(resumed)},
    {"sotto_upstream_connections_reused",
     "Queries sent on a connection that had carried another before", true, TOTAL(reused)},
#undef LOAD
#undef TOTAL
};

static void print_numbers(struct exposition *to, const struct upstreams *upstreams)
{
    for (size_t m = 0; m < ARRAY_LEN(of_upstream); m++) {
        if (of_upstream[m].is_counter)
            exposition_counter(to, of_upstream[m].name, of_upstream[m].help);
        else
            exposition_gauge(to, of_upstream[m].name, of_upstream[m].help);
        for (unsigned i = 0; i < upstreams->count; i++) {
            uint64_t value;

            memcpy(&value, (const char *)&upstreams->sums[i] + of_upstream[m].offset,
                   sizeof(value));
            exposition_uint(to, LABELS({"upstream", upstreams->names[i]}), value);
        }
    }
}

static void print_health(struct exposition *to, const struct upstreams *upstreams)
{
    exposition_gauge(to, "sotto_upstream_up",
                     "1: an upstream is usable; 0: it is down for every worker");
    for (unsigned i = 0; i < upstreams->count; i++)
        exposition_uint(to, LABELS({"upstream", upstreams->names[i]}),
                        upstreams->sums[i].state != STATUS_UPSTREAM_DOWN);
    exposition_gauge(to, "sotto_upstream_workers_down", "Workers for which an upstream is down");
    for (unsigned i = 0; i < upstreams->count; i++)
        exposition_uint(to, LABELS({"upstream", upstreams->names[i]}),
                        upstreams->sums[i].workers_down);
    exposition_gauge(to, "sotto_upstream_rtt_seconds", "Smoothed round-trip time of an upstream");
    for (unsigned i = 0; i < upstreams->count; i++)
        if (upstreams->sums[i].load.rtt > 0)
            exposition_seconds(to, LABELS({"upstream", upstreams->names[i]}),
                               (double)upstreams->sums[i].load.rtt / USEC_SEC);
}

static void print_connections(struct exposition *to, const struct upstreams *upstreams)
{
    exposition_counter(to, "sotto_upstream_connections_failed",
                       "Connections with an upstream that failed before they were usable, by "
                       "reason: before TLS (connect), or as for clients");
    for (unsigned i = 0; i < upstreams->count; i++) {
        const struct status_upstream_totals *totals = &upstreams->sums[i].totals;
        const char *name = upstreams->names[i];

        exposition_uint(to, LABELS({"upstream", name}, {"reason", "connect"}),
                        totals->not_connected);
        for (unsigned f = 0; f < HANDSHAKE_FAILURES; f++)
            exposition_uint(to, LABELS({"upstream", name}, {"reason", handshake_failure_name(f)}),
                            totals->failed[f]);
    }
    exposition_counter(to, "sotto_upstream_connections_closed",
                       "Established connections that ended, by reason: idle (by us), idle_server, "
                       "lost, stalled (no answer), invalid (what it sent), retired (a limit, or "
                       "another configuration)");
    for (unsigned i = 0; i < upstreams->count; i++)
        for (unsigned c = 0; c < STATUS_CLOSES; c++)
            exposition_uint(
                to, LABELS({"upstream", upstreams->names[i]}, {"reason", status_close_name(c)}),
                upstreams->sums[i].totals.closed[c]);
}

static void print_upstreams(struct exposition *to, const struct status *status)
{
    struct upstreams upstreams;

    upstreams.count = status_sum_upstreams(status, upstreams.sums);
    name_upstreams(&upstreams);
    print_health(to, &upstreams);
    print_numbers(to, &upstreams);
    print_connections(to, &upstreams);
    exposition_histogram(to, "sotto_upstream_latency_seconds",
                         "How long an upstream took for its replies");
    for (unsigned i = 0; i < upstreams.count; i++)
        exposition_values(to, LABELS({"upstream", upstreams.names[i]}), &upstreams.sums[i].latency);
}

// ---- The query log

static void print_sinks(struct exposition *to, const struct querylog_status *log)
{
    exposition_counter(to, "sotto_querylog_written", "Records that a sink of the query log kept");
    for (uint32_t i = 0; i < log->sink_count; i++)
        exposition_uint(to, LABELS({"sink", log->sinks[i].url}), log->sinks[i].written);
    exposition_counter(to, "sotto_querylog_dropped",
                       "Records that a sink could not keep, or had no room for");
    for (uint32_t i = 0; i < log->sink_count; i++)
        exposition_uint(to, LABELS({"sink", log->sinks[i].url}), log->sinks[i].dropped);
    exposition_gauge(to, "sotto_querylog_queued", "Records that wait for a sink");
    for (uint32_t i = 0; i < log->sink_count; i++)
        exposition_uint(to, LABELS({"sink", log->sinks[i].url}), log->sinks[i].queued);
    exposition_gauge(to, "sotto_querylog_failing", "1: a sink has failed, and is tried again");
    for (uint32_t i = 0; i < log->sink_count; i++)
        exposition_uint(to, LABELS({"sink", log->sinks[i].url}), log->sinks[i].failing);
}

static void print_querylog(struct exposition *to, const struct querylog_status *log)
{
    if (log->sink_count == 0)
        return;
    exposition_counter(to, "sotto_querylog_ring_dropped",
                       "Records dropped because the ring of their worker was full");
    exposition_uint(to, NO_LABELS, log->dropped);
    print_sinks(to, log);
}

// ---- The process

static void print_process(struct exposition *to, const struct status_process *process)
{
    exposition_counter(to, "process_cpu_seconds", "Processor time spent");
    exposition_seconds(to, NO_LABELS, process->cpu);
    exposition_gauge(to, "process_resident_memory_bytes", "Memory in use, without what is swapped");
    exposition_uint(to, NO_LABELS, process->resident);
    exposition_gauge(to, "process_open_fds", "Open descriptors");
    exposition_uint(to, NO_LABELS, process->descriptors);
    exposition_gauge(to, "process_max_fds", "Most open descriptors");
    exposition_uint(to, NO_LABELS, process->descriptors_max);
    exposition_gauge(to, "process_start_time_seconds",
                     "When the process started, in seconds since 1970 UTC");
    exposition_seconds(to, NO_LABELS, process->started_at);
}

void prometheus_print(const struct status *status, bool ready, double wall_seconds,
                      bool openmetrics, FILE *out)
{
    struct exposition to = {.out = out, .openmetrics = openmetrics};

    exposition_gauge(&to, "sotto_build_info", "1, labelled with the version");
    exposition_uint(&to, LABELS({"version", SOTTO_VERSION}), 1);
    exposition_gauge(&to, "sotto_ready", "1: /readyz says that queries are answered");
    exposition_uint(&to, NO_LABELS, ready);
    print_queries(&to, &status->queries);
    print_responses(&to, &status->queries);
    print_durations(&to, &status->queries);
    print_counters(&to, status->counters);
    print_client_handshakes(&to, status->counters);
    print_workers(&to, status);
    print_cache(&to, &status->cache);
    print_certificates(&to, status, wall_seconds);
    print_upstreams(&to, status);
    print_querylog(&to, &status->querylog);
    print_process(&to, &status->process);
    exposition_end(&to);
}
