#include "base/slab.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define SLAB_POISON 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLAB_POISON 1
#endif
#endif

#ifdef SLAB_POISON
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size) ((void)0)
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)0)
#endif

// Large enough to make malloc rare, small enough not to show in an idle process.
enum { CHUNK_BYTES = 16 * 1024 };

struct slab_chunk {
    struct slab_chunk *next;
    alignas(max_align_t) unsigned char objects[];
};

void slab_init(struct slab *slab, size_t object_size, size_t limit)
{
    const size_t align = alignof(max_align_t);

    *slab = (struct slab){
        .size = (MAX(object_size, sizeof(void *)) + align - 1) / align * align,
        .limit = limit,
    };
}

void slab_deinit(struct slab *slab)
{
    require(slab->used == 0);
    while (slab->chunks) {
        struct slab_chunk *chunk = slab->chunks;

        slab->chunks = chunk->next;
        free(chunk);
    }
    slab->free = NULL;
}

static void push_free(struct slab *slab, void *object)
{
    memcpy(object, &slab->free, sizeof(slab->free));
    slab->free = object;
    ASAN_POISON_MEMORY_REGION(object, slab->size);
}

static void grow(struct slab *slab)
{
    size_t count = MAX((CHUNK_BYTES - sizeof(struct slab_chunk)) / slab->size, (size_t)1);

    count = MIN(count, slab->limit - slab->made);
    if (count == 0)
        return;

    struct slab_chunk *chunk = malloc(sizeof(*chunk) + count * slab->size);

    if (!chunk)
        return;
    chunk->next = slab->chunks;
    slab->chunks = chunk;
    slab->made += count;
    for (size_t i = count; i-- > 0;)
        push_free(slab, chunk->objects + i * slab->size);
}

void *slab_take(struct slab *slab)
{
    if (UNLIKELY(!slab->free))
        grow(slab);

    void *object = slab->free;

    if (UNLIKELY(!object))
        return NULL;
    ASAN_UNPOISON_MEMORY_REGION(object, slab->size);
    memcpy(&slab->free, object, sizeof(slab->free));
    slab->used++;
    return object;
}

void slab_give(struct slab *slab, void *object)
{
    require(slab->used > 0);
    slab->used--;
    push_free(slab, object);
}
