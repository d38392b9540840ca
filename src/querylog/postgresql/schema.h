// The tables, all in the schema "sotto":
//
//   queries         a row a record, in partitions by day (UTC): queries_20260131, …
//   writers         a row for each run of a program that writes: the number of its last batch
//   schema_version  one row: which of the migrations in schema.c were done
//
// Partitions and not one large table with a BRIN index, since old days go by DROP TABLE, at once
// and with their room given back, where a DELETE leaves dead rows to be vacuumed and gaps that new
// rows fill, after which BRIN helps no more. Within a day, rows are in the order of their times but
// for seconds, so that there a BRIN index by time is as good as any and costs nearly nothing to
// keep.
//
// All that changes tables is done under an advisory lock, as many instances may start at once, and
// may all come to midnight at once.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/time.h"
#include "querylog/postgresql/exchange.h"

#define POSTGRESQL_SCHEMA_VERSION 1

// The first key of our advisory locks: "sott". Locks are those of the database, so others may have
// them, too.
#define POSTGRESQL_LOCK 1936684148
#define POSTGRESQL_LOCK_TABLES 1
#define POSTGRESQL_LOCK_RETENTION 2
// The first key of the locks of transactions that write: the second one is the last id that was
// taken before (its lower 32 bits). Who follows the newest rows stays below (postgresql_store.c),
// as ids become visible when their transaction ends, not in their order.
#define POSTGRESQL_LOCK_WRITING 1936684149

// Creates the tables or brings them up to date. May take minutes if others are at it. E_SYSTEM with
// the problem; E_INVALID: they are of a newer program.
NONNULL NODISCARD int postgresql_schema_prepare(PGconn *conn, struct postgresql_problem *problem);

// Days since 1970 UTC.
#define POSTGRESQL_DAY (86400 * USEC_SEC)

// Creates the partition of this day if there is none. E_SYSTEM.
NONNULL NODISCARD int postgresql_schema_add_day(PGconn *conn, uint32_t day,
                                                struct postgresql_problem *problem);

// Deletes what is older by the server's clock, so that no instance whose clock is wrong deletes
// what it should not: whole days that are over; and if `max_age` is less than two days, which whole
// days would overstep by too much, rows as well. Does a bounded part of it, and says in `more`
// whether some is left. If another instance is at it, nothing. E_SYSTEM.
NONNULL NODISCARD int postgresql_schema_expire(PGconn *conn, usec_t max_age, bool *more,
                                               struct postgresql_problem *problem);
