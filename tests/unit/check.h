/* For all unit tests: cmocka, and checks whose failure message names the case of the table. */
#ifndef TESTS_CHECK_H
#define TESTS_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* `name` says which case of the table it is. */
#define CHECK(name, condition)                                                                     \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail_msg("%s: not so: %s", (name), #condition);                                        \
    } while (0)

static inline void check_text(const char *name, struct str got, struct str expected)
{
    if (!str_eq(got, expected))
        fail_msg("%s: got %s, expected %s", name, quote(got).text, quote(expected).text);
}

static inline void check_number(const char *name, long long got, long long expected)
{
    if (got != expected)
        fail_msg("%s: got %lld, expected %lld", name, got, expected);
}

#endif
