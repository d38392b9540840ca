// What can be configured about the control socket; plain values, see upstream/options.h.
#pragma once

// sun_path of a Unix socket's address, with its NUL.
#define CONTROL_PATH_SIZE 108
#define CONTROL_GROUP_SIZE 64

struct control_options {
    char socket[CONTROL_PATH_SIZE]; // "auto", "none", or an absolute path
    char group[CONTROL_GROUP_SIZE]; // who may connect, beside our own user; "": nobody
};
