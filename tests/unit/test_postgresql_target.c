#include "querylog/postgresql/target.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"
#include "querylog/postgresql/rows.h"

static const struct {
    const char *url, *shown;
    bool exposed;
} good[] = {
    {"postgresql://u@db.test:5433/d", "postgresql://u@db.test:5433/d", true},
    {"postgres://u@db.test/d?sslmode=require", "postgresql://u@db.test/d", true},
    {"postgresql://u@db.test/d?sslmode=verify-ca", "postgresql://u@db.test/d", false},
    {"postgresql://u@db.test/d?sslmode=verify-full", "postgresql://u@db.test/d", false},
    {"postgresql://u@a.test:1,b.test:2/d", "postgresql://u@a.test,b.test:1,2/d", true},
    {"postgresql://u@localhost,b.test/d", "postgresql://u@localhost,b.test/d", true},
    {"postgresql://u@localhost/d?hostaddr=192.0.2.1", "postgresql://u@localhost/d", true},
    {"postgresql://u@db.test/d?hostaddr=127.0.0.1", "postgresql://u@db.test/d", false},
    {"postgresql://u@127.0.0.1/d", "postgresql://u@127.0.0.1/d", false},
    {"postgresql://u@127.0.0.1.test/d", "postgresql://u@127.0.0.1.test/d", true},
    {"postgresql://u@[::1]/d", "postgresql://u@::1/d", false},
    {"postgresql://LOCALHOST/d", "postgresql://LOCALHOST/d", false},
    {"postgresql:///d", "postgresql:///d", false},
    {"postgresql:///d?host=/run/postgresql", "postgresql:///run/postgresql/d", false},
};

#define PASSWORD "the URL has a password in it"

static const struct {
    const char *url, *why;
} bad[] = {
    {"postgresql://u:secret@h/d", PASSWORD},
    {"postgresql://:secret@h/d", PASSWORD},
    {"postgresql://u:secret%zz@h/d", PASSWORD},
    {"postgresql://u@h/d?password=secret", PASSWORD},
    {"postgresql://u@h/d?sslpassword=secret", PASSWORD},
    {"postgresql://u@h/d?%70assword=secret", PASSWORD},
    {"postgresql://u@h/d?no=such", "invalid URI query parameter: \"no\""},
    {"postgresql://u@[::1/d", "end of string reached when looking for matching \"]\""},
    {"sqlite:///secret", "missing \"=\" after"},
};

static void set_url(struct querylog_sink_options *options, const char *url)
{
    memset(options, 0, sizeof(*options));
    snprintf(options->url, sizeof(options->url), "%s", url);
}

static void test_urls(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct querylog_sink_options options;
        struct postgresql_target target;
        char reason[POSTGRESQL_REASON_SIZE] = "";

        set_url(&options, good[i].url);
        if (postgresql_target_init(&target, &options, reason) != E_OK)
            fail_msg("%s: %s", good[i].url, reason);
        assert_string_equal(target.shown, good[i].shown);
        if (postgresql_target_exposed(&target) != good[i].exposed)
            fail_msg("%s: exposed or not", good[i].url);
        postgresql_target_deinit(&target);
    }
}

static void test_urls_that_are_refused(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct querylog_sink_options options;
        struct postgresql_target target;
        char reason[POSTGRESQL_REASON_SIZE] = "";

        set_url(&options, bad[i].url);
        if (postgresql_target_init(&target, &options, reason) != E_INVALID)
            fail_msg("%s is accepted", bad[i].url);
        if (strncmp(reason, bad[i].why, strlen(bad[i].why)) != 0)
            fail_msg("%s: %s", bad[i].url, reason);
        if (strncmp(bad[i].url, "postgresql", 10) == 0)
            assert_null(strstr(reason, "secret"));
        postgresql_target_deinit(&target);
    }
}

// The last value of a keyword, as libpq takes it; or NULL.
static const char *value_of(const struct postgresql_parameters *parameters, const char *keyword)
{
    const char *value = NULL;

    for (size_t i = 0; parameters->keywords[i]; i++)
        if (strcmp(parameters->keywords[i], keyword) == 0)
            value = parameters->values[i];
    return value;
}

static void test_parameters(void **state)
{
    struct querylog_sink_options options;
    struct postgresql_target target;
    struct postgresql_parameters parameters;
    char reason[POSTGRESQL_REASON_SIZE] = "";

    set_url(&options, "postgresql://u@a,b/d?connect_timeout=3&client_encoding=LATIN1");
    assert_int_equal(postgresql_target_init(&target, &options, reason), E_OK);
    postgresql_target_parameters(&target, true, &parameters);
    assert_string_equal(value_of(&parameters, "connect_timeout"), "3");
    assert_string_equal(value_of(&parameters, "client_encoding"), "UTF8");
    assert_string_equal(value_of(&parameters, "tcp_user_timeout"), "10000");
    assert_string_equal(value_of(&parameters, "target_session_attrs"), "read-write");
    assert_null(value_of(&parameters, "password"));
    postgresql_target_parameters(&target, false, &parameters);
    assert_null(value_of(&parameters, "target_session_attrs"));
    postgresql_target_deinit(&target);
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void test_password_file(void **state)
{
    static char long_text[300];
    struct querylog_sink_options options;
    struct postgresql_target target;
    struct postgresql_parameters parameters;
    char reason[POSTGRESQL_REASON_SIZE] = "", path[] = "/tmp/sotto-test-XXXXXX";

    close(mkstemp(path));
    set_url(&options, "postgresql://u@h/d");
    strcpy(options.password_file, path);
    write_file(path, " a b\\'\r\nthe second line\n");
    assert_int_equal(postgresql_target_init(&target, &options, reason), E_OK);
    postgresql_target_parameters(&target, true, &parameters);
    assert_string_equal(value_of(&parameters, "password"), " a b\\'");

    // Changed; then gone, when the last one is kept.
    write_file(path, "another");
    postgresql_target_refresh(&target);
    assert_string_equal(target.password, "another");
    unlink(path);
    postgresql_target_refresh(&target);
    assert_string_equal(target.password, "another");
    postgresql_target_deinit(&target);

    assert_int_equal(postgresql_target_init(&target, &options, reason), E_SYSTEM);
    assert_non_null(strstr(reason, "cannot read the password from /tmp/sotto-test-"));
    postgresql_target_deinit(&target);
    write_file(path, "\nthe second line\n");
    assert_int_equal(postgresql_target_init(&target, &options, reason), E_INVALID);
    postgresql_target_deinit(&target);
    memset(long_text, 'x', sizeof(long_text) - 1);
    write_file(path, long_text);
    assert_int_equal(postgresql_target_init(&target, &options, reason), E_INVALID);
    postgresql_target_deinit(&target);
    unlink(path);
}

static void test_texts(void **state)
{
    static const struct {
        const char *text, *kept;
    } cases[] = {
        {"", ""},
        {"tls://192.0.2.1", "tls://192.0.2.1"},
        {"gr\xc3\xbc\xc3\x9f \xf0\x9f\x92\xa9", "gr\xc3\xbc\xc3\x9f \xf0\x9f\x92\xa9"},
        {"a\tb\n\x1b[31m\x7f", "a?b??[31m?"},
        {"\xc3", "?"},
        {"\xc3(\xff\xfe", "?(??"},
        {"\xe2\x82", "??"},
        {"\xed\xa0\x80 \xc0\x80", "??? ??"},
    };
    char text[64], small[8];

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        postgresql_text(text, sizeof(text), cases[i].text, strlen(cases[i].text));
        assert_string_equal(text, cases[i].kept);
    }
    postgresql_text(text, sizeof(text), "a\0b", 3);
    assert_string_equal(text, "a?b");
    // Never cut within a character.
    postgresql_text(small, sizeof(small), "\xf0\x9f\x92\xa9\xf0\x9f\x92\xa9", 8);
    assert_string_equal(small, "\xf0\x9f\x92\xa9");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_urls),       cmocka_unit_test(test_urls_that_are_refused),
        cmocka_unit_test(test_parameters), cmocka_unit_test(test_password_file),
        cmocka_unit_test(test_texts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
