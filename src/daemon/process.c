#include "daemon/process.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static uint64_t resident(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    unsigned long long pages = 0;

    if (!file)
        return 0;
    if (fscanf(file, "%*u %llu", &pages) != 1) // NOLINT(cert-err34-c): the kernel's own numbers
        pages = 0;
    fclose(file);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t open_descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    uint64_t count = 0;

    if (!directory)
        return 0;
    for (const struct dirent *entry; (entry = readdir(directory));)
        count += entry->d_name[0] != '.';
    closedir(directory);
    return count > 0 ? count - 1 : 0; // without our own look at them
}

// Its age in clock ticks since the machine started, which goes on while that sleeps.
static double started_at(void)
{
    FILE *file = fopen("/proc/self/stat", "re");
    struct timespec wall, boot;
    unsigned long long ticks = 0;
    char line[1024] = "";
    const char *at;

    if (!file)
        return 0;
    if (!fgets(line, sizeof(line), file))
        line[0] = '\0';
    fclose(file);
    at = strrchr(line, ')'); // the name before it may hold anything
    if (!at || sscanf(at,    // NOLINT(cert-err34-c)
                      ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d "
                      "%*d %llu",
                      &ticks) != 1)
        return 0;
    clock_gettime(CLOCK_REALTIME, &wall);
    clock_gettime(CLOCK_BOOTTIME, &boot);
    return (double)wall.tv_sec - (double)boot.tv_sec + (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

void process_usage(struct status_process *usage)
{
    struct rusage times;
    struct rlimit limit;

    memset(usage, 0, sizeof(*usage));
    usage->resident = resident();
    usage->descriptors = open_descriptors();
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        usage->descriptors_max = limit.rlim_cur;
    if (getrusage(RUSAGE_SELF, &times) == 0)
        usage->cpu = (double)times.ru_utime.tv_sec + (double)times.ru_stime.tv_sec +
                     (double)(times.ru_utime.tv_usec + times.ru_stime.tv_usec) / 1e6;
    usage->started_at = started_at();
}
