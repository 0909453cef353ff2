/* kube/problem.h: which messages are the same problem. */
#include "kube/problem.h"

#include "check.h"

static void test_problems(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool is_another;
    } cases[] = {
        {"", "", false},
        {"refused", "refused", false},
        {"refused", "reset", true},
        {"refused", "refused twice", true},
        {"", "refused", true},
        {"after 10 ms", "after 10 ms", false},
        {"after 10 ms", "after 9 ms", false},
        {"after 10 ms", "after 12345678901234567890 ms", false},
        {"after 10 ms", "after 10 s", true},
        {"after 10ms", "after ms", false},
        {"10", "7", false},
        {"10", "", false},
        {"1 of 2", "30 of 4", false},
        {"1 of 2", "1 in 2", true},
        {"port 80", "port 80a", true},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        CHECK(cases[i].a, kube_problem_is_another(cases[i].a, cases[i].b) == cases[i].is_another);
        CHECK(cases[i].b, kube_problem_is_another(cases[i].b, cases[i].a) == cases[i].is_another);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_problems)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
