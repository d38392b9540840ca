#include "admin/control_request.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"

static_assert(CONTROL_REQUEST_MAX >= sizeof(CONTROL_PROTOCOL) + 16 + DNS_NAME_TEXT_MAX,
              "any name fits");

static const char *const commands[] = {
#define X(name, text) text,
    CONTROL_COMMAND_LIST(X)
#undef X
};

static bool takes_name(enum control_command command)
{
    return commands[command][strlen(commands[command]) - 1] == ' ';
}

// The command that the text begins with, and what is left of the text. False if there is none.
static bool find_command(enum control_command *command, const char **text)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        size_t length = strlen(commands[i]);

        *command = (enum control_command)i;
        if (takes_name(*command) ? strncmp(*text, commands[i], length) != 0
                                 : strcmp(*text, commands[i]) != 0)
            continue;
        *text += length;
        return true;
    }
    return false;
}

int control_request_parse(struct control_request *request, const char *line, size_t size,
                          const char **why)
{
    static const char protocol[] = CONTROL_PROTOCOL " ";
    const size_t protocol_length = sizeof(protocol) - 1;
    char text[CONTROL_REQUEST_MAX + 1];
    const char *rest = text + protocol_length;

    if (size > CONTROL_REQUEST_MAX) {
        *why = "the line is too long";
        return E_INVALID;
    }
    memcpy(text, line, size);
    text[size] = '\0';
    for (size_t i = 0; i < size; i++) {
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f) {
            *why = "a control character in the line";
            return E_INVALID;
        }
    }
    if (strncmp(text, protocol, protocol_length) != 0) {
        *why = "not the protocol or version spoken here: a request begins with " CONTROL_PROTOCOL
               " and a space";
        return E_INVALID;
    }
    if (!find_command(&request->command, &rest)) {
        *why = "unknown command: there are 'status table', 'status json', 'ready', 'flush', "
               "'flush name NAME' and 'flush subtree NAME'";
        return E_INVALID;
    }
    if (takes_name(request->command) && dns_name_from_text(rest, request->name) != E_OK) {
        *why = "that is no domain name";
        return E_INVALID;
    }
    return E_OK;
}

size_t control_request_print(enum control_command command, const uint8_t *name,
                             char line[CONTROL_REQUEST_MAX + 1])
{
    char text[DNS_NAME_TEXT_MAX] = "";

    require(takes_name(command) == (name != NULL));
    if (name)
        dns_name_to_text(name, text);
    return (size_t)snprintf(line, CONTROL_REQUEST_MAX + 1, CONTROL_PROTOCOL " %s%s\n",
                            commands[command], text);
}
