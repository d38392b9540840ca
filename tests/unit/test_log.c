#include "base/log.h"

#include <ctype.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "wire.h"

// What goes to stderr meanwhile, and stderr itself.
static int captured_fd, stderr_fd;
static char captured[4 * 1024 * 1024];

static void capture_begin(void)
{
    captured_fd = memfd_create("stderr", 0);
    stderr_fd = dup(STDERR_FILENO);
    assert_true(captured_fd >= 0 && stderr_fd >= 0);
    dup2(captured_fd, STDERR_FILENO);
}

static const char *capture_end(void)
{
    ssize_t got;

    dup2(stderr_fd, STDERR_FILENO);
    close(stderr_fd);
    got = pread(captured_fd, captured, sizeof(captured) - 1, 0);
    close(captured_fd);
    assert_true(got >= 0);
    captured[got] = '\0';
    return captured;
}

static struct log *start(enum log_level level, enum log_format format)
{
    struct log_options options = {.level = level, .format = format};
    struct log *log;

    capture_begin();
    log = log_new(&options);
    require(log != NULL);
    return log;
}

static const char *finish(struct log *log)
{
    log_free(log);
    return capture_end();
}

static int with_own_time(void **state)
{
    unsetenv("JOURNAL_STREAM");
    return 0;
}

// In a service of systemd, whose journal has its own time.
static int without_time(void **state)
{
    setenv("JOURNAL_STREAM", "8:12345", 1);
    return 0;
}

static unsigned count_lines(const char *text)
{
    unsigned count = 0;

    for (; *text; text++)
        count += *text == '\n';
    return count;
}

// "2024-01-31T23:59:59.999Z": returns what follows.
static const char *skip_time(const char *text)
{
    static const char form[] = "dddd-dd-ddTdd:dd:dd.dddZ";

    for (size_t i = 0; form[i]; i++, text++)
        if (form[i] == 'd' ? !isdigit((unsigned char)*text) : *text != form[i])
            fail_msg("no time: %.30s", text);
    return text;
}

static void test_text_line(void **state)
{
    struct log *log = start(LOG_INFO, LOG_TEXT);
    const char *text;

    log_info(log, "upstream", "%s is up after %d s", "quad9", 3);
    text = skip_time(finish(log));
    assert_string_equal(text, " info upstream: quad9 is up after 3 s\n");
}

static void test_text_line_without_time(void **state)
{
    struct log *log = start(LOG_INFO, LOG_TEXT);

    log_error(log, "daemon", "no such file");
    assert_string_equal(finish(log), "error daemon: no such file\n");
}

static void test_json_line(void **state)
{
    struct log *log = start(LOG_INFO, LOG_JSON);
    const char *text;

    log_warning(log, "upstream", "%s is down", "quad9");
    text = finish(log);
    assert_memory_equal(text, "{\"time\":\"", 9);
    text = skip_time(text + 9); // JSON has it always: no reader expects the key to be missing
    assert_string_equal(
        text, "\",\"level\":\"warning\",\"area\":\"upstream\",\"msg\":\"quad9 is down\"}\n");
}

static void test_levels(void **state)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};

    for (int level = LOG_ERROR; level <= LOG_DEBUG; level++) {
        struct log *log = start((enum log_level)level, LOG_TEXT);
        const char *text;

        for (int i = LOG_ERROR; i <= LOG_DEBUG; i++) {
            assert_int_equal(log_enabled(log, (enum log_level)i), i <= level);
            log_write(log, (enum log_level)i, "area", "message");
        }
        text = finish(log);
        assert_int_equal(count_lines(text), level + 1);
        for (int i = LOG_ERROR; i <= LOG_DEBUG; i++)
            assert_int_equal(strstr(text, names[i]) != NULL, i <= level);
    }
}

static unsigned evaluated;

static const char *costly(void)
{
    evaluated++;
    return "costly";
}

static void test_debug_costs_nothing_when_off(void **state)
{
    struct log *log = start(LOG_INFO, LOG_TEXT);
    struct log_options options = {.level = LOG_DEBUG, .format = LOG_TEXT};

    evaluated = 0;
    log_debug(log, "area", "%s", costly());
    unsigned while_off = evaluated;
    log_configure(log, &options);
    log_debug(log, "area", "%s", costly());
    assert_string_equal(finish(log), "debug area: costly\n");
    assert_int_equal(while_off, 0);
    assert_int_equal(evaluated, 1);
}

static void test_configured_anew(void **state)
{
    struct log *log = start(LOG_ERROR, LOG_TEXT);
    struct log_options options = {.level = LOG_INFO, .format = LOG_JSON};
    const char *text;

    log_info(log, "area", "unseen");
    log_error(log, "area", "text");
    log_configure(log, &options);
    log_info(log, "area", "seen");
    text = finish(log);
    assert_memory_equal(text, "error area: text\n{", 18);
    assert_non_null(strstr(text, "\"msg\":\"seen\"}\n"));
    assert_null(strstr(text, "unseen"));
}

// How many octets the UTF-8 character at `s` has, beyond ASCII; 0 if it is none (RFC 3629).
static size_t utf8_character(const unsigned char *s)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = *s >> 5 == 6 ? 2 : *s >> 4 == 14 ? 3 : *s >> 3 == 30 ? 4 : 0;
    uint32_t code = length ? *s & (0x7fU >> length) : 0;

    for (size_t i = 1; i < length; i++) {
        if (s[i] >> 6 != 2)
            return 0;
        code = code << 6 | (s[i] & 0x3f);
    }
    return code < least[length] || code > 0x10ffff || code >> 11 == 0x1b ? 0 : length;
}

// How the message must appear.
static void expect(char *to, const char *message, bool json)
{
    for (const unsigned char *s = (const unsigned char *)message; *s;) {
        size_t length = *s < 0x80 ? 1 : utf8_character(s);

        if (*s < 0x20 || *s == 0x7f || length == 0) {
            to += sprintf(to, json ? "\\u%04x" : "\\x%02x", *s++);
            continue;
        }
        if (json && (*s == '"' || *s == '\\'))
            *to++ = '\\';
        while (length-- > 0)
            *to++ = (char)*s++;
    }
    *to = '\0';
}

// A string of JSON, from its quote on (RFC 8259 section 7). Returns what follows.
static const char *skip_json_string(const char *text)
{
    const unsigned char *s = (const unsigned char *)text;

    if (*s++ != '"')
        return NULL;
    while (*s != '"') {
        size_t length = *s < 0x80 ? 1 : utf8_character(s);

        if (*s < 0x20 || length == 0)
            return NULL;
        if (*s == '\\') {
            s++;
            if (*s == 'u') {
                for (unsigned i = 1; i <= 4; i++)
                    if (!isxdigit(s[i]))
                        return NULL;
                s += 4;
            } else if (*s == '\0' || !strchr("\"\\/bfnrt", *s)) {
                return NULL;
            }
        }
        s += length;
    }
    return (const char *)s + 1;
}

// One line that is a JSON object of four strings. Returns what follows.
static const char *skip_json_line(const char *text)
{
    static const char *const keys[] = {"{\"time\":", ",\"level\":", ",\"area\":", ",\"msg\":"};

    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        if (strncmp(text, keys[i], strlen(keys[i])) != 0)
            return NULL;
        text = skip_json_string(text + strlen(keys[i]));
        if (!text)
            return NULL;
    }
    return strncmp(text, "}\n", 2) == 0 ? text + 2 : NULL;
}

enum { BATCH = 16, MESSAGE_MAX = 1024 };

// Logs the messages in both formats and looks at the lines.
static void check_messages(char messages[][MESSAGE_MAX], size_t count)
{
    static char expected[6 * MESSAGE_MAX];

    for (int json = 0; json < 2; json++) {
        struct log *log = start(LOG_INFO, json ? LOG_JSON : LOG_TEXT);
        const char *at;

        for (size_t i = 0; i < count; i++)
            log_info(log, "area", "%s", messages[i]);
        at = finish(log);
        assert_int_equal(count_lines(at), count); // nobody forged one
        for (size_t i = 0; i < count; i++) {
            const char *end = strchr(at, '\n');
            const char *message = strstr(at, json ? "\"msg\":\"" : "area: ") + (json ? 7 : 6);

            expect(expected, messages[i], json);
            if ((size_t)(end - message) != strlen(expected) + 2 * (size_t)json ||
                memcmp(message, expected, strlen(expected)) != 0)
                fail_msg("not as expected: %.*s", (int)(end - message), message);
            if (json && skip_json_line(at) != end + 1)
                fail_msg("not JSON: %.*s", (int)(end - at), at);
            at = end + 1;
        }
    }
}

static char batch[BATCH][MESSAGE_MAX];

// Every octet next to every other.
static void test_any_two_octets(void **state)
{
    for (unsigned first = 0; first < 256; first += BATCH) {
        for (unsigned i = 0; i < BATCH; i++) {
            char *to = batch[i];

            for (unsigned second = 1; second < 256; second++) {
                *to++ = (char)(first + i ? first + i : 'a');
                *to++ = (char)second;
                *to++ = '|';
            }
            *to = '\0';
        }
        check_messages(batch, BATCH);
    }
}

static void test_any_octets(void **state)
{
    struct rng rng = {.state = 4711};

    for (unsigned turn = 0; turn < 300; turn++) {
        for (unsigned i = 0; i < BATCH; i++) {
            size_t length = rng_below(&rng, 300);

            for (size_t j = 0; j < length; j++) {
                // Mostly what UTF-8 is made of.
                uint32_t octet = rng_below(&rng, 4) ? 0x80 + rng_below(&rng, 128) : rng_next(&rng);

                batch[i][j] = (char)MAX(octet & 0xff, 1U);
            }
            batch[i][length] = '\0';
        }
        check_messages(batch, BATCH);
    }
}

static const char *const utf8_edges[BATCH] = {
    "\xc2\x80 \xdf\xbf \xc1\xbf \xc0\x80",                 // two octets, and overlong ones
    "\xe0\xa0\x80 \xef\xbf\xbf \xe0\x9f\xbf",              // three
    "\xf0\x90\x80\x80 \xf4\x8f\xbf\xbf \xf0\x8f\xbf\xbf",  // four
    "\xf4\x90\x80\x80 \xf5\x80\x80\x80 \xff\xfe",          // beyond
    "\xed\x9f\xbf \xed\xa0\x80 \xed\xbf\xbf \xee\x80\x80", // surrogates
    "\xe2\x82\xac \xe2\x82 \xe2",                          // cut short
    "gr\xc3\xbc\xc3\x9f",
    "\"quoted\" \\ back\\slash \\\"",
    "a line\nanother: \r\x1b[31m red \x7f \t",
    "2024-01-01T00:00:00.000Z error daemon: forged",
    "%s %n %d",
    "",
    " ",
    "\x80\x80\x80",
    "\xf0\x9f\x92\xa9",
    "\\u0000",
};

static void test_edges_of_utf8(void **state)
{
    for (unsigned i = 0; i < BATCH; i++)
        strcpy(batch[i], utf8_edges[i]);
    check_messages(batch, BATCH);
}

// Whatever fills it, a line that is too long is cut to one whole line.
static void test_long_lines(void **state)
{
    static const char *const fillings[] = {"x",    "\"",           "\n",
                                           "\xff", "\xe2\x82\xac", "\xf0\x9f\x92\xa9"};
    static char message[40100];

    for (size_t i = 0; i < ARRAY_LEN(fillings); i++) {
        for (int json = 0; json < 2; json++) {
            for (size_t shift = 0; shift < 7; shift++) {
                struct log *log = start(LOG_INFO, json ? LOG_JSON : LOG_TEXT);
                const char *text;
                char *to = message;

                for (size_t j = 0; j < shift; j++)
                    *to++ = '-';
                for (size_t j = 0; j < 10000; j++)
                    to = stpcpy(to, fillings[i]);
                log_info(log, "area", "%s", message);
                log_info(log, "area", "next");
                text = finish(log);
                assert_int_equal(count_lines(text), 2);
                assert_in_range(strchr(text, '\n') - text, 4000, 8192);
                if (json)
                    text = skip_json_line(text);
                assert_non_null(text);
                assert_non_null(strstr(text, "next"));
            }
        }
    }
}

// The first line of a cause at once, the next after ten seconds, with the number of those between.
static void test_rate_limit(void **state)
{
    static const struct {
        usec_t now;
        bool pass;
        uint32_t suppressed;
    } steps[] = {
        {1000 * USEC_SEC, true, 0},      {1000 * USEC_SEC, false, 0},
        {1000 * USEC_SEC + 1, false, 0}, {1009 * USEC_SEC, false, 0},
        {1010 * USEC_SEC - 1, false, 0}, {1010 * USEC_SEC, true, 4},
        {1010 * USEC_SEC + 1, false, 0}, {5000 * USEC_SEC, true, 1},
        {9000 * USEC_SEC, true, 0},
    };
    struct log_limit limit = {0}, other = {0};
    uint32_t suppressed = 99;

    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        assert_int_equal(log_limit_pass(&limit, steps[i].now, &suppressed), steps[i].pass);
        if (steps[i].pass)
            assert_int_equal(suppressed, steps[i].suppressed);
    }
    // Each cause has its own; the start of the clock is a time like others.
    assert_true(log_limit_pass(&other, 0, &suppressed));
    assert_int_equal(suppressed, 0);
}

enum { WRITERS = 4, LINES = 2000 };

static void *write_lines(void *arg)
{
    for (unsigned i = 0; i < LINES; i++)
        log_info(arg, "thread", "line %04u of some length, to be seen whole", i);
    return NULL;
}

// Lines that came, and lines of which it was said that they were lost.
static unsigned count_lines_and_losses(const char *text, const char *line, unsigned *lost)
{
    static const char said[] = "warning log: ";
    unsigned count = 0;

    *lost = 0;
    for (const char *end; *text; text = end + 1) {
        end = strchr(text, '\n');
        if (!end)
            fail_msg("not whole: %s", text);
        if (strncmp(text, line, strlen(line)) == 0)
            count++;
        else if (strncmp(text, said, strlen(said)) == 0)
            *lost += (unsigned)strtoul(text + strlen(said), NULL, 10);
        else
            fail_msg("not whole: %.*s", (int)(end - text), text);
    }
    return count;
}

static void test_lines_of_many_threads(void **state)
{
    pthread_t threads[WRITERS];
    struct log *log = start(LOG_INFO, LOG_TEXT);
    unsigned lost;

    for (unsigned i = 0; i < WRITERS; i++)
        require(pthread_create(&threads[i], NULL, write_lines, log) == 0);
    for (unsigned i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    unsigned count = count_lines_and_losses(finish(log), "info thread: line ", &lost);
    assert_int_equal(count + lost, WRITERS * LINES);
}

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void *read_all(void *arg)
{
    const int *fd = arg;
    size_t size = 0;

    for (ssize_t got; (got = read(*fd, captured + size, sizeof(captured) - 1 - size)) > 0;)
        size += (size_t)got;
    captured[size] = '\0';
    return NULL;
}

// E7: nobody reads. No caller waits, and afterwards it is said how many lines are missing.
static void test_full_pipe_does_not_block(void **state)
{
    enum { MANY = 20000 };
    struct log_options options = {.level = LOG_INFO, .format = LOG_TEXT};
    pthread_t reader;
    int ends[2];
    unsigned lost;

    assert_int_equal(pipe(ends), 0);
    stderr_fd = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);

    struct log *log = log_new(&options);
    require(log != NULL);
    double begin = seconds();
    for (unsigned i = 0; i < MANY; i++)
        log_info(log, "area", "line %05u, that nobody reads", i);
    double took = seconds() - begin;

    // Somebody comes and reads after all.
    require(pthread_create(&reader, NULL, read_all, &ends[0]) == 0);
    log_free(log);
    dup2(stderr_fd, STDERR_FILENO); // the pipe's last writer is gone
    close(stderr_fd);
    pthread_join(reader, NULL);
    close(ends[0]);

    if (took > 5)
        fail_msg("%d lines took %.1f s", MANY, took);
    unsigned count = count_lines_and_losses(captured, "info area: line ", &lost);
    assert_int_equal(count + lost, MANY);
    assert_in_range(lost, 1, MANY - 1000);
    // What was kept is the oldest, in order.
    assert_memory_equal(captured, "info area: line 00000,", 22);
}

// Runs in a process of its own, which may leave its writer stuck. The exit status tells.
static int in_child(int (*what)(void))
{
    pid_t child = fork();
    int status;

    if (child == 0) {
        alarm(20);
        signal(SIGPIPE, SIG_IGN); // as the daemon does
        _exit(what());
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int log_to(int fd)
{
    struct log_options options = {.level = LOG_INFO, .format = LOG_TEXT};
    double begin = seconds();
    struct log *log;

    if (fd >= 0)
        dup2(fd, STDERR_FILENO);
    else
        close(STDERR_FILENO);
    log = log_new(&options);
    for (unsigned i = 0; i < 20000; i++)
        log_info(log, "area", "line %05u, that nobody reads", i);
    log_free(log);
    return seconds() - begin < 5 ? 0 : 1;
}

static int log_to_stuck_pipe(void)
{
    int ends[2];

    return pipe(ends) == 0 ? log_to(ends[1]) : 2;
}

static int log_to_broken_pipe(void)
{
    int ends[2];

    return pipe(ends) == 0 && close(ends[0]) == 0 ? log_to(ends[1]) : 2;
}

static int log_to_nowhere(void)
{
    return log_to(-1);
}

static int log_to_full_disk(void)
{
    return log_to(open("/dev/full", O_WRONLY));
}

static void test_end_does_not_wait_for_a_stuck_reader(void **state)
{
    assert_int_equal(in_child(log_to_stuck_pipe), 0);
}

static void test_lost_stderr_is_borne(void **state)
{
    assert_int_equal(in_child(log_to_broken_pipe), 0);
    assert_int_equal(in_child(log_to_nowhere), 0);
    assert_int_equal(in_child(log_to_full_disk), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_text_line, with_own_time),
        cmocka_unit_test_setup(test_text_line_without_time, without_time),
        cmocka_unit_test_setup(test_json_line, without_time),
        cmocka_unit_test_setup(test_levels, without_time),
        cmocka_unit_test_setup(test_debug_costs_nothing_when_off, without_time),
        cmocka_unit_test_setup(test_configured_anew, without_time),
        cmocka_unit_test_setup(test_any_two_octets, without_time),
        cmocka_unit_test_setup(test_any_octets, with_own_time),
        cmocka_unit_test_setup(test_edges_of_utf8, without_time),
        cmocka_unit_test_setup(test_long_lines, with_own_time),
        cmocka_unit_test(test_rate_limit),
        cmocka_unit_test_setup(test_lines_of_many_threads, without_time),
        cmocka_unit_test_setup(test_full_pipe_does_not_block, without_time),
        cmocka_unit_test_setup(test_end_does_not_wait_for_a_stuck_reader, without_time),
        cmocka_unit_test_setup(test_lost_stderr_is_borne, without_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
