/* kube/missing.h: which bodies of a 404 are an API server's. */
#include "kube/missing.h"

#include "check.h"

static void test_bodies(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        bool is_said;
    } cases[] = {
        {"404 page not found\n", true},
        {"404 page not found", true},
        {"{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\","
         "\"message\":\"the server could not find the requested resource\",\"reason\":\"NotFound\","
         "\"details\":{},\"code\":404}\n",
         true},
        {"{\"reason\":\"NotFound\",\"kind\":\"Status\"}", true},
        {"", false},
        {"404", false},
        {" 404 page not found", false},
        {"404 page not found: ask another", false},
        {"default backend - 404", false},
        {"<html>\n<head><title>404 Not Found</title></head>\n<body>404 page not found</body>"
         "</html>\n",
         false},
        {"{}", false},
        {"{\"kind\":\"Status\"}", false},
        {"{\"kind\":\"Status\",\"code\":404}", false},
        {"{\"kind\":\"Status\",\"reason\":\"NotFoundAtAll\"}", false},
        {"{\"kind\":\"Status\",\"reason\":[\"NotFound\"]}", false},
        {"{\"kind\":\"Error\",\"reason\":\"NotFound\"}", false},
        {"{\"message\":\"404 page not found\"}", false},
        {"[{\"kind\":\"Status\",\"reason\":\"NotFound\"}]", false},
        {"{\"kind\":\"Status\",\"reason\":\"NotFound\"", false},
        {"\"NotFound\"", false},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        CHECK(cases[i].body, kube_missing_is_said(str_from_c(cases[i].body)) == cases[i].is_said);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bodies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
