#include "cli/subcommands.h"

#include <string.h>

#include "cli/cert.h"
#include "cli/flush.h"
#include "cli/healthcheck.h"
#include "cli/log.h"
#include "cli/mobileconfig.h"
#include "cli/status.h"
#include "cli/subcommand.h"

static const struct subcommand *const subcommands[] = {
    &subcommand_status,      &subcommand_flush, &subcommand_log,
    &subcommand_healthcheck, &subcommand_cert,  &subcommand_mobileconfig,
};

// The columns of the main help for a subcommand and its operands.
#define USAGE_LEFT 29

const struct subcommand *subcommand_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(subcommands); i++)
        if (strcmp(name, subcommands[i]->name) == 0)
            return subcommands[i];
    return NULL;
}

int subcommand_run(const struct subcommand *subcommand, int argc, char **argv)
{
    return subcommand->run(subcommand, argc, argv);
}

void subcommands_print_usage(FILE *out)
{
    for (size_t i = 0; i < ARRAY_LEN(subcommands); i++) {
        char left[64];

        snprintf(left, sizeof(left), "%s %s", subcommands[i]->name, subcommands[i]->operands);
        fprintf(out, "       sotto %-*s %s\n", USAGE_LEFT, left, subcommands[i]->summary);
    }
}
