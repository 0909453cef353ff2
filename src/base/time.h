/* Points in time, as RFC 3339 writes them: 2024-01-31T12:00:00Z, with fractions of a second and zones.
 */
#ifndef BASE_TIME_H
#define BASE_TIME_H

#include "base/str.h"

/* Seconds since 1970; a fraction is cut off. */
bool time_parse(struct str text, int64_t *seconds);

#endif
