// Fills a query log in SQLite through its sink, as the program does.
//
// Usage: fill_store /FILE COUNT    so many records of querylog_entries.h, one a second, up to now
//        fill_store /FILE          a record for each line of stdin, written when the line comes:
//                                  AGE_US CLIENT NAME TYPE OUTCOME RCODE TRANSPORT LATENCY_US URL
//                                  with numbers where the record has numbers; URL "-": none;
//                                  and says "written" for each
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/address.h"
#include "base/error.h"
#include "querylog/sink.h"
#include "querylog_entries.h"

static uint64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * USEC_SEC + (uint64_t)now.tv_nsec / 1000;
}

static void write_entry(void *sink, const struct querylog_entry *entry)
{
    if (querylog_sqlite.write(sink, entry, 1) != E_OK)
        exit(1);
}

static void write_line(void *sink, const char *line)
{
    char client[64], name[DNS_NAME_TEXT_MAX], url[256];
    unsigned long long age;
    unsigned type, outcome, rcode, transport, latency;
    struct querylog_entry entry = {.record = {.ede = QUERYLOG_NO_EDE, .class = DNS_CLASS_IN}};
    struct address address;
    uint8_t wire[DNS_NAME_MAX];
    const uint8_t *octets;
    size_t size;

    if (sscanf(line, "%llu %63s %1021s %u %u %u %u %u %255s", &age, client, name, &type, &outcome,
               &rcode, &transport, &latency, url) != 9 ||
        dns_name_from_text(name, wire) != E_OK || address_parse(&address, client, 40000) != E_OK) {
        fprintf(stderr, "fill_store: not understood: %s", line);
        exit(2);
    }
    entry.record.time = now_us() - age;
    entry.record.type = (uint16_t)type;
    entry.record.outcome = (uint8_t)outcome;
    entry.record.rcode = (uint16_t)rcode;
    entry.record.transport = (uint8_t)transport;
    entry.record.latency = latency;
    octets = address_octets(&address, &size);
    memcpy(entry.record.client.octets, octets, size);
    entry.record.client.family = (uint8_t)(size == 4 ? AF_INET : AF_INET6);
    entry.record.client.port = address_port(&address);
    entry.name = wire;
    entry.name_size = (uint16_t)dns_name_length(wire);
    if (strcmp(url, "-") != 0) {
        entry.upstream_url = url;
        entry.upstream_url_size = (uint16_t)strlen(url);
    }
    write_entry(sink, &entry);
    puts("written");
    fflush(stdout);
}

int main(int argc, char **argv)
{
    struct querylog_sink_options options = {.max_age = 0};
    struct log *log = log_new(&(struct log_options){.level = LOG_INFO});
    struct querylog_sink_setup setup = {.options = &options, .instance = "fill", .log = log};
    uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    struct entries entries = {.interval = USEC_SEC, .names = 1000, .clients = 50};
    struct querylog_entry entry;
    struct entry_room room;
    char reason[QUERYLOG_REASON_SIZE], line[4096];
    void *sink;

    if (argc < 2)
        return 2;
    snprintf(options.url, sizeof(options.url), "sqlite://%s", argv[1]);
    sink = querylog_sqlite.open(&setup, reason);
    if (!sink) {
        fprintf(stderr, "fill_store: %s\n", reason);
        return 1;
    }
    entries.start = now_us() - count * USEC_SEC;
    for (uint64_t i = 0; i < count; i++) {
        entries_make(&entries, i, &entry, &room);
        write_entry(sink, &entry);
    }
    while (argc == 2 && fgets(line, sizeof(line), stdin))
        write_line(sink, line);
    querylog_sqlite.close(sink);
    log_free(log);
    return 0;
}
