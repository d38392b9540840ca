// Asks a DNS server for many names, at a given rate or keeping so many queries in flight, checks
// every answer, and tells what came back and when. `load --help` lists the options.
//
// At a given rate, latency counts from the moment when a query should have been sent: a server that
// stalls is not spared the queries that could not be sent meanwhile.
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "cpu_time.h"
#include "histogram.h"
#include "names.h"
#include "options.h"
#include "transport.h"

#define NS_SEC 1000000000U

enum {
    SLOTS = 65535, // one for each ID but the last
    NONE = SLOTS,
    HEADER = 12,
    TURN_MAX = 256,          // queries sent before answers are looked at again
    WARM_ATTEMPTS = 5,       // on average, for each name
    LONGEST_WAIT = 10000000, // ns: often enough to notice what is lost
};

struct slot {
    uint64_t intended, sent;
    uint32_t number; // of the hot name
    uint16_t connection, older, newer;
    uint8_t size;
    bool busy;
    uint8_t question[QUESTION_MAX];
};

struct load {
    struct options options;
    struct transport *transport;
    struct popularity popularity;
    struct slot slots[SLOTS]; // by ID
    uint16_t idle_ids[SLOTS]; // oldest first: a late answer meets no new query
    uint32_t idle_from, in_flight;
    uint16_t oldest, newest;
    unsigned *in_flight_of; // by connection
    unsigned turn_connection;
    uint32_t next_hot, next_fresh;
    uint32_t *again; // warming: numbers that were lost
    uint32_t again_count;
    uint64_t start, stop, answered_at_stop; // stop: nothing is asked from then on
    uint64_t sent, answered, failed, wrong, lost, late, disconnects;
    struct histogram latency, lag;
};

static uint64_t clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_SEC + (uint64_t)now.tv_nsec;
}

static void release(struct load *load, uint16_t id)
{
    struct slot *slot = &load->slots[id];

    if (slot->older != NONE)
        load->slots[slot->older].newer = slot->newer;
    else
        load->oldest = slot->newer;
    if (slot->newer != NONE)
        load->slots[slot->newer].older = slot->older;
    else
        load->newest = slot->older;
    slot->busy = false;
    load->idle_ids[(load->idle_from + SLOTS - load->in_flight) % SLOTS] = id;
    load->in_flight--;
    load->in_flight_of[slot->connection]--;
}

static void ask_again(struct load *load, uint16_t id)
{
    if (load->options.warm)
        load->again[load->again_count++] = load->slots[id].number;
}

static void lose(struct load *load, uint16_t id)
{
    load->lost++;
    ask_again(load, id);
    release(load, id);
}

static void expire(struct load *load, uint64_t now)
{
    uint64_t timeout = (uint64_t)(load->options.timeout * NS_SEC);

    while (load->oldest != NONE && load->slots[load->oldest].sent + timeout < now)
        lose(load, load->oldest);
}

// TCP: the connection with the fewest in flight. UDP: the turn's.
static unsigned pick_connection(const struct load *load)
{
    unsigned best = 0;

    if (!load->options.tcp)
        return load->turn_connection;
    for (unsigned i = 1; i < load->options.connections; i++)
        if (load->in_flight_of[i] < load->in_flight_of[best])
            best = i;
    return best;
}

static void pick_name(struct load *load, struct slot *slot)
{
    const struct options *options = &load->options;

    if (options->miss > 0 && popularity_random(&load->popularity) * 100 < options->miss) {
        slot->size =
            (uint8_t)question_write(slot->question, 'm', load->next_fresh++, options->miss_label);
        return;
    }
    if (!options->warm)
        slot->number = popularity_draw(&load->popularity);
    else if (load->next_hot < options->hot)
        slot->number = load->next_hot++;
    else
        slot->number = load->again[--load->again_count];
    slot->size = (uint8_t)question_write(slot->question, 'h', slot->number, options->hot_label);
}

static void ask(struct load *load, uint64_t intended, uint64_t now)
{
    uint8_t query[HEADER + QUESTION_MAX] = {0, 0, 1, 0, 0, 1}; // RD, one question
    uint16_t id;
    struct slot *slot;

    load->sent++;
    if (load->in_flight == SLOTS) {
        load->lost++;
        return;
    }
    id = load->idle_ids[load->idle_from];
    load->idle_from = (load->idle_from + 1) % SLOTS;
    slot = &load->slots[id];
    slot->intended = intended;
    slot->sent = now;
    slot->busy = true;
    slot->connection = (uint16_t)pick_connection(load);
    slot->older = load->newest;
    slot->newer = NONE;
    if (load->newest != NONE)
        load->slots[load->newest].newer = id;
    else
        load->oldest = id;
    load->newest = id;
    load->in_flight++;
    load->in_flight_of[slot->connection]++;
    pick_name(load, slot);
    query[0] = (uint8_t)(id >> 8);
    query[1] = (uint8_t)id;
    memcpy(query + HEADER, slot->question, slot->size);
    transport_queue(load->transport, slot->connection, query, HEADER + slot->size);
    histogram_add(&load->lag, now - intended);
}

static bool is_over(const struct load *load, uint64_t when)
{
    const struct options *options = &load->options;

    if (options->warm)
        return (load->next_hot >= options->hot && load->again_count == 0) ||
               load->sent >= (uint64_t)options->hot * WARM_ATTEMPTS;
    return (options->queries > 0 && load->sent >= options->queries) ||
           (options->seconds > 0 && (double)(when - load->start) >= options->seconds * NS_SEC);
}

static uint64_t due(const struct load *load)
{
    return load->start + (uint64_t)((double)load->sent * NS_SEC / load->options.rate);
}

// Sends what is due. Returns whether there is, or will be, more to ask.
static bool issue(struct load *load, uint64_t now)
{
    const struct options *options = &load->options;

    load->turn_connection = (load->turn_connection + 1) % options->connections;
    if (options->rate > 0) {
        for (int i = 0; i < TURN_MAX && !is_over(load, due(load)) && due(load) <= now; i++)
            ask(load, due(load), now);
        return !is_over(load, due(load));
    }
    while (load->in_flight < options->window && !is_over(load, now))
        ask(load, now, now);
    return !is_over(load, now);
}

// The address in the first A record, 0 if there is none.
static uint32_t address_in(const uint8_t *message, size_t size, size_t at)
{
    unsigned answers = (unsigned)message[6] << 8 | message[7];

    for (unsigned i = 0; i < answers; i++) {
        while (at < size && message[at] > 0 && message[at] < 0xc0)
            at += 1U + message[at];
        at += at < size && message[at] ? 2 : 1;
        if (at + 10 > size)
            return 0;

        size_t length = (size_t)message[at + 8] << 8 | message[at + 9];

        if (at + 10 + length > size)
            return 0;
        if (message[at] == 0 && message[at + 1] == 1 && length == 4) {
            const uint8_t *address = message + at + 10;

            return (uint32_t)address[0] << 24 | (uint32_t)address[1] << 16 |
                   (uint32_t)address[2] << 8 | address[3];
        }
        at += 10 + length;
    }
    return 0;
}

static void complain(const uint8_t *message, size_t size)
{
    fprintf(stderr, "load: a wrong answer:");
    for (size_t i = 0; i < size; i++)
        fprintf(stderr, " %02x", message[i]);
    fprintf(stderr, "\n");
}

static bool is_right(const struct load *load, const struct slot *slot, const uint8_t *message,
                     size_t size)
{
    if (!(message[2] & 0x80) || memcmp(message + 4, "\0\1", 2) != 0 ||
        size < HEADER + (size_t)slot->size ||
        memcmp(message + HEADER, slot->question, slot->size) != 0)
        return false;
    if ((message[3] & 15) != 0 || (message[2] & 2))
        return true; // of the right form, though not what we want: `failed`

    uint32_t address = address_in(message, size, HEADER + slot->size);

    return address != 0 &&
           (!load->options.check_address || address == name_address(slot->question, slot->size));
}

static void received(void *context, unsigned connection, const uint8_t *message, size_t size)
{
    struct load *load = context;
    uint64_t now = clock_ns();

    if (size < HEADER) {
        load->wrong++;
        return;
    }

    uint16_t id = (uint16_t)(message[0] << 8 | message[1]);
    struct slot *slot = id < SLOTS ? &load->slots[id] : NULL;

    if (!slot || !slot->busy || slot->connection != connection) {
        load->late++;
        return;
    }
    if (!is_right(load, slot, message, size)) {
        if (load->wrong++ == 0)
            complain(message, size);
    } else if ((message[3] & 15) != 0 || (message[2] & 2)) {
        load->failed++;
        ask_again(load, id);
    } else {
        load->answered++;
        histogram_add(&load->latency, now - slot->intended);
    }
    release(load, id);
}

static void connection_lost(void *context, unsigned connection)
{
    struct load *load = context;
    uint16_t next;

    load->disconnects++;
    for (uint16_t id = load->oldest; id != NONE; id = next) {
        next = load->slots[id].newer;
        if (load->slots[id].connection == connection)
            lose(load, id);
    }
}

static void run(struct load *load)
{
    load->start = clock_ns();
    for (;;) {
        uint64_t now = clock_ns(), wait = LONGEST_WAIT;
        bool more;

        expire(load, now);
        more = issue(load, now);
        transport_flush(load->transport);
        if (!more && load->stop == 0) {
            load->stop = now;
            load->answered_at_stop = load->answered;
        }
        if (load->in_flight == 0 && !more && (!load->options.warm || is_over(load, now)))
            break;
        if (more && load->options.rate > 0) {
            now = clock_ns();
            wait = due(load) <= now ? 0 : due(load) - now;
            if (wait > LONGEST_WAIT)
                wait = LONGEST_WAIT;
        }
        if (load->options.spin) {
            transport_wait(load->transport, 0);
            sched_yield(); // to the upstream, if it is on this CPU
        } else {
            transport_wait(load->transport, wait);
        }
    }
}

static void print_histogram(const char *name, const struct histogram *histogram)
{
    static const struct {
        const char *name;
        double share;
    } shares[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}};

    printf(", \"%s_us\": {", name);
    for (size_t i = 0; i < sizeof(shares) / sizeof(*shares); i++)
        printf("\"%s\": %.3f, ", shares[i].name,
               (double)histogram_at(histogram, shares[i].share) / 1000);
    printf("\"max\": %.3f, \"mean\": %.3f}", (double)histogram->max / 1000,
           histogram_mean(histogram) / 1000);
}

static void print(const struct load *load, uint64_t end, const uint64_t *spent, uint64_t own)
{
    double asking = (double)(load->stop - load->start) / NS_SEC;
    // By number, everything was asked well before the last answer came.
    bool by_time = load->options.seconds > 0;
    double seconds = by_time ? asking : (double)(end - load->start) / NS_SEC;
    uint64_t answered = by_time ? load->answered_at_stop : load->answered;

    printf("{\"sent\": %" PRIu64 ", \"answered\": %" PRIu64 ", \"lost\": %" PRIu64
           ", \"failed\": %" PRIu64 ", \"wrong\": %" PRIu64 ", \"late\": %" PRIu64
           ", \"disconnects\": %" PRIu64 ", \"fresh\": %u, \"seconds\": %.6f, \"qps\": %.1f",
           load->sent, load->answered, load->lost, load->failed, load->wrong, load->late,
           load->disconnects, load->next_fresh, seconds,
           seconds > 0 ? (double)answered / seconds : 0);
    print_histogram("latency", &load->latency);
    print_histogram("lag", &load->lag);
    printf(", \"own_cpu_ns\": %" PRIu64 ", \"cpu_ns\": [", own);
    for (unsigned i = 0; i < load->options.measured_count; i++)
        printf("%s%" PRIu64, i ? ", " : "", spent[i]);
    printf("]}\n");
}

int main(int argc, char **argv)
{
    static struct load load = {.oldest = NONE, .newest = NONE};
    uint64_t spent[MEASURED_MAX], own;

    options_parse(&load.options, argc, argv);
    prctl(PR_SET_TIMERSLACK, 1); // wake up when said, not 50 us later
    popularity_init(&load.popularity, load.options.hot, load.options.zipf);
    for (unsigned i = 0; i < SLOTS; i++)
        load.idle_ids[i] = (uint16_t)i;
    load.in_flight_of = calloc(load.options.connections, sizeof(unsigned));
    // Warming: a number is in flight or here, never both.
    load.again = calloc(load.options.hot, sizeof(uint32_t));
    if (!load.in_flight_of || !load.again) {
        perror("load");
        return 1;
    }
    load.transport = transport_open(load.options.tcp, load.options.port, load.options.connections,
                                    load.options.idle,
                                    (struct transport_events){received, connection_lost, &load});
    own = cpu_time_of(getpid());
    for (unsigned i = 0; i < load.options.measured_count; i++)
        spent[i] = cpu_time_of(load.options.measured[i]);
    run(&load);

    uint64_t end = clock_ns();

    own = cpu_time_of(getpid()) - own;
    for (unsigned i = 0; i < load.options.measured_count; i++)
        spent[i] = cpu_time_of(load.options.measured[i]) - spent[i];
    print(&load, end, spent, own);
    return 0;
}
