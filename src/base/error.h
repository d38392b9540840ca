// Error codes: 0 or one negative code from this list, for every function that can fail.
#pragma once

// One row per error: the constant's suffix and its text, as shown to a user.
#define ERROR_LIST(X)                                                                              \
    X(NOMEM, "out of memory")                                                                      \
    X(INVALID, "invalid value")                                                                    \
    X(RANGE, "value out of range")                                                                 \
    X(SHORT, "message is shorter than a DNS header")                                               \
    X(MALFORMED, "malformed DNS message")                                                          \
    X(BADEDNS, "malformed EDNS data")                                                              \
    X(MISMATCH, "reply does not match its query")                                                  \
    X(SYSTEM, "system call failed")                                                                \
    X(TLS, "TLS failure")                                                                          \
    X(VERIFY, "certificate verification failed")                                                   \
    X(CLOSED, "connection closed by peer")                                                         \
    X(AGAIN, "would block")

enum error_number {
    ERROR_NUMBER_NONE,
#define X(name, text) ERROR_NUMBER_##name,
    ERROR_LIST(X)
#undef X
};

enum error {
    E_OK = 0,
#define X(name, text) E_##name = -ERROR_NUMBER_##name,
    ERROR_LIST(X)
#undef X
};

// The text of a code; a static string, also for codes that are not in the list.
const char *error_text(int code);
