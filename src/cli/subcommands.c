#include "cli/subcommands.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "cli/control_client.h"
#include "config/config.h"
#include "daemon/daemon.h"

struct arguments {
    const char *config_file;    // NULL: none is read
    const char *control_socket; // NULL: as the configuration says
    bool json;
    bool subtree;
    bool help;
    const char *name; // NULL: not given
};

struct subcommand {
    const char *name;
    const char *help;
    const struct option *options;
    bool takes_name;
    int (*run)(const struct subcommand *subcommand, const struct arguments *arguments);
};

enum { CODE_CONTROL_SOCKET = 256, CODE_JSON, CODE_SUBTREE };

// ---- Errors

static int usage_error(const struct subcommand *subcommand, const char *what, const char *which)
{
    fprintf(stderr, "sotto %s: %s%s\nTry 'sotto %s --help'.\n", subcommand->name, what, which,
            subcommand->name);
    return EXIT_USAGE;
}

static int complain(const struct subcommand *subcommand, const char *text, int code)
{
    fprintf(stderr, "sotto %s: %s\n", subcommand->name, text);
    return code;
}

// ---- Where to ask

// The control.socket of the file.
static int load_socket(const struct arguments *arguments, char socket[CONTROL_PATH_SIZE],
                       struct config_error *error)
{
    struct config *config = calloc(1, sizeof(*config));
    int err = E_OK;

    if (!config) {
        strcpy(error->text, error_text(E_NOMEM));
        return E_NOMEM;
    }
    config_defaults(config);
    // The rest is the server's business, which may read files that we may not.
    if (arguments->control_socket)
        err = config_set_control_socket(config, arguments->control_socket, error);
    else if (arguments->config_file)
        err = config_load_file(config, arguments->config_file, error);
    if (err == E_OK)
        strcpy(socket, config->control.socket);
    free(config);
    return err;
}

// Asks, and prints what comes back.
static int ask(const struct subcommand *subcommand, const struct arguments *arguments,
               enum control_command command, const uint8_t *name)
{
    struct control_place places[CONTROL_PLACES_MAX];
    char socket[CONTROL_PATH_SIZE], reason[CONTROL_REASON_SIZE];
    char failure[CONTROL_CLIENT_ERROR_SIZE];
    struct config_error error;
    unsigned count = 1;

    if (load_socket(arguments, socket, &error) != E_OK) {
        fprintf(stderr, "sotto %s: %s%s\n", subcommand->name,
                arguments->control_socket ? "--control-socket " : "", error.text);
        return EXIT_USAGE;
    }
    if (strcmp(socket, "none") == 0)
        return complain(subcommand,
                        "control.socket is none: there is no socket to ask by; set it to auto or "
                        "a path, and restart sotto",
                        EXIT_RUNTIME);
    if (strcmp(socket, "auto") != 0)
        strcpy(places[0].path, socket);
    else if ((count = control_places_of_client(places, reason)) == 0)
        return complain(subcommand, reason, EXIT_RUNTIME);
    if (control_client_ask(places, count, command, name, stdout, failure) != E_OK)
        return complain(subcommand, failure, EXIT_RUNTIME);
    return EXIT_OK;
}

// ---- The subcommands

static int run_status(const struct subcommand *subcommand, const struct arguments *arguments)
{
    return ask(subcommand, arguments, arguments->json ? CONTROL_STATUS_JSON : CONTROL_STATUS_TABLE,
               NULL);
}

static int run_flush(const struct subcommand *subcommand, const struct arguments *arguments)
{
    uint8_t name[DNS_NAME_MAX];

    if (!arguments->name && arguments->subtree)
        return usage_error(subcommand, "a name is missing after --subtree", "");
    if (!arguments->name)
        return ask(subcommand, arguments, CONTROL_FLUSH_ALL, NULL);
    if (dns_name_from_text(arguments->name, name) != E_OK)
        return usage_error(subcommand, "not a domain name: ", arguments->name);
    return ask(subcommand, arguments,
               arguments->subtree ? CONTROL_FLUSH_SUBTREE : CONTROL_FLUSH_NAME, name);
}

#define COMMON_OPTIONS                                                                             \
    {"config", required_argument, NULL, 'c'},                                                      \
        {"control-socket", required_argument, NULL, CODE_CONTROL_SOCKET},                          \
        {"help", no_argument, NULL, 'h'},                                                          \
    {                                                                                              \
        NULL, 0, NULL, 0                                                                           \
    }

#define COMMON_HELP                                                                                \
    "      --control-socket PATH  ask by the socket at PATH; auto: look for it in\n"               \
    "                             $RUNTIME_DIRECTORY, or else in\n"                                \
    "                             $XDG_RUNTIME_DIR/sotto and /run/sotto\n"                         \
    "  -c, --config FILE          else by the control.socket of FILE, or of the file\n"            \
    "                             that SOTTO_CONFIG names; with neither: auto\n"                   \
    "  -h, --help                 print this help, and end\n\n"                                    \
    "Exit codes: 0; 1 if sotto cannot be reached or refuses; 2 if an option is wrong.\n"

static const struct option status_options[] = {
    {"json", no_argument, NULL, CODE_JSON},
    COMMON_OPTIONS,
};

static const struct option flush_options[] = {
    {"subtree", no_argument, NULL, CODE_SUBTREE},
    COMMON_OPTIONS,
};

static const struct subcommand subcommands[] = {
    {
        .name = "status",
        .help = "Usage: sotto status [OPTION]...\n"
                "Shows how a running sotto is: its upstreams, workers and cache.\n\n"
                "      --json                 as one JSON object, for programs\n" COMMON_HELP,
        .options = status_options,
        .run = run_status,
    },
    {
        .name = "flush",
        .help =
            "Usage: sotto flush [OPTION]... [NAME]\n"
            "Drops what a running sotto has in its cache: all of it, or what is kept under\n"
            "the domain NAME.\n\n"
            "      --subtree              also what is kept under names below NAME\n" COMMON_HELP,
        .options = flush_options,
        .takes_name = true,
        .run = run_flush,
    },
};

const struct subcommand *subcommand_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(subcommands); i++)
        if (strcmp(name, subcommands[i].name) == 0)
            return &subcommands[i];
    return NULL;
}

// ---- The command line

// The exit code, EXIT_OK if it is to go on.
static int take(struct arguments *arguments, int code, const struct subcommand *subcommand,
                char **argv)
{
    switch (code) {
    case 'c':
        arguments->config_file = optarg;
        return EXIT_OK;
    case 'h':
        arguments->help = true;
        return EXIT_OK;
    case CODE_CONTROL_SOCKET:
        arguments->control_socket = optarg;
        return EXIT_OK;
    case CODE_JSON:
        arguments->json = true;
        return EXIT_OK;
    case CODE_SUBTREE:
        arguments->subtree = true;
        return EXIT_OK;
    case ':':
        return usage_error(subcommand, "an argument is missing after ", argv[optind - 1]);
    default:
        return usage_error(subcommand,
                           "unknown option, or one that takes no argument: ", argv[optind - 1]);
    }
}

static int parse(struct arguments *arguments, const struct subcommand *subcommand, int argc,
                 char **argv)
{
    const char *file = getenv("SOTTO_CONFIG");
    int code, exit_code;

    memset(arguments, 0, sizeof(*arguments));
    if (file && *file)
        arguments->config_file = file;
    optind = 0; // glibc: start afresh
    opterr = 0;
    while ((code = getopt_long(argc, argv, ":c:h", subcommand->options, NULL)) != -1) {
        exit_code = take(arguments, code, subcommand, argv);
        if (exit_code != EXIT_OK)
            return exit_code;
    }
    if (subcommand->takes_name && optind < argc)
        arguments->name = argv[optind++];
    if (optind < argc)
        return usage_error(subcommand, "unexpected argument: ", argv[optind]);
    return EXIT_OK;
}

int subcommand_run(const struct subcommand *subcommand, int argc, char **argv)
{
    struct arguments arguments;
    int code = parse(&arguments, subcommand, argc, argv);

    if (code != EXIT_OK)
        return code;
    if (arguments.help) {
        fputs(subcommand->help, stdout);
        return EXIT_OK;
    }
    return subcommand->run(subcommand, &arguments);
}
