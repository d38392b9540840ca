// Requests of HTTP/1.1: what is one, what is none, how soon that is known, and bodies in chunks.
#include "net/http1_parser.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "wire.h"

// Octets with NULs among them.
#define OCTETS(string) .octets = {.bytes = (string), .size = sizeof(string) - 1}

#define LINE "GET / HTTP/1.1\r\n"
#define LINE_1_0 "GET / HTTP/1.0\r\n"
#define HOST "host: a\r\n"
#define START LINE HOST

// As one line of text: method, target, what the head says, then fields.
static const char *describe(const struct http1_head *head, char *text, size_t size)
{
    size_t used = (size_t)snprintf(
        text, size, "%.*s %.*s %s%s%s", (int)head->method.size, head->method.bytes,
        (int)head->target.size, head->target.bytes, head->keep_alive ? "keep" : "close",
        head->chunked ? " chunked" : "", head->expects_continue ? " expects" : "");

    if (head->has_length)
        used += (size_t)snprintf(text + used, size - used, " %lu", (unsigned long)head->length);
    for (unsigned i = 0; i < head->field_count && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "|%.*s=%.*s",
                                 (int)head->fields[i].name.size, head->fields[i].name.bytes,
                                 (int)head->fields[i].value.size, head->fields[i].value.bytes);
    assert_true(used < size);
    return text;
}

// From memory of exactly its size, so that AddressSanitizer sees a step too far. The description is
// made before that memory is freed.
static int parse(struct http1_scan *scan, const char *bytes, size_t size, enum http_status *status,
                 char *text, size_t text_size)
{
    struct wire part = wire_copy(bytes, size);
    struct http1_head head;
    int err;

    memset(&head, 0xa5, sizeof(head));
    *status = HTTP_NOT_FOUND;
    err = http1_head_parse(&head, scan, (const char *)part.bytes, size, status);
    if (err == E_OK) {
        assert_true(head.size <= size && head.size <= HTTP1_HEAD_MAX);
        assert_true(head.field_count <= HTTP_FIELDS_MAX);
        snprintf(text, text_size, "%zu: ", head.size);
        describe(&head, text + strlen(text), text_size - strlen(text));
    }
    wire_free(&part);
    return err;
}

static const struct {
    const char *bytes, *means;
} right[] = {
    {START "\r\n", "GET / keep|host=a"},
    {LINE_1_0 "\r\n", "GET / close"},
    {LINE_1_0 HOST "\r\n", "GET / close|host=a"},
    {LINE "Host:\r\n\r\n", "GET / keep|Host="},
    {LINE "HOST:[2001:db8::1]:8053\r\n\r\n", "GET / keep|HOST=[2001:db8::1]:8053"},
    {LINE "host: a-b.example_c:443\r\n\r\n", "GET / keep|host=a-b.example_c:443"},
    {"\r\n" START "\r\n", "GET / keep|host=a"},
    {"\r\n\r\n" START "\r\n", "GET / keep|host=a"},
    {"GET /dns-query?dns=AAABAAABAAAAAAAAA3d3dw HTTP/1.1\r\n" HOST "\r\n",
     "GET /dns-query?dns=AAABAAABAAAAAAAAA3d3dw keep|host=a"},
    {"GET http://a/b?c#!~\"<>\\^`{|} HTTP/1.1\r\n" HOST "\r\n",
     "GET http://a/b?c#!~\"<>\\^`{|} keep|host=a"},
    {"OPTIONS * HTTP/1.1\r\n" HOST "\r\n", "OPTIONS * keep|host=a"},
    {"azAZ09!#$%&'*+-.^_`|~ / HTTP/1.1\r\n" HOST "\r\n", "azAZ09!#$%&'*+-.^_`|~ / keep|host=a"},
    // Fields: names of all octets they may have, values with white space in and around them.
    {START "azAZ09!#$%&'*+-.^_`|~: b\r\n\r\n", "GET / keep|host=a|azAZ09!#$%&'*+-.^_`|~=b"},
    {START "b:\r\nc: \t \r\nd:e\r\n\r\n", "GET / keep|host=a|b=|c=|d=e"},
    {START "b:\t c \t d\t \r\n\r\n", "GET / keep|host=a|b=c \t d"},
    {START "b: c: d\r\nb: \x80\xff!~\r\n\r\n", "GET / keep|host=a|b=c: d|b=\x80\xff!~"},
    // Bodies.
    {START "content-length: 0\r\n\r\n", "GET / keep 0|host=a|content-length=0"},
    {START "Content-Length:\t00029 \r\n\r\n", "GET / keep 29|host=a|Content-Length=00029"},
    {START "content-length: 18446744073709551615\r\n\r\n",
     "GET / keep 18446744073709551615|host=a|content-length=18446744073709551615"},
    {START "transfer-encoding: chunked\r\n\r\n",
     "GET / keep chunked|host=a|transfer-encoding=chunked"},
    {START "Transfer-Encoding:\tCHUNKED \r\n\r\n",
     "GET / keep chunked|host=a|Transfer-Encoding=CHUNKED"},
    {START "te: trailers\r\ncontent-lengt: 1\r\ncontent-lengths: x\r\n\r\n",
     "GET / keep|host=a|te=trailers|content-lengt=1|content-lengths=x"},
    // Connections.
    {START "connection: close\r\n\r\n", "GET / close|host=a|connection=close"},
    {START "connection: Keep-Alive\r\n\r\n", "GET / keep|host=a|connection=Keep-Alive"},
    {START "connection: keep-alive, CLOSE\r\n\r\n",
     "GET / close|host=a|connection=keep-alive, CLOSE"},
    {START "connection: close\r\nconnection: keep-alive\r\n\r\n",
     "GET / close|host=a|connection=close|connection=keep-alive"},
    {START "connection: ,,\t close ,\r\n\r\n", "GET / close|host=a|connection=,,\t close ,"},
    {START "connection: closed\r\nconnection: \r\n\r\n",
     "GET / keep|host=a|connection=closed|connection="},
    {START "connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\n\r\n",
     "GET / keep|host=a|connection=Upgrade, HTTP2-Settings|upgrade=h2c"},
    {LINE_1_0 "connection: keep-alive\r\n\r\n", "GET / keep|connection=keep-alive"},
    {LINE_1_0 "connection: keep-alive,close\r\n\r\n", "GET / close|connection=keep-alive,close"},
    {LINE_1_0 "keep-alive: timeout=5\r\n\r\n", "GET / close|keep-alive=timeout=5"},
    // Expectations, of which HTTP/1.0 knows nothing.
    {START "expect: 100-Continue\r\ncontent-length: 1\r\n\r\n",
     "GET / keep expects 1|host=a|expect=100-Continue|content-length=1"},
    {LINE_1_0 "expect: 100-continue\r\n\r\n", "GET / close|expect=100-continue"},
};

static void test_right(void **state)
{
    static const char behind[] = "\r\n\r\nGET / HTTP/9.9\n\0";

    for (size_t i = 0; i < ARRAY_LEN(right); i++) {
        size_t size = strlen(right[i].bytes);
        struct http1_scan in_pieces = {0};
        char expected[1000], text[1000], longer[1000];
        enum http_status status;

        snprintf(expected, sizeof(expected), "%zu: %s", size, right[i].means);
        for (size_t cut = 0; cut < size; cut++) {
            struct http1_scan scan = {0};

            if (parse(&scan, right[i].bytes, cut, &status, text, sizeof(text)) != E_AGAIN ||
                parse(&in_pieces, right[i].bytes, cut, &status, text, sizeof(text)) != E_AGAIN)
                fail_msg("%s: %zu of its octets", right[i].bytes, cut);
            // What comes then, comes at once.
            if (parse(&scan, right[i].bytes, size, &status, text, sizeof(text)) != E_OK)
                fail_msg("%s: %d", right[i].bytes, status);
            assert_string_equal(text, expected);
        }
        // And asked again, with what is behind it.
        memcpy(longer, right[i].bytes, size);
        memcpy(longer + size, behind, sizeof(behind));
        for (size_t more = 0; more < sizeof(behind); more++) {
            struct http1_scan scan = {0};

            assert_int_equal(parse(&scan, longer, size + more, &status, text, sizeof(text)), E_OK);
            assert_string_equal(text, expected);
            assert_int_equal(parse(&in_pieces, longer, size + more, &status, text, sizeof(text)),
                             E_OK);
            assert_string_equal(text, expected);
        }
    }
}

// Each is wrong by its last octet, and not before.
static const struct {
    struct http_text octets;
    enum http_status status;
} wrong[] = {
    // Request lines.
    {OCTETS("\x16"), 400}, // a ClientHello
    {OCTETS("\0"), 400},   // a message over TCP
    {OCTETS(" "), 400},
    {OCTETS("\t"), 400},
    {OCTETS("\n"), 400},
    {OCTETS("\r\r"), 400},
    {OCTETS("\r\n\n"), 400},
    {OCTETS("\r\n "), 400},
    {OCTETS("\r\n\r\n\r"), 400},
    {OCTETS("GET\t"), 400},
    {OCTETS("GET\r"), 400},
    {OCTETS("GET\n"), 400},
    {OCTETS("G\0"), 400},
    {OCTETS("G\x80"), 400},
    {OCTETS("G:"), 400},
    {OCTETS("G\""), 400},
    {OCTETS("G("), 400},
    {OCTETS("G,"), 400},
    {OCTETS("G/"), 400},
    {OCTETS("G@"), 400},
    {OCTETS("G["), 400},
    {OCTETS("G{"), 400},
    {OCTETS("G}"), 400},
    {OCTETS("G\x7f"), 400},
    {OCTETS("GET  "), 400},
    {OCTETS("GET \t"), 400},
    {OCTETS("GET \r"), 400},
    {OCTETS("GET /\r"), 400}, // HTTP/0.9
    {OCTETS("GET /\n"), 400},
    {OCTETS("GET /\t"), 400},
    {OCTETS("GET /\0"), 400},
    {OCTETS("GET /\x1f"), 400},
    {OCTETS("GET /\x7f"), 400},
    {OCTETS("GET /\x80"), 400},
    {OCTETS("GET /\xff"), 400},
    {OCTETS("GET /  "), 400},
    {OCTETS("GET / h"), 400},
    {OCTETS("GET / a"), 400}, // a space in the target
    {OCTETS("GET / HTTP/\r"), 400},
    {OCTETS("GET / HTTP/a"), 400},
    {OCTETS("GET / HTTP/11"), 400},
    {OCTETS("GET / HTTP/1.\r"), 400},
    {OCTETS("GET / HTTP/1.x"), 400},
    {OCTETS("GET / HTTP/1.1 "), 400},
    {OCTETS("GET / HTTP/1.1\n"), 400},
    {OCTETS("GET / HTTP/1.1\t"), 400},
    {OCTETS("GET / HTTP/1.11"), 400},
    {OCTETS("GET / HTTP/1.1\r\r"), 400},
    {OCTETS("GET / HTTP/1.1\r "), 400},
    {OCTETS("GET / HTTP/1.1\rH"), 400},
    {OCTETS("GET / HTTP/0.9\r"), 505},
    {OCTETS("GET / HTTP/0.1\r"), 505},
    {OCTETS("GET / HTTP/1.2\r"), 505},
    {OCTETS("GET / HTTP/1.9\r"), 505},
    {OCTETS("GET / HTTP/9.9\r"), 505},
    {OCTETS("PRI * HTTP/2.0\r"), 505},
    // Fields.
    {OCTETS(LINE " "), 400},
    {OCTETS(LINE "\t"), 400},
    {OCTETS(LINE "\n"), 400},
    {OCTETS(LINE ":"), 400},
    {OCTETS(LINE "\0"), 400},
    {OCTETS(START ":"), 400},
    {OCTETS(START " "), 400}, // folded
    {OCTETS(START "\t"), 400},
    {OCTETS(START "\n"), 400},
    {OCTETS(START "\r\r"), 400},
    {OCTETS(START "\ra"), 400},
    {OCTETS(START "b "), 400},
    {OCTETS(START "b\t"), 400},
    {OCTETS(START "b\r"), 400},
    {OCTETS(START "b\n"), 400},
    {OCTETS(START "b\0"), 400},
    {OCTETS(START "b("), 400},
    {OCTETS(START "b\xe9"), 400},
    {OCTETS(START "b:\n"), 400},
    {OCTETS(START "b: \n"), 400},
    {OCTETS(START "b: c\n"), 400},
    {OCTETS(START "b: c\r\r"), 400},
    {OCTETS(START "b: c\r "), 400},
    {OCTETS(START "b: c\rd"), 400},
    {OCTETS(START "b:\r "), 400},
    {OCTETS(START "b:\0"), 400},
    {OCTETS(START "b: c\0"), 400},
    {OCTETS(START "b: c\x01"), 400},
    {OCTETS(START "b: c\x08"), 400},
    {OCTETS(START "b: c\x0b"), 400},
    {OCTETS(START "b: c\x0c"), 400},
    {OCTETS(START "b: c\x1f"), 400},
    {OCTETS(START "b: c\x7f"), 400},
    {OCTETS(START "b: c\r\n "), 400},
    {OCTETS(START "b: c\r\n\t"), 400},
    // For whom it is.
    {OCTETS(LINE "\r\n"), 400},
    {OCTETS(LINE "hosts: a\r\n\r\n"), 400},
    {OCTETS(START HOST "\r\n"), 400},
    {OCTETS(START "b: c\r\nHOST: b\r\n\r\n"), 400},
    {OCTETS(LINE_1_0 HOST HOST "\r\n"), 400},
    {OCTETS(LINE "host: a b\r\n\r\n"), 400},
    {OCTETS(LINE "host: a,b\r\n\r\n"), 400},
    {OCTETS(LINE "host: a/b\r\n\r\n"), 400},
    {OCTETS(LINE "host: a@b\r\n\r\n"), 400},
    {OCTETS(LINE "host: a?b\r\n\r\n"), 400},
    {OCTETS(LINE "host: \xe9\r\n\r\n"), 400},
    // How long its body is.
    {OCTETS(START "content-length:\r\n\r\n"), 400},
    {OCTETS(START "content-length: +1\r\n\r\n"), 400},
    {OCTETS(START "content-length: -1\r\n\r\n"), 400},
    {OCTETS(START "content-length: 1 1\r\n\r\n"), 400},
    {OCTETS(START "content-length: 1,1\r\n\r\n"), 400},
    {OCTETS(START "content-length: 1, 2\r\n\r\n"), 400},
    {OCTETS(START "content-length: 0x1\r\n\r\n"), 400},
    {OCTETS(START "content-length: 1.\r\n\r\n"), 400},
    {OCTETS(START "content-length: 1a\r\n\r\n"), 400},
    {OCTETS(START "content-length: /\r\n\r\n"), 400},
    {OCTETS(START "content-length: :\r\n\r\n"), 400},
    {OCTETS(START "content-length: \xb2\r\n\r\n"), 400},
    {OCTETS(START "content-length: 18446744073709551616\r\n\r\n"), 400},
    {OCTETS(START "content-length: 18446744073709551621\r\n\r\n"), 400},
    {OCTETS(START "content-length: 100000000000000000000\r\n\r\n"), 400},
    {OCTETS(START "content-length: 1\r\ncontent-length: 1\r\n\r\n"), 400},
    {OCTETS(START "content-length: 0\r\nContent-Length: 5\r\n\r\n"), 400},
    {OCTETS(START "content-length: 1\r\ncontent-length:\r\n\r\n"), 400},
    {OCTETS(LINE_1_0 "content-length: 1\r\ncontent-length: 1\r\n\r\n"), 400},
    // What smugglers try.
    {OCTETS(START "transfer-encoding: chunked\r\ncontent-length: 1\r\n\r\n"), 400},
    {OCTETS(START "content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n"), 400},
    {OCTETS(START "content-length: 0\r\ntransfer-encoding: chunked\r\n\r\n"), 400},
    {OCTETS(START "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n"), 400},
    {OCTETS(START "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n"), 400},
    {OCTETS(LINE_1_0 "transfer-encoding: chunked\r\n\r\n"), 400},
    {OCTETS(LINE_1_0 "transfer-encoding: gzip\r\n\r\n"), 400},
    {OCTETS(START "transfer-encoding:\r\n\r\n"), 501},
    {OCTETS(START "transfer-encoding: gzip\r\n\r\n"), 501},
    {OCTETS(START "transfer-encoding: identity\r\n\r\n"), 501},
    {OCTETS(START "transfer-encoding: gzip, chunked\r\n\r\n"), 501},
    {OCTETS(START "transfer-encoding: chunked, chunked\r\n\r\n"), 501},
    {OCTETS(START "transfer-encoding: chunked,\r\n\r\n"), 501},
    {OCTETS(START "transfer-encoding: chunked;a=b\r\n\r\n"), 501},
    {OCTETS(START "transfer-encoding: xchunked\r\n\r\n"), 501},
    {OCTETS(START "transfer-encoding: chunke\r\n\r\n"), 501},
    {OCTETS(START "transfer-encoding: \"chunked\"\r\n\r\n"), 501},
    {OCTETS(START "transfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n"), 501},
    {OCTETS(START "transfer-encoding "), 400},
    {OCTETS(START "transfer-encoding:\x0b"), 400},
    {OCTETS(START "transfer-encoding: chunked\0"), 400},
    {OCTETS(START "transfer-encoding: \n"), 400},
    {OCTETS(START "transfer-encoding:\r\n "), 400},
    {OCTETS(START "b: c\rt"), 400},
    {OCTETS(START "b: c\n"), 400},
    // The others that mean something.
    {OCTETS(START "expect: 100\r\n\r\n"), 417},
    {OCTETS(START "expect: 100-continue, 100-continue\r\n\r\n"), 417},
    {OCTETS(START "expect:\r\n\r\n"), 417},
    {OCTETS(LINE_1_0 "expect: 200\r\n\r\n"), 417},
    {OCTETS(START "connection: keep alive\r\n\r\n"), 400},
    {OCTETS(START "connection: close;\r\n\r\n"), 400},
};

static void assert_wrong_by_last(const char *bytes, size_t size, enum http_status expected,
                                 size_t step)
{
    struct http1_scan in_pieces = {0}, whole = {0};
    enum http_status status;
    char text[1];

    for (size_t cut = 0; cut < size; cut += MIN(step, size - cut)) {
        struct http1_scan scan = {0};

        if (parse(&scan, bytes, cut, &status, text, sizeof(text)) != E_AGAIN ||
            parse(&in_pieces, bytes, cut, &status, text, sizeof(text)) != E_AGAIN)
            fail_msg("%.*s: %zu of its octets", (int)MIN(size, 1000), bytes, cut);
    }
    if (parse(&in_pieces, bytes, size, &status, text, sizeof(text)) != E_MALFORMED ||
        status != expected)
        fail_msg("in pieces, %.*s: %d", (int)MIN(size, 1000), bytes, status);
    if (parse(&whole, bytes, size, &status, text, sizeof(text)) != E_MALFORMED ||
        status != expected)
        fail_msg("%.*s: %d", (int)MIN(size, 1000), bytes, status);
}

static void test_wrong(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct http_text octets = wrong[i].octets;
        char longer[1000], text[1];
        struct http1_scan scan = {0};
        enum http_status status;

        assert_wrong_by_last(octets.bytes, octets.size, wrong[i].status, 1);
        // Nothing behind it mends it.
        memcpy(longer, octets.bytes, octets.size);
        strcpy(longer + octets.size, " " START "\r\n");
        assert_int_equal(parse(&scan, longer, octets.size + strlen(longer + octets.size), &status,
                               text, sizeof(text)),
                         E_MALFORMED);
        assert_int_equal(status, wrong[i].status);
    }
}

// Each octet, where it may and may not stand.
static void test_octets(void **state)
{
    static const char tokens[] = "!#$%&'*+-.^_`|~0123456789"
                                 "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

    for (unsigned octet = 0; octet <= UINT8_MAX; octet++) {
        bool is_token = octet != 0 && strchr(tokens, (int)octet);
        bool is_visible = octet > ' ' && octet < 0x7f;
        bool is_value = is_visible || octet >= 0x80 || octet == ' ' || octet == '\t';
        struct {
            const char *before;
            bool is_right;
        } cases[] = {
            {"G", is_token || octet == ' '},         {"GET /", is_visible || octet == ' '},
            {START, is_token || octet == '\r'},      {START "b", is_token || octet == ':'},
            {START "b:", is_value || octet == '\r'}, {START "b: c", is_value || octet == '\r'},
        };

        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
            char bytes[100], text[1];
            struct http1_scan scan = {0};
            enum http_status status;
            size_t size = strlen(cases[i].before);

            memcpy(bytes, cases[i].before, size);
            bytes[size] = (char)octet;
            if (parse(&scan, bytes, size + 1, &status, text, sizeof(text)) !=
                (cases[i].is_right ? E_AGAIN : E_MALFORMED))
                fail_msg("%s and octet %u", cases[i].before, octet);
        }
    }
}

// Long texts are put together here.
static char built[2 * HTTP1_HEAD_MAX];
static size_t built_size;

static void put(const char *text)
{
    memcpy(built + built_size, text, strlen(text));
    built_size += strlen(text);
}

static void put_times(char octet, size_t times)
{
    memset(built + built_size, octet, times);
    built_size += times;
}

static void begin(const char *text)
{
    built_size = 0;
    put(text);
}

static void assert_right(void)
{
    static const size_t pieces[] = {1, 1000, sizeof(built)};
    struct http1_head head;
    enum http_status status;

    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        struct http1_scan scan = {0};
        size_t cut = 0;
        int err;

        do {
            cut = MIN(cut + pieces[i], built_size);
            err = http1_head_parse(&head, &scan, built, cut, &status);
            assert_int_equal(err, cut < built_size ? E_AGAIN : E_OK);
        } while (cut < built_size);
        assert_int_equal(head.size, built_size);
    }
}

static void assert_wrong(enum http_status status)
{
    assert_wrong_by_last(built, built_size, status, built_size - 1);
}

static void test_bounds_on_the_line(void **state)
{
    begin("");
    put_times('G', HTTP1_METHOD_MAX);
    put(" / HTTP/1.1\r\n" HOST "\r\n");
    assert_right();
    begin("");
    put_times('G', HTTP1_METHOD_MAX + 1);
    assert_wrong(HTTP_NOT_IMPLEMENTED);

    begin("GET ");
    put_times('/', HTTP_TARGET_MAX);
    put(" HTTP/1.1\r\n" HOST "\r\n");
    assert_right();
    begin("GET ");
    put_times('/', HTTP_TARGET_MAX + 1);
    assert_wrong(HTTP_URI_TOO_LONG);
}

static void put_fields(unsigned count)
{
    while (count-- > 0)
        put("b: c\r\n");
}

static void test_bounds_on_fields(void **state)
{
    begin(START);
    put_fields(HTTP_FIELDS_MAX - 1);
    put("\r\n");
    assert_right();
    begin(START);
    put_fields(HTTP_FIELDS_MAX - 1);
    put("d");
    assert_wrong(HTTP_FIELDS_TOO_LARGE);

    // "host" and "a" are of 5 octets, so that there are these left for a name and a value.
    const size_t left = HTTP_FIELDS_SIZE_MAX - 32 - 5 - 32;

    begin(START);
    put_times('n', left);
    put(":\r\n\r\n");
    assert_right();
    begin(START);
    put_times('n', left + 1);
    assert_wrong(HTTP_FIELDS_TOO_LARGE);

    // White space counts within a value, not around it, be it another's.
    begin(LINE "host: a  \r\nn: \t ");
    put_times('v', 100);
    put_times(' ', left - 1 - 101);
    put("v  \r\n\r\n");
    assert_right();
    begin(LINE "host: a  \r\nn: \t ");
    put_times('v', 100);
    put_times(' ', left - 1 - 100);
    put("v");
    assert_wrong(HTTP_FIELDS_TOO_LARGE);

    // Each of many counts 32 more.
    const size_t fields = 98, used = 32 + 5 + fields * (32 + 2);

    begin(START);
    put_fields(fields);
    put("d: ");
    put_times('v', HTTP_FIELDS_SIZE_MAX - used - 33);
    put("\r\n\r\n");
    assert_right();
    built_size -= 4;
    put("v");
    assert_wrong(HTTP_FIELDS_TOO_LARGE);
    begin(START);
    put_fields(fields - 1);
    put("b: ");
    put_times('v', HTTP_FIELDS_SIZE_MAX - used); // with the next one's first octet it is one less
    put("\r\nd");
    assert_wrong(HTTP_FIELDS_TOO_LARGE);
}

// White space around values does not count as theirs, yet it is not boundless.
static void test_bound_on_the_whole(void **state)
{
    static const char *const before[] = {START "b:", START "b: c", LINE "host: "};

    for (size_t i = 0; i < ARRAY_LEN(before); i++) {
        struct http1_scan scan = {0};
        struct http1_head head;
        enum http_status status;

        begin(before[i]);
        put_times(' ', HTTP1_HEAD_MAX - built_size);
        assert_wrong(HTTP_FIELDS_TOO_LARGE);
        begin(before[i]);
        put_times(' ', HTTP1_HEAD_MAX - built_size - 4);
        put("\r\n\r\n");
        assert_right();
        assert_int_equal(built_size, HTTP1_HEAD_MAX);
        // One more is too many, also if all are there.
        built_size -= 4;
        put(" \r\n\r\n");
        assert_int_equal(http1_head_parse(&head, &scan, built, built_size, &status), E_MALFORMED);
        assert_int_equal(status, HTTP_FIELDS_TOO_LARGE);
    }
    // The largest of all else fits.
    begin("\r\n\r\n");
    put_times('G', HTTP1_METHOD_MAX);
    put(" ");
    put_times('/', HTTP_TARGET_MAX);
    put(" HTTP/1.1\r\nhost: ");
    put_times('a', HTTP_FIELDS_SIZE_MAX - 32 - 4);
    put("\r\n\r\n");
    assert_right();
}

// However a head comes, its octets are looked at once until it is whole: what was seen is
// overwritten here with what would be wrong.
static void test_octets_are_scanned_once(void **state)
{
    static char seen[HTTP1_HEAD_MAX];
    struct http1_scan scan = {0};
    struct http1_head head;
    enum http_status status;

    begin("\r\nGET /dns-query HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    for (size_t size = 1; size < built_size; size++) {
        seen[size - 1] = built[size - 1];
        assert_int_equal(http1_head_parse(&head, &scan, seen, size, &status), E_AGAIN);
        seen[size - 1] = '\0';
    }
    assert_int_equal(http1_head_parse(&head, &scan, built, built_size, &status), E_OK);
    assert_int_equal(head.size, built_size);
}

// Takes all of a body in pieces of so many octets, and writes its data to `room`.
static int feed(const char *bytes, size_t size, size_t piece, size_t *fed, char *room,
                size_t *room_used)
{
    struct http1_chunks chunks = {0};
    int err = E_AGAIN;
    size_t used;

    *room_used = 0;
    for (*fed = 0; err == E_AGAIN && *fed < size; *fed += used) {
        struct wire part = wire_copy(bytes + *fed, MIN(piece, size - *fed));
        const char *at = (const char *)part.bytes;
        struct http_text data;

        err = http1_chunks_feed(&chunks, at, part.size, &used, &data);
        if (err != E_MALFORMED) {
            assert_true(used > 0 && used <= part.size);
            assert_true(data.bytes >= at && data.bytes + data.size <= at + used);
            memcpy(room + *room_used, data.bytes, data.size);
            *room_used += data.size;
        }
        wire_free(&part);
    }
    if (err == E_OK) { // and stays so
        struct http_text data;

        assert_int_equal(http1_chunks_feed(&chunks, "x", 1, &used, &data), E_OK);
        assert_int_equal(used, 0);
        assert_int_equal(data.size, 0);
    }
    return err;
}

static const size_t pieces[] = {1, 2, 3, 7, 30000};

static const char *const right_chunks[][2] = {
    {"0\r\n\r\n", ""},
    {"00\r\n\r\n", ""},
    {"1\r\na\r\n0\r\n\r\n", "a"},
    {"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", "abcde"},
    {"0a\r\n0123456789\r\n000\r\n\r\n", "0123456789"},
    {"00000000000A\r\n0123456789\r\n0\r\n\r\n", "0123456789"},
    {"1f\r\n0123456789abcdef0123456789abcde\r\n0\r\n\r\n", "0123456789abcdef0123456789abcde"},
    {"4\r\n\r\n0\r\r\n0\r\n\r\n", "\r\n0\r"},
    {"1;\r\na\r\n0;\r\n\r\n", "a"},
    {"1;b\r\na\r\n1 ;c=d;\te=\"f g;\xff\"\r\nb\r\n0\t; g\r\n\r\n", "ab"},
    {"0\r\nb: c\r\n\r\n", ""},
    {"1\r\na\r\n0\r\nb:\r\nc-d: e f\t\xff \r\n\r\n", "a"},
};

static void test_right_chunks(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(right_chunks); i++) {
        const char *bytes = right_chunks[i][0], *data = right_chunks[i][1];
        char longer[1000], room[1000];
        size_t size = strlen(bytes), fed, used;

        memcpy(longer, bytes, size);
        strcpy(longer + size, "\r\nGET / HTTP/1.1");
        for (size_t p = 0; p < ARRAY_LEN(pieces); p++) {
            if (feed(longer, strlen(longer), pieces[p], &fed, room, &used) != E_OK)
                fail_msg("%s in pieces of %zu", bytes, pieces[p]);
            assert_int_equal(fed, size);
            assert_int_equal(used, strlen(data));
            assert_memory_equal(room, data, used);
            for (size_t cut = 0; cut < size; cut++)
                if (feed(longer, cut, pieces[p], &fed, room, &used) != E_AGAIN || fed != cut)
                    fail_msg("%s: %zu of its octets in pieces of %zu", bytes, cut, pieces[p]);
        }
    }
}

// Each is wrong by its last octet, and not before.
static const struct {
    struct http_text octets;
} wrong_chunks[] = {
    {OCTETS("\r")},
    {OCTETS("\n")},
    {OCTETS("\0")},
    {OCTETS(" ")},
    {OCTETS(";")},
    {OCTETS("-")},
    {OCTETS("+")},
    {OCTETS("g")},
    {OCTETS("G")},
    {OCTETS("`")},
    {OCTETS("@")},
    {OCTETS("/")},
    {OCTETS(":")},
    {OCTETS("0x")},
    {OCTETS("1g")},
    {OCTETS("1.")},
    {OCTETS("1\n")},
    {OCTETS("1\r\r")},
    {OCTETS("1\ra")},
    {OCTETS("1\0")},
    {OCTETS("1 \r")},
    {OCTETS("1 1")},
    {OCTETS("1 \n")},
    {OCTETS("1;\n")},
    {OCTETS("1;a\n")},
    {OCTETS("1;a=\"\n")},
    {OCTETS("1;a\0")},
    {OCTETS("1;a\x7f")},
    {OCTETS("1;a\r\r")},
    {OCTETS("1;a\ra")},
    {OCTETS("100000000")},
    {OCTETS("ffffffff0")},
    {OCTETS("000100000000")},
    {OCTETS("1\r\nab")},
    {OCTETS("1\r\na\n")},
    {OCTETS("1\r\na0")},
    {OCTETS("1\r\na\ra")},
    {OCTETS("1\r\na\r\r")},
    {OCTETS("1\r\na\r\n\r")},
    {OCTETS("1\r\na\r\n ")},
    {OCTETS("0\n")},
    {OCTETS("0\r0")},
    {OCTETS("0\r\n\n")},
    {OCTETS("0\r\n0\r")},
    {OCTETS("0\r\n\r\r")},
    {OCTETS("0\r\n\ra")},
    {OCTETS("0\r\n ")},
    {OCTETS("0\r\n:")},
    {OCTETS("0\r\nb ")},
    {OCTETS("0\r\nb\r")},
    {OCTETS("0\r\nb: c\n")},
    {OCTETS("0\r\nb: c\0")},
    {OCTETS("0\r\nb: c\rd")},
    {OCTETS("0\r\nb: c\r\n ")},
    {OCTETS("0\r\nb: c\r\n\n")},
    {OCTETS("0\r\nGET ")},
};

static void assert_wrong_chunks(const char *bytes, size_t size)
{
    static char room[sizeof(built)];
    size_t fed, used;

    for (size_t p = 0; p < ARRAY_LEN(pieces); p++)
        if (feed(bytes, size - 1, pieces[p], &fed, room, &used) != E_AGAIN || fed != size - 1 ||
            feed(bytes, size, pieces[p], &fed, room, &used) != E_MALFORMED)
            fail_msg("%.*s in pieces of %zu", (int)MIN(size, 1000), bytes, pieces[p]);
}

static void test_wrong_chunks(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(wrong_chunks); i++)
        assert_wrong_chunks(wrong_chunks[i].octets.bytes, wrong_chunks[i].octets.size);
}

static void assert_right_chunks(void)
{
    static char room[sizeof(built)];
    size_t fed, used;

    for (size_t p = 0; p < ARRAY_LEN(pieces); p++) {
        assert_int_equal(feed(built, built_size, pieces[p], &fed, room, &used), E_OK);
        assert_int_equal(fed, built_size);
    }
}

// What is no data is bounded for the whole body, in one place or in many.
static void test_bounds_on_chunks(void **state)
{
    static const char *const before[] = {"0;", "1 ;", "0 "};

    for (size_t i = 0; i < ARRAY_LEN(before); i++) {
        begin(before[i]);
        put_times(i < 2 ? 'e' : ' ', HTTP1_EXTENSIONS_MAX + 1 - (strlen(before[i]) - 1));
        assert_wrong_chunks(built, built_size);
    }
    begin("0;");
    put_times('e', HTTP1_EXTENSIONS_MAX - 1);
    put("\r\n\r\n");
    assert_right_chunks();

    begin("0");
    put_times('0', HTTP1_EXTENSIONS_MAX);
    put("\r\n\r\n");
    assert_right_chunks();
    begin("0");
    put_times('0', HTTP1_EXTENSIONS_MAX + 1);
    assert_wrong_chunks(built, built_size);

    begin("");
    for (unsigned i = 0; i < HTTP1_EXTENSIONS_MAX / 2; i++)
        put("1;e\r\na\r\n");
    put("0;");
    assert_wrong_chunks(built, built_size);
    built_size--;
    put("\r\nt:");
    // Trailers have a bound of their own.
    put_times('v', HTTP1_TRAILERS_MAX - 2);
    put("\r\n\r\n");
    assert_right_chunks();
    built_size -= 4;
    put("v");
    assert_wrong_chunks(built, built_size);

    begin("0\r\n");
    for (unsigned i = 0; i < HTTP1_TRAILERS_MAX / 4; i++)
        put("t: v\r\n");
    put("t");
    assert_wrong_chunks(built, built_size);
}

// The largest chunk, of which little ever comes.
static void test_large_chunk(void **state)
{
    struct http1_chunks chunks = {0};
    struct http_text data;
    size_t used;

    assert_int_equal(http1_chunks_feed(&chunks, "fFffFFff\r\nabc", 13, &used, &data), E_AGAIN);
    assert_int_equal(used, 13);
    assert_int_equal(data.size, 3);
    assert_int_equal(chunks.left, UINT32_MAX - 3);
}

// A call gives the data of one chunk, and what is behind it up to the next.
static void test_one_chunk_a_call(void **state)
{
    static const char bytes[] = "2\r\nab\r\n1\r\nc\r\n0\r\n\r\n";
    struct http1_chunks chunks = {0};
    struct http_text data;
    size_t used;

    assert_int_equal(http1_chunks_feed(&chunks, bytes, strlen(bytes), &used, &data), E_AGAIN);
    assert_true(http_text_is(data, "ab"));
    assert_ptr_equal(data.bytes, bytes + 3);

    const char *rest = bytes + used;

    assert_int_equal(http1_chunks_feed(&chunks, rest, strlen(rest), &used, &data), E_OK);
    assert_true(http_text_is(data, "c"));
    assert_int_equal(used, strlen(rest));
    // Of nothing it takes nothing.
    chunks = (struct http1_chunks){0};
    assert_int_equal(http1_chunks_feed(&chunks, "", 0, &used, &data), E_AGAIN);
    assert_int_equal(used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_right),
        cmocka_unit_test(test_wrong),
        cmocka_unit_test(test_octets),
        cmocka_unit_test(test_bounds_on_the_line),
        cmocka_unit_test(test_bounds_on_fields),
        cmocka_unit_test(test_bound_on_the_whole),
        cmocka_unit_test(test_octets_are_scanned_once),
        cmocka_unit_test(test_right_chunks),
        cmocka_unit_test(test_wrong_chunks),
        cmocka_unit_test(test_bounds_on_chunks),
        cmocka_unit_test(test_large_chunk),
        cmocka_unit_test(test_one_chunk_a_call),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
