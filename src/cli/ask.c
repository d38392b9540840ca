#include "cli/ask.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "cli/control_client.h"
#include "config/config.h"

// The control.socket of the file.
static int load_socket(const struct ask_arguments *arguments, char socket[CONTROL_PATH_SIZE],
                       struct config_error *error)
{
    struct config *config = calloc(1, sizeof(*config));
    const char *file = arguments->config_file ? arguments->config_file : getenv("SOTTO_CONFIG");
    int err = E_OK;

    if (!config) {
        strcpy(error->text, error_text(E_NOMEM));
        return E_NOMEM;
    }
    config_defaults(config);
    // The rest is the server's business, which may read files that we may not.
    if (arguments->control_socket)
        err = config_set_control_socket(config, arguments->control_socket, error);
    else if (file && *file)
        err = config_load_file(config, file, error);
    if (err == E_OK)
        strcpy(socket, config->control.socket);
    free(config);
    return err;
}

void ask_take(struct ask_arguments *arguments, int code, const char *value)
{
    if (code == 'c')
        arguments->config_file = value;
    else if (code == ASK_CODE_CONTROL_SOCKET)
        arguments->control_socket = value;
}

int ask(const struct subcommand *subcommand, const struct ask_arguments *arguments,
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
        return subcommand_failure(subcommand,
                                  "control.socket is none: there is no socket to ask by; set it to "
                                  "auto or a path, and restart sotto");
    if (strcmp(socket, "auto") != 0)
        strcpy(places[0].path, socket);
    else if ((count = control_places_of_client(places, reason)) == 0)
        return subcommand_failure(subcommand, "%s", reason);
    if (control_client_ask(places, count, command, name, stdout, failure) != E_OK)
        return subcommand_failure(subcommand, "%s", failure);
    return EXIT_OK;
}
