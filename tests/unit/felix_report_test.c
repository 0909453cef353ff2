/* felix_report.h: what `felix check` shows, as JSON and as text. */
#include "cmd/felix_report.h"

#include <stdlib.h>

#include "base/mem.h"

#include "check.h"

#define STRINGS(...)                                                                               \
    {                                                                                              \
        (struct str[]){__VA_ARGS__}, COUNT(((struct str[]){__VA_ARGS__}))                          \
    }

static void tell(json_t *report, struct psync_message message)
{
    felix_report_message(report, &message);
}

/* The part of the report behind a key, sorted and compact. */
static void check_part(const char *name, const json_t *report, const char *key,
                       const char *expected)
{
    CLEANUP_FREE char *text =
        json_dumps(json_object_get(report, key), JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
    assert_non_null(text);
    check_text(name, str_from_c(text), str_from_c(expected));
}

static void check_printed(const char *name, const json_t *report, const char *expected)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    felix_report_print(report, out);
    fclose(out);
    if (strcmp(text, expected) != 0)
        fail_msg("%s: got:\n%s\nexpected:\n%s", name, text, expected);
    free(text);
}

static void test_empty(void **state)
{
    (void)state;
    json_t *report = felix_report_new();
    check_part("endpoints", report, "endpoints", "{}");
    check_part("no endpoints", report, "noEndpoints", "{}");
    check_part("problems", report, "problems", "[]");
    check_printed("empty", report,
                  "0 endpoints, 0 policies that select them; 0 errors, 0 warnings\n");
    tell(report, (struct psync_message){.kind = PSYNC_IN_SYNC});
    tell(report,
         (struct psync_message){.kind = PSYNC_NAMESPACE_UPDATE, .namespace.name = STR("n")});
    check_part("of no interest", report, "policies", "{}");
    json_decref(report);
}

static void test_problems(void **state)
{
    (void)state;
    json_t *report = felix_report_new();
    const struct datastore_problem problems[] = {
        {.place = "dir/a.yaml", .line = 7, .message = STR("spec: wrong"), .is_warning = false},
        {.place = "dir/b.yaml", .line = 0, .message = STR("odd \xff"), .is_warning = true},
        {.place = "dir/a.yaml", .line = 9, .message = STR("order: wrong"), .is_warning = false},
    };
    for (size_t i = 0; i < COUNT(problems); i++)
        felix_report_problem(report, &problems[i]);
    check_number("errors", (long long)felix_report_errors(report), 2);
    check_part("problems", report, "problems",
               "[{\"file\":\"dir/a.yaml\",\"line\":7,\"message\":\"spec: wrong\",\"severity\":"
               "\"error\"},"
               "{\"file\":\"dir/b.yaml\",\"message\":\"\\\"odd \\\\xff\\\"\",\"severity\":"
               "\"warning\"},"
               "{\"file\":\"dir/a.yaml\",\"line\":9,\"message\":\"order: wrong\",\"severity\":"
               "\"error\"}]");
    check_printed("problems", report,
                  "dir/a.yaml:7: error: spec: wrong\n"
                  "dir/b.yaml: warning: \"odd \\xff\"\n"
                  "dir/a.yaml:9: error: order: wrong\n"
                  "\n"
                  "0 endpoints, 0 policies that select them; 2 errors, 1 warnings\n");
    json_decref(report);
}

/* A rule with everything, and one with nothing. */
static void tell_policy(json_t *report)
{
    struct psync_port_range ports[] = {{80, 80}, {8000, 9000}};
    struct psync_path paths[] = {{PSYNC_PATH_EXACT, STR("/a")}, {PSYNC_PATH_PREFIX, STR("/b")}};
    struct psync_rule rules[] = {
        {.action = STR("allow"),
         .ip_version = 4,
         .protocol = {.present = true, .choice = PSYNC_NAME, .name = STR("tcp")},
         .not_protocol = {.present = true, .choice = PSYNC_NUMBER, .number = 17},
         .icmp = {.present = true, .type = 8},
         .not_icmp = {.present = true, .has_code = true, .type = 3, .code = 1},
         .source = {.nets = STRINGS(STR("10.0.0.0/8")),
                    .not_nets = STRINGS(STR("10.1.0.0/16")),
                    .set_ids = STRINGS(STR("s:has(a)")),
                    .not_set_ids = STRINGS(STR("s:has(b)")),
                    .selector = STR("has(a)"),
                    .not_selector = STR("has(b)"),
                    .namespace_selector = STR("all()"),
                    .account = {.selector = STR("has(c)"), .names = STRINGS(STR("sa"))}},
         .destination = {.ports = {ports, COUNT(ports)},
                         .not_ports = {ports, 1},
                         .named_port_set_ids = STRINGS(STR("n:1")),
                         .not_named_port_set_ids = STRINGS(STR("n:2")),
                         .ip_port_set_ids = STRINGS(STR("svc:a/b")),
                         .service = STR("b")},
         .http = {.methods = STRINGS(STR("GET")), .paths = paths, .path_count = COUNT(paths)}},
        {.action = STR("deny")},
    };
    tell(report, (struct psync_message){
                     .kind = PSYNC_POLICY_UPDATE,
                     .policy = {.id = {.namespace = STR("k"), .name = STR("p"), .kind = STR("NP")},
                                .tier = STR("t"),
                                .original_selector = STR("has(x)"),
                                .inbound = {rules, COUNT(rules)}}});
}

static void test_policy(void **state)
{
    (void)state;
    json_t *report = felix_report_new();
    tell_policy(report);
    check_part("policies", report, "policies",
               "{\"NP k/p\":{\"egress\":[],\"ingress\":[{\"action\":\"allow\",\"destination\":{"
               "\"ipPortSets\":[\"svc:a/b\"],\"namedPorts\":[\"n:1\"],\"notNamedPorts\":[\"n:2\"],"
               "\"notPorts\":[80],\"ports\":[80,\"8000:9000\"],\"service\":\"b\"},"
               "\"icmp\":\"type 8\",\"ipVersion\":4,\"methods\":[\"GET\"],"
               "\"notICMP\":\"type 3 code 1\",\"notProtocol\":17,"
               "\"paths\":[{\"exact\":\"/a\"},{\"prefix\":\"/b\"}],\"protocol\":\"tcp\","
               "\"source\":{\"ipSets\":[\"s:has(a)\"],\"namespaceSelector\":\"all()\","
               "\"nets\":[\"10.0.0.0/8\"],\"notIPSets\":[\"s:has(b)\"],"
               "\"notNets\":[\"10.1.0.0/16\"],\"notSelector\":\"has(b)\","
               "\"selector\":\"has(a)\",\"serviceAccountSelector\":\"has(c)\","
               "\"serviceAccounts\":[\"sa\"]}},{\"action\":\"deny\"}],"
               "\"selector\":\"has(x)\",\"tier\":\"t\"}}");
    check_printed(
        "policy", report,
        "NP k/p  for has(x)\n"
        "  ingress 0  allow  ipVersion 4  protocol tcp  notProtocol 17  icmp type 8  "
        "notICMP type 3 code 1  methods GET  paths {\"exact\":\"/a\"}, "
        "{\"prefix\":\"/b\"}  from nets 10.0.0.0/8  from notNets 10.1.0.0/16  from ipSets "
        "s:has(a)  from notIPSets s:has(b)  from serviceAccounts sa  from "
        "serviceAccountSelector has(c)  from selector has(a)  from notSelector has(b)  "
        "from namespaceSelector all()  to ports 80, 8000:9000  to notPorts 80  to "
        "namedPorts n:1  to notNamedPorts n:2  to ipPortSets svc:a/b  to service b\n"
        "  ingress 1  deny\n"
        "\n"
        "0 endpoints, 1 policies that select them; 0 errors, 0 warnings\n");
    json_decref(report);
}

static void test_endpoint(void **state)
{
    (void)state;
    json_t *report = felix_report_new();
    struct psync_policy_id ids[] = {{.namespace = STR("k"), .name = STR("p"), .kind = STR("NP")},
                                    {.name = STR("g"), .kind = STR("GNP")}};
    struct psync_tier tiers[] = {
        {.name = STR("t"), .default_action = STR("Pass"), .ingress = {ids, 2}, .egress = {ids, 1}},
        {.name = STR("default"), .default_action = STR("Deny"), .egress = {ids + 1, 1}}};
    tell(report,
         (struct psync_message){.kind = PSYNC_ENDPOINT_UPDATE,
                                .endpoint = {.id = {STR("k8s"), STR("k/a"), STR("eth0")},
                                             .name = STR("cali1"),
                                             .profile_ids = STRINGS(STR("kns.k"), STR("ksa.k.s")),
                                             .ipv4_nets = STRINGS(STR("10.0.0.1/32")),
                                             .ipv6_nets = STRINGS(STR("fd00::1/128")),
                                             .tiers = tiers,
                                             .tier_count = COUNT(tiers)}});
    tell(report, (struct psync_message){.kind = PSYNC_ENDPOINT_UPDATE,
                                        .endpoint.id = {STR("o"), STR("w"), STR("e")}});
    check_part("endpoints", report, "endpoints",
               "{\"k8s/k/a/eth0\":{\"addresses\":[\"10.0.0.1/32\",\"fd00::1/128\"],"
               "\"interface\":\"cali1\",\"profiles\":[\"kns.k\",\"ksa.k.s\"],"
               "\"tiers\":[{\"default\":\"Pass\",\"egress\":[\"NP k/p\"],"
               "\"ingress\":[\"NP k/p\",\"GNP g\"],\"name\":\"t\"},"
               "{\"default\":\"Deny\",\"egress\":[\"GNP g\"],\"ingress\":[],"
               "\"name\":\"default\"}]},"
               "\"o/w/e\":{\"addresses\":[],\"profiles\":[],\"tiers\":[]}}");
    check_printed("endpoints", report,
                  "k8s/k/a/eth0  10.0.0.1/32, fd00::1/128\n"
                  "  tier t, else Pass\n"
                  "    ingress  NP k/p\n"
                  "             GNP g\n"
                  "    egress   NP k/p\n"
                  "  tier default, else Deny\n"
                  "    egress   GNP g\n"
                  "  profiles kns.k, ksa.k.s\n"
                  "\n"
                  "o/w/e  \n"
                  "  no policy\n"
                  "  profiles \n"
                  "\n"
                  "2 endpoints, 0 policies that select them; 0 errors, 0 warnings\n");
    json_decref(report);
}

static void tell_set(json_t *report, const char *id, int type, struct str *members, size_t count)
{
    tell(report, (struct psync_message){.kind = PSYNC_IPSET_UPDATE,
                                        .ipset_update = {str_from_c(id), type, {members, count}}});
}

static void test_sets_and_profiles(void **state)
{
    (void)state;
    json_t *report = felix_report_new();
    struct str members[] = {STR("1"), STR("2"), STR("3"), STR("4"), STR("5"),
                            STR("6"), STR("7"), STR("8"), STR("9")};
    struct psync_rule rule = {.action = STR("deny")};
    tell_set(report, "a", PSYNC_SET_NET, members, 8);
    tell_set(report, "b", PSYNC_SET_IP_AND_PORT, members, 9);
    tell_set(report, "c", PSYNC_SET_UNREADABLE, NULL, 0);
    tell(report, (struct psync_message){.kind = PSYNC_PROFILE_UPDATE,
                                        .profile = {.name = STR("kns.k"), .outbound = {&rule, 1}}});
    check_part("profiles", report, "profiles",
               "{\"kns.k\":{\"egress\":[{\"action\":\"deny\"}],\"ingress\":[]}}");
    check_part("sets", report, "ipSets",
               "{\"a\":{\"members\":[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\"],"
               "\"type\":\"net\"},\"b\":{\"members\":[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\","
               "\"8\",\"9\"],\"type\":\"ip,port\"},\"c\":{\"members\":[],\"type\":"
               "\"unreadable\"}}");
    check_printed("sets", report,
                  "kns.k\n"
                  "  egress  0  deny\n"
                  "\n"
                  "a  net, 8 members\n"
                  "  1 2 3 4 5 6 7 8\n"
                  "b  ip,port, 9 members\n"
                  "  1 2 3 4 5 6 7 8 …\n"
                  "c  unreadable, 0 members\n"
                  "  \n"
                  "\n"
                  "0 endpoints, 0 policies that select them; 0 errors, 0 warnings\n");
    json_decref(report);
}

/* Names and texts that are no UTF-8 are shown as what they are. */
static void test_odd_bytes(void **state)
{
    (void)state;
    json_t *report = felix_report_new();
    struct psync_rule rule = {.action = STR("deny"), .source.selector = STR("a == '\xff'")};
    tell(report, (struct psync_message){.kind = PSYNC_PROFILE_UPDATE,
                                        .profile = {.name = STR("\xff"), .inbound = {&rule, 1}}});
    check_part("profiles", report, "profiles",
               "{\"\\\"\\\\xff\\\"\":{\"egress\":[],\"ingress\":[{\"action\":\"deny\","
               "\"source\":{\"selector\":\"\\\"a == '\\\\xff'\\\"\"}}]}}");
    json_decref(report);
}

/* No text gives orders to the terminal, or begins a line. */
static void test_control_characters(void **state)
{
    (void)state;
    const struct str bad = STR("a\x1b[2J\nb\x7f\xc2\x9b"
                               "c\xc3\xa4");
#define SHOWN "a\\x1b[2J\\x0ab\\x7f\\u009bc\xc3\xa4"
    json_t *report = felix_report_new();
    struct psync_policy_id id = {.name = bad, .kind = STR("K")};
    struct psync_tier tier = {.name = bad, .default_action = STR("Deny"), .ingress = {&id, 1}};
    struct psync_rule rule = {.action = STR("deny"),
                              .source = {.selector = bad, .set_ids = STRINGS(bad)}};
    tell(report, (struct psync_message){.kind = PSYNC_ENDPOINT_UPDATE,
                                        .endpoint = {.id = {STR("o"), bad, STR("e")},
                                                     .profile_ids = STRINGS(bad),
                                                     .tiers = &tier,
                                                     .tier_count = 1}});
    tell(report, (struct psync_message){
                     .kind = PSYNC_POLICY_UPDATE,
                     .policy = {.id = id, .original_selector = bad, .inbound = {&rule, 1}}});
    struct str members[] = {STR("1")};
    CLEANUP_FREE char *set = mem_strndup(bad);
    tell_set(report, set, PSYNC_SET_NET, members, 1);
    felix_report_problem(report, &(struct datastore_problem){.place = set, .message = bad});
    check_printed("control characters", report,
                  SHOWN ": error: " SHOWN "\n"
                        "\n"
                        "o/" SHOWN "/e  \n"
                        "  tier " SHOWN ", else Deny\n"
                        "    ingress  K " SHOWN "\n"
                        "  profiles " SHOWN "\n"
                        "\n"
                        "K " SHOWN "  for " SHOWN "\n"
                        "  ingress 0  deny  from ipSets " SHOWN "  from selector " SHOWN "\n"
                        "\n" SHOWN "  net, 1 members\n"
                        "  1\n"
                        "\n"
                        "1 endpoints, 1 policies that select them; 1 errors, 0 warnings\n");
    json_decref(report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_problems),
        cmocka_unit_test(test_policy),
        cmocka_unit_test(test_endpoint),
        cmocka_unit_test(test_sets_and_profiles),
        cmocka_unit_test(test_odd_bytes),
        cmocka_unit_test(test_control_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
