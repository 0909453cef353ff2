/* What is wrong with a server is told once, not at every try.
 */
#ifndef KUBE_PROBLEM_H
#define KUBE_PROBLEM_H

#include <stdbool.h>

/* Whether two messages differ by more than numbers: libcurl says how many milliseconds it has waited. */
bool kube_problem_is_another(const char *a, const char *b);

#endif
