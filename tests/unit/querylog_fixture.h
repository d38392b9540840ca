// Entries, and a log, for the tests of sinks.
#pragma once

#include <string.h>
#include <sys/socket.h>

#include "base/error.h"
#include "querylog/sink.h"

#define FIXTURE_TIME UINT64_C(1700000000123456) // 2023-11-14T22:13:20.123456Z

// All that can be said of a query.
static inline struct querylog_entry full_entry(void)
{
    static const uint8_t name[] = "\3www\7Example\4test";
    static const uint8_t reply[] = "\x12\x34\x81\xa0\0\1\0\1\0\0\0\0\3www\7Example\4test\0\0\1\0\1"
                                   "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc6\x33\x64\7";

    return (struct querylog_entry){
        .record =
            {
                .time = FIXTURE_TIME,
                .latency = 23456,
                .upstream_latency = 23000,
                .client = {.family = AF_INET, .port = 40000, .octets = {192, 0, 2, 1}},
                .upstream = {.family = AF_INET6, .port = 853, .octets = {0x20, 1, 0xd, 0xb8}},
                .type = 1,
                .class = 1,
                .id = 0x1234,
                .ede = QUERYLOG_NO_EDE,
                .flags = QUERYLOG_RD | QUERYLOG_DO | QUERYLOG_EDNS | QUERYLOG_AD,
                .query_size = 45,
                .reply_size = sizeof(reply) - 1,
                .transport = QUERYLOG_UDP,
                .outcome = QUERYLOG_MISS,
                .attempts = 1,
                .tls_version = 13,
            },
        .name = name,
        .name_size = sizeof(name),
        .upstream_url = "tls://[2001:db8::]#dot.test, and more",
        .upstream_url_size = 27,
        .reply = reply,
        .reply_message_size = sizeof(reply) - 1,
    };
}

// All that is not known of one, as when its message was malformed and clients are not shown.
static inline struct querylog_entry empty_entry(void)
{
    return (struct querylog_entry){
        .record = {.time = FIXTURE_TIME, .ede = QUERYLOG_NO_EDE, .flags = QUERYLOG_SILENCE}};
}

static struct querylog_sink_options fixture_options;
static struct querylog_sink_setup fixture_setup;
static char fixture_reason[QUERYLOG_REASON_SIZE];

// Opens the sink; NULL with the reason in fixture_reason.
static inline void *open_sink(const struct querylog_sink_ops *ops, struct log *log, const char *url)
{
    snprintf(fixture_options.url, sizeof(fixture_options.url), "%s", url);
    fixture_setup = (struct querylog_sink_setup){&fixture_options, "ns1", log};
    *fixture_reason = '\0';
    return ops->open(&fixture_setup, fixture_reason);
}
