#include "cli/healthcheck.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "cli/ask.h"
#include "cli/control_client.h"
#include "cli/probe.h"
#include "config/config.h"

// One that says that it is not ready is asked again: the first question may be what makes it find
// out whether its upstreams can be reached.
#define TRIES 4
#define PAUSE_US 300000

struct arguments {
    struct ask_arguments where;
    const char *admin;  // NULL: not given
    const char *listen; // NULL: not given
};

enum { CODE_ADMIN = ASK_CODE_NEXT };

static const struct option options[] = {
    {"admin", required_argument, NULL, CODE_ADMIN},
    {"listen", required_argument, NULL, 'l'},
    ASK_OPTIONS,
    SUBCOMMAND_HELP_OPTION,
    SUBCOMMAND_OPTIONS_END,
};

static int take(const struct subcommand *subcommand, void *to, int code, const char *value)
{
    struct arguments *arguments = to;

    if (code == CODE_ADMIN)
        arguments->admin = value;
    else if (code == 'l')
        arguments->listen = value;
    else
        ask_take(&arguments->where, code, value);
    return EXIT_OK;
}

// What is known of the server: its file, and what the command line says. E_INVALID with the error.
static int load(const struct arguments *arguments, struct config *config,
                struct config_error *error)
{
    const char *file =
        arguments->where.config_file ? arguments->where.config_file : getenv("SOTTO_CONFIG");
    int err = E_OK;

    config_defaults(config);
    // Not checked: that is the server's business, which may read files that we may not.
    if (file && *file)
        err = config_load_file(config, file, error);
    if (err == E_OK && arguments->admin)
        err = config_set_admin(config, arguments->admin, error);
    if (err == E_OK && arguments->where.control_socket)
        err = config_set_control_socket(config, arguments->where.control_socket, error);
    if (err == E_OK && arguments->listen) {
        config_clear_listeners(config);
        err = config_add_listener(config, arguments->listen, error);
    }
    return err;
}

// E_OK, E_AGAIN: it is there, and not ready; E_CLOSED: there is no such socket. With the text.
static int probe_control(const struct config *config, char text[PROBE_TEXT_SIZE])
{
    struct control_place places[CONTROL_PLACES_MAX];
    char reason[CONTROL_REASON_SIZE], failure[CONTROL_CLIENT_ERROR_SIZE];
    unsigned count = 1;
    int err;

    if (strcmp(config->control.socket, "none") == 0)
        return E_CLOSED;
    if (strcmp(config->control.socket, "auto") != 0)
        strcpy(places[0].path, config->control.socket);
    else if ((count = control_places_of_client(places, reason)) == 0)
        return E_CLOSED;

    FILE *out = fmemopen(text, PROBE_TEXT_SIZE, "w");

    if (!out)
        return E_CLOSED;
    err = control_client_ask(places, count, CONTROL_READY, NULL, out, failure);
    fclose(out);
    if (err == E_OK)
        text[strcspn(text, "\n")] = '\0';
    else
        snprintf(text, PROBE_TEXT_SIZE, "%s", failure);
    return err == E_OK || err == E_CLOSED ? err : E_AGAIN;
}

static int probe_listener(const struct config *config, char text[PROBE_TEXT_SIZE])
{
    for (uint32_t i = 0; i < config->listener.place_count; i++) {
        const struct listener_place *place = &config->listener.places[i];
        struct address address = place->at.address;

        if (!(place->at.transports & LISTENER_DNS) || place->rules.proxies.count > 0)
            continue;
        probe_address(&address);
        return probe_dns(&address, !(place->at.transports & LISTENER_UDP), text);
    }
    snprintf(text, PROBE_TEXT_SIZE,
             "there is no listener for plain DNS, nor a control socket, to ask by; set "
             "admin.listen to http://127.0.0.1:%d",
             ADMIN_PORT);
    return E_SYSTEM;
}

// By the first way that there is, the one that tells most.
static int probe(const struct arguments *arguments, const struct config *config,
                 char text[PROBE_TEXT_SIZE])
{
    struct address address = config->admin.listen;
    int err = E_CLOSED;

    if (address.family != AF_UNSPEC && (arguments->admin || !arguments->listen)) {
        probe_address(&address);
        return probe_http(&address, text);
    }
    if (!arguments->listen)
        err = probe_control(config, text);
    return err == E_CLOSED ? probe_listener(config, text) : err;
}

static int check(const struct subcommand *subcommand, const struct arguments *arguments,
                 const struct config *config)
{
    char text[PROBE_TEXT_SIZE];
    int err = E_AGAIN;

    for (unsigned i = 0; i < TRIES && err == E_AGAIN; i++) {
        if (i > 0)
            usleep(PAUSE_US);
        err = probe(arguments, config, text);
    }
    if (err != E_OK)
        return subcommand_failure(subcommand, "%s", text);
    puts(text);
    return EXIT_OK;
}

static int run(const struct subcommand *subcommand, int argc, char **argv)
{
    struct arguments arguments = {.admin = NULL};
    int code = subcommand_parse(subcommand, argc, argv, &arguments);
    struct config_error error = {"out of memory"};
    struct config *config;

    if (code != SUBCOMMAND_GO_ON)
        return code;
    if (optind < argc)
        return subcommand_usage_error(subcommand, "unexpected argument: ", argv[optind]);
    config = calloc(1, sizeof(*config));
    if (config && load(&arguments, config, &error) == E_OK) {
        code = check(subcommand, &arguments, config);
    } else {
        code = subcommand_failure(subcommand, "%s", error.text);
    }
    free(config);
    return code;
}

const struct subcommand subcommand_healthcheck = {
    .name = "healthcheck",
    .operands = "",
    .summary = "whether it can answer",
    .help = "Usage: sotto healthcheck [OPTION]...\n"
            "Says whether a sotto on this machine is ready to answer queries, for containers:\n"
            "    HEALTHCHECK CMD [\"sotto\", \"healthcheck\"]\n"
            "It asks /readyz where admin.listen is set; else the control socket; and where\n"
            "there is none of these it sends a query, to the first listener for plain DNS.\n\n"
            "      --admin URL            ask there, such as http://127.0.0.1:8053\n"
            "  -l, --listen ADDRESS       send a query there\n" ASK_HELP,
    .short_options = ASK_SHORT_OPTIONS "l:",
    .options = options,
    .take = take,
    .run = run,
};
