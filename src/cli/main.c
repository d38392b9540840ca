#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"
#include "cli/options.h"
#include "cli/subcommands.h"
#include "daemon/daemon.h"

static int load(void *context, struct config *config, struct config_error *error)
{
    return options_load_config(context, config, error);
}

// Prints the effective configuration if it is right.
static int check_config(const struct options *options)
{
    struct config *config = calloc(1, sizeof(*config));
    struct config_error error = {"out of memory"};
    int code = EXIT_USAGE;

    if (config && options_load_config(options, config, &error) == E_OK) {
        config_print(config, stdout);
        code = EXIT_OK;
    } else {
        fprintf(stderr, "sotto: %s\n", error.text);
    }
    free(config);
    return code;
}

// Whoever started us may have closed them; then a socket would be opened in their place, and would
// get the log.
static void open_standard_streams(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

int main(int argc, char **argv)
{
    const struct subcommand *subcommand = argc > 1 ? subcommand_find(argv[1]) : NULL;
    struct options options;

    open_standard_streams();
    if (subcommand)
        return subcommand_run(subcommand, argc - 1, argv + 1);
    if (options_parse(&options, argc, argv, stderr) != E_OK)
        return EXIT_USAGE;
    switch (options.action) {
    case OPTIONS_HELP:
        options_print_help(stdout);
        return EXIT_OK;
    case OPTIONS_VERSION:
        puts("sotto " SOTTO_VERSION);
        return EXIT_OK;
    case OPTIONS_SCHEMA:
        config_print_schema(stdout);
        return EXIT_OK;
    case OPTIONS_CHECK_CONFIG:
        return check_config(&options);
    case OPTIONS_RUN:
        break;
    }
    return daemon_run(&(struct daemon_loader){.load = load, .context = &options});
}
