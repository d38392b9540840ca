// The file that the sink "sqlite" fills and the store "sqlite" reads: opening it, and its tables.
//
// A query is a row of the table `query`. Names, clients and upstreams are numbers there, of the
// tables of those names; the view `log` shows all in words. Nothing is written but at the ends of
// tables, so that the rate does not depend on what is asked for or how much there is. Rows are
// found without an index of their own for each question: of every 16384 rows the columns that
// questions are about are kept once more, as an array each (sqlite_block.h), and names and clients
// alike (sqlite_words.h). An index would cost more to write than the rows; the arrays cost a tenth,
// and answer questions that no index was made for.
#pragma once

#include <sqlite3.h>
#include <stdbool.h>

#include "base/compiler.h"
#include "querylog/options.h"

#define SQLITE_FILE_REASON_SIZE 320

// What PRAGMA application_id says of our files: "sott".
#define SQLITE_FILE_APPLICATION 0x736f7474

// Of the tables; PRAGMA user_version.
#define SQLITE_FILE_VERSION 2

// The absolute path in "sqlite:///PATH". E_INVALID with the reason.
NONNULL NODISCARD int sqlite_file_path(const char *url, char path[QUERYLOG_URL_SIZE],
                                       char reason[SQLITE_FILE_REASON_SIZE]);

// Opens the file for writing; makes it (mode 0600) and its tables if need be, or brings tables of
// an older version up to this one.
//
// E_AGAIN: not now (locked, disk full, no permission). E_MALFORMED: a file of ours that is corrupt.
// E_INVALID: one that is not ours to write: another program's, or of a later version. Always with
// the reason: what, and what to do.
NONNULL NODISCARD int sqlite_file_open(sqlite3 **db, const char *path,
                                       char reason[SQLITE_FILE_REASON_SIZE]);

// Opens it for reading alone. Errors as above.
NONNULL NODISCARD int sqlite_file_open_to_read(sqlite3 **db, const char *path,
                                               char reason[SQLITE_FILE_REASON_SIZE]);

// Renames it and its journal to PATH.corrupt-TIME, which is written to `aside`. E_SYSTEM, errno.
NONNULL NODISCARD int sqlite_file_move_aside(const char *path, char aside[QUERYLOG_URL_SIZE + 32]);

// Runs statements that give no rows, or one of which all but the first column is dropped: to
// `*value` if that is not NULL. An SQLite code.
NODISCARD int sqlite_file_run(sqlite3 *db, const char *sql, int64_t *value);

// E_OK, E_AGAIN, E_MALFORMED, or E_SYSTEM for what repeating does not help, for an SQLite code.
int sqlite_file_error(int code);
