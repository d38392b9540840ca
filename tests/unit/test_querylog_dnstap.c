// The sink for dnstap: what is in its messages, and how it gets on with collectors and files.
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "dns/message.h"
#include "querylog/sinks/dnstap_frames.h"
#include "querylog/sinks/dnstap_message.h"
#include "querylog/sinks/dnstap_peer.h"
#include "querylog/sinks/trouble.h"
#include "querylog_fixture.h"

static char folder[] = "/tmp/sotto-dnstap-XXXXXX";
static char path[64], url[128], file_url[128], moved[72];
static struct log *quiet;
static uint8_t content[8 * 1024 * 1024];

static int make_folder(void **state)
{
    quiet = log_new(&(struct log_options){.level = LOG_ERROR});
    if (!quiet || !mkdtemp(folder))
        return -1;
    snprintf(path, sizeof(path), "%s/tap", folder);
    snprintf(url, sizeof(url), "dnstap://%s", path);
    snprintf(file_url, sizeof(file_url), "dnstap://%s?file", path);
    snprintf(moved, sizeof(moved), "%s.1", path);
    return 0;
}

static int remove_files(void **state)
{
    unlink(path);
    unlink(moved);
    return 0;
}

static int remove_folder(void **state)
{
    log_free(quiet);
    return rmdir(folder);
}

// ---- Messages

struct field {
    unsigned number;
    uint64_t value; // or the size of the octets
    const uint8_t *octets;
};

static uint64_t read_varint(const uint8_t **at)
{
    uint64_t value = 0;

    for (unsigned shift = 0;; shift += 7) {
        value |= (uint64_t)(**at & 0x7f) << shift;
        if (!(*(*at)++ & 0x80))
            return value;
    }
}

// The fields of a message. Returns how many.
static unsigned read_fields(const uint8_t *at, size_t size, struct field fields[20])
{
    const uint8_t *end = at + size;
    unsigned count = 0;

    while (at < end) {
        uint64_t tag = read_varint(&at);
        struct field *field = &fields[count++];

        assert_true(count <= 20);
        *field = (struct field){.number = (unsigned)(tag >> 3)};
        switch (tag & 7) {
        case 0:
            field->value = read_varint(&at);
            break;
        case 2:
            field->value = read_varint(&at);
            field->octets = at;
            at += field->value;
            break;
        case 5:
            for (unsigned i = 0; i < 4; i++)
                field->value |= (uint64_t)*at++ << 8 * i;
            break;
        default:
            fail_msg("wire type %u", (unsigned)(tag & 7));
        }
    }
    assert_ptr_equal(at, end);
    return count;
}

static uint8_t message_octets[DNSTAP_MESSAGE_MAX];

static unsigned message_fields(enum dnstap_type type, const struct querylog_entry *entry,
                               struct field fields[20])
{
    struct writer w = writer_of(message_octets, sizeof(message_octets));
    struct field outer[20];

    dnstap_message_write(&w, type, entry, "ns1");
    assert_false(w.failed);
    assert_int_equal(read_fields(message_octets, w.pos, outer), 4);
    assert_int_equal(outer[0].number, 1);
    assert_memory_equal(outer[0].octets, "ns1", outer[0].value);
    assert_int_equal(outer[1].number, 2);
    assert_memory_equal(outer[1].octets, "sotto " SOTTO_VERSION, outer[1].value);
    assert_int_equal(outer[2].number, 14);
    assert_int_equal(outer[3].number, 15);
    assert_int_equal(outer[3].value, 1);
    return read_fields(outer[2].octets, outer[2].value, fields);
}

static void assert_field(const struct field *field, unsigned number, uint64_t value)
{
    assert_int_equal(field->number, number);
    assert_int_equal(field->value, value);
}

static void assert_octets(const struct field *field, unsigned number, const void *octets,
                          size_t size)
{
    assert_field(field, number, size);
    assert_memory_equal(field->octets, octets, size);
}

static void test_client_query(void **state)
{
    static const uint8_t query[] = "\x12\x34\1\0\0\1\0\0\0\0\0\1\3www\7Example\4test\0\0\1\0\1"
                                   "\0\0\x29\4\xd0\0\0\x80\0\0";
    struct querylog_entry entry = full_entry();
    struct field fields[20];

    assert_int_equal(message_fields(DNSTAP_CLIENT_QUERY, &entry, fields), 8);
    assert_field(&fields[0], 1, DNSTAP_CLIENT_QUERY);
    assert_field(&fields[1], 2, 1); // INET
    assert_field(&fields[2], 3, 1); // UDP
    assert_octets(&fields[3], 4, "\xc0\0\2\1", 4);
    assert_field(&fields[4], 6, 40000);
    assert_field(&fields[5], 8, 1700000000);
    assert_field(&fields[6], 9, 123456000);
    assert_octets(&fields[7], 10, query, sizeof(query)); // OPT ends with its length, 0 0
}

static void test_query_without_edns(void **state)
{
    static const uint8_t query[] = "\x12\x34\1\x30\0\1\0\0\0\0\0\0\3www\7Example\4test\0\0\1\0\1";
    struct querylog_entry entry = full_entry();
    struct field fields[20];

    entry.record.flags = QUERYLOG_RD | QUERYLOG_CD | QUERYLOG_QUERY_AD;
    assert_int_equal(message_fields(DNSTAP_CLIENT_QUERY, &entry, fields), 8);
    assert_octets(&fields[7], 10, query, sizeof(query) - 1);
}

static void test_client_response(void **state)
{
    struct querylog_entry entry = full_entry();
    struct field fields[20];

    assert_int_equal(message_fields(DNSTAP_CLIENT_RESPONSE, &entry, fields), 10);
    assert_field(&fields[0], 1, DNSTAP_CLIENT_RESPONSE);
    assert_field(&fields[5], 8, 1700000000);
    assert_field(&fields[6], 9, 123456000);
    assert_field(&fields[7], 12, 1700000000);
    assert_field(&fields[8], 13, 146912000);
    assert_octets(&fields[9], 14, entry.reply, entry.reply_message_size);
}

static void test_forwarder(void **state)
{
    struct querylog_entry entry = full_entry();
    struct field fields[20];

    entry.record.transport = QUERYLOG_HTTPS;
    assert_int_equal(message_fields(DNSTAP_FORWARDER_RESPONSE, &entry, fields), 10);
    assert_field(&fields[1], 2, 2); // INET6
    assert_field(&fields[2], 3, 3); // DOT
    assert_octets(&fields[3], 5, entry.record.upstream.octets, 16);
    assert_field(&fields[4], 7, 853);
    assert_field(&fields[6], 9, 123912000);
    assert_field(&fields[8], 13, 146912000);
    // An upstream's latency that cannot be does not put its query before the client's.
    entry.record.upstream_latency = UINT32_MAX;
    assert_int_equal(message_fields(DNSTAP_FORWARDER_QUERY, &entry, fields), 8);
    assert_field(&fields[6], 9, 123456000);
}

static void test_transports(void **state)
{
    static const unsigned protocols[] = {1, 2, 3, 4};

    for (unsigned i = 0; i < QUERYLOG_TRANSPORTS; i++) {
        struct querylog_entry entry = full_entry();
        struct field fields[20];

        entry.record.transport = (uint8_t)i;
        message_fields(DNSTAP_CLIENT_QUERY, &entry, fields);
        assert_field(&fields[2], 3, protocols[i]);
    }
}

// No name is in anything when names are not shown.
static void test_what_is_not_shown(void **state)
{
    struct querylog_entry entry = full_entry();
    struct field fields[20];

    entry.name_size = 0;
    entry.name_hash = 1;
    entry.record.client = (struct querylog_address){0};
    entry.record.rcode = 3;
    assert_int_equal(message_fields(DNSTAP_CLIENT_QUERY, &entry, fields), 5);
    assert_field(&fields[1], 3, 1);
    assert_octets(&fields[4], 10, "\x12\x34\1\0\0\0\0\0\0\0\0\0", 12);
    assert_int_equal(message_fields(DNSTAP_CLIENT_RESPONSE, &entry, fields), 7);
    assert_octets(&fields[6], 14, "\x12\x34\x81\xa3\0\0\0\0\0\0\0\0", 12);
}

static void test_largest(void **state)
{
    static uint8_t reply[65535];
    struct querylog_entry entry = full_entry();
    struct field fields[20];

    entry.reply = reply;
    entry.reply_message_size = sizeof(reply);
    message_fields(DNSTAP_CLIENT_RESPONSE, &entry, fields);
    assert_octets(&fields[9], 14, reply, sizeof(reply));
}

static void test_which_messages(void **state)
{
    static const struct {
        uint8_t outcome;
        bool upstream, silence;
        const char *types;
    } cases[] = {
        {QUERYLOG_HIT, false, false, "56"},    {QUERYLOG_HIT, true, false, "56"},
        {QUERYLOG_JOINED, true, false, "56"},  {QUERYLOG_MISS, true, false, "5786"},
        {QUERYLOG_MISS, true, true, "578"},    {QUERYLOG_STALE, false, false, "56"},
        {QUERYLOG_REFUSED, false, true, "5"},  {QUERYLOG_ERROR, false, false, "56"},
        {QUERYLOG_ERROR, true, false, "5786"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct querylog_record record = full_entry().record;
        enum dnstap_type types[4];
        char text[5] = "";
        unsigned count;

        record.outcome = cases[i].outcome;
        record.flags = cases[i].silence ? QUERYLOG_SILENCE : 0;
        record.upstream.family = cases[i].upstream ? AF_INET6 : AF_UNSPEC;
        count = dnstap_types_of(&record, types);
        for (unsigned j = 0; j < count; j++)
            text[j] = (char)('0' + types[j]);
        assert_string_equal(text, cases[i].types);
    }
}

// ---- URLs

static void test_urls_that_cannot_be_opened(void **state)
{
    static const char *const cases[][2] = {
        {"dnstap:", "is none of"},
        {"dnstap:///", "is none of"},
        {"dnstap://127.0.0.1", "is none of"},
        {"dnstap://127.0.0.1:0", "is none of"},
        {"dnstap://localhost:6000", "is none of"},
        {"dnstap://127.0.0.1:6000?file", "is none of"},
        {"dnstap:///run/tap?files", "is none of"},
        {"dnstap:///run/tap?", "is none of"},
        {"dnstap:///1234567890123456789012345678901234567890123456789012345678901234567890"
         "12345678901234567890123456789012345678",
         "at most 107 octets"},
        {"dnstap:///nonexistent/file?file", "/nonexistent/file: No such file or directory"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_null(open_sink(&querylog_dnstap, quiet, cases[i][0]));
        if (!strstr(fixture_reason, cases[i][1]))
            fail_msg("%s: %s", cases[i][0], fixture_reason);
    }
}

// ---- Files

static size_t read_content(const char *file)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    ssize_t size = read(fd, content, sizeof(content));

    assert_true(size >= 0);
    close(fd);
    return (size_t)size;
}

// Asserts that the file is START, whole data frames, and STOP if it should have one. Returns the
// number of data frames.
static unsigned count_frames(const char *file, bool stopped)
{
    size_t size = read_content(file);
    size_t pos = DNSTAP_CONTROL_HEADER + dnstap_control_length(content);
    unsigned count = 0;

    assert_true(dnstap_control_is(content + DNSTAP_CONTROL_HEADER, pos - DNSTAP_CONTROL_HEADER,
                                  FSTRM_CONTROL_START));
    while (pos < size && get_u32(content + pos) != 0) {
        pos += (size_t)DNSTAP_FRAME_HEADER + get_u32(content + pos);
        count++;
    }
    if (stopped) {
        assert_int_equal(pos + DNSTAP_CONTROL_HEADER + 4, size);
        assert_true(
            dnstap_control_is(content + pos + DNSTAP_CONTROL_HEADER, 4, FSTRM_CONTROL_STOP));
    } else {
        assert_int_equal(pos, size);
    }
    return count;
}

static void *open_file_sink(void)
{
    void *sink = open_sink(&querylog_dnstap, quiet, file_url);

    if (!sink)
        fail_msg("%s", fixture_reason);
    return sink;
}

static void write_one(void *sink)
{
    struct querylog_entry entry = full_entry();

    assert_int_equal(querylog_dnstap.write(sink, &entry, 1), E_OK);
}

static void test_file_goes_on(void **state)
{
    struct stat status;

    for (unsigned i = 1; i <= 3; i++) {
        void *sink = open_file_sink();

        write_one(sink);
        assert_int_equal(count_frames(path, false), 4 * i);
        querylog_dnstap.tick(sink);
        querylog_dnstap.close(sink);
        assert_int_equal(count_frames(path, true), 4 * i);
    }
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0137, 0);
}

// The program that wrote it did not come to its end: wherever it was cut off, no whole frame is
// lost.
static void test_file_goes_on_after_a_crash(void **state)
{
    void *sink = open_file_sink();
    size_t start, first, size;

    write_one(sink);
    querylog_dnstap.close(sink);
    size = read_content(path) - 12;
    start = DNSTAP_CONTROL_HEADER + dnstap_control_length(content);
    first = start + DNSTAP_FRAME_HEADER + get_u32(content + start);
    for (size_t cut = start; cut <= first + 10; cut++) {
        int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);

        assert_int_equal(write(fd, content, cut), cut);
        close(fd);
        sink = open_file_sink();
        write_one(sink);
        querylog_dnstap.close(sink);
        assert_int_equal(count_frames(path, true), 4 + (cut >= first));
    }
    assert_true(size > first);
}

static void test_file_of_something_else(void **state)
{
    static const char *const cases[] = {"x", "{\"time\":1}\n{\"time\":2}\n", "\0\0\0\0\0\0\0\x10"};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int fd = open(path, O_WRONLY | O_TRUNC | O_CREAT | O_CLOEXEC, 0600);
        size_t size = i == 2 ? 8 : strlen(cases[i]);

        assert_int_equal(write(fd, cases[i], size), size);
        close(fd);
        assert_null(open_sink(&querylog_dnstap, quiet, file_url));
        assert_non_null(strstr(fixture_reason, "something else"));
        assert_int_equal(read_content(path), size);
        assert_memory_equal(content, cases[i], size);
    }
}

static void test_file_of_another_program(void **state)
{
    void *sink = open_file_sink();

    assert_null(open_sink(&querylog_dnstap, quiet, file_url));
    assert_non_null(strstr(fixture_reason, "another program"));
    querylog_dnstap.close(sink);
}

static void test_file_reopened(void **state)
{
    void *sink = open_file_sink();

    write_one(sink);
    assert_int_equal(rename(path, moved), 0);
    write_one(sink);
    querylog_dnstap.reopen(sink);
    assert_int_equal(count_frames(moved, true), 8);
    write_one(sink);
    // Not moved: it goes on.
    querylog_dnstap.reopen(sink);
    write_one(sink);
    querylog_dnstap.close(sink);
    assert_int_equal(count_frames(path, true), 8);
}

static void test_file_without_room(void **state)
{
    const struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
    const struct rlimit some = {100001, RLIM_INFINITY};
    static struct querylog_entry entries[1000];
    void *sink = open_file_sink();
    unsigned kept;

    for (size_t i = 0; i < ARRAY_LEN(entries); i++)
        entries[i] = full_entry();
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &some), 0);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(querylog_dnstap.write(sink, entries, ARRAY_LEN(entries)), E_AGAIN);
    kept = count_frames(path, false);
    assert_in_range(kept, 500, 1000);
    // Into another file: each frame is whole, in one of them.
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &all), 0);
    assert_int_equal(rename(path, moved), 0);
    querylog_dnstap.reopen(sink);
    assert_int_equal(querylog_dnstap.write(sink, entries, ARRAY_LEN(entries)), E_OK);
    querylog_dnstap.close(sink);
    assert_int_equal(count_frames(moved, true), kept);
    assert_int_equal(count_frames(path, true) + kept, 4 * ARRAY_LEN(entries));
}

// ---- Collectors

// One that takes a connection, accepts what is offered, and then counts frames, until the end or
// until so many were counted.
struct collector {
    int listener, peer;
    unsigned until;
    pthread_t thread;
    unsigned count;
    bool stopped;
};

static bool get(int fd, uint8_t *to, size_t size)
{
    return recv(fd, to, size, MSG_WAITALL) == (ssize_t)size;
}

static int accept_peer(int listener)
{
    uint8_t frame[DNSTAP_CONTROL_MAX];
    struct writer w = writer_of(frame, sizeof(frame));
    int fd = accept(listener, NULL, NULL);

    require(fd >= 0 && get(fd, frame, DNSTAP_CONTROL_HEADER));
    require(get(fd, content, dnstap_control_length(frame)));
    require(dnstap_control_is(content, dnstap_control_length(frame), FSTRM_CONTROL_READY));
    dnstap_control_write(&w, FSTRM_CONTROL_ACCEPT);
    require(send(fd, frame, w.pos, MSG_NOSIGNAL) == (ssize_t)w.pos);
    require(get(fd, frame, DNSTAP_CONTROL_HEADER));
    require(get(fd, content, dnstap_control_length(frame)));
    require(dnstap_control_is(content, dnstap_control_length(frame), FSTRM_CONTROL_START));
    return fd;
}

static void *count_frames_of(void *context)
{
    struct collector *collector = context;
    uint8_t header[DNSTAP_CONTROL_HEADER];
    struct writer w = writer_of(content, sizeof(content));
    int fd = collector->peer;

    while (collector->count < collector->until && get(fd, header, DNSTAP_FRAME_HEADER)) {
        if (get_u32(header) == 0) {
            require(get(fd, content, 8) && content[7] == FSTRM_CONTROL_STOP);
            dnstap_control_write(&w, FSTRM_CONTROL_FINISH);
            require(send(fd, content, w.pos, MSG_NOSIGNAL) == (ssize_t)w.pos);
            collector->stopped = true;
            break;
        }
        require(get(fd, content, get_u32(header)));
        collector->count++;
    }
    close(fd);
    return NULL;
}

static void *collect(void *context)
{
    struct collector *collector = context;

    collector->peer = accept_peer(collector->listener);
    return count_frames_of(collector);
}

static int listen_on_path(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    unlink(path);
    strcpy(address.sun_path, path);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 1), 0);
    return fd;
}

static void start(struct collector *collector, unsigned until)
{
    *collector = (struct collector){.listener = listen_on_path(), .until = until};
    assert_int_equal(pthread_create(&collector->thread, NULL, collect, collector), 0);
}

static void finish(struct collector *collector)
{
    pthread_join(collector->thread, NULL);
    close(collector->listener);
}

static void *open_peer_sink(void)
{
    void *sink = open_sink(&querylog_dnstap, quiet, url);

    if (!sink)
        fail_msg("%s", fixture_reason);
    return sink;
}

static int write_in_time(void *sink, const struct querylog_entry *entries, size_t count)
{
    usec_t begin = querylog_now();
    int err = querylog_dnstap.write(sink, entries, count);

    assert_true(querylog_now() - begin < 5 * USEC_SEC);
    return err;
}

// As it is called by who keeps trying.
static void keep(void *sink, const struct querylog_entry *entries, size_t count)
{
    for (unsigned tries = 0; tries < 100; tries++) {
        if (write_in_time(sink, entries, count) == E_OK)
            return;
        poll(NULL, 0, 100);
    }
    fail_msg("it is never kept");
}

static void test_collector(void **state)
{
    struct querylog_entry entries[] = {full_entry(), empty_entry(), full_entry()};
    struct collector collector;
    void *sink;

    start(&collector, UINT32_MAX);
    sink = open_peer_sink();
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(write_in_time(sink, entries, ARRAY_LEN(entries)), E_OK);
    querylog_dnstap.tick(sink);
    querylog_dnstap.reopen(sink);
    querylog_dnstap.close(sink);
    finish(&collector);
    assert_int_equal(collector.count, 10 * (4 + 1 + 4));
    assert_true(collector.stopped);
}

static void test_collector_that_comes_later(void **state)
{
    struct querylog_entry entry = full_entry();
    struct collector collector;
    void *sink = open_peer_sink();

    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(write_in_time(sink, &entry, 1), E_AGAIN);
    start(&collector, UINT32_MAX);
    keep(sink, &entry, 1);
    querylog_dnstap.close(sink);
    finish(&collector);
    assert_int_equal(collector.count, 4);
}

// It goes between two batches: the next batch is the next collector's.
static void test_collector_that_goes(void **state)
{
    struct querylog_entry entry = full_entry();
    struct collector collector;
    void *sink;

    start(&collector, 4);
    sink = open_peer_sink();
    keep(sink, &entry, 1);
    finish(&collector);
    start(&collector, UINT32_MAX);
    keep(sink, &entry, 1);
    querylog_dnstap.close(sink);
    finish(&collector);
    assert_int_equal(collector.count, 4);
}

static struct querylog_entry large[40];
static uint8_t large_reply[65535];

static void make_large(void)
{
    for (size_t i = 0; i < ARRAY_LEN(large); i++) {
        large[i] = full_entry();
        large[i].reply = large_reply;
        large[i].reply_message_size = sizeof(large_reply);
    }
}

// It goes in the middle of a batch: the next one gets it whole.
static void test_collector_that_goes_in_the_middle(void **state)
{
    struct collector collector;
    void *sink;

    make_large();
    start(&collector, 50);
    sink = open_peer_sink();
    // The sockets hold less than the batch is large, so that it is not done before the end.
    assert_int_equal(write_in_time(sink, large, ARRAY_LEN(large)), E_AGAIN);
    finish(&collector);
    start(&collector, UINT32_MAX);
    keep(sink, large, ARRAY_LEN(large));
    querylog_dnstap.close(sink);
    finish(&collector);
    assert_int_equal(collector.count, 4 * ARRAY_LEN(large));
}

static void test_listener_that_accepts_nothing(void **state)
{
    struct querylog_entry entry = full_entry();
    void *sink = open_peer_sink();
    int listener = listen_on_path();

    assert_int_equal(write_in_time(sink, &entry, 1), E_AGAIN);
    querylog_dnstap.close(sink);
    close(listener);
}

static void *accept_and_wait(void *context)
{
    struct collector *collector = context;

    collector->peer = accept_peer(collector->listener);
    return NULL;
}

// It does not read: nothing waits for long; and when it does after all, all is there, and once.
static void test_collector_that_does_not_read(void **state)
{
    struct collector collector = {.listener = listen_on_path(), .until = UINT32_MAX};
    void *sink = open_peer_sink();

    make_large();
    assert_int_equal(pthread_create(&collector.thread, NULL, accept_and_wait, &collector), 0);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(write_in_time(sink, large, ARRAY_LEN(large)), E_AGAIN);
    querylog_dnstap.tick(sink);
    pthread_join(collector.thread, NULL);
    assert_int_equal(pthread_create(&collector.thread, NULL, count_frames_of, &collector), 0);
    keep(sink, large, ARRAY_LEN(large));
    querylog_dnstap.close(sink);
    finish(&collector);
    assert_int_equal(collector.count, 4 * ARRAY_LEN(large));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_client_query),
        cmocka_unit_test(test_query_without_edns),
        cmocka_unit_test(test_client_response),
        cmocka_unit_test(test_forwarder),
        cmocka_unit_test(test_transports),
        cmocka_unit_test(test_what_is_not_shown),
        cmocka_unit_test(test_largest),
        cmocka_unit_test(test_which_messages),
        cmocka_unit_test(test_urls_that_cannot_be_opened),
        cmocka_unit_test_teardown(test_file_goes_on, remove_files),
        cmocka_unit_test_teardown(test_file_goes_on_after_a_crash, remove_files),
        cmocka_unit_test_teardown(test_file_of_something_else, remove_files),
        cmocka_unit_test_teardown(test_file_of_another_program, remove_files),
        cmocka_unit_test_teardown(test_file_reopened, remove_files),
        cmocka_unit_test_teardown(test_file_without_room, remove_files),
        cmocka_unit_test_teardown(test_collector, remove_files),
        cmocka_unit_test_teardown(test_collector_that_comes_later, remove_files),
        cmocka_unit_test_teardown(test_collector_that_goes, remove_files),
        cmocka_unit_test_teardown(test_collector_that_goes_in_the_middle, remove_files),
        cmocka_unit_test_teardown(test_listener_that_accepts_nothing, remove_files),
        cmocka_unit_test_teardown(test_collector_that_does_not_read, remove_files),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
