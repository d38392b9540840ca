#include "cache/rules.h"

#include <string.h>

#include "dns/edns.h"
#include "dns/name.h"
#include "dns/tables.h"
#include "dns/ttl.h"

// RFC 7871: an answer for some clients only; we never ask for one.
#define OPTION_CLIENT_SUBNET 8

// What one pass over the records finds out.
struct survey {
    uint32_t ttl_lowest; // of all records
    uint32_t ttl_highest;
    bool foreign_class;
    bool begins_at_question; // some answer record has the question's name
    bool has_type;           // so has, at the end of the CNAMEs, one of the type that was asked
    bool has_soa;            // above the end of the CNAMEs
    uint32_t soa_minimum;
    uint8_t end[DNS_NAME_MAX]; // where the CNAMEs lead
};

static bool is_meta(uint16_t type)
{
    // RFC 6895 section 3.1: 128 to 255 are for queries and for the transaction.
    return type == 0 || type == DNS_TYPE_OPT || (type >= 128 && type <= 255);
}

static bool can_be_kept(const struct cache_key *key, const struct dns_message *reply)
{
    struct dns_option option;

    if ((key->flags & CACHE_KEY_NO_RECURSION) || cache_key_class(key) != DNS_CLASS_IN ||
        is_meta(cache_key_type(key)) || (reply->flags & DNS_FLAG_TC))
        return false;
    return !reply->has_opt || (reply->edns_version == 0 && reply->opt_records_behind == 0 &&
                               !dns_option_find(reply, OPTION_CLIENT_SUBNET, &option));
}

// A record of the answer section: follows a CNAME, in the order of the records, as resolvers give
// them.
static void survey_answer(struct survey *survey, const struct dns_message *reply,
                          const struct dns_record *record, uint16_t type)
{
    uint8_t owner[DNS_NAME_MAX];
    size_t length;

    if (survey->has_type || (record->type != type && record->type != DNS_TYPE_CNAME))
        return;
    // The message was parsed: no name in it is wrong.
    if (dns_name_copy(reply->wire, reply->size, record->owner, owner, &length) == 0 ||
        !dns_name_equal(owner, survey->end))
        return;
    survey->begins_at_question = true;
    if (record->type == type) {
        survey->has_type = true;
        return;
    }
    if (dns_name_copy(reply->wire, reply->size, (size_t)(record->rdata - reply->wire), owner,
                      &length) != 0)
        memcpy(survey->end, owner, length);
}

static void survey_soa(struct survey *survey, const struct dns_message *reply,
                       const struct dns_record *record)
{
    uint8_t owner[DNS_NAME_MAX];
    size_t length;

    if (dns_name_copy(reply->wire, reply->size, record->owner, owner, &length) == 0 ||
        !dns_name_is_under(survey->end, owner))
        return;
    uint32_t minimum = dns_ttl_of_soa(record);

    survey->soa_minimum = survey->has_soa ? MIN(survey->soa_minimum, minimum) : minimum;
    survey->has_soa = true;
}

static void survey_make(struct survey *survey, const struct cache_key *key,
                        const struct dns_message *reply)
{
    size_t end = reply->has_opt ? reply->opt_start : reply->end;
    size_t pos = reply->section[DNS_ANSWER];
    uint16_t type = cache_key_type(key);
    struct dns_record record;

    *survey = (struct survey){.ttl_lowest = DNS_TTL_MAX};
    memcpy(survey->end, key->question, key->size - 4u);
    while (pos < end && dns_record_next(reply, &pos, &record)) {
        uint32_t ttl = dns_ttl_valid(record.ttl);

        survey->ttl_lowest = MIN(survey->ttl_lowest, ttl);
        survey->ttl_highest = MAX(survey->ttl_highest, ttl);
        survey->foreign_class |= record.class != DNS_CLASS_IN;
        if (record.owner < reply->section[DNS_AUTHORITY])
            survey_answer(survey, reply, &record, type);
        else if (record.owner < reply->section[DNS_ADDITIONAL] && record.type == DNS_TYPE_SOA)
            survey_soa(survey, reply, &record);
    }
}

static uint32_t seconds(usec_t duration)
{
    return (uint32_t)MIN(duration / USEC_SEC, (usec_t)DNS_TTL_MAX);
}

static void judge_positive(struct cache_verdict *verdict, const struct cache_options *options,
                           const struct survey *survey)
{
    verdict->kind = CACHE_POSITIVE;
    verdict->ttl_max = seconds(options->max_ttl);
    verdict->ttl_min = MIN(seconds(options->min_ttl), verdict->ttl_max);
    if (survey->ttl_lowest > 0)
        verdict->ttl = MIN(MAX(survey->ttl_lowest, verdict->ttl_min), verdict->ttl_max);
    verdict->keep = survey->has_type;
}

static void judge_negative(struct cache_verdict *verdict, const struct cache_options *options,
                           const struct survey *survey, const struct dns_message *reply)
{
    uint32_t ttl = MIN(survey->ttl_lowest, seconds(options->negative_max_ttl));

    if (survey->has_soa)
        ttl = MIN(ttl, survey->soa_minimum);
    verdict->ttl = ttl;
    verdict->ttl_max = survey->has_soa ? ttl : seconds(options->negative_max_ttl);
    verdict->keep = survey->has_soa && !survey->has_type &&
                    (reply->count[DNS_ANSWER] == 0 || survey->begins_at_question);
}

static void judge_failure(struct cache_verdict *verdict, const struct cache_options *options)
{
    verdict->kind = CACHE_FAILURE;
    verdict->ttl = seconds(options->failure_ttl + USEC_SEC - 1);
    verdict->ttl_max = DNS_TTL_MAX;
    verdict->keep = true;
}

void cache_judge(struct cache_verdict *verdict, const struct cache_options *options,
                 const struct cache_key *key, const struct dns_message *reply)
{
    uint16_t rcode = dns_message_rcode(reply);
    struct survey survey;

    *verdict = (struct cache_verdict){.ttl_max = DNS_TTL_MAX};
    if (rcode == DNS_RCODE_SERVFAIL) {
        judge_failure(verdict, options);
        verdict->keep &= verdict->ttl > 0 && can_be_kept(key, reply);
        return;
    }
    survey_make(&survey, key, reply);
    if (rcode == DNS_RCODE_NXDOMAIN) {
        judge_negative(verdict, options, &survey, reply);
        verdict->kind = CACHE_NXDOMAIN;
    } else if (rcode == DNS_RCODE_NOERROR && !survey.has_type && survey.has_soa) {
        judge_negative(verdict, options, &survey, reply);
        verdict->kind = CACHE_NODATA;
    } else {
        judge_positive(verdict, options, &survey);
        verdict->keep &= rcode == DNS_RCODE_NOERROR;
    }
    verdict->keep &= verdict->ttl > 0 && !survey.foreign_class && can_be_kept(key, reply);
    verdict->keep = verdict->keep && !dns_ttl_in_name(reply);
    verdict->adjust = survey.ttl_lowest < verdict->ttl_min || survey.ttl_highest > verdict->ttl_max;
}
