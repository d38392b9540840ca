// What the shims share: numbers that the test writes while the program runs (lib/preload.py).
#pragma once

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { CONTROL_SIZE = 4096 };

static int64_t nothing[CONTROL_SIZE / sizeof(int64_t)];
static volatile int64_t *control = nothing;

__attribute__((constructor)) static void map_control(void)
{
    const char *path = getenv("SHIM_CONTROL");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *mapped;

    if (fd < 0)
        return;
    mapped = mmap(NULL, CONTROL_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (mapped != MAP_FAILED)
        control = mapped;
}
