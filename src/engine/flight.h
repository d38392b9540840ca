// A question while upstreams are being asked: one for all queries of a worker that wait for the
// same answer, and of all workers' flights for it only one, the leader, has upstreams asked.
// Included by src/engine/ only.
//
// Life of a flight: flight_join() or flight_refresh() starts it. It leads, and asks the upstreams;
// or it follows another worker's. It lands when the answer (or the failure) is there: the leader
// sees to the cache and has its followers told, then each answers those who wait. A query may stop
// waiting before, to be given a stale answer; the flight goes on, for the cache.
#pragma once

#include "cache/inflight.h"
#include "engine/query.h"

// What a leader hands to its followers: shared, and freed by the last of them.
struct flight_answer;

struct flight {
    struct list node; // in the engine's table
    struct engine *engine;
    struct list waiters; // queries
    struct cache_inflight shared;
    struct upstream_request request; // of a leader
    struct task landed;              // of a follower
    struct flight_answer *answer;    // of a follower; NULL: out of memory
    usec_t started;
    uint64_t generation;   // the cache's when it started
    struct address client; // who caused it; AF_UNSPEC: a refresh
    size_t share;          // its slot
    struct cache_key key;
    uint8_t question[DNS_QUESTION_MAX]; // as the first client wrote it
};

// The query waits for the answer: until `stale_at` if there is a stale one by then (USEC_NEVER:
// there is none). If there is no room it is answered at once. It may be answered before the return.
NONNULL void flight_join(struct query *query, const struct cache_key *key, usec_t stale_at);

// At the turn's end: the queries that came so late to a flight whose time is over that they have
// time left ask again, each until its own deadline.
NONNULL void flight_ask_late(struct engine *engine);

// Has the cache's answer refreshed, with nobody waiting. False if that is under way, or if there is
// no room.
NONNULL bool flight_refresh(struct engine *engine, const struct cache_key *key);
