// The sink of JSON lines.
#include <fcntl.h>
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

#include "querylog/sinks/json_line.h"
#include "querylog_fixture.h"

static char folder[] = "/tmp/sotto-json-XXXXXX";
static char path[64], url[128], moved[72];
static struct log *quiet;
static char content[4 * 1024 * 1024];

static int make_folder(void **state)
{
    signal(SIGPIPE, SIG_IGN);
    quiet = log_new(&(struct log_options){.level = LOG_ERROR});
    if (!quiet || !mkdtemp(folder))
        return -1;
    snprintf(path, sizeof(path), "%s/queries.json", folder);
    snprintf(url, sizeof(url), "json://%s", path);
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

static const char *content_of(const char *file)
{
    FILE *in = fopen(file, "r");
    size_t size;

    assert_non_null(in);
    size = fread(content, 1, sizeof(content) - 1, in);
    fclose(in);
    content[size] = '\0';
    return content;
}

static unsigned count_lines(const char *text)
{
    unsigned count = 0;

    for (; *text; text++)
        count += *text == '\n';
    return count;
}

static void put_file(const char *text)
{
    FILE *out = fopen(path, "w");

    assert_non_null(out);
    fputs(text, out);
    fclose(out);
}

// The batch is said to be kept.
static void keep(void *sink, const struct querylog_entry *entry)
{
    assert_int_equal(querylog_json.write(sink, entry, 1), E_OK);
}

static void assert_line(const struct querylog_entry *entry, const char *expected)
{
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    querylog_json_line(out, entry, "ns1");
    fclose(out);
    assert_string_equal(text, expected);
    free(text);
}

static void test_full_line(void **state)
{
    struct querylog_entry entry = full_entry();

    assert_line(&entry,
                "{\"time\":\"2023-11-14T22:13:20.123456Z\",\"instance\":\"ns1\","
                "\"client\":\"192.0.2.1\",\"port\":40000,\"transport\":\"udp\","
                "\"name\":\"www.Example.test\",\"type\":\"A\",\"class\":\"IN\","
                "\"outcome\":\"miss\",\"rcode\":\"NOERROR\",\"ede\":null,\"ede_text\":null,"
                "\"upstream\":\"tls://[2001:db8::]#dot.test\",\"upstream_address\":\"2001:db8::\","
                "\"attempts\":1,\"latency_seconds\":0.023456,\"upstream_latency_seconds\":0.023000,"
                "\"tls\":\"1.3\",\"tls_resumed\":false,\"query_size\":45,\"reply_size\":50,"
                "\"flags\":[\"rd\",\"do\",\"edns\",\"ad\"]}\n");
}

static void test_line_of_what_is_not_known(void **state)
{
    struct querylog_entry entry = empty_entry();

    assert_line(&entry, "{\"time\":\"2023-11-14T22:13:20.123456Z\",\"instance\":\"ns1\","
                        "\"client\":null,\"port\":null,\"transport\":\"udp\",\"name\":null,"
                        "\"type\":null,\"class\":null,\"outcome\":\"hit\",\"rcode\":null,"
                        "\"ede\":null,\"ede_text\":null,\"upstream\":null,"
                        "\"upstream_address\":null,\"attempts\":0,\"latency_seconds\":0.000000,"
                        "\"upstream_latency_seconds\":null,\"tls\":null,\"tls_resumed\":null,"
                        "\"query_size\":0,\"reply_size\":0,\"flags\":[\"silence\"]}\n");
}

static void test_line_with_privacy(void **state)
{
    struct querylog_entry entry = full_entry();

    entry.record.client = (struct querylog_address){0};
    entry.client_key = 0xab;
    entry.name_size = 0;
    entry.name_hash = UINT64_MAX;
    entry.record.ede = 22;
    entry.record.rcode = 2;
    entry.upstream_url_size = 0;
    entry.record.upstream = (struct querylog_address){0};
    entry.record.flags = 0;
    entry.record.outcome = QUERYLOG_ERROR;
    assert_line(&entry,
                "{\"time\":\"2023-11-14T22:13:20.123456Z\",\"instance\":\"ns1\","
                "\"client\":null,\"port\":null,\"client_key\":\"00000000000000ab\","
                "\"transport\":\"udp\",\"name\":null,\"name_hash\":\"ffffffffffffffff\","
                "\"type\":\"A\",\"class\":\"IN\",\"outcome\":\"error\",\"rcode\":\"SERVFAIL\","
                "\"ede\":22,\"ede_text\":\"No Reachable Authority\",\"upstream\":null,"
                "\"upstream_address\":null,\"attempts\":1,\"latency_seconds\":0.023456,"
                "\"upstream_latency_seconds\":0.023000,\"tls\":\"1.3\",\"tls_resumed\":false,"
                "\"query_size\":45,\"reply_size\":50,\"flags\":[]}\n");
}

static void test_file_is_private_and_goes_on(void **state)
{
    struct querylog_entry entry = full_entry();
    mode_t old_mask = umask(0);
    struct stat status;

    for (unsigned i = 1; i <= 2; i++) {
        void *sink = open_sink(&querylog_json, quiet, url);

        assert_non_null(sink);
        keep(sink, &entry);
        querylog_json.close(sink);
        assert_int_equal(count_lines(content_of(path)), i);
    }
    umask(old_mask);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0640);
}

static void test_last_line_that_is_not_whole(void **state)
{
    struct querylog_entry entry = full_entry();
    void *sink;

    put_file("{\"time\":\"19");
    sink = open_sink(&querylog_json, quiet, url);
    assert_non_null(sink);
    keep(sink, &entry);
    querylog_json.close(sink);
    assert_int_equal(strncmp(content_of(path), "{\"time\":\"19\n{\"time\":\"2023", 24), 0);
    assert_int_equal(count_lines(content), 2);
}

static void test_reopen(void **state)
{
    struct querylog_entry entry = full_entry();
    void *sink = open_sink(&querylog_json, quiet, url);

    assert_non_null(sink);
    keep(sink, &entry);
    assert_int_equal(rename(path, moved), 0);
    keep(sink, &entry);
    querylog_json.reopen(sink);
    keep(sink, &entry);
    // It cannot be opened: the one that is open is better than none.
    unlink(path);
    assert_int_equal(mkdir(path, 0700), 0);
    querylog_json.reopen(sink);
    keep(sink, &entry);
    rmdir(path);
    querylog_json.reopen(sink);
    keep(sink, &entry);
    querylog_json.close(sink);
    assert_int_equal(count_lines(content_of(moved)), 2);
    assert_int_equal(count_lines(content_of(path)), 1);
}

static void test_urls_that_cannot_be_opened(void **state)
{
    static const char *const cases[][2] = {
        {"json:", "json:///PATH"},
        {"json://", "json:///PATH"},
        {"json:///", "json:///PATH"},
        {"json://host/path", "json:///PATH"},
        {"json:///nonexistent/file", "/nonexistent/file: No such file or directory"},
        {"json:///dev/null", "/dev/null: is no regular file"},
        {"json:///proc/self", "symbolic link"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_null(open_sink(&querylog_json, quiet, cases[i][0]));
        if (!strstr(fixture_reason, cases[i][1]))
            fail_msg("%s: %s", cases[i][0], fixture_reason);
    }
}

// The file may not grow beyond a bound, which is like a full disk.
static void test_no_half_line_when_there_is_no_room(void **state)
{
    const struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
    struct querylog_entry entries[300];
    struct rlimit some = {100000, RLIM_INFINITY};
    unsigned lines;
    void *sink = open_sink(&querylog_json, quiet, url);

    for (size_t i = 0; i < ARRAY_LEN(entries); i++) {
        entries[i] = full_entry();
        entries[i].record.client.port = (uint16_t)(1000 + i);
    }
    assert_non_null(sink);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &some), 0);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(querylog_json.write(sink, entries, ARRAY_LEN(entries)), E_AGAIN);
    content_of(path);
    lines = count_lines(content);
    assert_in_range(lines, 100, 250);
    assert_int_equal(content[strlen(content) - 1], '\n');
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &all), 0);
    assert_int_equal(querylog_json.write(sink, entries, ARRAY_LEN(entries)), E_OK);
    querylog_json.close(sink);
    // Each is there, and once.
    content_of(path);
    assert_int_equal(count_lines(content), ARRAY_LEN(entries));
    for (size_t i = 0; i < ARRAY_LEN(entries); i++) {
        char port[32];
        const char *found;

        snprintf(port, sizeof(port), "\"port\":%zu,", 1000 + i);
        found = strstr(content, port);
        assert_non_null(found);
        assert_null(strstr(found + 1, port));
    }
}

// ---- stdout

static int saved_stdout, reader_fd;
static size_t got_size;

static void *open_stdout_pipe(void)
{
    int fds[2];
    void *sink;

    assert_int_equal(pipe(fds), 0);
    fflush(stdout);
    saved_stdout = dup(STDOUT_FILENO);
    dup2(fds[1], STDOUT_FILENO);
    close(fds[1]);
    reader_fd = fds[0];
    got_size = 0;
    sink = open_sink(&querylog_json, quiet, "json:-");
    dup2(saved_stdout, STDOUT_FILENO);
    close(saved_stdout);
    return sink;
}

static void *read_all(void *context)
{
    ssize_t got;

    while ((got = read(reader_fd, content + got_size, sizeof(content) - 1 - got_size)) > 0)
        got_size += (size_t)got;
    content[got_size] = '\0';
    return NULL;
}

static void test_stdout(void **state)
{
    struct querylog_entry entries[1000];
    void *sink = open_stdout_pipe();
    pthread_t reader;

    for (size_t i = 0; i < ARRAY_LEN(entries); i++)
        entries[i] = full_entry();
    assert_non_null(sink);
    // Nobody reads: it gives up in time, and goes on where it was.
    assert_int_equal(querylog_json.write(sink, entries, ARRAY_LEN(entries)), E_AGAIN);
    pthread_create(&reader, NULL, read_all, NULL);
    assert_int_equal(querylog_json.write(sink, entries, ARRAY_LEN(entries)), E_OK);
    querylog_json.reopen(sink); // nothing to do
    querylog_json.close(sink);
    pthread_join(reader, NULL);
    close(reader_fd);
    assert_int_equal(count_lines(content), ARRAY_LEN(entries));
    for (const char *line = content; *line; line = strchr(line, '\n') + 1)
        assert_int_equal(strncmp(line, "{\"time\":\"2023", 13), 0);
}

static void test_stdout_that_nobody_will_read(void **state)
{
    struct querylog_entry entry = full_entry();
    void *sink = open_stdout_pipe();

    assert_non_null(sink);
    close(reader_fd);
    assert_int_equal(querylog_json.write(sink, &entry, 1), E_AGAIN);
    querylog_json.close(sink);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full_line),
        cmocka_unit_test(test_line_of_what_is_not_known),
        cmocka_unit_test(test_line_with_privacy),
        cmocka_unit_test_teardown(test_file_is_private_and_goes_on, remove_files),
        cmocka_unit_test_teardown(test_last_line_that_is_not_whole, remove_files),
        cmocka_unit_test_teardown(test_reopen, remove_files),
        cmocka_unit_test(test_urls_that_cannot_be_opened),
        cmocka_unit_test_teardown(test_no_half_line_when_there_is_no_room, remove_files),
        cmocka_unit_test(test_stdout),
        cmocka_unit_test(test_stdout_that_nobody_will_read),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
