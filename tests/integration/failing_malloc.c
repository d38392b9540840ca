// Memory that runs out. Control 0: so many of 1000 allocations fail. Control 1: how many failed.
//
// Only those that the program itself asks for: libraries are not ours to mend (libtasn1 4.19 uses
// what asn1_create_element() did not get).
#define _GNU_SOURCE
#include <errno.h>
#include <link.h>
#include <stddef.h>

#include "shim_control.h"

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void *malloc(size_t size);
void *calloc(size_t count, size_t size);
void *realloc(void *old, size_t size);

static uintptr_t program_start, program_end;

static int note_program(struct dl_phdr_info *object, size_t size, void *context)
{
    (void)size;
    (void)context;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &object->dlpi_phdr[i];

        if (header->p_type == PT_LOAD && (header->p_flags & PF_X)) {
            program_start = object->dlpi_addr + header->p_vaddr;
            program_end = program_start + header->p_memsz;
        }
    }
    return 1; // the program is the first object; no more
}

__attribute__((constructor)) static void find_program(void)
{
    dl_iterate_phdr(note_program, NULL);
}

static __thread uint32_t dice = 1;

static int fails(const void *caller)
{
    int64_t of_1000 = control[0];

    if (of_1000 == 0 || (uintptr_t)caller < program_start || (uintptr_t)caller >= program_end)
        return 0;
    dice = dice * 1664525u + 1013904223u;
    if ((int64_t)((dice >> 8) % 1000) >= of_1000)
        return 0;
    __atomic_fetch_add((int64_t *)&control[1], 1, __ATOMIC_RELAXED);
    errno = ENOMEM;
    return 1;
}

#define FAILS fails(__builtin_return_address(0))

void *malloc(size_t size)
{
    return FAILS ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return FAILS ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    return FAILS ? NULL : __libc_realloc(old, size);
}
