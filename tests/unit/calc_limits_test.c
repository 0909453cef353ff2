/* What no stream could carry refuses instead, policy, profile and endpoint; and what a profile and its namespace both say. */
#include "base/log.h"

#include "calc_world.h"

/* A rule with 100,000 nets takes more than a message can be long. */
static void append_nets(struct buf *out, size_t count)
{
    buf_append_str(out, STR("{action: Allow, source: {nets: ["));
    for (size_t i = 0; i < count; i++)
        buf_printf(out, "%sfd00:1111:2222:3333:4444:5555:%zx:%zx/128", i > 0 ? ", " : "",
                   0x1000 + (i >> 12), 0x1000 + (i & 0xfff));
    buf_append_str(out, STR("]}}"));
}

enum { TOO_MANY = 100 * 1000, FEW = 10 };

/* Puts the resource whose text is `format`, with rules for its %: one of so many nets, one with an IP set. */
static void put_rules(struct calc_world *world, const char *text, size_t nets)
{
    CLEANUP_BUF struct buf yaml = {0};
    struct str before, after;
    str_cut(str_from_c(text), '%', &before, &after);
    buf_append_str(&yaml, before);
    buf_append_str(&yaml, STR("ingress: ["));
    append_nets(&yaml, nets);
    buf_append_str(&yaml, STR(", {action: Allow, source: {selector: has(a)}}]"));
    buf_append_str(&yaml, after);
    buf_append_byte(&yaml, '\0');
    put(world, yaml.data);
}

static void check_refuses(const char *name, struct calc_world *world, const char *text,
                          const char *expected, size_t nets)
{
    world->is_short = false;
    put_rules(world, text, nets);
    check_flush(name, world, expected);
    check_number(name, (long long)calc_stats(world->calc).ipsets.sets, 0);
}

static void check_large(const char *text, const char *subject, const char *refusing)
{
    struct calc_world world;
    CLEANUP_BUF struct buf sound = {0}, refused = {0};
    buf_printf(&sound, "set s:has(a)\n%s", subject);
    buf_append_byte(&sound, '\0');
    buf_printf(&refused, "%s\n-set s:has(a)", refusing);
    buf_append_byte(&refused, '\0');
    open_calc(&world, "node-1", NULL);
    put(&world, WORKLOAD("vm", "orchestrator: o, workload: w, endpoint: e, ipNetworks: "
                               "[10.0.0.1], profiles: [custom]"));
    put(&world, PROFILE("custom", ""));
    put_rules(&world, text, FEW);
    calc_set_in_sync(world.calc);
    flush(&world);
    check_refuses("grown", &world, text, refused.data, TOO_MANY);
    check_refuses("grown more", &world, text, "", TOO_MANY + 1);
    world.is_short = true;
    put_rules(&world, text, FEW);
    check_flush("small again", &world, sound.data);
    drop(&world, WORKLOAD("vm", ""));
    put_rules(&world, text, TOO_MANY);
    flush(&world);
    put(&world, WORKLOAD("vm", "orchestrator: o, workload: w, endpoint: e, ipNetworks: "
                               "[10.0.0.1], profiles: [custom]"));
    flush(&world);
    CHECK("from the start", strstr(world.trace.data, "s:has(a)") == NULL);
    close_calc(&world);
}

static void test_large_policy(void **state)
{
    (void)state;
    check_large(GLOBAL("p", "%"), "policy GlobalNetworkPolicy p",
                "policy GlobalNetworkPolicy p tier=<default> for=<all()>\n  < malformed\n"
                "  > malformed");
}

static void test_large_profile(void **state)
{
    (void)state;
    check_large(PROFILE("custom", "%"), "profile custom",
                "profile custom\n  < malformed\n  > malformed");
}

#define VM "orchestrator: o, workload: w, endpoint: e, interfaceName: i, profiles: [custom]"
static const char bare[] = "endpoint o/bank/w/e state=<active> interface=<i>";

/* The last line of what the next flush sends. */
static void check_last(const char *name, struct calc_world *world, const char *expected)
{
    flush(world);
    struct str trace = buf_str(&world->trace);
    size_t start = trace.len;
    while (start > 0 && trace.ptr[start - 1] != '\n')
        start--;
    check_text(name, str_make(trace.ptr + start, trace.len - start), str_from_c(expected));
}

/* Policies whose names take 240 bytes, and an endpoint's message twice that. */
static void for_each_policy(struct calc_world *world, size_t count,
                            void (*act)(struct calc_world *world, const char *yaml))
{
    CLEANUP_BUF struct buf yaml = {0};
    for (size_t i = 0; i < count; i++)
        buf_printf(
            &yaml,
            CALICO("GlobalNetworkPolicy", "p%0239zu") "}, spec: {types: [Ingress, Egress]}}\n", i);
    buf_append_byte(&yaml, '\0');
    act(world, yaml.data);
}

/* An endpoint that is too large is sent without what would let anything through. */
static void test_endpoint_with_many_policies(void **state)
{
    (void)state;
    enum { TOO_MANY_POLICIES = 9000 };
    struct calc_world world;
    open_calc(&world, "node-1", NULL);
    put(&world, PROFILE("custom", ""));
    put(&world, WORKLOAD("vm", VM ", ipNetworks: [10.0.0.1]"));
    calc_set_in_sync(world.calc);
    flush(&world);
    for_each_policy(&world, TOO_MANY_POLICIES, put);
    check_last("too many", &world, bare);
    put(&world, WORKLOAD("vm", VM ", ipNetworks: [10.0.0.2]"));
    check_flush("another address, as little of it", &world, "");
    for_each_policy(&world, TOO_MANY_POLICIES, drop);
    flush(&world);
    CHECK("whole again", strstr(world.trace.data, "v4{10.0.0.2/32} profiles=custom\n") != NULL);
    close_calc(&world);
}

static void test_endpoint_with_many_nets(void **state)
{
    (void)state;
    struct calc_world world;
    CLEANUP_BUF struct buf yaml = {0};
    buf_append_str(
        &yaml, STR(CALICO("WorkloadEndpoint", "vm") ", namespace: bank}, spec: {node: node-1, " VM
                                                    ", ipNetworks: ["));
    for (size_t i = 0; i < TOO_MANY; i++)
        buf_printf(&yaml, "%sfd00:1111:2222:3333:4444:5555:%zx:%zx", i > 0 ? ", " : "",
                   0x1000 + (i >> 12), 0x1000 + (i & 0xfff));
    buf_append_str(&yaml, STR("]}}"));
    buf_append_byte(&yaml, '\0');
    open_calc(&world, "node-1", NULL);
    start_with(&world, PROFILE("custom", ""));
    put(&world, yaml.data);
    check_last("too many", &world, bare);
    close_calc(&world);
}

/* A Profile that has the name of a namespace's passes on what the namespace does not say itself. */
static void test_label_said_twice(void **state)
{
    (void)state;
    static const char *const others[] = {"", ", a: '1'", ", a: '1', b: '1'", ", x: '1', z: '1'"};
    for (size_t i = 0; i < COUNT(others); i++) {
        struct calc_world world;
        CLEANUP_BUF struct buf namespace = {0};
        open_calc(&world, "node-1", NULL);
        buf_printf(&namespace, "%s%s}}}\n", KUBERNETES("Namespace", "bank") ", labels: {env: prod",
                   others[i]);
        buf_append_byte(&namespace, '\0');
        put(&world, namespace.data);
        put(&world, PROFILE("kns.bank", "labelsToApply: {pcns.env: test, pcns.more: '1'}"));
        start_with(&world, POD("web", "10.0.0.1", "", ""));
        world.is_short = true;
        put(&world, GLOBAL("wrong", "namespaceSelector: env == 'test'"));
        check_flush(others[i], &world, "");
        put(&world, GLOBAL("right", "namespaceSelector: env == 'prod' && has(more)"));
        check_flush(others[i], &world,
                    "policy GlobalNetworkPolicy right\nendpoint k8s/bank/web/eth0");
        close_calc(&world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_large_policy),
        cmocka_unit_test(test_large_profile),
        cmocka_unit_test(test_endpoint_with_many_policies),
        cmocka_unit_test(test_endpoint_with_many_nets),
        cmocka_unit_test(test_label_said_twice),
    };
    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
