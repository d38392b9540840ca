// The names that are asked for, as questions on the wire: "h0000042.LABEL.bench.example", type A.
//
// Hot names are asked again and again, evenly or by Zipf's law; fresh ones ("m...") once.
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
    LABEL_MAX = 16,
    QUESTION_MAX = 1 + 8 + 1 + LABEL_MAX + 1 + 5 + 1 + 7 + 1 + 4,
};

// The address in the answers of tests/integration/fast_dot.c: 203 and 24 bits of a CRC of the name.
uint32_t name_address(const uint8_t *question, size_t size);

// The question for a name; `to` has QUESTION_MAX octets, `label` at most LABEL_MAX. Returns its
// size.
size_t question_write(uint8_t *to, char kind, uint32_t number, const char *label);

// Draws numbers below `count`.
struct popularity {
    uint32_t count;
    uint64_t random;
    double *cumulative; // of Zipf's law; NULL if all are equally popular
};

// An exponent of 0 makes all equally popular. Ends the program without memory.
void popularity_init(struct popularity *popularity, uint32_t count, double exponent);
uint32_t popularity_draw(struct popularity *popularity);

// In [0, 1).
double popularity_random(struct popularity *popularity);
