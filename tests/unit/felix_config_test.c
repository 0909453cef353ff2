/* felix_config.h: every source, every parameter, and what is wrong with their values. */
#include "cmd/felix_config.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"

#include "check.h"

/* ---- sources ---- */

/* A parameter that resources can set as well, and a value of it for each source. */
static const char *const by_source[FELIX_SOURCES] = {
    [FELIX_DEFAULT_RESOURCE] = "/default", [FELIX_SELECTED_RESOURCE] = "/selected",
    [FELIX_NODE_RESOURCE] = "/node",       [FELIX_FILE] = "/file",
    [FELIX_ENVIRONMENT] = "/environment",  [FELIX_COMMAND_LINE] = "/command-line",
};

static void set(struct felix_config *config, enum felix_source source,
                enum felix_parameter parameter, const char *value)
{
    struct error err;
    if (!felix_config_set(config, source, parameter, str_from_c(value), &err))
        fail_msg("%s", err.text);
}

/* A resource that sets one field; `value` NULL: none. */
static bool set_resource(struct felix_config *config, enum felix_source source, const char *field,
                         const char *value)
{
    struct label setting = {str_from_c(field), str_from_c(value)};
    const struct model_felix_configuration resource = {.settings = {&setting, value != NULL}};
    return felix_config_set_resource(config, source, &resource);
}

static void set_source(struct felix_config *config, enum felix_source source, const char *value)
{
    if (source <= FELIX_NODE_RESOURCE)
        set_resource(config, source, "policySyncPathPrefix", value);
    else
        set(config, source, FELIX_POLICY_SYNC_PATH_PREFIX, value);
}

static void check_prefix(const char *name, const struct felix_config *config, const char *value,
                         enum felix_source source)
{
    check_text(name, felix_config_get(config, FELIX_POLICY_SYNC_PATH_PREFIX), str_from_c(value));
    check_number(name, felix_config_source(config, FELIX_POLICY_SYNC_PATH_PREFIX), source);
}

/* Of any two sources the stronger counts, whichever was set first; an empty value counts as well. */
static void test_precedence(void **state)
{
    (void)state;
    for (unsigned strong = 0; strong < FELIX_SOURCES; strong++) {
        for (unsigned weak = 0; weak < strong; weak++) {
            for (int first = 0; first < 2; first++) {
                struct felix_config *config = felix_config_new();
                check_prefix("unset", config, "", FELIX_SOURCES);
                if (first == 0)
                    set_source(config, (enum felix_source)strong, by_source[strong]);
                set_source(config, (enum felix_source)weak, by_source[weak]);
                if (first == 1)
                    set_source(config, (enum felix_source)strong, by_source[strong]);
                check_prefix("two", config, by_source[strong], (enum felix_source)strong);
                set_source(config, (enum felix_source)strong, "none");
                check_prefix("none", config, "", (enum felix_source)strong);
                felix_config_free(config);
            }
        }
    }
}

static void test_resources(void **state)
{
    (void)state;
    struct felix_config *config = felix_config_new();
    assert_true(set_resource(config, FELIX_DEFAULT_RESOURCE, "healthEnabled", "true"));
    assert_false(set_resource(config, FELIX_DEFAULT_RESOURCE, "healthEnabled", "true"));
    assert_true(felix_config_get_bool(config, FELIX_HEALTH_ENABLED));
    assert_true(set_resource(config, FELIX_NODE_RESOURCE, "healthEnabled", "false"));
    assert_false(felix_config_get_bool(config, FELIX_HEALTH_ENABLED));
    /* Nothing is in force that was not before. */
    assert_false(set_resource(config, FELIX_SELECTED_RESOURCE, "healthEnabled", "true"));
    assert_false(felix_config_set_resource(config, FELIX_SELECTED_RESOURCE, NULL));
    assert_false(felix_config_set_resource(config, FELIX_DEFAULT_RESOURCE, NULL));
    assert_false(set_resource(config, FELIX_NODE_RESOURCE, "healthEnabled", NULL)); /* built in */
    assert_true(set_resource(config, FELIX_NODE_RESOURCE, "healthPort", "1"));
    assert_true(felix_config_set_resource(config, FELIX_NODE_RESOURCE, NULL));
    check_text("built in", felix_config_get(config, FELIX_HEALTH_PORT), STR("9099"));
    /* A resource does not say where it is itself read from, nor what nobody knows. */
    static const char *const fields[] = {"felixHostname", "FelixHostname", "datastoreType",
                                         "directory",     "dataplane",     "",
                                         "HealthPort",    "bpfEnabled"};
    for (size_t i = 0; i < COUNT(fields); i++)
        CHECK(fields[i], !set_resource(config, FELIX_NODE_RESOURCE, fields[i], "1"));
    felix_config_free(config);
}

/* ---- parameters ---- */

static const struct {
    enum felix_parameter parameter;
    const char *name, *field, *builtin;
    const char *good[8], *bad[8];
    bool may_be_empty;
} parameters[] = {
    {FELIX_HOSTNAME,
     "FelixHostname",
     NULL,
     "",
     {"node-1", "a.b_c", "A", "10.0.0.1"},
     {"a b", "a/b"},
     false},
    {FELIX_DATASTORE_TYPE,
     "DatastoreType",
     NULL,
     "kubernetes",
     {"kubernetes", "directory", "Directory"},
     {"etcdv3", "kube"},
     false},
    {FELIX_DIRECTORY,
     "Directory",
     NULL,
     "",
     {"/etc/dikast", "relative path"},
     {"a\nb", "\x7f"},
     true},
    {FELIX_POLICY_SYNC_PATH_PREFIX,
     "PolicySyncPathPrefix",
     "policySyncPathPrefix",
     "",
     {"/var/run/nodeagent", "/"},
     {"relative", "/a\tb"},
     true},
    {FELIX_DATAPLANE, "Dataplane", NULL, "none", {"none", "None"}, {"nftables", "non"}, false},
    {FELIX_INTERFACE_PREFIX,
     "InterfacePrefix",
     "interfacePrefix",
     "cali",
     {"eni,veth", "a-b_C,abcdefghijklmno"},
     {"cali,", "abcdefghijklmnop", "a.b", ",a"},
     false},
    {FELIX_LOG_SEVERITY_SCREEN,
     "LogSeverityScreen",
     "logSeverityScreen",
     "INFO",
     {"trace", "DEBUG", "Info", "WARNING", "error", "Fatal"},
     {"warn", "1", "INFO "},
     true},
    {FELIX_HEALTH_ENABLED,
     "HealthEnabled",
     "healthEnabled",
     "false",
     {"true", "TRUE", "1", "yes", "y", "t", "false", "0"},
     {"on", "2", "enabled"},
     true},
    {FELIX_HEALTH_HOST,
     "HealthHost",
     "healthHost",
     "localhost",
     {"localhost", "0.0.0.0", "::1", "fd00::1"},
     {"[::1]", "a b", "*"},
     true},
    {FELIX_HEALTH_PORT,
     "HealthPort",
     "healthPort",
     "9099",
     {"1", "9099", "65535"},
     {"0", "65536", "-1", "080", "9099 ", "x"},
     false},
    {FELIX_METRICS_ENABLED,
     "PrometheusMetricsEnabled",
     "prometheusMetricsEnabled",
     "false",
     {"true", "No", "n", "F"},
     {"on", "wahr"},
     true},
    {FELIX_METRICS_HOST,
     "PrometheusMetricsHost",
     "prometheusMetricsHost",
     "",
     {"127.0.0.1", "::"},
     {"[::]", "a,b"},
     true},
    {FELIX_METRICS_PORT,
     "PrometheusMetricsPort",
     "prometheusMetricsPort",
     "9091",
     {"1", "65535"},
     {"0", "99999", "1e3"},
     false},
};

static void check_bad(const char *name, struct felix_config *config, enum felix_parameter parameter,
                      struct str value)
{
    struct error err;
    CLEANUP_FREE char *before = mem_strndup(felix_config_get(config, parameter));
    if (felix_config_set(config, FELIX_COMMAND_LINE, parameter, value, &err))
        fail_msg("%s: %s was taken", name, quote(value).text);
    CHECK(err.text, strncmp(err.text, name, strlen(name)) == 0);
    CHECK(err.text, strstr(err.text, quote(value).text) != NULL);
    check_text(name, felix_config_get(config, parameter), str_from_c(before));
}

static void test_parameters(void **state)
{
    (void)state;
    assert_int_equal(COUNT(parameters), FELIX_PARAMETERS);
    for (size_t i = 0; i < COUNT(parameters); i++) {
        enum felix_parameter parameter = parameters[i].parameter;
        const char *name = parameters[i].name;
        struct felix_config *config = felix_config_new();
        assert_int_equal(parameter, i);
        check_text(name, felix_config_get(config, parameter), str_from_c(parameters[i].builtin));
        for (size_t j = 0; j < COUNT(parameters[i].good) && parameters[i].good[j] != NULL; j++) {
            set(config, FELIX_COMMAND_LINE, parameter, parameters[i].good[j]);
            check_text(name, felix_config_get(config, parameter),
                       str_from_c(parameters[i].good[j]));
        }
        for (size_t j = 0; j < COUNT(parameters[i].bad) && parameters[i].bad[j] != NULL; j++)
            check_bad(name, config, parameter, str_from_c(parameters[i].bad[j]));
        check_bad(name, config, parameter, STR("a\0b"));
        if (parameters[i].may_be_empty) {
            set(config, FELIX_COMMAND_LINE, parameter, "NONE");
            check_text(name, felix_config_get(config, parameter), STR(""));
            set(config, FELIX_COMMAND_LINE, parameter, "");
        } else {
            check_bad(name, config, parameter, STR(""));
        }
        if (parameters[i].field != NULL) {
            felix_config_free(config);
            config = felix_config_new();
            assert_true(set_resource(config, FELIX_NODE_RESOURCE, parameters[i].field, "1"));
            check_text(name, felix_config_get(config, parameter), STR("1"));
        }
        felix_config_free(config);
    }
}

static void test_lengths(void **state)
{
    (void)state;
    struct felix_config *config = felix_config_new();
    char text[4097];
    memset(text, 'a', sizeof(text) - 1);
    text[0] = '/';
    text[4096] = '\0';
    check_bad("PolicySyncPathPrefix", config, FELIX_POLICY_SYNC_PATH_PREFIX, str_from_c(text));
    text[4095] = '\0';
    set(config, FELIX_FILE, FELIX_POLICY_SYNC_PATH_PREFIX, text);
    check_bad("FelixHostname", config, FELIX_HOSTNAME, str_make(text + 1, 254));
    text[254] = '\0';
    set(config, FELIX_FILE, FELIX_HOSTNAME, text + 1);
    felix_config_free(config);
}

static void test_booleans(void **state)
{
    (void)state;
    static const char *const yes[] = {"true", "1", "Yes", "y", "T"};
    static const char *const no[] = {"false", "0", "no", "N", "f", "none", ""};
    struct felix_config *config = felix_config_new();
    for (size_t i = 0; i < COUNT(yes); i++) {
        set(config, FELIX_FILE, FELIX_METRICS_ENABLED, yes[i]);
        CHECK(yes[i], felix_config_get_bool(config, FELIX_METRICS_ENABLED));
    }
    for (size_t i = 0; i < COUNT(no); i++) {
        set(config, FELIX_FILE, FELIX_METRICS_ENABLED, no[i]);
        CHECK(no[i], !felix_config_get_bool(config, FELIX_METRICS_ENABLED));
    }
    felix_config_free(config);
}

static void test_log_level(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        enum log_level level;
    } cases[] = {
        {"trace", LOG_DEBUG}, {"Debug", LOG_DEBUG}, {"INFO", LOG_INFO},  {"Warning", LOG_WARNING},
        {"ERROR", LOG_ERROR}, {"fatal", LOG_ERROR}, {"none", LOG_ERROR},
    };
    struct felix_config *config = felix_config_new();
    assert_int_equal(felix_config_log_level(config), LOG_INFO);
    for (size_t i = 0; i < COUNT(cases); i++) {
        set(config, FELIX_ENVIRONMENT, FELIX_LOG_SEVERITY_SCREEN, cases[i].value);
        check_number(cases[i].value, felix_config_log_level(config), cases[i].level);
    }
    felix_config_free(config);
}

/* ---- the environment ---- */

static void test_environment(void **state)
{
    (void)state;
    static char *environment[] = {(char *)"PATH=/bin",
                                  (char *)"FELIX_FELIXHOSTNAME=node-1",
                                  (char *)"felix_healthPort=1234",
                                  (char *)"Felix_HEALTHENABLED=true",
                                  (char *)"FELIX_POLICYSYNCPATHPREFIX=/a=b",
                                  (char *)"FELIX_PROMETHEUSMETRICSHOST=none",
                                  (char *)"FELIX_PROMETHEUSMETRICSPORT=",
                                  (char *)"FELIX_IPINIPENABLED=true",
                                  (char *)"FELIX_=x",
                                  (char *)"FELIXHEALTHPORT=x",
                                  (char *)"XFELIX_HEALTHPORT=x",
                                  (char *)"HEALTHPORT=x",
                                  (char *)"FELIX_HEALTHPORT",
                                  (char *)"",
                                  (char *)"=",
                                  NULL};
    struct felix_config *config = felix_config_new();
    struct error err;
    set(config, FELIX_FILE, FELIX_METRICS_HOST, "::1");
    if (!felix_config_read_environment(config, environment, &err))
        fail_msg("%s", err.text);
    check_text("host", felix_config_get(config, FELIX_HOSTNAME), STR("node-1"));
    check_text("port", felix_config_get(config, FELIX_HEALTH_PORT), STR("1234"));
    assert_true(felix_config_get_bool(config, FELIX_HEALTH_ENABLED));
    check_prefix("prefix", config, "/a=b", FELIX_ENVIRONMENT);
    check_text("none", felix_config_get(config, FELIX_METRICS_HOST), STR(""));
    check_text("empty: not set", felix_config_get(config, FELIX_METRICS_PORT), STR("9091"));
    assert_int_equal(felix_config_source(config, FELIX_METRICS_PORT), FELIX_SOURCES);
    static char *bad[] = {(char *)"FELIX_HEALTHPORT=none", NULL};
    assert_false(felix_config_read_environment(config, bad, &err));
    assert_string_equal(err.text,
                        "environment: HealthPort: \"none\" is not a port from 1 to 65535");
    felix_config_free(config);
}

/* ---- the file ---- */

static char path[] = "/tmp/dikast-felix-config-XXXXXX";

static void write_file(struct str text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text.ptr, 1, text.len, file), text.len);
    assert_int_equal(fclose(file), 0);
}

static void test_file(void **state)
{
    (void)state;
    struct felix_config *config = felix_config_new();
    struct error err;
    write_file(STR("# a comment\r\n"
                   "; another\n"
                   "[global]\n"
                   "\n"
                   "  \t\n"
                   "FelixHostname=node-1\n"
                   "  healthport \t=  1234  \r\n"
                   "POLICYSYNCPATHPREFIX = /a = b\n"
                   "LogFilePath = /var/log/felix.log\n"
                   "PrometheusMetricsHost =\n"
                   "HealthEnabled = none\n"
                   "healthenabled = yes"));
    if (!felix_config_read_file(config, path, &err))
        fail_msg("%s", err.text);
    check_text("host", felix_config_get(config, FELIX_HOSTNAME), STR("node-1"));
    check_text("port", felix_config_get(config, FELIX_HEALTH_PORT), STR("1234"));
    check_prefix("prefix", config, "/a = b", FELIX_FILE);
    assert_int_equal(felix_config_source(config, FELIX_METRICS_HOST), FELIX_FILE);
    assert_true(felix_config_get_bool(config, FELIX_HEALTH_ENABLED)); /* the last line counts */
    felix_config_free(config);
}

static void test_bad_files(void **state)
{
    (void)state;
    static const struct {
        struct str text;
        const char *expected; /* behind the path */
    } cases[] = {
        {STR_INIT("hello\n"), ":1: \"hello\" is not NAME = VALUE"},
        {STR_INIT("\n\n[x]\n  HealthPort 9\n"), ":4: \"HealthPort 9\" is not NAME = VALUE"},
        {STR_INIT("Unknown = \nHealthPort = 0"),
         ":2: HealthPort: \"0\" is not a port from 1 to 65535"},
        {STR_INIT("HealthPort =\n"), ":1: HealthPort: \"\" is not a port from 1 to 65535"},
        {STR_INIT("HealthPort = 9099 # default\n"),
         ":1: HealthPort: \"9099 # default\" is not a port from 1 to 65535"},
        {STR_INIT("HealthEnabled = true\0\n"),
         ":1: HealthEnabled: \"true\\x00\" is not true or false"},
        {STR_INIT("Directory = a\x01"), ":1: Directory: \"a\\x01\" is not a path"},
        {STR_INIT("Dataplane = bpf"), ":1: Dataplane: \"bpf\" is not none"},
        {STR_INIT("DatastoreType = none"),
         ":1: DatastoreType: \"none\" is not kubernetes or directory"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct felix_config *config = felix_config_new();
        struct error err;
        char expected[512];
        write_file(cases[i].text);
        snprintf(expected, sizeof(expected), "%s%s", path, cases[i].expected);
        assert_false(felix_config_read_file(config, path, &err));
        assert_string_equal(err.text, expected);
        felix_config_free(config);
    }
}

static void test_no_file(void **state)
{
    (void)state;
    struct felix_config *config = felix_config_new();
    CLEANUP_BUF struct buf large = {0};
    struct error err;
    assert_true(felix_config_read_file(config, "/tmp/dikast-none/felix.cfg", &err));
    assert_false(felix_config_read_file(config, "/tmp", &err));
    assert_non_null(strstr(err.text, "\"/tmp\""));
    char below[64];
    snprintf(below, sizeof(below), "%s/felix.cfg", path);
    assert_false(felix_config_read_file(config, below, &err));
    assert_non_null(strstr(err.text, "Not a directory"));
    memset(buf_reserve(&large, 1024 * 1024 + 1), '\n', 1024 * 1024 + 1);
    large.len = 1024 * 1024;
    write_file(buf_str(&large));
    assert_true(felix_config_read_file(config, path, &err));
    large.len = 1024 * 1024 + 1;
    write_file(buf_str(&large));
    assert_false(felix_config_read_file(config, path, &err));
    assert_non_null(strstr(err.text, "larger than 1048576 bytes"));
    felix_config_free(config);
}

static int make_file(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    return fd < 0 || close(fd) != 0;
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_precedence),  cmocka_unit_test(test_resources),
        cmocka_unit_test(test_parameters),  cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_booleans),    cmocka_unit_test(test_log_level),
        cmocka_unit_test(test_environment), cmocka_unit_test(test_file),
        cmocka_unit_test(test_bad_files),   cmocka_unit_test(test_no_file),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
