// A request on the control socket: whatever the octets, there is a reason or a request that prints
// to a line which means the same.
#include "admin/control_request.h"

#include <string.h>

#include "base/error.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct control_request request, again;
    char line[CONTROL_REQUEST_MAX + 1];
    const char *why = NULL;
    const uint8_t *name;
    size_t length;

    if (control_request_parse(&request, (const char *)data, size, &why) != E_OK) {
        require(why && *why);
        return 0;
    }
    name = request.command == CONTROL_FLUSH_NAME || request.command == CONTROL_FLUSH_SUBTREE
               ? request.name
               : NULL;
    length = control_request_print(request.command, name, line);
    require(length <= CONTROL_REQUEST_MAX && memchr(line, '\n', length) == line + length - 1);
    require(control_request_parse(&again, line, length - 1, &why) == E_OK);
    require(again.command == request.command);
    require(!name || (dns_name_length(again.name) == dns_name_length(name) &&
                      memcmp(again.name, name, dns_name_length(name)) == 0));
    return 0;
}
