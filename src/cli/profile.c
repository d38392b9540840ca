#include "cli/profile.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/siphash.h"

#define UUID_SIZE 37

// ---- Property lists

static void print_escaped(FILE *out, const char *text)
{
    for (; *text; text++) {
        switch (*text) {
        case '&':
            fputs("&amp;", out);
            break;
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        default:
            fputc(*text, out);
        }
    }
}

// One value, such as <string>, with its key unless that is NULL.
static void print_value(FILE *out, const char *key, const char *type, const char *value)
{
    if (key)
        fprintf(out, "<key>%s</key>\n", key);
    fprintf(out, "<%s>", type);
    print_escaped(out, value);
    fprintf(out, "</%s>\n", type);
}

// What every payload, and the profile itself, has.
static void print_common(FILE *out, const char *type, const char *name, const struct profile *of,
                         const char *identifier_end)
{
    print_value(out, "PayloadType", "string", type);
    print_value(out, "PayloadVersion", "integer", "1");
    print_value(out, "PayloadDisplayName", "string", name);
    fputs("<key>PayloadIdentifier</key>\n<string>sotto.", out);
    print_escaped(out, of->url ? "https." : "tls.");
    print_escaped(out, of->host);
    fprintf(out, "%s</string>\n", identifier_end);
}

// By a hash of `content`, of the version that is for such (RFC 9562 section 5.8). Nobody gains by a
// collision.
static void print_uuid(FILE *out, const char *content)
{
    static const struct siphash_key halves[] = {{0, 0}, {0, 1}};
    char text[UUID_SIZE];
    uint64_t high = siphash(&halves[0], (const uint8_t *)content, strlen(content));
    uint64_t low = siphash(&halves[1], (const uint8_t *)content, strlen(content));

    snprintf(text, sizeof(text), "%08X-%04X-8%03X-%04X-%012" PRIX64, (unsigned)(high >> 32),
             (unsigned)(high >> 16) & 0xffff, (unsigned)high & 0xfff,
             ((unsigned)(low >> 48) & 0x3fff) | 0x8000, low & 0xffffffffffff);
    print_value(out, "PayloadUUID", "string", text);
}

// ---- Payloads

static void print_dns(FILE *out, const struct profile *profile)
{
    fputs("<key>DNSSettings</key>\n<dict>\n", out);
    print_value(out, "DNSProtocol", "string", profile->url ? "HTTPS" : "TLS");
    if (profile->url)
        print_value(out, "ServerURL", "string", profile->url);
    else
        print_value(out, "ServerName", "string", profile->host);
    if (profile->address_count > 0) {
        fputs("<key>ServerAddresses</key>\n<array>\n", out);
        for (unsigned i = 0; i < profile->address_count; i++)
            print_value(out, NULL, "string", profile->addresses[i].text);
        fputs("</array>\n", out);
    }
    fputs("</dict>\n", out);
    print_common(out, "com.apple.dnsSettings.managed", profile->name, profile, ".dns");
}

static void print_authority(FILE *out, const struct profile *profile)
{
    print_value(out, "PayloadCertificateFileName", "string", "ca.cer");
    print_value(out, "PayloadContent", "data", profile->authority);
    print_common(out, "com.apple.security.root", "Certificate authority", profile, ".ca");
}

// All but the UUID, which is made of it. NULL if out of memory.
static char *payload(const struct profile *profile,
                     void (*print)(FILE *out, const struct profile *profile))
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    if (!out)
        return NULL;
    print(out, profile);
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}

static void print_payload(FILE *out, const char *text)
{
    fputs("<dict>\n", out);
    fputs(text, out);
    print_uuid(out, text);
    fputs("</dict>\n", out);
}

// ---- The profile

static void print_content(FILE *out, const struct profile *profile, const char *dns,
                          const char *authority)
{
    fputs("<key>PayloadContent</key>\n<array>\n", out);
    if (authority)
        print_payload(out, authority);
    print_payload(out, dns);
    fputs("</array>\n", out);
    fputs("<key>PayloadDescription</key>\n<string>DNS queries go encrypted to ", out);
    print_escaped(out, profile->url ? profile->url : profile->host);
    fputs(".</string>\n", out);
    print_value(out, "PayloadScope", "string", "System"); // of macOS: for all users
    print_common(out, "Configuration", profile->name, profile, "");
}

static char *content(const struct profile *profile)
{
    char *dns = payload(profile, print_dns);
    char *authority = profile->authority ? payload(profile, print_authority) : NULL;
    char *text = NULL;
    size_t size;
    FILE *out = NULL;

    if (dns && (authority || !profile->authority) && (out = open_memstream(&text, &size))) {
        print_content(out, profile, dns, authority);
        if (fclose(out) != 0) {
            free(text);
            text = NULL;
        }
    }
    free(dns);
    free(authority);
    return text;
}

int profile_print(const struct profile *profile, FILE *out)
{
    char *text = content(profile);

    if (!text)
        return E_NOMEM;
    fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
          "<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" "
          "\"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n"
          "<plist version=\"1.0\">\n<dict>\n",
          out);
    fputs(text, out);
    print_uuid(out, text);
    fputs("</dict>\n</plist>\n", out);
    free(text);
    return fflush(out) == 0 && !ferror(out) ? E_OK : E_SYSTEM;
}
