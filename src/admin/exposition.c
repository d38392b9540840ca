#include "admin/exposition.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

// ---- Which of the two

// The weight of a media range's parameters (RFC 9110 section 12.4.2).
static double weight_of(const char *range, size_t size)
{
    const char *end = range + size;

    for (const char *at = range; (at = memchr(at, ';', (size_t)(end - at)));) {
        at++;
        while (at < end && (*at == ' ' || *at == '\t'))
            at++;
        if (end - at > 2 && (*at == 'q' || *at == 'Q') && at[1] == '=')
            return strtod(at + 2, NULL);
    }
    return 1;
}

// The weight of a media type, 0 if it is not there.
static double weight_in(const char *accept, const char *type)
{
    size_t length = strlen(type);

    while (*accept) {
        size_t size = strcspn(accept, ",");
        size_t blanks = strspn(accept, " \t");

        if (size >= blanks + length && strncasecmp(accept + blanks, type, length) == 0)
            return weight_of(accept, size);
        accept += size + (accept[size] == ',');
    }
    return 0;
}

bool exposition_wants_openmetrics(const char *accept)
{
    double weight;

    if (!accept)
        return false;
    weight = weight_in(accept, "application/openmetrics-text");
    return weight > 0 && weight >= weight_in(accept, "text/plain");
}

// ---- Families

static void put_escaped(FILE *out, const char *text, bool quotes)
{
    for (; *text; text++) {
        if (*text == '\n')
            fputs("\\n", out);
        else if (*text == '\\' || (*text == '"' && quotes))
            fprintf(out, "\\%c", *text);
        else
            putc(*text, out);
    }
}

static void begin(struct exposition *exposition, const char *name, const char *type,
                  const char *help)
{
    FILE *out = exposition->out;
    const char *suffix;

    exposition->name = name;
    exposition->is_counter = strcmp(type, "counter") == 0;
    // OpenMetrics has the suffix at the samples only.
    suffix = exposition->is_counter && !exposition->openmetrics ? "_total" : "";
    fprintf(out, "# HELP %s%s ", name, suffix);
    put_escaped(out, help, exposition->openmetrics);
    fprintf(out, "\n# TYPE %s%s %s\n", name, suffix, type);
}

void exposition_counter(struct exposition *exposition, const char *name, const char *help)
{
    begin(exposition, name, "counter", help);
}

void exposition_gauge(struct exposition *exposition, const char *name, const char *help)
{
    begin(exposition, name, "gauge", help);
}

void exposition_histogram(struct exposition *exposition, const char *name, const char *help)
{
    begin(exposition, name, "histogram", help);
}

// ---- Samples

static void put_label(FILE *out, char before, const char *name, const char *value)
{
    fprintf(out, "%c%s=\"", before, name);
    put_escaped(out, value, true);
    putc('"', out);
}

// The name and its labels, and `le` if it is not NULL.
static void put_name(const struct exposition *exposition, const char *suffix,
                     const struct exposition_label *labels, const char *le)
{
    FILE *out = exposition->out;
    char before = '{';

    fprintf(out, "%s%s", exposition->name, suffix);
    for (unsigned i = 0; labels && i < EXPOSITION_LABELS_MAX && labels[i].name; i++) {
        put_label(out, before, labels[i].name, labels[i].value);
        before = ',';
    }
    if (le) {
        put_label(out, before, "le", le);
        before = ',';
    }
    fputs(before == ',' ? "} " : " ", out);
}

void exposition_uint(struct exposition *exposition, const struct exposition_label *labels,
                     uint64_t value)
{
    put_name(exposition, exposition->is_counter ? "_total" : "", labels, NULL);
    fprintf(exposition->out, "%" PRIu64 "\n", value);
}

void exposition_seconds(struct exposition *exposition, const struct exposition_label *labels,
                        double seconds)
{
    put_name(exposition, exposition->is_counter ? "_total" : "", labels, NULL);
    fprintf(exposition->out, "%.6f\n", seconds);
}

void exposition_values(struct exposition *exposition, const struct exposition_label *labels,
                       const struct histogram_values *values)
{
    uint64_t events = 0;

    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        events += values->buckets[i];
        put_name(exposition, "_bucket", labels, histogram_bound_text(i));
        fprintf(exposition->out, "%" PRIu64 "\n", events);
    }
    put_name(exposition, "_sum", labels, NULL);
    fprintf(exposition->out, "%" PRIu64 ".%06u\n", values->sum / USEC_SEC,
            (unsigned)(values->sum % USEC_SEC));
    put_name(exposition, "_count", labels, NULL);
    fprintf(exposition->out, "%" PRIu64 "\n", events);
}

void exposition_end(struct exposition *exposition)
{
    if (exposition->openmetrics)
        fputs("# EOF\n", exposition->out);
}
