#include "querylog/store_filter.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/error.h"
#include "base/reason.h"
#include "dns/tables.h"
#include "querylog/record.h"

void store_filter_init(struct store_filter *filter)
{
    memset(filter, 0, sizeof(*filter));
    filter->type = filter->rcode = -1;
}

const char *store_filter_key_name(enum store_filter_key key)
{
    static const char *const names[] = {
#define X(name, text) text,
        STORE_FILTER_LIST(X)
#undef X
    };

    return names[key];
}

int store_duration_parse(usec_t *duration, const char *text)
{
    static const struct {
        const char *unit;
        double factor;
    } units[] = {
        {"us", 1},     {"ms", 1e3},    {"s", 1e6},      {"m", 60e6},
        {"h", 3600e6}, {"d", 86400e6}, {"w", 604800e6},
    };
    size_t digits = strspn(text, "0123456789.");
    char number[32], *end;
    double value;

    if (digits == 0 || digits >= sizeof(number))
        return E_INVALID;
    memcpy(number, text, digits);
    number[digits] = '\0';
    value = strtod(number, &end);
    if (*end)
        return E_INVALID;
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (strcmp(text + digits, units[i].unit) != 0)
            continue;
        value *= units[i].factor;
        if (value > 1e18) // 30,000 years
            return E_RANGE;
        *duration = (usec_t)(value + 0.5);
        return E_OK;
    }
    return E_INVALID;
}

// Two digits, or -1.
static int two_digits(const char *text)
{
    if (!isdigit((unsigned char)text[0]) || !isdigit((unsigned char)text[1]))
        return -1;
    return (text[0] - '0') * 10 + (text[1] - '0');
}

// What may stand behind a time: nothing, "Z", or an offset. Sets the seconds to be taken off UTC.
static int parse_zone(const char *text, bool *local, long *offset)
{
    int hours, minutes;

    *local = *text == '\0';
    *offset = 0;
    if (*local || strcmp(text, "Z") == 0 || strcmp(text, "z") == 0)
        return E_OK;
    if ((*text != '+' && *text != '-') || strlen(text) != strlen("+01:00") || text[3] != ':')
        return E_INVALID;
    hours = two_digits(text + 1);
    minutes = two_digits(text + 4);
    if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59)
        return E_INVALID;
    *offset = (hours * 3600L + minutes * 60L) * (*text == '-' ? -1 : 1);
    return E_OK;
}

static int parse_iso(uint64_t *time, const char *text)
{
    struct tm tm = {.tm_isdst = -1};
    const char *rest = strptime(text, "%Y-%m-%d", &tm);
    double fraction = 0;
    time_t seconds;
    long offset;
    bool local;

    if (rest && (*rest == 'T' || *rest == ' ')) {
        const char *minutes = strptime(rest + 1, "%H:%M", &tm);

        if (!minutes)
            return E_INVALID;
        rest = minutes;
        if (*rest == ':') {
            rest = strptime(rest, ":%S", &tm);
            if (rest && *rest == '.') {
                size_t digits = strspn(rest + 1, "0123456789");
                char number[12] = "0.";

                if (digits == 0 || digits > 9)
                    return E_INVALID;
                memcpy(number + 2, rest + 1, digits);
                fraction = strtod(number, NULL);
                rest += 1 + digits;
            }
        }
    }
    if (!rest || parse_zone(rest, &local, &offset) != E_OK)
        return E_INVALID;
    seconds = local ? mktime(&tm) : timegm(&tm) - offset;
    if (seconds <= 0)
        return E_INVALID;
    *time = (uint64_t)seconds * USEC_SEC + (uint64_t)(fraction * 1e6 + 0.5);
    return E_OK;
}

int store_time_parse(uint64_t *time, const char *text, uint64_t now)
{
    usec_t ago;

    if (*text == '@') {
        char *end;
        double seconds = strtod(text + 1, &end);

        if (!isdigit((unsigned char)text[1]) || *end || !(seconds > 0) || seconds > 1e12)
            return E_INVALID;
        *time = (uint64_t)(seconds * 1e6 + 0.5);
        return E_OK;
    }
    if (store_duration_parse(&ago, text) == E_OK) {
        *time = ago < now ? now - ago : 1;
        return E_OK;
    }
    return parse_iso(time, text);
}

static bool is_printable(const char *text)
{
    for (; *text; text++)
        if (*text < ' ' || *text > '~')
            return false;
    return true;
}

// The word of a list, or -1.
static int word_of(const char *const *words, unsigned count, const char *text, size_t length)
{
    for (unsigned i = 0; i < count; i++)
        if (strlen(words[i]) == length && strncasecmp(words[i], text, length) == 0)
            return (int)i;
    return -1;
}

// "error,stale" to a bit each. Returns 0 if a word is not in the list.
static uint32_t bits_of(const char *const *words, unsigned count, const char *text)
{
    uint32_t bits = 0;

    for (;;) {
        size_t length = strcspn(text, ",");
        int word = word_of(words, count, text, length);

        if (word < 0)
            return 0;
        bits |= UINT32_C(1) << word;
        if (!text[length])
            return bits;
        text += length + 1;
    }
}

// A name of `names`, "TYPE65" (if `prefix` is "TYPE"), or a number up to `max`; or -1.
static int number_of(const char *(*name)(uint16_t), const char *prefix, unsigned max,
                     const char *text)
{
    size_t skip = strlen(prefix);
    unsigned long value;
    char *end;

    for (unsigned i = 0; i <= max; i++) {
        const char *known = name((uint16_t)i);

        if (known && strcasecmp(known, text) == 0)
            return (int)i;
    }
    if (strncasecmp(text, prefix, skip) == 0)
        text += skip;
    if (!isdigit((unsigned char)*text))
        return -1;
    value = strtoul(text, &end, 10);
    return *end || value > max ? -1 : (int)value;
}

static int take_client(struct store_filter *filter, const char *value, char *reason)
{
    const char *why;

    filter->has_client = true;
    if (policy_prefix_parse(&filter->client, value, &why) == E_OK &&
        (filter->client.kind == POLICY_PREFIX_IPV4 || filter->client.kind == POLICY_PREFIX_IPV6)) {
        filter->client_text[0] = '\0';
        return E_OK;
    }
    if (strncmp(value, "key ", 4) == 0 && strlen(value) == 20 && is_printable(value)) {
        memcpy(filter->client_text, value, 21);
        return E_OK;
    }
    return reason_give(
        E_INVALID, reason, STORE_REASON_SIZE, "client: %s",
        why ? why
            : "write an address (192.0.2.1), a prefix (192.0.2.0/24), or a pseudonym "
              "as it is shown (\"key 0123456789abcdef\")");
}

static int take_name(struct store_filter *filter, const char *value, char *reason)
{
    struct querylog_entry entry = {.name_size = 0};
    uint8_t name[DNS_NAME_MAX];

    filter->name_below = strncmp(value, "*.", 2) == 0;
    if (strcmp(value, "*") == 0 || strcmp(value, "*..") == 0) {
        filter->name_below = false;
        filter->name[0] = filter->name_key[0] = '\0';
        return E_OK;
    }
    if (strncmp(value, "hash ", 5) == 0 && strlen(value) == 21 && is_printable(value)) {
        memcpy(filter->name, value, 22);
        memcpy(filter->name_key, value, 22);
        return E_OK;
    }
    if (dns_name_from_text(value + (filter->name_below ? 2 : 0), name) != E_OK)
        return reason_give(E_INVALID, reason, STORE_REASON_SIZE,
                           "name: write a domain name (www.example.com), or *.example.com for all "
                           "names below one");
    entry.name = name;
    entry.name_size = (uint16_t)dns_name_length(name);
    querylog_name_lower_text(&entry, filter->name);
    querylog_name_key(&entry, filter->name_key);
    return E_OK;
}

static int take_text(struct store_filter *filter, const char *value, char *reason)
{
    size_t length = strlen(value);

    if (length == 0 || length >= sizeof(filter->text) || !is_printable(value))
        return reason_give(E_INVALID, reason, STORE_REASON_SIZE,
                           "text: write a part of a name, of up to %zu printable characters; other "
                           "octets are shown, and found, as \\DDD",
                           sizeof(filter->text) - 1);
    for (size_t i = 0; i <= length; i++)
        filter->text[i] = (char)tolower((unsigned char)value[i]);
    return E_OK;
}

static int take_slow(struct store_filter *filter, const char *value, char *reason)
{
    usec_t slow;

    if (store_duration_parse(&slow, value) != E_OK || slow > UINT32_MAX)
        return reason_give(E_INVALID, reason, STORE_REASON_SIZE,
                           "slow: write a duration of up to an hour, such as 100ms or 1.5s");
    filter->slow = (uint32_t)slow;
    return E_OK;
}

static int take_time(uint64_t *time, const char *key, const char *value, uint64_t now, char *reason)
{
    if (store_time_parse(time, value, now) == E_OK)
        return E_OK;
    return reason_give(E_INVALID, reason, STORE_REASON_SIZE,
                       "%s: write how long ago (30s, 15m, 1h, 2d), or a time "
                       "(2026-01-31, 2026-01-31T12:00:00, with Z behind it for UTC)",
                       key);
}

int store_filter_take(struct store_filter *filter, enum store_filter_key key, const char *value,
                      uint64_t now, char reason[STORE_REASON_SIZE])
{
    static const char *const outcomes[] = {
#define X(name, text) text,
        QUERYLOG_OUTCOME_LIST(X)
#undef X
    };
    static const char *const transports[] = {
#define X(name, text) text,
        QUERYLOG_TRANSPORT_LIST(X)
#undef X
    };

    switch (key) {
    case STORE_FILTER_SINCE:
        return take_time(&filter->since, "since", value, now, reason);
    case STORE_FILTER_UNTIL:
        return take_time(&filter->until, "until", value, now, reason);
    case STORE_FILTER_CLIENT:
        return take_client(filter, value, reason);
    case STORE_FILTER_NAME:
        return take_name(filter, value, reason);
    case STORE_FILTER_TYPE:
        filter->type = number_of(dns_type_name, "TYPE", UINT16_MAX, value);
        if (filter->type >= 0)
            return E_OK;
        return reason_give(E_INVALID, reason, STORE_REASON_SIZE,
                           "type: write the type of a record, such as AAAA, HTTPS, or TYPE65");
    case STORE_FILTER_OUTCOME:
        filter->outcomes = bits_of(outcomes, ARRAY_LEN(outcomes), value);
        if (filter->outcomes != 0)
            return E_OK;
        return reason_give(E_INVALID, reason, STORE_REASON_SIZE,
                           "outcome: write one or more, with commas, of"
#define X(name, text) " " text
                           QUERYLOG_OUTCOME_LIST(X));
#undef X
    case STORE_FILTER_RCODE:
        filter->rcode = number_of(dns_rcode_name, "RCODE", 0xfff, value);
        if (filter->rcode >= 0)
            return E_OK;
        return reason_give(E_INVALID, reason, STORE_REASON_SIZE,
                           "rcode: write a response code, such as NXDOMAIN, SERVFAIL, or 3");
    case STORE_FILTER_TRANSPORT:
        filter->transports = bits_of(transports, ARRAY_LEN(transports), value);
        if (filter->transports != 0)
            return E_OK;
        return reason_give(E_INVALID, reason, STORE_REASON_SIZE,
                           "transport: write one or more, with commas, of"
#define X(name, text) " " text
                           QUERYLOG_TRANSPORT_LIST(X));
#undef X
    case STORE_FILTER_SLOW:
        return take_slow(filter, value, reason);
    case STORE_FILTER_TEXT:
        return take_text(filter, value, reason);
    default:
        return E_INVALID;
    }
}
