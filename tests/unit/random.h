/* Random numbers for property tests: repeatable. A run prints its seed; TEST_SEED=… in the
 * environment runs it again. */
#ifndef TESTS_RANDOM_H
#define TESTS_RANDOM_H

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "check.h"

struct random {
    uint64_t state;
};

static inline struct random random_start(void)
{
    const char *given = getenv("TEST_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    print_message("# TEST_SEED=%" PRIu64 "\n", seed);
    return (struct random){seed};
}

/* SplitMix64, after Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014). */
static inline uint64_t random_next(struct random *r)
{
    uint64_t z = r->state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static inline size_t random_below(struct random *r, size_t limit)
{
    return (size_t)(random_next(r) % limit);
}

#endif
