// Threads that use the cache. Lookups take no lock: what a reader has found stays in memory until
// it goes offline (liburcu, QSBR flavour). A thread that stays online holds back all freeing.
#pragma once

// In the thread itself, before it uses the cache, and when it never will again. Starts offline.
void cache_reader_start(void);
void cache_reader_stop(void);

// Around each use of the cache; what was found is valid in between. Not nested.
void cache_reader_online(void);
void cache_reader_offline(void);
