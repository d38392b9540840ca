// How `sotto log` shows what it found: a table for people, JSON and CSV for programs. Whatever a
// text holds, none of them does anything to a terminal, or is anything but a text to a program.
#pragma once

#include <stdio.h>

#include "querylog/store.h"

enum log_format_of_rows { LOG_PRINT_TABLE, LOG_PRINT_JSON, LOG_PRINT_CSV };

struct log_print {
    FILE *out;
    enum log_format_of_rows format;
    bool colour; // of the table
};

NONNULL void log_print_row_header(const struct log_print *print);
NONNULL void log_print_row(const struct log_print *print, const struct store_row *row);

NONNULL void log_print_top_header(const struct log_print *print, enum store_top_kind kind);
// `total`: of how many records.
NONNULL void log_print_top(const struct log_print *print, const struct store_top *top,
                           uint64_t total);
