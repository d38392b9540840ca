#include "policy/local.h"

#include <string.h>

#include "base/cursor.h"
#include "dns/name.h"
#include "dns/tables.h"
#include "policy/discovery.h"

// A name in wire form: lengths are octal escapes, always of three digits so that a digit may
// follow; the literal's NUL is the root label.
#define WIRE(labels) ((const uint8_t *)(labels))

enum zone_kind {
    ZONE_LOCALHOST, // addresses of this machine
    ZONE_NOTHING,   // no name in it exists
    ZONE_EMPTY,     // the names exist, without data
};

struct zone {
    const uint8_t *name;
    enum zone_kind kind;
};

// RFC 6761, 7686 (onion), 9462 section 6.4 (resolver.arpa); use-application-dns.net tells browsers
// not to go past the resolver that they were given.
static const struct zone zones[] = {
    {WIRE("\011localhost"), ZONE_LOCALHOST},
    {WIRE("\007invalid"), ZONE_NOTHING},
    {WIRE("\005onion"), ZONE_NOTHING},
    {WIRE("\023use-application-dns\003net"), ZONE_NOTHING},
    {WIRE("\010resolver\004arpa"), ZONE_EMPTY},
};

// What all names that are ours end in; nearly all other names are told from them by this alone.
static const uint8_t *const last_labels[] = {
    WIRE("\011localhost"), WIRE("\007invalid"), WIRE("\005onion"),
    WIRE("\003net"),       WIRE("\004arpa"),
};

#define V4(labels) WIRE(labels "\007in-addr\004arpa")
#define V6(nibbles) WIRE(nibbles "\003ip6\004arpa")
#define N(nibble) "\001" nibble
#define ZEROS_7 N("0") N("0") N("0") N("0") N("0") N("0") N("0")
#define ZEROS_31 N("0") N("0") N("0") ZEROS_7 ZEROS_7 ZEROS_7 ZEROS_7

static const uint8_t *const reverse_localhost[] = {
    V4("\0011\0010\0010\003127"),
    V6(N("1") ZEROS_31),
};

// RFC 6303 section 4, but for 16 to 31.172 and 64 to 127.100 (RFC 7793), which are ranges.
static const uint8_t *const reverse_zones[] = {
    V4("\00210"),
    V4("\003168\003192"),
    V4("\0010"),
    V4("\003127"),
    V4("\003254\003169"),
    V4("\0012\0010\003192"),
    V4("\003100\00251\003198"),
    V4("\003113\0010\003203"),
    V4("\003255\003255\003255\003255"),
    V6(N("0") ZEROS_31),
    V6(N("1") ZEROS_31),
    V6(N("d") N("f")),
    V6(N("8") N("e") N("f")),
    V6(N("9") N("e") N("f")),
    V6(N("a") N("e") N("f")),
    V6(N("b") N("e") N("f")),
    V6(N("8") N("b") N("d") N("0") N("1") N("0") N("0") N("2")),
};

struct range {
    const uint8_t *zone;
    unsigned low, high; // of the label below the zone
};

static const struct range reverse_ranges[] = {
    {V4("\003172"), 16, 31},
    {V4("\003100"), 64, 127},
};

static const uint8_t in_addr_arpa[] = "\007in-addr\004arpa";
static const uint8_t ip6_arpa[] = "\003ip6\004arpa";

// RFC 6303 section 3: the SOA of an empty zone, behind its first name, which is the zone itself.
static const uint8_t soa_tail[] = "\006nobody\007invalid\0"
                                  "\0\0\0\1"       // serial
                                  "\0\0\x0e\x10"   // refresh, 3600
                                  "\0\0\x04\xb0"   // retry, 1200
                                  "\0\x09\x3a\x80" // expire, 604800
                                  "\0\0\x2a\x30";  // minimum, 10800

#define SOA_TTL 10800
#define LOCALHOST_TTL 86400

static void add(struct policy_answer *answer, enum dns_section section, const uint8_t *owner,
                uint16_t type, uint16_t class, uint32_t ttl, const uint8_t *rdata, size_t size)
{
    answer->records[answer->record_count++] = (struct dns_local_record){
        .owner = owner,
        .type = type,
        .class = class,
        .ttl = ttl,
        .rdata = rdata,
        .rdata_size = (uint16_t)size,
        .section = section,
    };
}

// Nothing there, with an SOA of `zone` so that the answer can be cached (RFC 2308).
static void answer_nothing(struct policy_answer *answer, const uint8_t *zone, uint16_t rcode)
{
    size_t length = dns_name_length(zone);

    answer->rcode = rcode;
    memcpy(answer->rdata, zone, length);
    memcpy(answer->rdata + length, soa_tail, sizeof(soa_tail) - 1);
    add(answer, DNS_AUTHORITY, zone, DNS_TYPE_SOA, DNS_CLASS_IN, SOA_TTL, answer->rdata,
        length + sizeof(soa_tail) - 1);
}

// RFC 6761 section 6.3.
static void answer_localhost(struct policy_answer *answer, const uint8_t *zone, uint16_t type)
{
    static const uint8_t v4[4] = {127, 0, 0, 1};
    static const uint8_t v6[16] = {[15] = 1};

    if (type == DNS_TYPE_A || type == DNS_TYPE_ANY) // one RRset will do (RFC 8482 section 4.1)
        add(answer, DNS_ANSWER, NULL, DNS_TYPE_A, DNS_CLASS_IN, LOCALHOST_TTL, v4, sizeof(v4));
    else if (type == DNS_TYPE_AAAA)
        add(answer, DNS_ANSWER, NULL, type, DNS_CLASS_IN, LOCALHOST_TTL, v6, sizeof(v6));
    else
        answer_nothing(answer, zone, DNS_RCODE_NOERROR);
}

// Whether a name of an empty zone exists: the apex, and what leads to the PTR records of this
// machine (that there is nothing below NXDOMAIN is what RFC 8020 says).
static bool exists(const uint8_t *name, const uint8_t *zone)
{
    for (size_t i = 0; i < ARRAY_LEN(reverse_localhost); i++)
        if (dns_name_is_under(reverse_localhost[i], name))
            return true;
    return dns_name_equal(name, zone);
}

// The zone's own SOA and NS records, which an empty zone has (RFC 6303 section 3), else nothing.
static void answer_empty_zone(struct policy_answer *answer, const uint8_t *zone,
                              const uint8_t *name, uint16_t type)
{
    bool apex = dns_name_equal(name, zone);

    if (apex && type == DNS_TYPE_NS) {
        add(answer, DNS_ANSWER, NULL, type, DNS_CLASS_IN, SOA_TTL, zone, dns_name_length(zone));
        return;
    }
    answer_nothing(answer, zone, exists(name, zone) ? DNS_RCODE_NOERROR : DNS_RCODE_NXDOMAIN);
    if (apex && type == DNS_TYPE_SOA)
        answer->records[0].section = DNS_ANSWER;
}

// The part of `name` that is the zone's name and one label more, or NULL.
static const uint8_t *one_below(const uint8_t *name, const uint8_t *zone)
{
    if (!dns_name_is_under(name, zone) || dns_name_equal(name, zone))
        return NULL;
    while (!dns_name_equal(name + 1 + *name, zone))
        name += 1 + *name;
    return name;
}

static const uint8_t *find_range(const uint8_t *name)
{
    for (size_t i = 0; i < ARRAY_LEN(reverse_ranges); i++) {
        const uint8_t *zone = one_below(name, reverse_ranges[i].zone);
        unsigned number = 0;

        if (!zone || zone[0] > 3 || zone[1] == '0')
            continue;
        for (unsigned digit = 1; digit <= zone[0]; digit++) {
            if (zone[digit] < '0' || zone[digit] > '9')
                return NULL;
            number = number * 10 + (zone[digit] - '0');
        }
        if (number >= reverse_ranges[i].low && number <= reverse_ranges[i].high)
            return zone;
    }
    return NULL;
}

static bool answer_reverse(struct policy_answer *answer, const uint8_t *name, uint16_t type)
{
    const uint8_t *zone;

    for (size_t i = 0; i < ARRAY_LEN(reverse_localhost); i++) {
        if ((type == DNS_TYPE_PTR || type == DNS_TYPE_ANY) &&
            dns_name_equal(name, reverse_localhost[i])) {
            add(answer, DNS_ANSWER, NULL, DNS_TYPE_PTR, DNS_CLASS_IN, LOCALHOST_TTL, zones[0].name,
                dns_name_length(zones[0].name));
            return true;
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(reverse_zones); i++) {
        if (dns_name_is_under(name, reverse_zones[i])) {
            answer_empty_zone(answer, reverse_zones[i], name, type);
            return true;
        }
    }
    zone = find_range(name);
    if (zone)
        answer_empty_zone(answer, zone, name, type);
    return zone != NULL;
}

static bool may_be_ours(const uint8_t *name)
{
    const uint8_t *last = name;

    for (; *name != 0; name += 1 + *name)
        last = name;
    for (size_t i = 0; i < ARRAY_LEN(last_labels); i++)
        if (*last == *last_labels[i] && dns_name_equal(last, last_labels[i]))
            return true;
    return false;
}

static bool is_discovery(const uint8_t *name, uint16_t type)
{
    return (type == DNS_TYPE_SVCB || type == DNS_TYPE_ANY) &&
           dns_name_equal(name, WIRE("\004_dns\010resolver\004arpa"));
}

static bool answer_internet(const struct policy_local_options *options, const uint8_t *name,
                            uint16_t type, struct policy_answer *answer)
{
    for (size_t i = 0; i < ARRAY_LEN(zones); i++) {
        const uint8_t *zone = zones[i].name;

        if (!dns_name_is_under(name, zone))
            continue;
        if (zones[i].kind == ZONE_LOCALHOST)
            answer_localhost(answer, zone, type);
        else if (!options->discovery || !is_discovery(name, type) ||
                 !policy_answer_discovery(options->discovery, options->asked, answer))
            answer_nothing(answer, zone,
                           zones[i].kind == ZONE_NOTHING ? DNS_RCODE_NXDOMAIN : DNS_RCODE_NOERROR);
        return true;
    }
    return options->private_reverse &&
           (dns_name_is_under(name, in_addr_arpa) || dns_name_is_under(name, ip6_arpa)) &&
           answer_reverse(answer, name, type);
}

// RFC 4892: TXT records of the class CH.
static bool answer_identity(const struct policy_local_options *options, const uint8_t *name,
                            uint16_t type, struct policy_answer *answer)
{
    static const struct {
        const uint8_t *name;
        bool version;
    } names[] = {
        {WIRE("\007version\004bind"), true},
        {WIRE("\007version\006server"), true},
        {WIRE("\002id\006server"), false},
        {WIRE("\010hostname\004bind"), false},
    };

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (!dns_name_equal(name, names[i].name))
            continue;

        const char *text = names[i].version ? options->identity_version : options->identity_id;
        size_t length = strlen(text);

        require(length <= UINT8_MAX);
        if (length == 0) {
            answer->rcode = DNS_RCODE_REFUSED;
        } else if (type == DNS_TYPE_TXT || type == DNS_TYPE_ANY) {
            answer->rdata[0] = (uint8_t)length;
            memcpy(answer->rdata + 1, text, length);
            add(answer, DNS_ANSWER, NULL, DNS_TYPE_TXT, DNS_CLASS_CH, 0, answer->rdata, length + 1);
        }
        return true;
    }
    return false;
}

bool policy_answer_local(const struct policy_local_options *options, const uint8_t *name,
                         uint16_t type, uint16_t class, struct policy_answer *answer)
{
    answer->rcode = DNS_RCODE_NOERROR;
    answer->record_count = 0;
    if (class == DNS_CLASS_CH)
        return answer_identity(options, name, type, answer);
    // The names are what they are in every class but CH; only IN is asked for in earnest.
    return class == DNS_CLASS_IN && may_be_ours(name) &&
           answer_internet(options, name, type, answer);
}
