#include "cli/mobileconfig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/error.h"
#include "base/utf8.h"
#include "cli/files.h"
#include "cli/profile.h"
#include "net/tls_authority.h"

// The port of DNS over TLS (RFC 7858 section 3.1), and the only one that profiles can mean.
#define TLS_PORT "853"

#define ADDRESSES_MAX 16
#define URL_SIZE 1024

struct arguments {
    const char *ca_file; // NULL: not given
    const char *name;    // NULL: not given
    bool https;
    struct tls_name host;
    char url[URL_SIZE]; // of HTTPS
    struct tls_name addresses[ADDRESSES_MAX];
    unsigned address_count;
};

enum { CODE_CA = SUBCOMMAND_CODE_MIN, CODE_NAME };

static const struct option options[] = {
    {"ca", required_argument, NULL, CODE_CA},
    {"name", required_argument, NULL, CODE_NAME},
    SUBCOMMAND_HELP_OPTION,
    SUBCOMMAND_OPTIONS_END,
};

static int wrong(const struct subcommand *subcommand, const char *text, const char *what)
{
    fprintf(stderr, "sotto %s: \"%s\" %s\n", subcommand->name, text, what);
    return EXIT_USAGE;
}

// ---- The options

static int take(const struct subcommand *subcommand, void *to, int code, const char *value)
{
    struct arguments *arguments = to;

    if (code == CODE_CA) {
        arguments->ca_file = value;
        return EXIT_OK;
    }
    if (*value == '\0')
        return subcommand_usage_error(subcommand, "--name is empty; write what users will see", "");
    for (const char *at = value; *at;) {
        size_t length = utf8_printable_length(at);

        if (length == 0)
            return subcommand_usage_error(subcommand,
                                          "--name has what is no printable character in UTF-8", "");
        at += length;
    }
    arguments->name = value;
    return EXIT_OK;
}

// ---- The URL

// What a URL has between "://" and its path.
struct authority {
    char host[TLS_NAME_SIZE];
    char port[8]; // "": not given
};

// "host", "host:port", "[IPv6]" or "[IPv6]:port". False if it is none of them.
static bool split_authority(struct authority *authority, const char *text, size_t length)
{
    const char *end = text + length, *host_end;
    size_t port_length;
    unsigned long port;

    if (length > 0 && *text == '[') {
        host_end = memchr(text, ']', length);
        if (!host_end)
            return false;
        text++;
    } else {
        host_end = memchr(text, ':', length);
        if (!host_end)
            host_end = end;
    }
    if ((size_t)(host_end - text) >= sizeof(authority->host))
        return false;
    memcpy(authority->host, text, (size_t)(host_end - text));
    authority->host[host_end - text] = '\0';
    if (host_end < end && *host_end == ']')
        host_end++;
    *authority->port = '\0';
    if (host_end == end)
        return true;
    port_length = (size_t)(end - host_end) - 1;
    if (*host_end != ':' || port_length == 0 || port_length > 5 ||
        strspn(host_end + 1, "0123456789") < port_length)
        return false;
    memcpy(authority->port, host_end + 1, port_length);
    authority->port[port_length] = '\0';
    port = strtoul(authority->port, NULL, 10);
    return port >= 1 && port <= UINT16_MAX;
}

static int take_tls(const struct subcommand *subcommand, const struct arguments *arguments,
                    const struct authority *authority, const char *text, const char *path)
{
    if (arguments->host.address_size > 0)
        return wrong(subcommand, text,
                     "has an address where profiles for DNS over TLS want the name in the "
                     "certificate; write tls://NAME ADDRESS");
    if (*authority->port && strcmp(authority->port, TLS_PORT) != 0)
        return wrong(subcommand, text,
                     "has another port than 853, which profiles for DNS over TLS cannot say; let "
                     "the server listen on 853, or use https://");
    if (*path)
        return wrong(subcommand, text, "has a path, which only https:// can have");
    return EXIT_OK;
}

static int take_https(const struct subcommand *subcommand, struct arguments *arguments,
                      const char *text, const char *path)
{
    if (*path != '/')
        return wrong(subcommand, text, "has no path; sotto answers at /dns-query");
    for (const char *at = text; *at; at++)
        if (*at <= ' ' || *at >= 0x7f || strchr("\"#<>\\^`|", *at))
            return wrong(subcommand, text,
                         "has a character that no URL of a server has; write it as %XX");
    if (strlen(text) >= sizeof(arguments->url))
        return wrong(subcommand, text, "is too long");
    snprintf(arguments->url, sizeof(arguments->url), "https:%s", strchr(text, '/'));
    return EXIT_OK;
}

static int take_url(const struct subcommand *subcommand, struct arguments *arguments,
                    const char *text)
{
    struct authority authority;
    char reason[TLS_REASON_SIZE];
    const char *at;
    size_t length;

    arguments->https = strncasecmp(text, "https://", 8) == 0;
    if (!arguments->https && strncasecmp(text, "tls://", 6) != 0)
        return wrong(subcommand, text,
                     "is no URL of a DNS server; expected tls://NAME or https://NAME/dns-query");
    at = strchr(text, '/') + 2;
    length = strcspn(at, "/?");
    if (memchr(at, '#', length))
        return wrong(
            subcommand, text,
            "has a \"#\"; write the name in the URL, and the address behind it: tls://NAME "
            "ADDRESS");
    if (!split_authority(&authority, at, length))
        return wrong(subcommand, text,
                     "has no host or port that can be read; write IPv6 addresses in brackets, and "
                     "ports from 1 to 65535");
    if (tls_name_parse(&arguments->host, authority.host, reason) != E_OK) {
        fprintf(stderr, "sotto %s: \"%s\": the host \"%s\" %s\n", subcommand->name, text,
                authority.host, reason);
        return EXIT_USAGE;
    }
    if (arguments->host.wildcard)
        return wrong(subcommand, text, "has a \"*\"; write the name of the one server");
    if (arguments->https)
        return take_https(subcommand, arguments, text, at + length);
    return take_tls(subcommand, arguments, &authority, text, at + length);
}

static int take_addresses(const struct subcommand *subcommand, struct arguments *arguments,
                          char **addresses)
{
    for (; *addresses; addresses++) {
        struct tls_name address;
        char reason[TLS_REASON_SIZE];

        if (tls_name_parse(&address, *addresses, reason) != E_OK)
            return wrong(subcommand, *addresses, reason);
        if (address.address_size == 0)
            return wrong(subcommand, *addresses,
                         "is no IP address; the server's name stands in its URL, the rest are its "
                         "addresses");
        if (arguments->address_count == ADDRESSES_MAX)
            return subcommand_usage_error(subcommand, "more than 16 addresses: no room for ",
                                          *addresses);
        arguments->addresses[arguments->address_count++] = address;
    }
    return EXIT_OK;
}

// ---- The whole

// The authority in base64, for the caller to free. NULL after having said why.
static char *read_authority(const struct subcommand *subcommand, const char *path)
{
    char reason[FILE_REASON_SIZE], *pem, *base64;

    if (file_read(AT_FDCWD, path, &pem, reason) != E_OK) {
        subcommand_failure(subcommand, "cannot read %s: %s", path, reason);
        return NULL;
    }
    if (!pem) {
        subcommand_failure(subcommand, "cannot read %s: %s; `sotto cert` makes a ca.pem", path,
                           strerror(ENOENT));
        return NULL;
    }
    base64 = tls_authority_to_base64(pem, time(NULL), reason);
    if (!base64)
        subcommand_failure(subcommand,
                           "cannot use %s: %s; give the ca.pem of `sotto cert`, or that "
                           "of the server's authority",
                           path, reason);
    free(pem);
    return base64;
}

static int print(const struct subcommand *subcommand, const struct arguments *arguments)
{
    char name[TLS_NAME_SIZE + 8];
    struct profile profile = {
        .name = arguments->name ? arguments->name : name,
        .host = arguments->host.text,
        .url = arguments->https ? arguments->url : NULL,
        .addresses = arguments->addresses,
        .address_count = arguments->address_count,
    };
    char *authority = NULL;
    int err;

    snprintf(name, sizeof(name), "sotto (%s)", arguments->host.text);
    if (arguments->ca_file && !(authority = read_authority(subcommand, arguments->ca_file)))
        return EXIT_RUNTIME;
    profile.authority = authority;
    err = profile_print(&profile, stdout);
    free(authority);
    if (err == E_OK)
        return EXIT_OK;
    return subcommand_failure(subcommand, "cannot write the profile: %s",
                              err == E_SYSTEM ? strerror(errno) : error_text(err));
}

static int run(const struct subcommand *subcommand, int argc, char **argv)
{
    struct arguments arguments = {.ca_file = NULL};
    int code = subcommand_parse(subcommand, argc, argv, &arguments);

    if (code != SUBCOMMAND_GO_ON)
        return code;
    if (optind == argc)
        return subcommand_usage_error(
            subcommand, "a URL is missing: write tls://NAME or https://NAME/dns-query", "");
    if ((code = take_url(subcommand, &arguments, argv[optind])) != EXIT_OK ||
        (code = take_addresses(subcommand, &arguments, argv + optind + 1)) != EXIT_OK)
        return code;
    return print(subcommand, &arguments);
}

const struct subcommand subcommand_mobileconfig = {
    .name = "mobileconfig",
    .operands = "URL [ADDRESS]...",
    .summary = "print a profile for Apple devices",
    .help = "Usage: sotto mobileconfig [OPTION]... URL [ADDRESS]...\n"
            "Prints a configuration profile that makes an iPhone, iPad or Mac (iOS 14, macOS\n"
            "11 or later) use the DNS server at URL: tls://NAME or https://NAME/dns-query.\n"
            "Without an ADDRESS the device looks NAME up in the network that it is in.\n\n"
            "      --ca FILE              make it trust the certificate authority in FILE,\n"
            "                             in PEM, such as the ca.pem of `sotto cert`\n"
            "      --name TEXT            show TEXT as the profile's name\n"
            "  -h, --help                 print this help, and end\n\n"
            "Write it to a file whose name ends in .mobileconfig and open that on the\n"
            "device. On iOS an authority must also be switched on, in Settings > General >\n"
            "About > Certificate Trust Settings. A profile for the same server replaces the\n"
            "one before.\n\n"
            "Exit codes: 0; 1 after a failure; 2 if an option, the URL or an address is\n"
            "wrong.\n",
    .short_options = SUBCOMMAND_SHORT_OPTIONS,
    .options = options,
    .take = take,
    .run = run,
};
