/* flexvolume.h: configuration, options and answers. The calls themselves tests/py/test_uds.py makes, with the real program. */
#include "node/flexvolume.h"

#include <jansson.h>

#include "check.h"

static void test_config(void **state)
{
    (void)state;
    static const struct {
        struct str text;
        const char *workloads, *credentials;
        enum log_level level;
    } cases[] = {
        {STR_INIT("{}"), "/var/run/nodeagent/mount", "/var/run/nodeagent/creds", LOG_WARNING},
        {STR_INIT("{\"nodeagent_management_home\":\"/run/p\"}"), "/run/p/mount", "/run/p/creds",
         LOG_WARNING},
        {STR_INIT("{\"nodeagent_workload_home\":\"m\",\"nodeagent_credentials_home\":\"/c/d\"}"),
         "/var/run/nodeagent/m", "/var/run/nodeagent/c/d", LOG_WARNING},
        {STR_INIT("{\"nodeagent_management_home\":\"\",\"nodeagent_workload_home\":\"\","
                  "\"nodeagent_credentials_home\":\"\",\"log_level\":\"\",\"k8s_version\":\"\"}"),
         "/var/run/nodeagent/mount", "/var/run/nodeagent/creds", LOG_WARNING},
        {STR_INIT("{\"log_level\":\"INFO\",\"k8s_version\":\"1.8\",\"other\":[1]}"),
         "/var/run/nodeagent/mount", "/var/run/nodeagent/creds", LOG_INFO},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        CLEANUP_ARENA struct arena arena = {0};
        struct flexvolume_config config;
        struct error err = {""};
        struct quoted name = quote(cases[i].text);
        CHECK(name.text, flexvolume_parse_config(&arena, cases[i].text, &config, &err));
        check_text(name.text, str_from_c(config.homes.workloads), str_from_c(cases[i].workloads));
        check_text(name.text, str_from_c(config.homes.credentials),
                   str_from_c(cases[i].credentials));
        check_number(name.text, config.log_level, cases[i].level);
    }
}

static void test_bad_config(void **state)
{
    (void)state;
    static const struct {
        struct str text;
        const char *message;
    } cases[] = {
        {STR_INIT(""), "there is nothing in it"},
        {STR_INIT("[]"), "a list, not a JSON object"},
        {STR_INIT("{\"log_level\":\"LOUD\"}"),
         "log_level \"LOUD\" is none of DEBUG, INFO, WARNING, ERROR"},
        {STR_INIT("{\"log_level\":1}"), "line 1: log_level is the number `1`, not a string"},
        {STR_INIT("{\"k8s_version\":1.8}"),
         "line 1: k8s_version is the number `1.8`, not a string"},
        {STR_INIT("{\"nodeagent_management_home\":\"run/p\"}"),
         "nodeagent_management_home \"run/p\" is not an absolute path"},
        {STR_INIT("{\"nodeagent_management_home\":\"/run/../etc\"}"),
         "nodeagent_management_home \"/run/../etc\" has .. in it"},
        {STR_INIT("{\"nodeagent_management_home\":\"/run\\u0000/x\"}"), "not JSON: line 1: "},
        {STR_INIT("{\"nodeagent_workload_home\":\"../x\"}"),
         "nodeagent_workload_home \"../x\" has .. in it"},
        {STR_INIT("{\"nodeagent_workload_home\":[]}"),
         "line 1: nodeagent_workload_home is a list, not a string"},
        {STR_INIT("{\"nodeagent_credentials_home\":\"/c/..\"}"),
         "nodeagent_credentials_home \"/c/..\" has .. in it"},
        {STR_INIT("{\"nodeagent_credentials_home\":true}"),
         "line 1: nodeagent_credentials_home is the boolean `true`, not a string"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        CLEANUP_ARENA struct arena arena = {0};
        struct flexvolume_config config;
        struct error err = {""};
        struct quoted name = quote(cases[i].text);
        CHECK(name.text, !flexvolume_parse_config(&arena, cases[i].text, &config, &err));
        if (strncmp(err.text, cases[i].message, strlen(cases[i].message)) != 0)
            fail_msg("%s: got \"%s\", expected \"%s\"", name.text, err.text, cases[i].message);
    }
}

static void test_long_home(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena arena = {0};
    CLEANUP_BUF struct buf text = {0};
    struct flexvolume_config config;
    struct error err;
    buf_append_str(&text, STR("{\"nodeagent_management_home\":\"/"));
    for (int i = 0; i < 1024; i++)
        buf_append_byte(&text, 'x');
    buf_append_str(&text, STR("\"}"));
    assert_false(flexvolume_parse_config(&arena, buf_str(&text), &config, &err));
    assert_non_null(strstr(err.text, "is longer than 1024 bytes"));
}

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
        cmocka_unit_test(test_config),    cmocka_unit_test(test_bad_config),
        cmocka_unit_test(test_long_home), cmocka_unit_test(test_options),
        cmocka_unit_test(test_answers),   cmocka_unit_test(test_statuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
