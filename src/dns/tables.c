#include "dns/tables.h"

#include <stddef.h>
#include <stdio.h>

const char *dns_type_name(uint16_t type)
{
    switch (type) {
#define X(name, number)                                                                            \
    case number:                                                                                   \
        return #name;
        DNS_TYPE_LIST(X)
#undef X
    default:
        return NULL;
    }
}

const char *dns_class_name(uint16_t class)
{
    switch (class) {
#define X(name, number)                                                                            \
    case number:                                                                                   \
        return #name;
        DNS_CLASS_LIST(X)
#undef X
    default:
        return NULL;
    }
}

const char *dns_rcode_name(uint16_t rcode)
{
    switch (rcode) {
#define X(name, number)                                                                            \
    case number:                                                                                   \
        return #name;
        DNS_RCODE_LIST(X)
#undef X
    default:
        return NULL;
    }
}

const char *dns_ede_name(uint16_t code)
{
    switch (code) {
#define X(name, number, text)                                                                      \
    case number:                                                                                   \
        return text;
        DNS_EDE_LIST(X)
#undef X
    default:
        return NULL;
    }
}

static const char *name_or_number(const char *name, const char *prefix, uint16_t number,
                                  char text[DNS_NUMBER_TEXT_MAX])
{
    if (name)
        return name;
    snprintf(text, DNS_NUMBER_TEXT_MAX, "%s%u", prefix, number);
    return text;
}

const char *dns_type_text(uint16_t type, char text[DNS_NUMBER_TEXT_MAX])
{
    return name_or_number(dns_type_name(type), "TYPE", type, text);
}

const char *dns_class_text(uint16_t class, char text[DNS_NUMBER_TEXT_MAX])
{
    return name_or_number(dns_class_name(class), "CLASS", class, text);
}

const char *dns_rcode_text(uint16_t rcode, char text[DNS_NUMBER_TEXT_MAX])
{
    return name_or_number(dns_rcode_name(rcode), "RCODE", rcode, text);
}
