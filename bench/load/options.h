// The command line.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { MEASURED_MAX = 32 };

struct options {
    uint16_t port;
    bool tcp;
    unsigned connections, idle;
    double rate;     // queries a second; 0: as the window allows
    unsigned window; // in flight, all connections together
    double seconds;  // 0: no limit
    uint64_t queries;
    double timeout; // seconds until a query counts as lost
    uint32_t hot;   // names
    double zipf;
    double miss; // percent
    const char *hot_label, *miss_label;
    bool warm; // each hot name, until all are answered
    bool check_address;
    bool spin;                    // never sleep
    pid_t measured[MEASURED_MAX]; // whose CPU time is told
    unsigned measured_count;
};

// Ends the program, with a message, if they are wrong.
void options_parse(struct options *options, int argc, char **argv);
