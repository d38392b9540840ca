// The message view: whatever the bytes, parsing stays within them, and what it accepts can be
// walked to its end and holds what it says.
#include "dns/message.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "dns/edns.h"
#include "dns/name.h"
#include "dns/tables.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const uint8_t *name, size_t length)
{
    char text[DNS_NAME_TEXT_MAX];
    uint8_t back[DNS_NAME_MAX];

    require(dns_name_length(name) == length && length <= DNS_NAME_MAX);
    dns_name_to_text(name, text);
    for (const char *c = text; *c; c++)
        require(*c > ' ' && *c <= '~');
    require(dns_name_from_text(text, back) == 0);
    require(memcmp(back, name, length) == 0);
    dns_name_lower(back, name, length);
    require(dns_name_equal(back, name) && dns_name_is_under(name, back));
    require(dns_name_is_under(name, (const uint8_t *)""));
}

// Returns the position behind the name at `pos`, or 0.
static size_t check_name(const uint8_t *data, size_t size, size_t pos)
{
    uint8_t name[DNS_NAME_MAX];
    size_t length;
    size_t end = dns_name_copy(data, size, pos, name, &length);

    require(dns_name_skip(data, size, pos) == end && end <= size);
    if (end != 0)
        check_text(name, length);
    return end;
}

static void check_records(const struct dns_message *message)
{
    struct dns_record record;
    size_t pos = message->section[DNS_ANSWER];
    size_t opt_records = 0, behind_opt = 0;

    for (int section = 0; section < DNS_SECTIONS; section++) {
        require(message->section[section] == pos);
        for (unsigned i = 0; i < message->count[section]; i++) {
            char text[DNS_NUMBER_TEXT_MAX];

            behind_opt += opt_records;
            require(dns_record_next(message, &pos, &record));
            require(check_name(message->wire, message->size, record.owner) == record.ttl_pos - 4);
            require(record.rdata == message->wire + record.ttl_pos + 6);
            require(record.rdata + record.rdata_size == message->wire + pos);
            require(dns_type_text(record.type, text) != NULL);
            if (record.type == DNS_TYPE_OPT) {
                require(section == DNS_ADDITIONAL && message->has_opt);
                require(record.owner == message->opt_start && pos == message->opt_end);
                require(record.rdata == message->options);
                require(record.rdata_size == message->options_size);
                opt_records++;
            }
        }
    }
    require(pos == message->end && pos == message->size);
    require(!dns_record_next(message, &pos, &record));
    require(opt_records == message->has_opt);
    require(behind_opt == message->opt_records_behind);
}

static void check_options(const struct dns_message *message)
{
    struct dns_option option, found;
    size_t pos = 0, end = 0;

    while (dns_option_next(message, &pos, &option)) {
        require(option.data == message->options + end + 4);
        end += 4 + (size_t)option.size;
        require(pos == end && end <= message->options_size);
        require(dns_option_find(message, option.code, &found) && found.data <= option.data);
    }
    require(end == message->options_size);
}

static void check_question(const struct dns_message *message)
{
    const uint8_t *question = dns_message_question(message);

    require(message->question_size <= DNS_QUESTION_MAX);
    if (message->question_size == 0)
        return;
    check_text(question, message->question_size - 4);
    require(get_u16(question + message->question_size - 4) == message->type);
    require(get_u16(question + message->question_size - 2) == message->class);
}

static void check_refused(const struct dns_message *message)
{
    struct dns_record record;

    for (int section = 0; section < DNS_SECTIONS; section++) {
        size_t pos = message->section[section];

        require(!dns_record_next(message, &pos, &record));
    }
}

// Any bytes as text: what is a name comes back the same.
static void check_from_text(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    uint8_t name[DNS_NAME_MAX];

    if (!text)
        abort();
    memcpy(text, data, size);
    text[size] = '\0';
    if (dns_name_from_text(text, name) == 0)
        check_text(name, dns_name_length(name));
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dns_message message;
    int rc = dns_message_parse(&message, data, size);

    require((rc == E_SHORT) == (size < DNS_HEADER_SIZE));
    if (size >= DNS_HEADER_SIZE)
        check_question(&message);
    if (rc == 0)
        check_records(&message);
    else
        check_refused(&message);
    check_options(&message);
    for (size_t pos = 0; pos < size && pos < 64; pos++)
        (void)check_name(data, size, pos);
    check_from_text(data, size);
    return 0;
}
