// A file of dnstap messages: begun, or gone on with.
#pragma once

#include "base/compiler.h"
#include "querylog/sink.h"

// Opens the file, so that frames may be appended: a new one gets its START; from one that is there,
// its STOP is taken away, or what is behind the last whole frame if the program that wrote it did
// not come to its end. Nobody else may write to it meanwhile. Returns the descriptor; or a negative
// code with why in words: among others, that it holds something else.
NONNULL NODISCARD int dnstap_file_open(const char *path, char reason[QUERYLOG_REASON_SIZE]);

// Writes its STOP, and closes it.
void dnstap_file_close(int fd);
