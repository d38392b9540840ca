// A pool of objects of one size, taken and given back in constant time, bounded in number. Memory
// grows in chunks and is kept until slab_deinit(). One thread.
#pragma once

#include <stddef.h>

#include "base/compiler.h"

struct slab_chunk;

struct slab {
    size_t size;  // of one object, rounded up to the alignment of max_align_t
    size_t limit; // most objects at once
    size_t used;
    size_t made;
    void *free;
    struct slab_chunk *chunks;
};

NONNULL void slab_init(struct slab *slab, size_t object_size, size_t limit);

// All objects must have been given back: their balance is checked.
NONNULL void slab_deinit(struct slab *slab);

// An object whose content is undefined, or NULL at the limit or out of memory.
NONNULL NODISCARD void *slab_take(struct slab *slab);

NONNULL void slab_give(struct slab *slab, void *object);
