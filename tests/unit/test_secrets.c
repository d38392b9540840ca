// Files with secrets, as those of cookies.
#include "config/secrets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"
#include "policy/options.h"

#define ONE "000102030405060708090a0b0c0d0e0f"
#define TWO "E5E973E5A6B2A43F48E7DC849E37BFCF"
#define ZEROS_400                                                                                  \
    ONE ONE ONE ONE ONE ONE ONE ONE ONE ONE ONE ONE ONE ONE ONE ONE ONE ONE ONE ONE ONE

static struct policy_cookie_secrets secrets;
static struct config_error error;

static int read_secrets(const char *path)
{
    return secrets_read(secrets.keys, POLICY_COOKIE_SECRETS_MAX, &secrets.count,
                        "cookies.secret-file", path, &error);
}

static int read_text(const char *text, size_t size)
{
    char path[] = "/tmp/sotto-test-secrets-XXXXXX";
    int fd = mkstemp(path), rc;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, size), size);
    close(fd);
    strcpy(error.text, "(no error)");
    memset(&secrets, 0xee, sizeof(secrets));
    rc = read_secrets(path);
    unlink(path);
    return rc;
}

static void test_secrets(void **state)
{
    static const struct {
        const char *text;
        uint32_t count;
    } cases[] = {
        {ONE, 1},
        {ONE "\n", 1},
        {ONE "\r\n", 1},
        {ONE " \t\n\n", 1},
        {"\n" ONE "\n", 1},
        {ONE "\n" TWO "\n", 2},
        {ONE "\n\n" TWO, 2},
        {ONE "\r\n" TWO "\r\n\r\n", 2},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (read_text(cases[i].text, strlen(cases[i].text)) != E_OK)
            fail_msg("%s: %s", cases[i].text, error.text);
        assert_int_equal(secrets.count, cases[i].count);
        assert_int_equal(secrets.keys[0].k0, UINT64_C(0x0706050403020100));
        assert_int_equal(secrets.keys[0].k1, UINT64_C(0x0f0e0d0c0b0a0908));
        if (secrets.count == 2) {
            assert_int_equal(secrets.keys[1].k0, UINT64_C(0x3fa4b2a6e573e9e5));
            assert_int_equal(secrets.keys[1].k1, UINT64_C(0xcfbf379e84dce748));
        }
    }
}

static void test_mistakes(void **state)
{
    static const char hex[] = ": a secret is a line of 32 hexadecimal digits";
    static const struct {
        const char *text, *said;
    } cases[] = {
        {"", ": no secret in it"},
        {"\n \n", ": no secret in it"},
        {"0", hex},
        {ONE "0", hex},
        {"0x" ONE, hex},
        {" " ONE, hex},
        {ONE " " TWO, hex},
        {"000102030405060708090a0b0c0d0e0", hex},
        {"000102030405060708090a0b0c0d0e0g", hex},
        {ONE "\nx\n", hex},
        {ONE "\n" TWO "\n" ONE "\n", ": more than two secrets"},
        {ZEROS_400, ": too large to be secrets"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (read_text(cases[i].text, strlen(cases[i].text)) != E_INVALID)
            fail_msg("accepted: %s", cases[i].text);
        if (strncmp(error.text, "cookies.secret-file: \"/tmp/", 27) != 0 ||
            !strstr(error.text, cases[i].said))
            fail_msg("%s: %s", cases[i].text, error.text);
        // Not in a log for all to see.
        assert_null(strstr(error.text, "0001020304"));
    }
    assert_int_equal(read_text(ONE "\0" TWO, 65), E_OK); // behind a NUL there is nothing
    assert_int_equal(secrets.count, 1);
    assert_int_equal(read_secrets("/no/such"), E_INVALID);
    assert_string_equal(error.text, "cookies.secret-file: \"/no/such\": No such file or directory");
    assert_int_equal(read_secrets("/tmp"), E_INVALID);
    assert_int_equal(read_secrets("/dev/zero"), E_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_secrets),
        cmocka_unit_test(test_mistakes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
