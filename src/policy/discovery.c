#include "policy/discovery.h"

#include <netinet/in.h>
#include <string.h>

#include "base/cursor.h"
#include "dns/tables.h"

// As short as that of a name which is looked up at each start of a network.
#define TTL 300

// SvcParamKeys (RFC 9460 section 14.3.2).
enum { KEY_ALPN = 1, KEY_PORT = 3, KEY_IPV4HINT = 4, KEY_IPV6HINT = 6, KEY_DOHPATH = 7 };

// What a client assumes if no port is given (RFC 9461 section 4.2).
enum { PORT_TLS = 853, PORT_HTTPS = 443 };

// A path with this is the template that RFC 9461 section 5 wants.
#define TEMPLATE_TAIL "{?dns}"

static bool is_loopback(const struct address *address)
{
    size_t size;
    const uint8_t *octets = address_octets(address, &size);

    return size == 4 ? octets[0] == 127
                     : size == 16 && IN6_IS_ADDR_LOOPBACK(&address->v6.sin6_addr);
}

// Where the client finds the endpoint; AF_UNSPEC if that is not known. False if it cannot get
// there.
static bool reachable(const struct address *endpoint, const struct address *asked,
                      struct address *at)
{
    if (address_is_wildcard(endpoint)) {
        size_t size;

        *at = *asked;
        address_octets(asked, &size);
        return endpoint->family == AF_INET6 || size != 16; // [::] takes IPv4 too
    }
    *at = *endpoint;
    return asked->family == AF_UNSPEC || is_loopback(endpoint) == is_loopback(asked);
}

static size_t write_service(uint8_t *to, size_t size, uint16_t priority,
                            const struct policy_endpoint *endpoint, const struct address *at)
{
    struct writer w = writer_of(to, size);
    size_t hint_size;
    const uint8_t *hint = address_octets(at, &hint_size);
    uint16_t port = address_port(&endpoint->address);
    size_t path_size = strlen(endpoint->path);
    bool https = path_size > 0;

    writer_u16(&w, priority);
    writer_bytes(&w, endpoint->name, dns_name_length(endpoint->name));
    writer_u16(&w, KEY_ALPN);
    writer_u16(&w, https ? 3 : 4);
    writer_bytes(&w, https ? "\2h2" : "\3dot", https ? 3 : 4);
    if (port != (https ? PORT_HTTPS : PORT_TLS)) {
        writer_u16(&w, KEY_PORT);
        writer_u16(&w, 2);
        writer_u16(&w, port);
    }
    if (hint_size > 0) {
        writer_u16(&w, hint_size == 4 ? KEY_IPV4HINT : KEY_IPV6HINT);
        writer_u16(&w, (uint16_t)hint_size);
        writer_bytes(&w, hint, hint_size);
    }
    if (https) {
        writer_u16(&w, KEY_DOHPATH);
        writer_u16(&w, (uint16_t)(path_size + strlen(TEMPLATE_TAIL)));
        writer_bytes(&w, endpoint->path, path_size);
        writer_bytes(&w, TEMPLATE_TAIL, strlen(TEMPLATE_TAIL));
    }
    return w.failed ? 0 : size - writer_left(&w);
}

bool policy_answer_discovery(const struct policy_discovery *discovery, const struct address *asked,
                             struct policy_answer *answer)
{
    size_t used = 0;

    for (uint32_t i = 0; i < discovery->count; i++) {
        const struct policy_endpoint *endpoint = &discovery->endpoints[i];
        uint8_t *rdata = answer->rdata + used;
        struct address at;
        size_t size;

        if (!reachable(&endpoint->address, asked, &at))
            continue;
        size = write_service(rdata, sizeof(answer->rdata) - used,
                             (uint16_t)(answer->record_count + 1), endpoint, &at);
        if (size == 0)
            break;
        answer->records[answer->record_count++] = (struct dns_local_record){
            .type = DNS_TYPE_SVCB,
            .class = DNS_CLASS_IN,
            .ttl = TTL,
            .rdata = rdata,
            .rdata_size = (uint16_t)size,
            .section = DNS_ANSWER,
        };
        used += size;
    }
    return answer->record_count > 0;
}
