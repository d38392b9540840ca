// DNS over HTTPS on a connection (RFC 8484), by HTTP/2 or HTTP/1.1; over plain HTTP too, for what
// is behind a proxy that has ended TLS.
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "listener/doh.h"
#include "listener/http_site.h"
#include "listener/tcp_client.h"
#include "net/http1.h"
#include "net/http2.h"

enum version { UNDECIDED, HTTP1, HTTP2 };

struct http_client {
    struct tcp_client client;
    struct http_site *site;
    const struct listener_proxies *forwarders; // the site's, if the client is one of them
    enum version version;
    uint8_t preface[HTTP2_PREFACE_SIZE]; // what has come while it is undecided
    size_t preface_size;
    struct http1 http1;
    struct http2 *http2;

    usec_t head_since;      // octets wait for the rest of a head, or of the preface; or USEC_NEVER
    struct list exchanges;  // all
    struct list incomplete; // whose request is not whole, the oldest first
    struct list unsent;     // whose response is not sent, the oldest first
    uint32_t exchange_count;
};

// A request and its response.
struct exchange {
    struct list node;  // in the client's exchanges
    struct list phase; // in its incomplete or unsent ones, while it is either
    usec_t since;      // it is in that list
    struct http_client *http;
    struct http_request request;
    bool complete; // the request
    bool asked;    // the engine, which has not answered yet
    bool ended;    // HTTP is done with it
    struct address source;
    struct doh_request doh; // then the answer, in its message; or words, in `inlined`
};

static_assert(DOH_TEXT_SIZE <= DOH_INLINE_SIZE, "words are where the query was");

size_t http_exchange_size(void)
{
    return sizeof(struct exchange);
}

static struct http_client *of(const struct tcp_client *client)
{
    return container_of(client, struct http_client, client);
}

static struct exchange *exchange_of(const struct http_request *request)
{
    return container_of(request, struct exchange, request);
}

static struct listener *listener_of(const struct exchange *exchange)
{
    return exchange->http->client.listener;
}

// ---- Requests

static void enter(struct exchange *exchange, struct list *phase)
{
    list_remove(&exchange->phase);
    list_append(phase, &exchange->phase);
    exchange->since = loop_now(listener_of(exchange)->loop);
}

static struct http_request *on_begin(void *owner)
{
    struct http_client *http = owner;
    struct listener *listener = http->client.listener;
    struct exchange *exchange;

    if (http->exchange_count >= http->client.terms->limits.tcp_max_in_flight)
        return NULL;
    exchange = slab_take(&listener->exchanges);
    if (!exchange)
        return NULL;
    memset(exchange, 0, offsetof(struct exchange, doh));
    exchange->http = http;
    list_init(&exchange->phase);
    list_append(&http->exchanges, &exchange->node);
    enter(exchange, &http->incomplete);
    // Of HTTP/1.1 the head may have been under way for a while.
    exchange->since = MIN(exchange->since, http->head_since);
    http->exchange_count++;
    exchange->source = http->client.client.source;
    doh_request_init(&exchange->doh, http->site->path, http->forwarders);
    return &exchange->request;
}

static void free_exchange(struct exchange *exchange)
{
    struct http_client *http = exchange->http;
    bool complete = exchange->complete;

    doh_request_deinit(&exchange->doh);
    list_remove(&exchange->node);
    list_remove(&exchange->phase);
    http->exchange_count--;
    slab_give(&listener_of(exchange)->exchanges, exchange);
    if (complete)
        tcp_client_answered(&http->client);
}

static void on_method(struct http_request *request, struct http_text method)
{
    doh_request_method(&exchange_of(request)->doh, method);
}

static void on_target(struct http_request *request, struct http_text target)
{
    doh_request_target(&exchange_of(request)->doh, target);
}

static void on_field(struct http_request *request, struct http_text name, struct http_text value)
{
    doh_request_field(&exchange_of(request)->doh, name, value);
}

static bool on_wanted(const struct http_request *request)
{
    const struct exchange *exchange = exchange_of(request);

    return !exchange->complete && exchange->doh.status == HTTP_OK;
}

static void on_body(struct http_request *request, const uint8_t *bytes, size_t size)
{
    doh_request_body(&exchange_of(request)->doh, bytes, size);
}

// ---- Responses

static void respond(struct exchange *exchange)
{
    struct http_client *http = exchange->http;
    struct tcp_client *client = &http->client;

    enter(exchange, &http->unsent);
    exchange->request.response.date = http_date(&client->listener->date, time(NULL));
    if (http->version == HTTP2) {
        http2_respond(http->http2, &exchange->request);
    } else if (http1_respond(&http->http1, &exchange->request.response) != E_OK) {
        if (!tcp_client_is_closed(client))
            tcp_client_abort(client, COUNTER_tcp_closed_slow);
        return;
    }
    tcp_client_resume(client);
}

static void give_up(struct exchange *exchange)
{
    struct http_client *http = exchange->http;

    if (http->version == HTTP2)
        http2_give_up(http->http2, &exchange->request);
    else
        http1_give_up(&http->http1);
    tcp_client_resume(&http->client);
}

static void on_refuse(struct http_request *request, enum http_status status)
{
    struct exchange *exchange = exchange_of(request);
    char *words = (char *)exchange->doh.inlined;

    counter_inc(listener_of(exchange)->counters, COUNTER_http_refused);
    if (!exchange->complete) {
        exchange->complete = true;
        tcp_client_asked(&exchange->http->client);
    }
    if (exchange->doh.status != HTTP_OK)
        doh_request_refuse(&exchange->doh, &request->response, words);
    else
        doh_refuse(&request->response, status, exchange->doh.path, words);
    respond(exchange);
}

static void on_finish(struct http_request *request)
{
    struct exchange *exchange = exchange_of(request);
    struct tcp_client *client = &exchange->http->client;
    enum http_status status = doh_request_finish(&exchange->doh, &exchange->source);
    struct engine_client asking;

    if (status != HTTP_OK) {
        on_refuse(request, status);
        return;
    }
    exchange->complete = exchange->asked = true;
    list_remove(&exchange->phase);
    tcp_client_asked(client);
    asking = client->client;
    asking.owner = exchange;
    asking.source = exchange->source;
    engine_query(client->listener->engine, client->terms->policy, &asking, exchange->doh.message,
                 exchange->doh.size);
}

static void on_end(struct http_request *request)
{
    struct exchange *exchange = exchange_of(request);

    exchange->ended = true;
    list_remove(&exchange->phase);
    if (!exchange->asked)
        free_exchange(exchange);
}

// The query is no more of use: its place is the answer's.
static bool keep_answer(struct doh_request *doh, const uint8_t *message, size_t size)
{
    if (size > doh->capacity) {
        uint8_t *kept = malloc(size);

        if (!kept)
            return false;
        doh_request_deinit(doh);
        doh->message = kept;
        doh->capacity = size;
    }
    memcpy(doh->message, message, size);
    doh->size = size;
    return true;
}

static void on_answer(const struct engine_client *engine_client, const uint8_t *message,
                      size_t size)
{
    struct exchange *exchange = engine_client->owner;

    exchange->asked = false;
    if (exchange->ended) {
        free_exchange(exchange);
        return;
    }
    if (!message || !keep_answer(&exchange->doh, message, size)) {
        give_up(exchange);
        return;
    }
    doh_respond(&exchange->request.response, exchange->doh.message, size);
    respond(exchange);
}

// ---- The connection

static const struct http_server_ops server_ops = {
    .begin = on_begin,
    .method = on_method,
    .target = on_target,
    .field = on_field,
    .wanted = on_wanted,
    .body = on_body,
    .finish = on_finish,
    .refuse = on_refuse,
    .end = on_end,
};

static void init(struct tcp_client *client, const struct tcp_listener *tcp)
{
    struct http_client *http = of(client);

    http->site = http_site_ref(tcp->site);
    http->head_since = USEC_NEVER;
    list_init(&http->exchanges);
    list_init(&http->incomplete);
    list_init(&http->unsent);
}

static int begin(struct http_client *http, enum version version)
{
    struct tcp_client *client = &http->client;
    const struct listener_proxies *forwarders = &http->site->forwarders;

    // Who the peer is may be known only by its PROXY header, which has been read by now.
    if (listener_is_proxy(forwarders, &client->client.source))
        http->forwarders = forwarders;
    http->version = version;
    if (version == HTTP2) {
        http->http2 =
            http2_new(&server_ops, http, &client->stream, client->terms->limits.tcp_max_in_flight);
        return http->http2 ? E_OK : E_NOMEM;
    }
    http->http1 = (struct http1){.ops = &server_ops, .owner = http, .stream = &client->stream};
    return E_OK;
}

// What is spoken: as agreed by ALPN; else HTTP/1.1, or over plain HTTP what it begins with
// (RFC 9113 section 3.3). E_AGAIN if that cannot be told yet.
static int decide(struct http_client *http, const uint8_t *bytes, size_t size)
{
    char protocol[TLS_PROTOCOL_SIZE];
    size_t step = MIN(size, HTTP2_PREFACE_SIZE - http->preface_size);

    if (http->client.encrypted)
        return begin(http, strcmp(tls_protocol(http->client.stream.tls, protocol), "h2") == 0
                               ? HTTP2
                               : HTTP1);
    memcpy(http->preface + http->preface_size, bytes, step);
    http->preface_size += step;
    if (memcmp(http->preface, HTTP2_PREFACE, http->preface_size) != 0)
        return begin(http, HTTP1);
    return http->preface_size == HTTP2_PREFACE_SIZE ? begin(http, HTTP2) : E_AGAIN;
}

static int feed(struct http_client *http, const uint8_t *bytes, size_t size)
{
    if (http->version == HTTP1)
        return http1_feed(&http->http1, bytes, size);
    http2_feed(http->http2, bytes, size, loop_now(http->client.listener->loop));
    return E_OK;
}

static void note_head(struct http_client *http)
{
    bool is_partial = http->version == UNDECIDED
                          ? http->preface_size > 0
                          : http->version == HTTP1 && http1_is_partial(&http->http1);

    if (!is_partial)
        http->head_since = USEC_NEVER;
    else if (http->head_since == USEC_NEVER)
        http->head_since = loop_now(http->client.listener->loop);
}

// Sends what is to be sent, and ends the connection when nothing more can come of it.
static int go_on(struct http_client *http)
{
    struct tcp_client *client = &http->client;

    if (http->version == HTTP2) {
        if (http2_send(http->http2) != E_OK)
            return E_NOMEM;
        if (!http2_is_over(http->http2))
            return E_OK;
        if (http2_has_failed(http->http2))
            counter_inc(client->listener->counters, COUNTER_tcp_closed_invalid);
        tcp_client_linger(client);
    } else if (http->version == HTTP1 && http->http1.state == HTTP1_OVER) {
        tcp_client_linger(client);
    }
    return E_OK;
}

static int received(struct tcp_client *client, const uint8_t *bytes, size_t size)
{
    struct http_client *http = of(client);
    size_t before = http->preface_size;
    int err = E_OK;

    if (http->version == UNDECIDED) {
        err = decide(http, bytes, size);
        if (err == E_OK && before > 0)
            err = feed(http, http->preface, before);
    }
    if (err == E_OK)
        err = feed(http, bytes, size);
    note_head(http);
    if (err == E_AGAIN)
        return E_OK;
    return err == E_OK ? go_on(http) : err;
}

static int resume(struct tcp_client *client)
{
    struct http_client *http = of(client);
    int err = http->version == HTTP1 ? http1_resume(&http->http1) : E_OK;

    note_head(http);
    return err == E_OK ? go_on(http) : err;
}

static bool waiting(const struct tcp_client *client)
{
    const struct http_client *http = of(client);

    return http->version == HTTP1 && http->http1.size > 0 && http1_is_stopped(&http->http1);
}

static bool may_read(const struct tcp_client *client)
{
    const struct http_client *http = of(client);

    if (http->version == HTTP2)
        return stream_pending(&client->stream) < STREAM_PENDING_ENOUGH;
    return !client->retiring && (http->version == UNDECIDED || !http1_is_stopped(&http->http1));
}

static usec_t since_of(const struct list *exchanges)
{
    return list_empty(exchanges) ? USEC_NEVER
                                 : list_first(exchanges, struct exchange, phase)->since;
}

static usec_t partial_since(const struct tcp_client *client)
{
    const struct http_client *http = of(client);

    return MIN(http->head_since, since_of(&http->incomplete));
}

static usec_t unsent_since(const struct tcp_client *client)
{
    return since_of(&of(client)->unsent);
}

static void retire(struct tcp_client *client)
{
    struct http_client *http = of(client);

    if (http->version == HTTP2) {
        http2_retire(http->http2);
        if (http2_send(http->http2) != E_OK)
            tcp_client_abort(client, COUNTER_tcp_closed_slow);
    } else {
        http->http1.keep_alive = false;
    }
}

static void closed(struct tcp_client *client)
{
    struct http_client *http = of(client);

    list_for_each(node, &http->exchanges)
        on_end(&list_entry(node, struct exchange, node)->request);
    http->http1.request = NULL;
}

static void deinit(struct tcp_client *client)
{
    struct http_client *http = of(client);

    http1_deinit(&http->http1);
    http2_free(http->http2);
    http_site_unref(http->site);
}

static const struct engine_client_ops client_ops = {.answer = on_answer};

const struct tcp_protocol tcp_http = {
    .size = sizeof(struct http_client),
    .plain = ENGINE_HTTP,
    .encrypted = ENGINE_HTTP,
    .client_ops = &client_ops,
    .init = init,
    .received = received,
    .resume = resume,
    .waiting = waiting,
    .may_read = may_read,
    .partial_since = partial_since,
    .unsent_since = unsent_since,
    .retire = retire,
    .closed = closed,
    .deinit = deinit,
};
