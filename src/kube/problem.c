#include "kube/problem.h"

#include <string.h>

bool kube_problem_is_another(const char *a, const char *b)
{
    static const char digits[] = "0123456789";
    while (*a != '\0' || *b != '\0') {
        a += strspn(a, digits);
        b += strspn(b, digits);
        if (*a != *b)
            return true;
        a += *a != '\0';
        b += *b != '\0';
    }
    return false;
}
