// The cache as a file, to survive a restart. Encoding only: reading and writing are for others.
//
// The format, version 1; numbers in network byte order:
//   header   "sotto cache", NUL; version (32 bits); whose answers these are (64); the wall clock's
//            seconds when it was written (64)
//   records  age in seconds (32), TTL in seconds (32), key flags (8), size (16), the message
//   end      32 bits of ones; number of records (64); a checksum over all before it (64)
// It is believed only as a whole, and even then each message goes through the same checks as if an
// upstream had sent it.
#pragma once

#include "cache/cache.h"

struct cache_archive_stamp {
    uint64_t origin; // stands for whose answers these are
    uint64_t clock;  // the wall clock, in seconds
};

struct cache_archive_writer {
    // Takes the bytes in order; false to give up.
    bool (*write)(void *context, const uint8_t *bytes, size_t size);
    void *context;
    uint64_t records; // written
    uint64_t checksum;
    bool failed;
};

// Writes everything that may still be given. `origin` stands for whose answers these are; `clock`
// is the wall clock in seconds. The caller is a reader, offline. False if `write` gave up.
NONNULL NODISCARD bool cache_archive_write(struct cache_archive_writer *writer, struct cache *cache,
                                           const struct cache_options *options,
                                           const struct cache_archive_stamp *stamp, usec_t now);

struct cache_archive_result {
    const char *problem; // why nothing was taken; NULL: all is well
    uint64_t records;    // in the file
    uint64_t restored;   // of these, those that may still be given, as far as there is room
};

// Puts the file's answers into the cache, as old as they are by now. Takes nothing from a file that
// is damaged, of another version, or of another origin. If the wall clock has gone back since, no
// answer is fresh. The caller is a reader, offline.
NONNULL void cache_archive_read(struct cache_archive_result *result, struct cache *cache,
                                const struct cache_options *options, const uint8_t *bytes,
                                size_t size, const struct cache_archive_stamp *stamp, usec_t now,
                                struct counters *counters);

// The most octets that a file of a cache of that size has.
uint64_t cache_archive_limit(uint64_t cache_size);
