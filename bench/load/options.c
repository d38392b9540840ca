#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "names.h"

#define LABEL_LETTERS "abcdefghijklmnopqrstuvwxyz0123456789-"

static const char usage[] =
    "Usage: load [OPTION]... PORT\n"
    "Asks the DNS server at 127.0.0.1 and checks every answer. JSON on standard output.\n"
    "\n"
    "  --tcp                  over TCP; else UDP\n"
    "  --connections N        connections, or UDP sockets (1)\n"
    "  --idle N               open so many more TCP connections, and leave them alone\n"
    "  --rate Q               queries a second, whatever comes back; latency counts from the\n"
    "                         moment when a query should have been sent\n"
    "  --window N             else keep so many in flight, all connections together (100)\n"
    "  --seconds S            for so long (1, unless --queries is given)\n"
    "  --queries N            so many\n"
    "  --timeout S            a query without answer is lost after this (1)\n"
    "  --hot N                names that are asked again and again (10000)\n"
    "  --zipf E               their popularity: Zipf's law with this exponent; 0: all the same "
    "(0)\n"
    "  --miss P               percent of queries for a name that was never asked before (0)\n"
    "  --hot-label TEXT       part of the hot names (hot)\n"
    "  --miss-label TEXT      part of the other names: a new one in each run (miss)\n"
    "  --warm                 ask each hot name once, again if it is lost, and wait for all\n"
    "  --check-address        addresses must be as fast_dot derives them from the names\n"
    "  --spin                 never sleep: send on time, and need not be woken up by answers\n"
    "  --measure PID          tell this process's CPU time; may be repeated\n";

_Noreturn static void refuse(const char *what)
{
    fprintf(stderr, "load: wrong %s; --help lists the options\n", what);
    exit(2);
}

static double number(const char *name, const char *text, double least, double most)
{
    char *end;
    double value = strtod(text, &end);

    if (*end || end == text || !(value >= least && value <= most))
        refuse(name);
    return value;
}

static const char *label(const char *name, const char *text)
{
    // Lower case only: the address in an answer depends on it.
    if (!*text || strlen(text) > LABEL_MAX || strspn(text, LABEL_LETTERS) != strlen(text))
        refuse(name);
    return text;
}

static void take(struct options *o, const char *name, const char *value)
{
    if (!strcmp(name, "tcp"))
        o->tcp = true;
    else if (!strcmp(name, "connections"))
        o->connections = (unsigned)number(name, value, 1, 10000);
    else if (!strcmp(name, "idle"))
        o->idle = (unsigned)number(name, value, 0, 60000);
    else if (!strcmp(name, "rate"))
        o->rate = number(name, value, 1, 1e7);
    else if (!strcmp(name, "window"))
        o->window = (unsigned)number(name, value, 1, 60000);
    else if (!strcmp(name, "seconds"))
        o->seconds = number(name, value, 0.001, 1e5);
    else if (!strcmp(name, "queries"))
        o->queries = (uint64_t)number(name, value, 1, 1e12);
    else if (!strcmp(name, "timeout"))
        o->timeout = number(name, value, 0.001, 100);
    else if (!strcmp(name, "hot"))
        o->hot = (uint32_t)number(name, value, 1, 99999999);
    else if (!strcmp(name, "zipf"))
        o->zipf = number(name, value, 0, 10);
    else if (!strcmp(name, "miss"))
        o->miss = number(name, value, 0, 100);
    else if (!strcmp(name, "hot-label"))
        o->hot_label = label(name, value);
    else if (!strcmp(name, "miss-label"))
        o->miss_label = label(name, value);
    else if (!strcmp(name, "warm"))
        o->warm = true;
    else if (!strcmp(name, "check-address"))
        o->check_address = true;
    else if (!strcmp(name, "spin"))
        o->spin = true;
    else if (!strcmp(name, "measure") && o->measured_count < MEASURED_MAX)
        o->measured[o->measured_count++] = (pid_t)number(name, value, 1, 1e9);
    else
        refuse(name);
}

void options_parse(struct options *o, int argc, char **argv)
{
    static const struct option table[] = {
        {"tcp", no_argument, NULL, 0},
        {"connections", required_argument, NULL, 0},
        {"idle", required_argument, NULL, 0},
        {"rate", required_argument, NULL, 0},
        {"window", required_argument, NULL, 0},
        {"seconds", required_argument, NULL, 0},
        {"queries", required_argument, NULL, 0},
        {"timeout", required_argument, NULL, 0},
        {"hot", required_argument, NULL, 0},
        {"zipf", required_argument, NULL, 0},
        {"miss", required_argument, NULL, 0},
        {"hot-label", required_argument, NULL, 0},
        {"miss-label", required_argument, NULL, 0},
        {"warm", no_argument, NULL, 0},
        {"check-address", no_argument, NULL, 0},
        {"spin", no_argument, NULL, 0},
        {"measure", required_argument, NULL, 0},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    int which, result;

    *o = (struct options){
        .connections = 1,
        .window = 100,
        .timeout = 1,
        .hot = 10000,
        .hot_label = "hot",
        .miss_label = "miss",
    };
    while ((result = getopt_long(argc, argv, "", table, &which)) != -1) {
        if (result == 'h') {
            fputs(usage, stdout);
            exit(0);
        }
        if (result != 0)
            exit(2);
        take(o, table[which].name, optarg);
    }
    if (optind != argc - 1)
        refuse("number of arguments");
    o->port = (uint16_t)number("port", argv[optind], 1, 65535);
    if (o->seconds == 0 && o->queries == 0 && !o->warm)
        o->seconds = 1;
}
