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

const char *dns_type_text(uint16_t type, char text[DNS_NUMBER_TEXT_MAX])
{
    const char *name = dns_type_name(type);

    if (name)
        return name;
    snprintf(text, DNS_NUMBER_TEXT_MAX, "TYPE%u", type);
    return text;
}
