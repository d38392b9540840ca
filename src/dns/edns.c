#include "dns/edns.h"

#include <string.h>

#include "dns/tables.h"

enum { OPTION_HEADER_SIZE = 4, EDE_CODE_SIZE = 2 };

#define OPT_FLAG_DO 0x8000

// dns_message_parse() has checked that the options end where the record does.
bool dns_option_next(const struct dns_message *message, size_t *pos, struct dns_option *option)
{
    if (*pos >= message->options_size)
        return false;

    const uint8_t *at = message->options + *pos;

    option->code = get_u16(at);
    option->size = get_u16(at + 2);
    option->data = at + OPTION_HEADER_SIZE;
    *pos += OPTION_HEADER_SIZE + (size_t)option->size;
    return true;
}

bool dns_option_find(const struct dns_message *message, uint16_t code, struct dns_option *option)
{
    for (size_t pos = 0; dns_option_next(message, &pos, option);) {
        if (option->code == code)
            return true;
    }
    return false;
}

// Begins an option if there is room for it. If not it is left out: all that we send are remarks,
// for whose sake nobody should have to ask again over TCP. (RFC 8914 section 3 would have TC set
// where an extended error is left out.)
static bool option_begin(struct writer *w, uint16_t code, size_t size)
{
    if (writer_left(w) < OPTION_HEADER_SIZE + size)
        return false;
    writer_u16(w, code);
    writer_u16(w, (uint16_t)size);
    return true;
}

// The length of the text cut to DNS_EDE_TEXT_MAX octets, between two UTF-8 characters.
static size_t ede_text_cut(const uint8_t *text, size_t size)
{
    if (size <= DNS_EDE_TEXT_MAX)
        return size;
    size = DNS_EDE_TEXT_MAX;
    while (size > 0 && (text[size] & 0xc0) == 0x80)
        size--;
    return size;
}

static void ede_write(struct writer *w, uint16_t code, const uint8_t *text, size_t size)
{
    size = ede_text_cut(text, size);
    if (writer_left(w) < OPTION_HEADER_SIZE + EDE_CODE_SIZE + size)
        size = 0;
    if (!option_begin(w, DNS_OPTION_EDE, EDE_CODE_SIZE + size))
        return;
    writer_u16(w, code);
    writer_bytes(w, text, size);
}

static void ede_pass(struct writer *w, const struct dns_message *from)
{
    struct dns_option option;
    unsigned passed = 0;

    for (size_t pos = 0; passed < DNS_EDE_PASSED && dns_option_next(from, &pos, &option);) {
        if (option.code != DNS_OPTION_EDE || option.size < EDE_CODE_SIZE)
            continue;
        ede_write(w, get_u16(option.data), option.data + EDE_CODE_SIZE,
                  (size_t)option.size - EDE_CODE_SIZE);
        passed++;
    }
}

static void padding_write(struct writer *w, const struct dns_opt *opt)
{
    size_t limit = MIN(w->size, (size_t)DNS_MESSAGE_MAX);
    size_t unpadded = w->pos + OPTION_HEADER_SIZE;
    size_t size;

    if (opt->padding_limit > 0)
        limit = MIN(limit, opt->padding_limit);
    if (opt->padding_block > 0)
        size = (opt->padding_block - unpadded % opt->padding_block) % opt->padding_block;
    else if (opt->padding_exact > 0)
        size = opt->padding_exact - 1;
    else
        return;
    if (unpadded > limit)
        return;
    size = MIN(size, limit - unpadded);
    if (option_begin(w, DNS_OPTION_PADDING, size))
        writer_zeros(w, size);
}

void dns_opt_write(struct writer *w, const struct dns_opt *opt)
{
    writer_u8(w, 0); // the root
    writer_u16(w, DNS_TYPE_OPT);
    writer_u16(w, opt->udp_size);
    writer_u8(w, opt->extended_rcode);
    writer_u8(w, 0); // version
    writer_u16(w, opt->dnssec_ok ? OPT_FLAG_DO : 0);

    uint8_t *rdata_size = writer_take(w, 2);
    size_t rdata = w->pos;

    if (!rdata_size)
        return;
    if (opt->cookie && option_begin(w, DNS_OPTION_COOKIE, opt->cookie_size))
        writer_bytes(w, opt->cookie, opt->cookie_size);
    if (opt->keepalive_ask)
        (void)option_begin(w, DNS_OPTION_KEEPALIVE, 0);
    else if (opt->keepalive >= 0 && option_begin(w, DNS_OPTION_KEEPALIVE, 2))
        writer_u16(w, (uint16_t)MIN(opt->keepalive, UINT16_MAX));
    if (opt->ede >= 0) {
        const char *text = opt->ede_text ? opt->ede_text : "";

        ede_write(w, (uint16_t)opt->ede, (const uint8_t *)text, strlen(text));
    }
    if (opt->ede_from)
        ede_pass(w, opt->ede_from);
    padding_write(w, opt);
    put_u16(rdata_size, (uint16_t)(w->pos - rdata));
}
