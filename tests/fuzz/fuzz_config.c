// The configuration file: whatever the octets, loading ends soon, with an error that names the
// file, or with a configuration that prints as text that loads to the same.
#include "config/config.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *print(const struct config *config, size_t *size)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, size);

    require(out);
    config_print(config, out);
    fclose(out);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct config config, again;
    struct config_error error = {""};
    char *text;

    config_defaults(&config);
    if (config_load_text(&config, (const char *)data, size, "f.yaml", &error) != E_OK) {
        require(strncmp(error.text, "f.yaml:", 7) == 0 && strlen(error.text) > 10);
        return 0;
    }
    text = print(&config, &size);
    config_defaults(&again);
    require(config_load_text(&again, text, size, "g.yaml", &error) == E_OK);
    require(memcmp(&config, &again, sizeof(config)) == 0);
    free(text);
    (void)config_check(&config, &error);
    return 0;
}
