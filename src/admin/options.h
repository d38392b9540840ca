// What can be configured about how the program is looked at and told; plain values, see
// upstream/options.h.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"

// sun_path of a Unix socket's address, with its NUL.
#define CONTROL_PATH_SIZE 108
#define CONTROL_GROUP_SIZE 64

struct control_options {
    char socket[CONTROL_PATH_SIZE]; // "auto", "none", or an absolute path
    char group[CONTROL_GROUP_SIZE]; // who may connect, beside our own user; "": nobody
};

// The port for which there is no name; next to that of DNS.
#define ADMIN_PORT 8053

#define ADMIN_PATH_SIZE 1024
#define ADMIN_HOSTS_MAX 16
#define ADMIN_HOST_SIZE 256

// With its NUL. Shorter ones can be guessed.
#define ADMIN_TOKEN_SIZE 257
#define ADMIN_TOKEN_MIN 16

// The pages for those who look after it, over HTTP.
struct admin_options {
    struct address listen;            // AF_UNSPEC: off
    char token_file[ADMIN_PATH_SIZE]; // ""
    uint32_t host_count;
    char hosts[ADMIN_HOSTS_MAX][ADMIN_HOST_SIZE]; // names under which it is asked
    char token[ADMIN_TOKEN_SIZE];                 // out of the file; "": none
};

// Whether only this machine reaches it there.
bool admin_is_local(const struct admin_options *options);
