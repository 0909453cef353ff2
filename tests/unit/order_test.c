/* order.h: tiers and policies in the order in which they are evaluated, and how long tiers live. */
#include "calc/order.h"

#include <math.h>

#include "base/mem.h"

#include "random.h"

/* ---- tiers ---- */

static struct tier *set_tier(struct tiers *tiers, const char *name, bool has_order, double order)
{
    struct model_resource resource = {.tier = {.has_order = has_order, .order = order}};
    tiers_set(tiers, str_from_c(name), &resource);
    return tiers_use(tiers, str_from_c(name));
}

static int sign(int number)
{
    return (number > 0) - (number < 0);
}

static void test_tiers(void **state)
{
    (void)state;
    struct tiers tiers = {0};
    /* As they stand, from the first to be evaluated to the last. */
    const struct tier *sorted[] = {
        tiers_use(&tiers, MODEL_TIER_UNREADABLE),
        set_tier(&tiers, "negative", true, -1.5),
        set_tier(&tiers, "b", true, 0),
        set_tier(&tiers, "c", true, 0),
        set_tier(&tiers, "a", true, 0.25),
        set_tier(&tiers, "A", true, 1000),
        tiers_use(&tiers, STR("adminnetworkpolicy")),
        tiers_use(&tiers, STR("kube-admin")),
        tiers_use(&tiers, STR("default")),
        set_tier(&tiers, "default-", true, 1000000),
        tiers_use(&tiers, STR("baselineadminnetworkpolicy")),
        tiers_use(&tiers, STR("kube-baseline")),
        set_tier(&tiers, "most", true, 1e300),
        set_tier(&tiers, "a none", false, 0),
        set_tier(&tiers, "z none", false, -7),
        tiers_use(&tiers, STR("0 does not exist")),
        tiers_use(&tiers, STR("1 does not exist")),
    };
    for (size_t i = 0; i < COUNT(sorted); i++) {
        for (size_t j = 0; j < COUNT(sorted); j++) {
            int expected = (i > j) - (i < j);
            if (sign(order_compare_tiers(sorted[i], sorted[j])) != expected)
                fail_msg("%s, %s", quote(sorted[i]->name).text, quote(sorted[j]->name).text);
        }
    }
    tiers_free(&tiers);
}

static void test_default_actions(void **state)
{
    (void)state;
    static const struct {
        struct str name;
        bool exists, pass;
    } cases[] = {
        {STR_INIT("default"), true, false},
        {STR_INIT("kube-admin"), true, true},
        {STR_INIT("kube-baseline"), true, true},
        {STR_INIT("adminnetworkpolicy"), true, true},
        {STR_INIT("baselineadminnetworkpolicy"), true, true},
        {STR_INIT("(unreadable)"), true, false},
        {STR_INIT("other"), false, false},
    };
    struct tiers tiers = {0};
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct tier *tier = tiers_use(&tiers, cases[i].name);
        check_number(cases[i].name.ptr, tier->exists, cases[i].exists);
        check_number(cases[i].name.ptr, tier->default_pass, cases[i].pass);
        CHECK(cases[i].name.ptr, !tier->is_broken && !tier->has_resource);
    }
    tiers_free(&tiers);
}

/* A tier is there while a resource or a policy names it, and falls back to what it is without the resource. */
static void test_lives(void **state)
{
    (void)state;
    struct tiers tiers = {0};
    struct model_resource resource = {.tier = {.has_order = true, .order = 5, .default_pass = true},
                                      .broken = STR("spec: broken")};
    const struct str name = STR("t");
    int policy;
    assert_null(tiers_set(&tiers, name, NULL));
    assert_int_equal(tiers.by_name.count, 0);
    assert_null(tiers_set(&tiers, name, &resource)); /* nobody is to be told */
    assert_int_equal(tiers.by_name.count, 1);
    struct tier *tier = tiers_use(&tiers, name);
    assert_true(tier->exists && tier->is_broken && tier->has_order && tier->default_pass);
    tiers_release(&tiers, tier);
    assert_int_equal(tiers.by_name.count, 1);
    list_add(&tier->policies, &policy);
    assert_ptr_equal(tiers_set(&tiers, name, NULL), tier);
    assert_false(tier->exists || tier->is_broken || tier->has_order || tier->default_pass);
    assert_int_equal(tiers.by_name.count, 1);
    resource.broken = STR("");
    resource.tier.has_order = false;
    assert_ptr_equal(tiers_set(&tiers, name, &resource), tier);
    assert_true(tier->exists && !tier->is_broken && !tier->has_order);
    list_remove_item(&tier->policies, &policy);
    assert_null(tiers_set(&tiers, name, NULL));
    assert_int_equal(tiers.by_name.count, 0);
    tiers_free(&tiers);
}

/* ---- policies ---- */

static struct model_resource make_policy(enum model_kind kind, struct str namespace,
                                         struct str name)
{
    return (struct model_resource){.key = {kind, namespace, name}};
}

static void test_policies(void **state)
{
    (void)state;
    /* From the first to the last. */
    struct model_resource sorted[] = {
        {.key.name = STR("z"), .policy = {.has_order = true, .order = -INFINITY}},
        {.key.name = STR("y"), .policy = {.has_order = true, .order = -10}},
        {.key.name = STR("a"), .policy = {.has_order = true, .order = 1.5}},
        {.key.name = STR("b"), .policy = {.has_order = true, .order = 1.5}},
        {.key.name = STR("a"), .policy = {.has_order = true, .order = 1e9}},
        /* '-' and '.' come before '/', digits and letters after it */
        {.key = {MODEL_NETWORK_POLICY, STR("z"), STR("a-b")}, .policy.order = 7},
        {.key = {MODEL_NETWORK_POLICY, STR("z"), STR("a.b")}, .policy.order = 6},
        {.key = {MODEL_GLOBAL_NETWORK_POLICY, STR(""), STR("a")}, .policy.order = 5},
        {.key = {MODEL_STAGED_GLOBAL_NETWORK_POLICY, STR(""), STR("a")}, .policy.order = 4},
        {.key = {MODEL_NETWORK_POLICY, STR("k"), STR("a")}, .policy.order = 3},
        {.key = {MODEL_KUBERNETES_NETWORK_POLICY, STR("l"), STR("a")}, .policy.order = 2},
        {.key = {MODEL_NETWORK_POLICY, STR("l"), STR("a")}, .policy.order = 1},
        {.key = {MODEL_NETWORK_POLICY, STR("a"), STR("a0")}, .policy.order = 0},
        {.key = {MODEL_NETWORK_POLICY, STR("a"), STR("ab")}, .policy.order = -1},
        {.key = {MODEL_NETWORK_POLICY, STR("a"), STR("b")}, .policy.order = -INFINITY},
    };
    for (size_t i = 0; i < COUNT(sorted); i++) {
        for (size_t j = 0; j < COUNT(sorted); j++) {
            int expected = (i > j) - (i < j);
            if (sign(order_compare_policies(&sorted[i], &sorted[j])) != expected)
                fail_msg("policies %zu, %zu", i, j);
        }
    }
}

/* ---- the text that breaks ties ---- */

/* Short names of bytes around '/', so that pieces of different lengths line up in many ways. */
static struct str random_name(struct arena *arena, struct random *random, size_t least)
{
    static const char bytes[] = "-./0aA";
    char name[5];
    size_t len = least + random_below(random, sizeof(name) - least);
    for (size_t i = 0; i < len; i++)
        name[i] = bytes[random_below(random, sizeof(bytes) - 1)];
    return arena_copy(arena, str_make(name, len));
}

static struct model_resource random_policy(struct arena *arena, struct random *random)
{
    static const enum model_kind kinds[] = {MODEL_NETWORK_POLICY,
                                            MODEL_GLOBAL_NETWORK_POLICY,
                                            MODEL_KUBERNETES_NETWORK_POLICY,
                                            MODEL_STAGED_NETWORK_POLICY,
                                            MODEL_STAGED_GLOBAL_NETWORK_POLICY,
                                            MODEL_STAGED_KUBERNETES_NETWORK_POLICY};
    return make_policy(kinds[random_below(random, COUNT(kinds))], random_name(arena, random, 0),
                       random_name(arena, random, 1));
}

static struct str joined(struct arena *arena, const struct model_resource *policy)
{
    struct str kind = model_kind_name(policy->key.kind);
    return arena_printf(arena, "%.*s/%.*s/%.*s", STR_ARG(policy->key.name),
                        STR_ARG(policy->key.namespace), STR_ARG(kind));
}

static void test_joined(void **state)
{
    (void)state;
    struct random random = random_start();
    size_t equal = 0;
    for (int round = 0; round < 100000; round++) {
        CLEANUP_ARENA struct arena arena = {0};
        struct model_resource a = random_policy(&arena, &random);
        struct model_resource b = random_policy(&arena, &random);
        if (random_below(&random, 2) == 0)
            b.key.name = a.key.name;
        if (random_below(&random, 2) == 0)
            b.key.namespace = a.key.namespace;
        struct str x = joined(&arena, &a), y = joined(&arena, &b);
        if (sign(order_compare_policies(&a, &b)) != sign(str_cmp(x, y)))
            fail_msg("%s, %s", quote(x).text, quote(y).text);
        equal += str_eq(x, y);
    }
    assert_in_range(equal, 100, SIZE_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tiers),  cmocka_unit_test(test_default_actions),
        cmocka_unit_test(test_lives),  cmocka_unit_test(test_policies),
        cmocka_unit_test(test_joined),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
