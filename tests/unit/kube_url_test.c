/* kube/url.h: what is encoded. */
#include "kube/url.h"

#include "check.h"

static void test_append(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf out = {0};
    kube_url_append(&out, STR("aZ09-_."));
    check_text("plain", buf_str(&out), STR("aZ09-_."));
    kube_url_append(&out, STR(" /?&=%+#\n\xff"));
    check_text("more", buf_str(&out), STR("aZ09-_.%20%2F%3F%26%3D%25%2B%23%0A%FF"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_append),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
