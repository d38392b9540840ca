// Requests of DNS over HTTPS: what is a query, what is refused and with which status, and for whom
// a proxy asks.
#include "listener/doh.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/error.h"
#include "wire.h"

#define PATH "/dns-query"

// RFC 8484 section 4.1.1, as digits and as octets.
#define DIGITS "AAABAAABAAAAAAAAA3d3dwdleGFtcGxlA2NvbQAAAQAB"
#define QUERY "0000 0100 0001 0000 0000 0000 {www.example.com} 0001 0001"

#define HEADER "AAABAAAAAAAAAAAA"   // 12 octets
#define SHORTER "AAABAAAAAAAAAAA"   // 11
#define RESPONSE "AACBgAAAAAAAAAAA" // with QR

#define TYPE "content-type: application/dns-message\n"

struct request {
    const char *what, *method, *target;
    const char *fields; // "name: value\n" for each
    const char *body;   // as wire.h has it; NULL: none
    enum http_status status;
};

static const struct request requests[] = {
    {"GET", "GET", PATH "?dns=" DIGITS, "", NULL, HTTP_OK},
    {"GET of a header", "GET", PATH "?dns=" HEADER, "", NULL, HTTP_OK},
    {"GET with a body", "GET", PATH "?dns=" DIGITS, "content-length: 3\n", "'abc'", HTTP_OK},
    {"POST", "POST", PATH, TYPE "content-length: 33\n", QUERY, HTTP_OK},
    {"POST of a header", "POST", PATH, TYPE, "0000 0100 00*8", HTTP_OK},

    // Methods.
    {"HEAD", "HEAD", PATH "?dns=" DIGITS, "", NULL, HTTP_METHOD_NOT_ALLOWED},
    {"PUT", "PUT", PATH, TYPE, QUERY, HTTP_METHOD_NOT_ALLOWED},
    {"OPTIONS", "OPTIONS", PATH, "", NULL, HTTP_METHOD_NOT_ALLOWED},
    {"get", "get", PATH "?dns=" DIGITS, "", NULL, HTTP_METHOD_NOT_ALLOWED},
    {"Post", "Post", PATH, TYPE, QUERY, HTTP_METHOD_NOT_ALLOWED},
    {"GE", "GE", PATH "?dns=" DIGITS, "", NULL, HTTP_METHOD_NOT_ALLOWED},
    {"GETS", "GETS", PATH "?dns=" DIGITS, "", NULL, HTTP_METHOD_NOT_ALLOWED},
    {"a method of nothing", "", PATH, "", NULL, HTTP_METHOD_NOT_ALLOWED},
    {"no method", NULL, PATH "?dns=" DIGITS, "", NULL, HTTP_BAD_REQUEST},
    {"a method elsewhere", "HEAD", "/", "", NULL, HTTP_NOT_FOUND},
    {"OPTIONS *", "OPTIONS", "*", "", NULL, HTTP_NOT_FOUND},
    {"CONNECT", "CONNECT", "dns.example:443", "", NULL, HTTP_NOT_FOUND},
    {"a method and a query that is none", "PUT", PATH "?dns=", "", NULL, HTTP_METHOD_NOT_ALLOWED},

    // Paths.
    {"/", "GET", "/?dns=" DIGITS, "", NULL, HTTP_NOT_FOUND},
    {"a longer path", "GET", PATH "s?dns=" DIGITS, "", NULL, HTTP_NOT_FOUND},
    {"a shorter path", "GET", "/dns-quer?dns=" DIGITS, "", NULL, HTTP_NOT_FOUND},
    {"a path below", "GET", PATH "/?dns=" DIGITS, "", NULL, HTTP_NOT_FOUND},
    {"another letter case", "GET", "/DNS-query?dns=" DIGITS, "", NULL, HTTP_NOT_FOUND},
    {"a path in percent", "GET", "/dns%2Dquery?dns=" DIGITS, "", NULL, HTTP_NOT_FOUND},
    {"a path with dots", "GET", "/x/../dns-query?dns=" DIGITS, "", NULL, HTTP_NOT_FOUND},
    {"a path with a dot", "GET", "/./dns-query?dns=" DIGITS, "", NULL, HTTP_NOT_FOUND},
    {"two slashes", "GET", "//dns-query?dns=" DIGITS, "", NULL, HTTP_NOT_FOUND},
    {"a path in parameters", "GET", "/x?a=" PATH "&dns=" DIGITS, "", NULL, HTTP_NOT_FOUND},
    {"no slash", "GET", "dns-query?dns=" DIGITS, "", NULL, HTTP_NOT_FOUND},
    {"POST elsewhere", "POST", "/", TYPE, QUERY, HTTP_NOT_FOUND},
    {"a target of nothing", "GET", "", "", NULL, HTTP_BAD_REQUEST},
    {"no target", "GET", NULL, "", NULL, HTTP_BAD_REQUEST},
    {"neither", NULL, NULL, "", NULL, HTTP_BAD_REQUEST},
    {"a fragment", "GET", PATH "?dns=" DIGITS "#", "", NULL, HTTP_BAD_REQUEST},
    {"a fragment before", "POST", PATH "#a", TYPE, QUERY, HTTP_BAD_REQUEST},
    {"a fragment elsewhere", "GET", "/#", "", NULL, HTTP_BAD_REQUEST},

    // With scheme and authority.
    {"https:", "GET", "https://dns.example" PATH "?dns=" DIGITS, "", NULL, HTTP_OK},
    {"http:, a port", "GET", "http://[::1]:8053" PATH "?dns=" DIGITS, "", NULL, HTTP_OK},
    {"HTTPS:", "POST", "HTTPS://dns.example" PATH, TYPE, QUERY, HTTP_OK},
    {"https:, elsewhere", "GET", "https://dns.example/?dns=" DIGITS, "", NULL, HTTP_NOT_FOUND},
    {"https:, no path", "GET", "https://dns.example", "", NULL, HTTP_NOT_FOUND},
    {"https:, the path in the query", "GET", "https://a?" PATH "?dns=" DIGITS, "", NULL,
     HTTP_NOT_FOUND},
    {"https:, no host", "GET", "https://" PATH "?dns=" DIGITS, "", NULL, HTTP_BAD_REQUEST},
    {"https:, no host and a query", "GET", "https://?dns=" DIGITS, "", NULL, HTTP_BAD_REQUEST},
    {"https://", "GET", "https://", "", NULL, HTTP_BAD_REQUEST},
    {"https:/", "GET", "https:" PATH "?dns=" DIGITS, "", NULL, HTTP_NOT_FOUND},
    {"another scheme", "GET", "ftp://dns.example" PATH "?dns=" DIGITS, "", NULL, HTTP_NOT_FOUND},
    {"a path that looks like it", "GET", "/https://a" PATH "?dns=" DIGITS, "", NULL,
     HTTP_NOT_FOUND},

    // Queries.
    {"no query", "GET", PATH, "", NULL, HTTP_BAD_REQUEST},
    {"an empty query", "GET", PATH "?", "", NULL, HTTP_BAD_REQUEST},
    {"no dns", "GET", PATH "?name=www.example.com&type=A", "", NULL, HTTP_BAD_REQUEST},
    {"other parameters", "GET", PATH "?a&dns=" DIGITS "&b=%20?/=&&xdns=AA&dnss=AA&ct=", "", NULL,
     HTTP_OK},
    {"ampersands", "GET", PATH "?&&dns=" DIGITS "&", "", NULL, HTTP_OK},
    {"twice", "GET", PATH "?dns=" DIGITS "&dns=" DIGITS, "", NULL, HTTP_BAD_REQUEST},
    {"twice, then empty", "GET", PATH "?dns=" DIGITS "&dns=", "", NULL, HTTP_BAD_REQUEST},
    {"twice, then without =", "GET", PATH "?dns=" DIGITS "&dns", "", NULL, HTTP_BAD_REQUEST},
    {"empty, then not", "GET", PATH "?dns=&dns=" DIGITS, "", NULL, HTTP_BAD_REQUEST},
    {"empty", "GET", PATH "?dns=", "", NULL, HTTP_BAD_REQUEST},
    {"without =", "GET", PATH "?dns", "", NULL, HTTP_BAD_REQUEST},
    {"DNS", "GET", PATH "?DNS=" DIGITS, "", NULL, HTTP_BAD_REQUEST},
    {"a semicolon", "GET", PATH "?a;dns=" DIGITS, "", NULL, HTTP_BAD_REQUEST},
    {"two question marks", "GET", PATH "??dns=" DIGITS, "", NULL, HTTP_BAD_REQUEST},
    {"padding", "GET", PATH "?dns=" HEADER "AA==", "", NULL, HTTP_BAD_REQUEST},
    {"padding in percent", "GET", PATH "?dns=" HEADER "AA%3D%3D", "", NULL, HTTP_BAD_REQUEST},
    {"digits in percent", "GET", PATH "?dns=%41" DIGITS, "", NULL, HTTP_BAD_REQUEST},
    {"the other alphabet", "GET", PATH "?dns=" HEADER "+///", "", NULL, HTTP_BAD_REQUEST},
    {"its own alphabet", "GET", PATH "?dns=" HEADER "-___", "", NULL, HTTP_OK},
    {"bits at the end", "GET", PATH "?dns=" HEADER "AB", "", NULL, HTTP_BAD_REQUEST},
    {"one digit too many", "GET", PATH "?dns=" HEADER "A", "", NULL, HTTP_BAD_REQUEST},
    {"a space", "GET", PATH "?dns=" DIGITS " ", "", NULL, HTTP_BAD_REQUEST},
    {"GET of 11 octets", "GET", PATH "?dns=" SHORTER, "", NULL, HTTP_BAD_REQUEST},
    {"GET of a response", "GET", PATH "?dns=" RESPONSE, "", NULL, HTTP_BAD_REQUEST},
    {"GET with the message as a body", "GET", PATH, TYPE, QUERY, HTTP_BAD_REQUEST},
    {"POST with a query", "POST", PATH "?dns=" DIGITS, TYPE, "0001 0100 00*8", HTTP_OK},
    {"POST with a query that is none", "POST", PATH "?dns=!&dns=!", TYPE, QUERY, HTTP_OK},
    {"POST with the message in the query", "POST", PATH "?dns=" DIGITS, TYPE, NULL,
     HTTP_BAD_REQUEST},

    // Bodies.
    {"no body", "POST", PATH, TYPE, NULL, HTTP_BAD_REQUEST},
    {"an empty body", "POST", PATH, TYPE, "", HTTP_BAD_REQUEST},
    {"POST of 11 octets", "POST", PATH, TYPE, "0000 0100 00*7", HTTP_BAD_REQUEST},
    {"POST of a response", "POST", PATH, TYPE, "0000 8180 00*8", HTTP_BAD_REQUEST},
    {"a body that is no message", "POST", PATH, TYPE, "ff ff 7f ff*30", HTTP_OK},

    // Their type.
    {"no type", "POST", PATH, "", QUERY, HTTP_UNSUPPORTED_MEDIA_TYPE},
    {"no type and no body", "POST", PATH, "", NULL, HTTP_UNSUPPORTED_MEDIA_TYPE},
    {"JSON", "POST", PATH, "content-type: application/dns-json\n", QUERY,
     HTTP_UNSUPPORTED_MEDIA_TYPE},
    {"an empty type", "POST", PATH, "content-type: \n", QUERY, HTTP_UNSUPPORTED_MEDIA_TYPE},
    {"only a parameter", "POST", PATH, "content-type: ;a=b\n", QUERY, HTTP_UNSUPPORTED_MEDIA_TYPE},
    {"a longer type", "POST", PATH, "content-type: application/dns-messages\n", QUERY,
     HTTP_UNSUPPORTED_MEDIA_TYPE},
    {"a shorter type", "POST", PATH, "content-type: application/dns-messag\n", QUERY,
     HTTP_UNSUPPORTED_MEDIA_TYPE},
    {"a list of types", "POST", PATH, "content-type: application/dns-message, a/b\n", QUERY,
     HTTP_UNSUPPORTED_MEDIA_TYPE},
    {"the type twice", "POST", PATH, TYPE TYPE, QUERY, HTTP_UNSUPPORTED_MEDIA_TYPE},
    {"another type behind", "POST", PATH, TYPE "content-type: a/b\n", QUERY,
     HTTP_UNSUPPORTED_MEDIA_TYPE},
    {"another type before", "POST", PATH, "content-type: a/b\n" TYPE, QUERY,
     HTTP_UNSUPPORTED_MEDIA_TYPE},
    {"a type in letters of any case", "POST", PATH, "CONTENT-Type: Application/DNS-message\n",
     QUERY, HTTP_OK},
    {"a parameter", "POST", PATH, "content-type: application/dns-message;a=b\n", QUERY, HTTP_OK},
    {"white space", "POST", PATH, "content-type: \t application/dns-message \t ; a=b;\n", QUERY,
     HTTP_OK},
    {"accept says nothing", "POST", PATH, TYPE "accept: text/html\n", QUERY, HTTP_OK},
    {"a name that begins like it", "POST", PATH, TYPE "content-type-x: a\ncontent-typ: a\n", QUERY,
     HTTP_OK},
    {"GET with a type", "GET", PATH "?dns=" DIGITS, "content-type: text/html\n", NULL, HTTP_OK},

    // Their size.
    {"the largest", "POST", PATH, TYPE "content-length: 65535\n", "00*65535", HTTP_OK},
    {"too large", "POST", PATH, TYPE, "00*65536", HTTP_CONTENT_TOO_LARGE},
    {"too large, as it says", "POST", PATH, TYPE "content-length: 65536\n", QUERY,
     HTTP_CONTENT_TOO_LARGE},
    {"far too large, as it says", "POST", PATH, TYPE "Content-Length: 18446744073709551616\n",
     QUERY, HTTP_CONTENT_TOO_LARGE},
    {"too large, as it says before the type", "POST", PATH, "content-length: 65536\n" TYPE, QUERY,
     HTTP_CONTENT_TOO_LARGE},
    {"a length that begins with zeros", "POST", PATH, TYPE "content-length: 000000065535\n", QUERY,
     HTTP_OK},
    {"lengths that are no number", "POST", PATH,
     TYPE "content-length: 65536a\ncontent-length: -65536\ncontent-length: 99999, 99999\n"
          "content-length: \n",
     QUERY, HTTP_OK},
    {"GET with a length", "GET", PATH "?dns=" DIGITS, "content-length: 65536\n", NULL, HTTP_OK},

    // The first thing that is wrong stays.
    {"404, 415, 413", "POST", "/", "content-type: a/b\ncontent-length: 65536\n", "00*65536",
     HTTP_NOT_FOUND},
    {"405, 413", "PUT", PATH, "content-length: 65536\n", "00*65536", HTTP_METHOD_NOT_ALLOWED},
    {"400, 415", "POST", PATH "#", "content-type: a/b\n", QUERY, HTTP_BAD_REQUEST},
    {"415, 413", "POST", PATH, "content-type: a/b\ncontent-length: 65536\n", "00*65536",
     HTTP_UNSUPPORTED_MEDIA_TYPE},
    {"413, 415", "POST", PATH, "content-length: 65536\ncontent-type: a/b\n", QUERY,
     HTTP_CONTENT_TOO_LARGE},
    {"no type, and too large", "POST", PATH, "", "00*65536", HTTP_UNSUPPORTED_MEDIA_TYPE},
};

// From memory of exactly its size, so that AddressSanitizer sees a step too far.
static void hand_over(struct doh_request *request,
                      void (*part)(struct doh_request *, struct http_text), const char *text)
{
    struct wire copy = wire_copy(text, strlen(text));

    part(request, (struct http_text){.bytes = (char *)copy.bytes, .size = copy.size});
    wire_free(&copy);
}

static void hand_over_field(struct doh_request *request, const char *name, size_t name_size,
                            const char *value, size_t value_size)
{
    struct wire names = wire_copy(name, name_size), values = wire_copy(value, value_size);

    doh_request_field(request, (struct http_text){(char *)names.bytes, names.size},
                      (struct http_text){(char *)values.bytes, values.size});
    wire_free(&names);
    wire_free(&values);
}

static void hand_over_fields(struct doh_request *request, const char *fields)
{
    while (*fields) {
        const char *colon = strstr(fields, ": "), *end = strchr(fields, '\n');

        assert_true(colon && end && colon < end);
        hand_over_field(request, fields, (size_t)(colon - fields), colon + 2,
                        (size_t)(end - colon - 2));
        fields = end + 1;
    }
}

static void hand_over_body(struct doh_request *request, const struct wire *body, size_t piece)
{
    for (size_t at = 0; at < body->size; at += piece) {
        struct wire part = wire_copy(body->bytes + at, MIN(piece, body->size - at));

        doh_request_body(request, part.bytes, part.size);
        wire_free(&part);
    }
}

enum order { METHOD_FIRST, TARGET_FIRST };

static void hand_over_all(struct doh_request *request, const struct request *from, enum order order,
                          size_t piece)
{
    struct wire body = wire_of(from->body ? from->body : "");

    if (order == METHOD_FIRST && from->method)
        hand_over(request, doh_request_method, from->method);
    if (from->target)
        hand_over(request, doh_request_target, from->target);
    if (order == TARGET_FIRST && from->method)
        hand_over(request, doh_request_method, from->method);
    hand_over_fields(request, from->fields);
    hand_over_body(request, &body, piece);
    wire_free(&body);
}

// All octets, of a POST and where a GET has the query of RFC 8484.
static void check_message(const struct doh_request *request, const struct request *from)
{
    bool is_post = strcmp(from->method, "POST") == 0;
    struct wire expected = wire_of(is_post ? from->body : QUERY);

    if (is_post || strstr(from->target, DIGITS)) {
        if (request->size != expected.size)
            fail_msg("%s: a message of %zu octets", from->what, request->size);
        assert_memory_equal(request->message, expected.bytes, expected.size);
    }
    wire_free(&expected);
}

static void check_request(const struct request *from, enum order order, size_t piece)
{
    struct doh_request request;
    struct address source = {.family = AF_INET};
    enum http_status status;

    memset(&request, 0xa5, sizeof(request));
    doh_request_init(&request, PATH, NULL);
    hand_over_all(&request, from, order, piece);
    status = doh_request_finish(&request, &source);
    if (status != from->status)
        fail_msg("%s: %d", from->what, status);
    assert_int_equal(request.status, status);
    assert_int_equal(source.family, AF_INET);
    if (status == HTTP_OK)
        check_message(&request, from);
    else
        assert_true(request.message == request.inlined && request.size == 0);
    doh_request_deinit(&request);
    assert_true(request.message == request.inlined && request.size == 0);
    doh_request_deinit(&request);
}

static void test_requests(void **state)
{
    static const size_t pieces[] = {1, 11, 500, 100000};

    for (size_t i = 0; i < ARRAY_LEN(requests); i++)
        for (size_t p = 0; p < ARRAY_LEN(pieces); p++) {
            check_request(&requests[i], METHOD_FIRST, pieces[p]);
            check_request(&requests[i], TARGET_FIRST, pieces[p]);
        }
}

static void start_post(struct doh_request *request)
{
    doh_request_init(request, PATH, NULL);
    hand_over(request, doh_request_method, "POST");
    hand_over(request, doh_request_target, PATH);
    hand_over_fields(request, TYPE);
}

// As soon as it is known, so that nobody has to send what is of no use.
static void test_status_before_the_end(void **state)
{
    struct doh_request request;

    doh_request_init(&request, PATH, NULL);
    hand_over(&request, doh_request_method, "HEAD");
    assert_int_equal(request.status, HTTP_OK); // its path may be one that is not there
    hand_over(&request, doh_request_target, PATH);
    assert_int_equal(request.status, HTTP_METHOD_NOT_ALLOWED);

    doh_request_init(&request, PATH, NULL);
    hand_over(&request, doh_request_target, "/");
    assert_int_equal(request.status, HTTP_NOT_FOUND);

    start_post(&request);
    hand_over_fields(&request, "content-length: 65536\n");
    assert_int_equal(request.status, HTTP_CONTENT_TOO_LARGE);

    doh_request_init(&request, PATH, NULL);
    hand_over(&request, doh_request_method, "POST");
    hand_over(&request, doh_request_target, PATH);
    doh_request_body(&request, (const uint8_t *)"1234", 4);
    assert_int_equal(request.status, HTTP_UNSUPPORTED_MEDIA_TYPE);
}

// What does not fit is on the heap, and no more of it than may be.
static void test_memory(void **state)
{
    static const size_t sizes[] = {12,    511,   512,   513,   1023,  1024, 1025,
                                   32767, 32768, 32769, 65534, 65535, 65536};
    static const size_t pieces[] = {1, 100, 512, 513, 40000, 65536};
    static uint8_t bytes[65536];
    struct rng rng = {.state = 1};

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)rng_next(&rng);
    bytes[2] = 0; // no QR
    for (size_t s = 0; s < ARRAY_LEN(sizes); s++)
        for (size_t p = 0; p < ARRAY_LEN(pieces); p++) {
            struct wire body = {.bytes = bytes, .size = sizes[s]};
            struct doh_request request;
            struct address source;

            start_post(&request);
            hand_over_body(&request, &body, pieces[p]);
            assert_int_equal(request.message == request.inlined,
                             sizes[s] <= DOH_INLINE_SIZE || sizes[s] > DNS_MESSAGE_MAX);
            assert_true(request.capacity <= DNS_MESSAGE_MAX);
            assert_true(request.capacity < 2 * MAX(request.size, DOH_INLINE_SIZE));
            if (sizes[s] > DNS_MESSAGE_MAX) {
                assert_int_equal(request.status, HTTP_CONTENT_TOO_LARGE);
                continue; // nothing is left to be freed
            }
            assert_int_equal(doh_request_finish(&request, &source), HTTP_OK);
            assert_int_equal(request.size, sizes[s]);
            assert_memory_equal(request.message, bytes, sizes[s]);
            doh_request_deinit(&request);
        }
}

static void test_size_of_target(void **state)
{
    static char target[HTTP_TARGET_MAX + 2] = PATH "?dns=";
    size_t start = strlen(target);
    struct doh_request request;
    struct address source;

    memset(target + start, 'A', HTTP_TARGET_MAX - start);
    for (enum order order = METHOD_FIRST; order <= TARGET_FIRST; order++) {
        struct request from = {"", "GET", target, "", NULL, HTTP_OK};

        target[HTTP_TARGET_MAX] = '\0';
        doh_request_init(&request, PATH, NULL);
        hand_over_all(&request, &from, order, 1);
        assert_int_equal(doh_request_finish(&request, &source),
                         (HTTP_TARGET_MAX - start) % 4 == 1 ? HTTP_BAD_REQUEST : HTTP_OK);
        doh_request_deinit(&request);

        target[HTTP_TARGET_MAX] = 'A';
        doh_request_init(&request, PATH, NULL);
        hand_over_all(&request, &from, order, 1);
        assert_int_equal(doh_request_finish(&request, &source), HTTP_URI_TOO_LONG);
    }
    // Wherever it leads.
    target[1] = 'D';
    doh_request_init(&request, PATH, NULL);
    hand_over(&request, doh_request_target, target);
    assert_int_equal(request.status, HTTP_URI_TOO_LONG);
}

// On its way to a POST it was read as that of a GET, and was too large to be inlined.
static void test_large_query_of_post(void **state)
{
    static char target[1000] = PATH "?dns=";
    struct doh_request request;
    struct address source;
    struct wire body = wire_of(QUERY);

    memset(target + strlen(target), 'A', 960);
    doh_request_init(&request, PATH, NULL);
    hand_over(&request, doh_request_target, target);
    assert_int_equal(request.size, 720);
    hand_over(&request, doh_request_method, "POST");
    hand_over_fields(&request, TYPE);
    hand_over_body(&request, &body, 100);
    assert_int_equal(doh_request_finish(&request, &source), HTTP_OK);
    assert_int_equal(request.size, body.size);
    assert_memory_equal(request.message, body.bytes, body.size);
    wire_free(&body);
    doh_request_deinit(&request);
}

static void test_count_of_fields(void **state)
{
    struct doh_request request;
    struct address source;

    for (size_t count = HTTP_FIELDS_MAX - 1; count <= HTTP_FIELDS_MAX + 1; count++) {
        doh_request_init(&request, PATH, NULL);
        hand_over(&request, doh_request_method, "GET");
        hand_over(&request, doh_request_target, PATH "?dns=" DIGITS);
        for (size_t i = 0; i < count; i++)
            hand_over_fields(&request, "a: b\n");
        assert_int_equal(doh_request_finish(&request, &source),
                         count <= HTTP_FIELDS_MAX ? HTTP_OK : HTTP_FIELDS_TOO_LARGE);
    }
}

static void test_size_of_fields(void **state)
{
    static char value[HTTP_FIELDS_SIZE_MAX];
    struct doh_request request;
    struct address source;

    memset(value, 'b', sizeof(value));
    for (int more = -1; more <= 1; more++) {
        doh_request_init(&request, PATH, NULL);
        hand_over(&request, doh_request_method, "GET");
        hand_over(&request, doh_request_target, PATH "?dns=" DIGITS);
        hand_over_field(&request, "abc", 3, "", 0);
        hand_over_field(&request, "", 0, "abc", 3);
        hand_over_field(&request, "name", 4, value,
                        (size_t)(HTTP_FIELDS_SIZE_MAX - 2 * 35 - 36 + more));
        assert_int_equal(doh_request_finish(&request, &source),
                         more <= 0 ? HTTP_OK : HTTP_FIELDS_TOO_LARGE);
    }
}

#define FORWARD "forwarded: "
#define X_FORWARD "x-forwarded-for: "

#define NOBODY "does not say for whom"
#define UNKNOWN "names no IP address"
#define DIFFERENT "name different clients"

// Forwarders are 10.0.0.0/8, 192.0.2.53 and fd00::/8.
static const struct {
    const char *fields;
    const char *source; // or
    const char *why;
} sources[] = {
    {X_FORWARD "198.51.100.1\n", "198.51.100.1:0", NULL},
    {X_FORWARD "2001:db8::1\n", "[2001:db8::1]:0", NULL},
    {"X-Forwarded-For: 198.51.100.1\n", "198.51.100.1:0", NULL},
    {FORWARD "for=198.51.100.1\n", "198.51.100.1:0", NULL},
    {"Forwarded: for=198.51.100.1\n", "198.51.100.1:0", NULL},
    {FORWARD "for=\"[2001:db8::1]:4711\"\n", "[2001:db8::1]:4711", NULL},
    {FORWARD "for=\"198.51.100.1:4711\"\n", "198.51.100.1:4711", NULL},

    // The last that is no forwarder.
    {X_FORWARD "203.0.113.9, 198.51.100.1\n", "198.51.100.1:0", NULL},
    {X_FORWARD "203.0.113.9, 198.51.100.1, 10.0.0.1\n", "198.51.100.1:0", NULL},
    {X_FORWARD "203.0.113.9, 198.51.100.1, fd00::1, 10.0.0.1, 192.0.2.53\n", "198.51.100.1:0",
     NULL},
    {X_FORWARD "10.0.0.2, 198.51.100.1, 10.0.0.1\n", "198.51.100.1:0", NULL},
    {X_FORWARD "198.51.100.1, 192.0.2.52\n", "192.0.2.52:0", NULL},
    {FORWARD "for=203.0.113.9, for=198.51.100.1;by=10.0.0.1, for=\"[fd00::1]\"\n", "198.51.100.1:0",
     NULL},
    // IPv4-mapped addresses are those of IPv4, and stay as they are, as from a PROXY header.
    {X_FORWARD "198.51.100.1, ::ffff:10.0.0.1\n", "198.51.100.1:0", NULL},
    {X_FORWARD "203.0.113.9, ::ffff:198.51.100.1\n", "[::ffff:198.51.100.1]:0", NULL},
    // The first, if all are.
    {X_FORWARD "10.0.0.3, 10.0.0.2, 10.0.0.1\n", "10.0.0.3:0", NULL},
    {X_FORWARD "10.0.0.3\n", "10.0.0.3:0", NULL},
    {X_FORWARD "10.0.0.3\n" X_FORWARD "10.0.0.2\n", "10.0.0.3:0", NULL},
    // Several lines are one list.
    {X_FORWARD "203.0.113.9\n" X_FORWARD "198.51.100.1\n", "198.51.100.1:0", NULL},
    {X_FORWARD "203.0.113.9\n" X_FORWARD "198.51.100.1, 10.0.0.2\n" X_FORWARD "10.0.0.1\n",
     "198.51.100.1:0", NULL},
    {FORWARD "for=203.0.113.9\na: b\nFORWARDED: for=198.51.100.1\n", "198.51.100.1:0", NULL},
    {X_FORWARD "\n" X_FORWARD "198.51.100.1\n" X_FORWARD " , ,\n", "198.51.100.1:0", NULL},
    // An element without an address is no forwarder.
    {X_FORWARD "unknown, 198.51.100.1\n", "198.51.100.1:0", NULL},
    {X_FORWARD "198.51.100.1, unknown\n", NULL, UNKNOWN},
    {X_FORWARD "198.51.100.1, unknown, 10.0.0.1\n", NULL, UNKNOWN},
    {X_FORWARD "unknown, 10.0.0.1\n", NULL, UNKNOWN},
    {X_FORWARD "unknown\n" X_FORWARD "10.0.0.1\n", NULL, UNKNOWN},
    {X_FORWARD "10.0.0.1, unknown\n", NULL, UNKNOWN},
    {FORWARD "for=198.51.100.1, for=_hidden\n", NULL, UNKNOWN},
    {FORWARD "for=198.51.100.1, by=10.0.0.1\n", NULL, UNKNOWN},

    // Nobody is named.
    {"", NULL, NOBODY},
    {"via: 198.51.100.1\nx-forwarded: 198.51.100.1\nx-real-ip: 198.51.100.1\n", NULL, NOBODY},
    {X_FORWARD "\n", NULL, UNKNOWN},
    {FORWARD ", ,\n", NULL, UNKNOWN},

    // Both fields.
    {X_FORWARD "198.51.100.1\n" FORWARD "for=198.51.100.1\n", "198.51.100.1:0", NULL},
    {X_FORWARD "198.51.100.1\n" FORWARD "for=\"198.51.100.1:4711\"\n", "198.51.100.1:4711", NULL},
    {FORWARD "for=198.51.100.1\n" X_FORWARD "198.51.100.1, 10.0.0.1\n", "198.51.100.1:0", NULL},
    {FORWARD "for=198.51.100.1\n" X_FORWARD "::ffff:198.51.100.1\n", "198.51.100.1:0", NULL},
    {FORWARD "for=198.51.100.1\n" X_FORWARD "198.51.100.2\n", NULL, DIFFERENT},
    {FORWARD "for=198.51.100.1\n" X_FORWARD "2001:db8::1\n", NULL, DIFFERENT},
    {FORWARD "for=\"[2001:db8::1]\"\n" X_FORWARD "2001:db8::2\n", NULL, DIFFERENT},
    {FORWARD "for=198.51.100.1\n" X_FORWARD "c633:6401::\n", NULL, DIFFERENT}, // first octets
    {FORWARD "for=\"[c633:6401::]\"\n" X_FORWARD "198.51.100.1\n", NULL, DIFFERENT},
    {FORWARD "for=203.0.113.9\n" X_FORWARD "203.0.113.9, 198.51.100.1\n", NULL, DIFFERENT},
    {FORWARD "for=198.51.100.1\n" X_FORWARD "unknown\n", NULL, UNKNOWN},
    {FORWARD "for=unknown\n" X_FORWARD "198.51.100.1\n", NULL, UNKNOWN},
    {FORWARD "\n" X_FORWARD "198.51.100.1\n", NULL, UNKNOWN},
    {FORWARD "for=unknown\n" X_FORWARD "unknown\n", NULL, UNKNOWN},
};

static struct listener_proxies forwarders_of(void)
{
    static const char *const prefixes[] = {"10.0.0.0/8", "192.0.2.53", "fd00::/8"};
    struct listener_proxies forwarders = {.count = ARRAY_LEN(prefixes)};
    const char *why;

    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
        assert_int_equal(policy_prefix_parse(&forwarders.prefixes[i], prefixes[i], &why), E_OK);
    return forwarders;
}

static void assert_says(const struct http_response *response, const char *words)
{
    char text[DOH_TEXT_SIZE];

    assert_true(response->body_size > 1 && response->body_size < sizeof(text));
    assert_int_equal(response->body[response->body_size - 1], '\n');
    memcpy(text, response->body, response->body_size);
    text[response->body_size] = '\0';
    assert_int_equal(strlen(text), response->body_size);
    if (!strstr(text, words))
        fail_msg("\"%s\" is not in: %s", words, text);
}

static void check_source(const struct listener_proxies *forwarders, const char *fields,
                         const char *expected, const char *why)
{
    struct doh_request request;
    struct http_response response;
    struct address source = {.family = AF_UNSPEC};
    char text[DOH_TEXT_SIZE];

    doh_request_init(&request, PATH, forwarders);
    hand_over(&request, doh_request_method, "GET");
    hand_over(&request, doh_request_target, PATH "?dns=" DIGITS);
    hand_over_fields(&request, fields);
    if (doh_request_finish(&request, &source) != (expected ? HTTP_OK : HTTP_BAD_REQUEST))
        fail_msg("%s: %d", fields, request.status);
    if (!expected) {
        assert_int_equal(source.family, AF_UNSPEC);
        doh_request_refuse(&request, &response, text);
        assert_int_equal(response.status, HTTP_BAD_REQUEST);
        assert_says(&response, why);
    } else if (strcmp(address_to_text(&source, text), expected) != 0) {
        fail_msg("%s: %s", fields, text);
    }
    doh_request_deinit(&request);
}

static void test_sources(void **state)
{
    struct listener_proxies forwarders = forwarders_of();

    for (size_t i = 0; i < ARRAY_LEN(sources); i++)
        check_source(&forwarders, sources[i].fields, sources[i].source, sources[i].why);
}

// Where all addresses are forwarders, what is none still is not.
static void test_sources_where_all_are_forwarders(void **state)
{
    struct listener_proxies all = {.count = 1, .prefixes = {{.kind = POLICY_PREFIX_ANY}}};

    check_source(&all, X_FORWARD "198.51.100.1, 203.0.113.9\n", "198.51.100.1:0", NULL);
    check_source(&all, X_FORWARD "unknown, 203.0.113.9\n", NULL, UNKNOWN);
    check_source(&all, X_FORWARD "198.51.100.1, unknown\n", NULL, UNKNOWN);
}

// From who is no forwarder anything may come.
static void test_fields_of_others_are_not_read(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
        struct doh_request request;
        struct address source;
        char text[ADDRESS_TEXT_MAX];

        assert_int_equal(address_parse(&source, "203.0.113.5:4711", 0), E_OK);
        doh_request_init(&request, PATH, NULL);
        hand_over(&request, doh_request_method, "GET");
        hand_over(&request, doh_request_target, PATH "?dns=" DIGITS);
        hand_over_fields(&request, sources[i].fields);
        assert_int_equal(doh_request_finish(&request, &source), HTTP_OK);
        assert_string_equal(address_to_text(&source, text), "203.0.113.5:4711");
    }
}

static const struct {
    const char *message;
    uint32_t max_age;
} answers[] = {
    {"1234 8180 0001 0001 0000 0000 {a} 0001 0001 c00c 0001 0001 0000012c 0004 c0000201", 300},
    {"1234 8183 0001 0000 0001 0000 {a} 0001 0001 {} 0006 0001 0000012c 0016 00*18 0000003c", 60},
    {"1234 8182 0001 0000 0000 0000 {a} 0001 0001", 0},
    {"1234 8180 0001 0001 0000 0000 {a} 0001 0001 c00c 0001 0001 0000012c 0004 c00002", 0}, // cut
    {"1234 8180", 0},
};

static void test_respond(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        struct wire wire = wire_of(answers[i].message);
        struct http_response response;

        memset(&response, 0xa5, sizeof(response));
        doh_respond(&response, wire.bytes, wire.size);
        assert_int_equal(response.status, HTTP_OK);
        assert_string_equal(response.content_type, "application/dns-message");
        assert_null(response.allow);
        assert_true(response.has_max_age);
        if (response.max_age != answers[i].max_age)
            fail_msg("%s: %u", answers[i].message, response.max_age);
        assert_ptr_equal(response.body, wire.bytes);
        assert_int_equal(response.body_size, wire.size);
        wire_free(&wire);
    }
}

static const struct {
    enum http_status status;
    const char *says;
} refusals[] = {
    {HTTP_BAD_REQUEST, "Ask with " PATH "?dns="},
    {HTTP_NOT_FOUND, "DNS over HTTPS is at " PATH "."},
    {HTTP_METHOD_NOT_ALLOWED, "by POST"},
    {HTTP_LENGTH_REQUIRED, "Content-Length"},
    {HTTP_CONTENT_TOO_LARGE, "65,535"},
    {HTTP_URI_TOO_LONG, "by POST"},
    {HTTP_UNSUPPORTED_MEDIA_TYPE, "Content-Type: application/dns-message"},
    {HTTP_EXPECTATION_FAILED, "100-continue"},
    {HTTP_FIELDS_TOO_LARGE, "fields"},
    {HTTP_NOT_IMPLEMENTED, "chunked"},
    {HTTP_UNAVAILABLE, "Ask again"},
    {HTTP_VERSION_NOT_SUPPORTED, "HTTP/1.1"},
    {(enum http_status)418, "cannot be answered"},
};

static void test_refuse(void **state)
{
    char text[DOH_TEXT_SIZE];
    struct http_response response;

    for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
        struct doh_request request;

        memset(&response, 0xa5, sizeof(response));
        memset(text, 0xa5, sizeof(text));
        doh_refuse(&response, refusals[i].status, PATH, text);
        assert_int_equal(response.status, refusals[i].status);
        assert_string_equal(response.content_type, "text/plain; charset=utf-8");
        assert_false(response.has_max_age);
        if (refusals[i].status == HTTP_METHOD_NOT_ALLOWED)
            assert_string_equal(response.allow, "GET, POST");
        else
            assert_null(response.allow);
        assert_says(&response, refusals[i].says);

        doh_request_init(&request, PATH, NULL);
        request.status = refusals[i].status;
        doh_request_refuse(&request, &response, text);
        assert_int_equal(response.status, refusals[i].status);
        assert_says(&response, refusals[i].says);
    }
}

// It is cut to its room.
static void test_refuse_of_long_path(void **state)
{
    char path[2 * DOH_TEXT_SIZE], text[DOH_TEXT_SIZE];
    struct http_response response;

    memset(path, 'a', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    doh_refuse(&response, HTTP_NOT_FOUND, path, text);
    assert_int_equal(response.body_size, sizeof(text) - 1);
    assert_memory_equal(response.body, "No such page.", strlen("No such page."));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_status_before_the_end),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_size_of_target),
        cmocka_unit_test(test_large_query_of_post),
        cmocka_unit_test(test_count_of_fields),
        cmocka_unit_test(test_size_of_fields),
        cmocka_unit_test(test_sources),
        cmocka_unit_test(test_sources_where_all_are_forwarders),
        cmocka_unit_test(test_fields_of_others_are_not_read),
        cmocka_unit_test(test_respond),
        cmocka_unit_test(test_refuse),
        cmocka_unit_test(test_refuse_of_long_path),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
