/* flexvolume.h: options and answers. The calls themselves tests/py/test_uds.py makes, with the real program. */
#include "node/flexvolume.h"

#include <jansson.h>

#include "check.h"

/* As kubelet gives them. */
static void test_options(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena arena = {0};
    struct credentials c;
    struct error err;
    struct str options = STR("{\"kubernetes.io/fsType\":\"\",\"kubernetes.io/pod.name\":\"web-0\","
                             "\"kubernetes.io/pod.namespace\":\"bank\",\"kubernetes.io/pod.uid\":"
                             "\"u-1\",\"kubernetes.io/pvOrVolumeName\":\"felix-sync\","
                             "\"kubernetes.io/readwrite\":\"rw\","
                             "\"kubernetes.io/serviceAccount.name\":\"web\"}");
    assert_true(flexvolume_parse_options(&arena, options, &c, &err));
    check_text("uid", c.uid, STR("u-1"));
    check_text("workload", c.workload, STR("web-0"));
    check_text("namespace", c.namespace, STR("bank"));
    check_text("account", c.account, STR("web"));
    assert_false(flexvolume_parse_options(&arena, STR("{}"), &c, &err));
    assert_string_equal(err.text, "the options of mount: kubernetes.io/pod.uid is missing");
}

/* Whatever the message holds, an answer is one JSON object on one line. */
static void test_answers(void **state)
{
    (void)state;
    char message[257];
    CLEANUP_BUF struct buf out = {0};
    json_error_t error;
    for (int i = 0; i < 256; i++)
        message[i] = (char)(255 - i);
    message[256] = '\0';
    flexvolume_answer(&out, FLEXVOLUME_FAILURE, message);
    assert_int_equal(str_find(buf_str(&out), '\n'), out.len - 1);
    json_t *object = json_loadb(out.data, out.len, JSON_REJECT_DUPLICATES, &error);
    assert_non_null(object);
    assert_string_equal(json_string_value(json_object_get(object, "status")), "Failure");
    assert_int_equal(json_string_length(json_object_get(object, "message")), 255);
    json_decref(object);
}

static void test_statuses(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf out = {0};
    flexvolume_answer(&out, FLEXVOLUME_SUCCESS, "mounted");
    flexvolume_answer(&out, FLEXVOLUME_NOT_SUPPORTED, "\"x\\");
    flexvolume_answer_init(&out);
    check_text("answers", buf_str(&out),
               STR("{\"status\":\"Success\",\"message\":\"mounted\"}\n"
                   "{\"status\":\"Not supported\",\"message\":\"\\\"x\\\\\"}\n"
                   "{\"status\":\"Success\",\"message\":\"ready\","
                   "\"capabilities\":{\"attach\":false,\"fsGroup\":false}}\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_statuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
