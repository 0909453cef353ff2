/* Private to load.c: what is asked for on its command line.
 */
#ifndef BENCH_LOAD_OPTIONS_H
#define BENCH_LOAD_OPTIONS_H

#include "base/mem.h"

struct load_options {
    const char *socket, *method;
    struct buf message; /* with gRPC's prefix; the caller frees it */
    size_t connection_count, in_flight_limit, calls_limit;
    double seconds, wait;
    double interval; /* nanoseconds from one call to the next; 0: closed loop */
};

/* What is wrong ends the program with status 2, --help with 0. */
void load_options_parse(struct load_options *options, int argc, char **argv);

#endif
