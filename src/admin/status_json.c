#include <inttypes.h>

#include "admin/status.h"
#include "base/json.h"

static void print_load(struct json *json, const struct status_upstream_load *load)
{
    json_uint(json, "connections", load->connections);
    json_uint(json, "dialling", load->dialling);
    json_uint(json, "in_flight", load->in_flight);
    json_uint(json, "waiting", load->waiting);
    if (load->rtt > 0)
        json_seconds(json, "rtt_seconds", load->rtt);
    json_uint(json, "queries", load->queries);
    json_uint(json, "replies", load->replies);
}

static void print_upstream(struct json *json, const struct status_upstream *upstream)
{
    json_open(json, NULL, '{');
    json_text(json, "url", upstream->url);
    json_text(json, "state", status_upstream_state_name(upstream->state));
    if (upstream->state == STATUS_UPSTREAM_DOWN) {
        json_text(json, "reason", upstream->reason);
        json_seconds(json, "down_seconds", upstream->down_for);
    }
    print_load(json, &upstream->load);
    json_close(json, '}');
}

static void print_worker(struct json *json, const struct status_worker *worker)
{
    json_open(json, NULL, '{');
    json_bool(json, "answered", worker->answered);
    if (worker->answered) {
        json_uint(json, "in_flight", worker->in_flight);
        json_uint(json, "tcp_clients", worker->tcp_clients);
        json_uint(json, "queries_udp", worker->queries_udp);
        json_uint(json, "queries_tcp", worker->queries_tcp);
        json_uint(json, "queries_tls", worker->queries_tls);
        json_uint(json, "queries_https", worker->queries_https);
        json_open(json, "upstreams", '[');
        for (uint32_t i = 0; i < worker->upstream_count; i++)
            print_upstream(json, &worker->upstreams[i]);
        json_close(json, ']');
    }
    json_close(json, '}');
}

static void print_sum(struct json *json, const struct status_upstream_sum *sum)
{
    json_open(json, NULL, '{');
    json_text(json, "url", sum->url);
    json_text(json, "state", status_upstream_state_name(sum->state));
    json_uint(json, "workers", sum->workers);
    json_uint(json, "workers_down", sum->workers_down);
    if (sum->workers_down > 0) {
        json_text(json, "reason", sum->reason);
        json_seconds(json, "down_seconds", sum->down_for);
    }
    print_load(json, &sum->load);
    json_close(json, '}');
}

static void print_certificate(struct json *json, const struct status_certificate *certificate)
{
    char seconds[24];

    snprintf(seconds, sizeof(seconds), "%" PRId64, certificate->seconds_left);
    json_open(json, NULL, '{');
    json_text(json, "listener", certificate->listener);
    json_text(json, "name", certificate->name);
    json_word(json, "seconds_left", seconds);
    json_close(json, '}');
}

static void print_cache(struct json *json, const struct status *status)
{
    double ratio = status_hit_ratio(status);
    char text[16];

    json_open(json, "cache", '{');
    json_uint(json, "size_bytes", status->cache.size);
    json_uint(json, "used_bytes", status->cache.bytes);
    json_uint(json, "entries", status->cache.entries);
    if (ratio >= 0) {
        snprintf(text, sizeof(text), "%.6f", ratio);
        json_word(json, "hit_ratio", text);
    }
    json_close(json, '}');
}

void status_print_json(const struct status *status, FILE *out)
{
    struct status_upstream_sum sums[STATUS_UPSTREAMS_MAX];
    unsigned count = status_sum_upstreams(status, sums);
    struct json json = {.out = out};

    json_open(&json, NULL, '{');
    json_text(&json, "version", SOTTO_VERSION);
    json_uint(&json, "pid", (uint64_t)status->pid);
    json_seconds(&json, "uptime_seconds", status->uptime);
    json_open(&json, "upstreams", '[');
    for (unsigned i = 0; i < count; i++)
        print_sum(&json, &sums[i]);
    json_close(&json, ']');
    json_open(&json, "workers", '[');
    for (uint32_t i = 0; i < status->worker_count; i++)
        print_worker(&json, &status->workers[i]);
    json_close(&json, ']');
    json_open(&json, "certificates", '[');
    for (uint32_t i = 0; i < status->certificate_count; i++)
        print_certificate(&json, &status->certificates[i]);
    json_close(&json, ']');
    print_cache(&json, status);
    json_open(&json, "counters", '{');
    for (int c = 0; c < COUNTER_COUNT; c++)
        json_uint(&json, counter_name(c), status->counters[c]);
    json_close(&json, '}');
    json_close(&json, '}');
    putc('\n', out);
}
