#include "upstream/reply.h"

#include <string.h>

#include "base/error.h"
#include "dns/tables.h"

int upstream_reply_check(struct dns_message *reply, const uint8_t *wire, size_t size,
                         const uint8_t *question, size_t question_size)
{
    int err = dns_message_parse(reply, wire, size);

    if (err != E_OK)
        return err;
    if (!(reply->flags & DNS_FLAG_QR) || DNS_OPCODE(reply->flags) != DNS_OPCODE_QUERY ||
        reply->question_size != question_size ||
        memcmp(dns_message_question(reply), question, question_size) != 0)
        return E_MISMATCH;
    return E_OK;
}
