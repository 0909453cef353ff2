/* node/config.h: which texts are configurations. */
#include "node/config.h"

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
        struct node_config config;
        struct error err = {""};
        struct quoted name = quote(cases[i].text);
        CHECK(name.text, node_config_parse(&arena, cases[i].text, &config, &err));
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
        {STR_INIT("{\"endpoint\":1}"), "line 1: endpoint is the number `1`, not a string"},
        {STR_INIT("{\"node_id\":null,\"endpoint\":[]}"),
         "line 1: endpoint is a list, not a string"},
        {STR_INIT("{\"node_id\":{}}"), "line 1: node_id is a map, not a string"},
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
        struct node_config config;
        struct error err = {""};
        struct quoted name = quote(cases[i].text);
        CHECK(name.text, !node_config_parse(&arena, cases[i].text, &config, &err));
        if (strncmp(err.text, cases[i].message, strlen(cases[i].message)) != 0)
            fail_msg("%s: got \"%s\", expected \"%s\"", name.text, err.text, cases[i].message);
    }
}

static void test_long_home(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena arena = {0};
    CLEANUP_BUF struct buf text = {0};
    struct node_config config;
    struct error err;
    buf_append_str(&text, STR("{\"nodeagent_management_home\":\"/"));
    for (int i = 0; i < 1024; i++)
        buf_append_byte(&text, 'x');
    buf_append_str(&text, STR("\"}"));
    assert_false(node_config_parse(&arena, buf_str(&text), &config, &err));
    assert_non_null(strstr(err.text, "is longer than 1024 bytes"));
}

/* Of the CSI driver's; what is empty is as if it were not there. */
static void test_csi(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena arena = {0};
    struct node_config config;
    struct error err;
    assert_true(node_config_parse(
        &arena, STR("{\"endpoint\":\"/csi/csi.sock\",\"node_id\":\"node-1\"}"), &config, &err));
    check_text("endpoint", config.endpoint, STR("/csi/csi.sock"));
    check_text("node_id", config.node_id, STR("node-1"));
    assert_true(node_config_parse(&arena, STR("{\"endpoint\":\"\"}"), &config, &err));
    assert_int_equal(config.endpoint.len | config.node_id.len, 0);
}

static void test_files(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena arena = {0};
    struct node_config config;
    struct error err;
    const char *none = "/nonexistent/config";
    assert_true(node_config_read(none, false, &arena, &config, &err));
    assert_string_equal(config.homes.workloads, "/var/run/nodeagent/mount");
    assert_false(node_config_read(none, true, &arena, &config, &err));
    assert_non_null(strstr(err.text, none));
    assert_false(node_config_read("/proc", false, &arena, &config, &err));
    assert_non_null(strstr(err.text, "\"/proc\": not a regular file"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config),    cmocka_unit_test(test_bad_config),
        cmocka_unit_test(test_long_home), cmocka_unit_test(test_csi),
        cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
