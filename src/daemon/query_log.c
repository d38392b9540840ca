#include "daemon/query_log.h"

#include <stdio.h>

#include "base/error.h"
#include "base/random.h"
#include "config/secrets.h"

int query_log_read_key(struct querylog_options *options, struct config_error *error)
{
    struct random random;
    unsigned count = 0;

    if (*options->key_file)
        return secrets_read(&options->key, 1, &count, "query-log.key-file", options->key_file,
                            error);
    random_init(&random);
    options->key.k0 = (uint64_t)random_u32(&random) << 32 | random_u32(&random);
    options->key.k1 = (uint64_t)random_u32(&random) << 32 | random_u32(&random);
    return E_OK;
}

int query_log_open(struct querylog **querylog, const struct config *config, unsigned workers,
                   struct log *log, struct config_error *error)
{
    char reason[QUERYLOG_REASON_SIZE];

    *querylog = NULL;
    if (config->querylog.sink_count == 0)
        return E_OK;
    *querylog = querylog_new(&config->querylog, workers, log, reason);
    if (!*querylog) {
        snprintf(error->text, sizeof(error->text), "query-log: %s", reason);
        return E_SYSTEM;
    }
    if (querylog_start(*querylog) == E_OK)
        return E_OK;
    snprintf(error->text, sizeof(error->text), "query-log: cannot start its threads");
    return E_SYSTEM;
}

void query_log_say(const struct querylog_options *options, struct log *log)
{
    static const char *const clients[] = {
        [QUERYLOG_CLIENTS_FULL] = "clients by address",
        [QUERYLOG_CLIENTS_TRUNCATE] = "clients by network",
        [QUERYLOG_CLIENTS_KEYED] = "clients by pseudonym",
        [QUERYLOG_CLIENTS_NONE] = "no clients",
    };
    static const char *const names[] = {
        [QUERYLOG_NAMES_FULL] = "names as they are",
        [QUERYLOG_NAMES_HASH] = "names as hashes",
        [QUERYLOG_NAMES_NONE] = "no names",
    };
    char sample[64] = "every query is written down";

    if (options->sink_count == 0)
        return;
    if (options->sample > 1)
        snprintf(sample, sizeof(sample), "one query in %u is written down", options->sample);
    log_info(log, "querylog", "%s: %s, %s; tell the people whose names these are", sample,
             clients[options->clients], names[options->names]);
}
