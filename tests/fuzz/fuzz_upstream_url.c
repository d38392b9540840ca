// The upstream URL: whatever the text, what is accepted is complete, deterministic, and reads back
// from its canonical form.
#include "upstream/url.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct upstream_endpoint *endpoint)
{
    struct upstream_endpoint again;
    char url[2 * UPSTREAM_NAME_SIZE + ADDRESS_TEXT_MAX], text[ADDRESS_TEXT_MAX];
    const char *why;

    require(endpoint->port != 0);
    require(!*endpoint->host == (endpoint->address_count > 0));
    require(!*endpoint->host || *endpoint->auth_name);
    for (unsigned i = 0; i < endpoint->address_count; i++) {
        require(address_port(&endpoint->addresses[i]) == endpoint->port);
        require(!address_is_wildcard(&endpoint->addresses[i]));
    }
    if (endpoint->address_count > 1) // a preset
        return;
    if (*endpoint->host)
        snprintf(url, sizeof(url), "tls://%s:%u#%s", endpoint->host, endpoint->port,
                 endpoint->auth_name);
    else
        snprintf(url, sizeof(url), "tls://%s%s%s", address_to_text(&endpoint->addresses[0], text),
                 *endpoint->auth_name ? "#" : "", endpoint->auth_name);
    require(strlen(url) >= UPSTREAM_URL_SIZE || upstream_url_parse(&again, url, &why) == E_OK);
    require(strlen(url) >= UPSTREAM_URL_SIZE || memcmp(endpoint, &again, sizeof(again)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct upstream_endpoint endpoint;
    char text[1024];
    const char *why = NULL;

    if (size >= sizeof(text))
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    memset(&endpoint, 0xa5, sizeof(endpoint));
    if (upstream_url_parse(&endpoint, text, &why) == E_OK)
        check(&endpoint);
    else
        require(why && *why);
    return 0;
}
