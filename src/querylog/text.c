#include "querylog/text.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/time.h"

#define SECONDS_MAX INT64_C(253402300799) // 9999-12-31T23:59:59Z

const struct querylog_flag_name querylog_flag_names[QUERYLOG_FLAG_NAMES] = {
    {QUERYLOG_RD, "rd"},           {QUERYLOG_QUERY_AD, "query-ad"},
    {QUERYLOG_CD, "cd"},           {QUERYLOG_DO, "do"},
    {QUERYLOG_EDNS, "edns"},       {QUERYLOG_PADDED, "padded"},
    {QUERYLOG_AD, "ad"},           {QUERYLOG_TC, "tc"},
    {QUERYLOG_SILENCE, "silence"},
};

const char *querylog_address_text(const struct querylog_address *address,
                                  char text[QUERYLOG_ADDRESS_TEXT_MAX])
{
    size_t used;

    *text = '\0';
    if (address->family != AF_INET && address->family != AF_INET6)
        return text;
    inet_ntop(address->family, address->octets, text, QUERYLOG_ADDRESS_TEXT_MAX);
    used = strlen(text);
    if (address->length > 0)
        snprintf(text + used, QUERYLOG_ADDRESS_TEXT_MAX - used, "/%u", address->length);
    return text;
}

const char *querylog_time_text(uint64_t time, char text[QUERYLOG_TIME_TEXT_MAX])
{
    time_t seconds = (time_t)MIN(time / USEC_SEC, (uint64_t)SECONDS_MAX);
    struct tm tm;
    size_t used;

    gmtime_r(&seconds, &tm);
    used = strftime(text, QUERYLOG_TIME_TEXT_MAX, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text + used, QUERYLOG_TIME_TEXT_MAX - used, ".%06" PRIu64 "Z", time % USEC_SEC);
    return text;
}
