/* store.h: what messages add up to, and that a snapshot stays what it was. */
#include "authz/store.h"

#include "base/log.h"

#include "random.h"
#include "world.h"

static const struct question anybody = {.source = NULL};

/* "allow, if the source is in the set" */
static void tell_set_policy(struct authz_store *store, const char *name, const char *set)
{
    struct str id = str_from_c(set);
    struct psync_rule rule = {.action = STR("allow"), .source.set_ids = {&id, 1}};
    tell_policy(store, name, &rule, 1);
}

static void tell_action(struct authz_store *store, const char *name, const char *action)
{
    struct psync_rule rule = {.action = str_from_c(action)};
    tell_policy(store, name, &rule, 1);
}

/* Asks a fresh snapshot. */
static void check_now(const char *name, struct authz_store *store, const char *expected)
{
    struct authz_snapshot *snapshot = authz_store_commit(store);
    check_verdict(name, snapshot, &anybody, expected);
    authz_snapshot_unref(snapshot);
}

static void test_before_in_sync(void **state)
{
    (void)state;
    struct authz_store *store = authz_store_new(NULL);
    check_now("nothing", store, "13 not_in_sync - - -1");
    tell_action(store, "p", "allow");
    tell_endpoint(store, "p", "");
    check_now("an endpoint, but not in sync", store, "13 not_in_sync - - -1");
    tell_in_sync(store);
    check_now("in sync", store, "0 allowed_by_rule t p 0");
    authz_store_free(store);
    authz_store_free(NULL);
}

static void test_policies(void **state)
{
    (void)state;
    struct authz_store *store = authz_store_new(NULL);
    tell_in_sync(store);
    check_now("no endpoint", store, "13 no_endpoint - - -1");
    tell_endpoint(store, "p", "");
    check_now("before the policy", store, "13 missing_policy t p -1");
    tell_action(store, "p", "allow");
    check_now("policy", store, "0 allowed_by_rule t p 0");
    tell_action(store, "p", "deny");
    check_now("replaced", store, "7 denied_by_rule t p 0");
    tell_no_policy(store, "q");
    check_now("another one removed", store, "7 denied_by_rule t p 0");
    tell_no_policy(store, "p");
    tell_no_policy(store, "p");
    check_now("removed", store, "13 missing_policy t p -1");
    tell_action(store, "p", "allow");
    check_now("back", store, "0 allowed_by_rule t p 0");
    tell_action(store, "p", "perhaps");
    check_now("malformed", store, "13 malformed_policy t p -1");
    tell_action(store, "p", "allow");
    check_now("sound again", store, "0 allowed_by_rule t p 0");
    authz_store_free(store);
}

/* Ids with a kind are told apart by kind, namespace and name; others by tier and name. */
static void test_policy_ids(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct psync_policy_id told, named;
        bool same;
    } cases[] = {
        {"the same",
         {.name = STR_INIT("n"), .kind = STR_INIT("k")},
         {.name = STR_INIT("n"), .kind = STR_INIT("k")},
         true},
        {"the tier does not count beside a kind",
         {.tier = STR_INIT("t"), .name = STR_INIT("n"), .kind = STR_INIT("k")},
         {.tier = STR_INIT("u"), .name = STR_INIT("n"), .kind = STR_INIT("k")},
         true},
        {"another kind",
         {.name = STR_INIT("n"), .kind = STR_INIT("k")},
         {.name = STR_INIT("n"), .kind = STR_INIT("l")},
         false},
        {"another namespace",
         {.namespace = STR_INIT("a"), .name = STR_INIT("n"), .kind = STR_INIT("k")},
         {.namespace = STR_INIT("b"), .name = STR_INIT("n"), .kind = STR_INIT("k")},
         false},
        {"pieces that run together",
         {.namespace = STR_INIT("a"), .name = STR_INIT("bn"), .kind = STR_INIT("k")},
         {.namespace = STR_INIT("ab"), .name = STR_INIT("n"), .kind = STR_INIT("k")},
         false},
        {"kind and namespace that run together",
         {.namespace = STR_INIT("b"), .name = STR_INIT("n"), .kind = STR_INIT("ka")},
         {.namespace = STR_INIT("ab"), .name = STR_INIT("n"), .kind = STR_INIT("k")},
         false},
        {"a name with a NUL",
         {.name = STR_INIT("n\0a"), .kind = STR_INIT("k")},
         {.name = STR_INIT("n\0b"), .kind = STR_INIT("k")},
         false},
        {"older",
         {.tier = STR_INIT("t"), .name = STR_INIT("n")},
         {.tier = STR_INIT("t"), .name = STR_INIT("n")},
         true},
        {"older, another tier",
         {.tier = STR_INIT("t"), .name = STR_INIT("n")},
         {.tier = STR_INIT("u"), .name = STR_INIT("n")},
         false},
        {"older, running together",
         {.tier = STR_INIT("t"), .name = STR_INIT("un")},
         {.tier = STR_INIT("tu"), .name = STR_INIT("n")},
         false},
        {"older and newer",
         {.tier = STR_INIT("k"), .name = STR_INIT("n")},
         {.name = STR_INIT("n"), .kind = STR_INIT("k")},
         false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct authz_store *store = authz_store_new(NULL);
        struct psync_rule rule = {.action = STR("allow")};
        struct psync_policy_id named = cases[i].named;
        struct psync_tier tier = {.name = STR("t"), .ingress = {&named, 1}};
        tell_in_sync(store);
        tell(store, (struct psync_message){.kind = PSYNC_POLICY_UPDATE,
                                           .policy = {.id = cases[i].told, .inbound = {&rule, 1}}});
        tell(store, (struct psync_message){.kind = PSYNC_ENDPOINT_UPDATE,
                                           .endpoint = {.tiers = &tier, .tier_count = 1}});
        struct authz_snapshot *snapshot = authz_store_commit(store);
        check_number(cases[i].name, ask(snapshot, &anybody, NULL).code,
                     cases[i].same ? AUTHZ_OK : AUTHZ_INTERNAL);
        authz_snapshot_unref(snapshot);
        authz_store_free(store);
    }
}

static void test_sets(void **state)
{
    (void)state;
    struct authz_store *store = authz_store_new(NULL);
    tell_in_sync(store);
    tell_endpoint(store, "p", "");
    tell_set_policy(store, "p", "s");
    check_now("before the set", store, "13 missing_ip_set t p 0");
    tell_set(store, "s", PSYNC_SET_IP, "10.0.0.1");
    check_now("the set came after the policy", store, "0 allowed_by_rule t p 0");
    tell_delta(store, "s", "10.0.0.9", "10.0.0.1");
    check_now("removed by a delta", store, "7 denied_by_tier_default t - -1");
    tell_delta(store, "s", "10.0.0.1", "");
    check_now("added by a delta", store, "0 allowed_by_rule t p 0");
    tell_delta(store, "s", "10.0.0.1", "10.0.0.1");
    check_now("additions come first", store, "7 denied_by_tier_default t - -1");
    tell_set(store, "s", PSYNC_SET_IP, "10.0.0.1");
    check_now("a whole update", store, "0 allowed_by_rule t p 0");
    tell_set(store, "s", PSYNC_SET_IP, "10.0.0.1 x");
    check_now("bad member", store, "13 missing_ip_set t p 0");
    tell_delta(store, "s", "", "x");
    check_now("bad until the next whole update", store, "13 missing_ip_set t p 0");
    tell_set(store, "s", PSYNC_SET_NET, "10.0.0.0/8");
    check_now("of another type", store, "0 allowed_by_rule t p 0");
    tell_set(store, "s", PSYNC_SET_IP_AND_PORT, "10.0.0.1,tcp:80");
    check_now("of a wrong type", store, "13 missing_ip_set t p 0");
    tell_set(store, "s", 9, "");
    check_now("of an unknown type", store, "13 missing_ip_set t p 0");
    tell_no_set(store, "s");
    tell_no_set(store, "s");
    check_now("removed", store, "13 missing_ip_set t p 0");
    tell_delta(store, "s", "10.0.0.1", "");
    check_now("known only from a delta", store, "13 missing_ip_set t p 0");
    tell_set(store, "s", PSYNC_SET_IP, "10.0.0.1");
    check_now("back", store, "0 allowed_by_rule t p 0");
    authz_store_free(store);
}

static void test_profiles(void **state)
{
    (void)state;
    struct authz_store *store = authz_store_new(NULL);
    struct psync_rule rule = {.action = STR("Allow")};
    tell_in_sync(store);
    tell_endpoint(store, "", "f");
    check_now("before the profile", store, "13 missing_profile - f -1");
    tell_profile(store, "f", &rule, 1);
    check_now("profile", store, "0 allowed_by_profile - f 0");
    tell_profile(store, "f", NULL, 0);
    check_now("without rules", store, "7 denied_by_default - - -1");
    tell(store, (struct psync_message){.kind = PSYNC_PROFILE_REMOVE, .profile_remove = STR("f")});
    check_now("removed", store, "13 missing_profile - f -1");
    /* As a message without an id is decoded. */
    tell(store, (struct psync_message){.kind = PSYNC_PROFILE_UPDATE});
    check_now("one without a name", store, "13 missing_profile - f -1");
    authz_store_free(store);
}

static void tell_endpoint_gone(struct authz_store *store, struct str workload)
{
    tell(store, (struct psync_message){.kind = PSYNC_ENDPOINT_REMOVE,
                                       .endpoint_remove = {STR("k8s"), workload, STR("eth0")}});
}

static void test_endpoint(void **state)
{
    (void)state;
    struct authz_store *store = authz_store_new(NULL);
    tell_in_sync(store);
    tell_action(store, "p", "allow");
    tell_action(store, "q", "deny");
    tell_endpoint(store, "p", "");
    check_now("first", store, "0 allowed_by_rule t p 0");
    tell_endpoint(store, "q", "");
    check_now("replaced", store, "7 denied_by_rule t q 0");
    tell_endpoint_gone(store, STR("ns/other"));
    check_now("the removal of another one", store, "7 denied_by_rule t q 0");
    tell_endpoint_gone(store, STR("ns/pod"));
    check_now("removed", store, "13 no_endpoint - - -1");
    tell_endpoint(store, "p", "");
    tell_endpoint_gone(store, STR(""));
    check_now("a removal without a name", store, "13 no_endpoint - - -1");
    tell_endpoint(store, "p", "");
    tell(store, (struct psync_message){.kind = PSYNC_ENDPOINT_UPDATE, .endpoint.malformed = true});
    check_now("malformed", store, "13 no_endpoint - - -1");
    tell_endpoint(store, "p", "");
    check_now("back", store, "0 allowed_by_rule t p 0");
    authz_store_free(store);
}

static void tell_role(struct authz_store *store, enum psync_kind kind, struct str value)
{
    struct label label = {STR("role"), value};
    struct psync_labelled item = {.labels = {&label, 1}};
    if (kind == PSYNC_ACCOUNT_UPDATE || kind == PSYNC_ACCOUNT_REMOVE) {
        item.namespace = STR("client");
        item.name = STR("ann");
        tell(store, (struct psync_message){.kind = kind, .account = item});
    } else {
        item.name = STR("client");
        tell(store, (struct psync_message){.kind = kind, .namespace = item});
    }
}

static void test_labels(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum psync_kind update, remove;
    } cases[] = {{"account", PSYNC_ACCOUNT_UPDATE, PSYNC_ACCOUNT_REMOVE},
                 {"namespace", PSYNC_NAMESPACE_UPDATE, PSYNC_NAMESPACE_REMOVE}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *name = cases[i].name, *denied = "7 denied_by_tier_default t - -1";
        struct authz_store *store = authz_store_new(NULL);
        struct psync_rule rule = {.action = STR("allow")};
        if (cases[i].update == PSYNC_ACCOUNT_UPDATE)
            rule.source.account.selector = STR("role == 'x'");
        else
            rule.source.namespace_selector = STR("role == 'x'");
        tell_in_sync(store);
        tell_policy(store, "p", &rule, 1);
        tell_endpoint(store, "p", "");
        check_now(name, store, denied);
        tell_role(store, cases[i].update, STR("x"));
        check_now(name, store, "0 allowed_by_rule t p 0");
        struct authz_snapshot *old = authz_store_commit(store);
        tell_role(store, cases[i].update, STR("y"));
        check_now(name, store, denied);
        tell_role(store, cases[i].update, STR("x"));
        tell_role(store, cases[i].remove, STR(""));
        tell_role(store, cases[i].remove, STR(""));
        check_now(name, store, denied);
        check_verdict(name, old, &anybody, "0 allowed_by_rule t p 0");
        authz_snapshot_unref(old);
        authz_store_free(store);
    }
}

/* Whatever is told afterwards, an old snapshot judges as it did. */
static void test_snapshot_stays(void **state)
{
    (void)state;
    struct authz_store *store = authz_store_new(NULL);
    tell_in_sync(store);
    tell_endpoint(store, "p", "");
    tell_set_policy(store, "p", "s");
    tell_set(store, "s", PSYNC_SET_IP, "10.0.0.1");
    struct authz_snapshot *old = authz_store_commit(store);
    tell_delta(store, "s", "10.0.0.7", "10.0.0.1");
    check_verdict("set changed", old, &anybody, "0 allowed_by_rule t p 0");
    tell_no_set(store, "s");
    check_verdict("set removed", old, &anybody, "0 allowed_by_rule t p 0");
    tell_action(store, "p", "deny");
    check_verdict("policy changed", old, &anybody, "0 allowed_by_rule t p 0");
    tell_no_policy(store, "p");
    tell_set(store, "u", PSYNC_SET_IP, "");
    check_verdict("policy removed, its slot free", old, &anybody, "0 allowed_by_rule t p 0");
    tell_endpoint_gone(store, STR("ns/pod"));
    check_verdict("endpoint removed", old, &anybody, "0 allowed_by_rule t p 0");
    check_now("and a new one", store, "13 no_endpoint - - -1");
    authz_snapshot_unref(old);
    authz_store_free(store);
}

/* Messages are copied: their bytes may go. */
static void test_messages_are_copied(void **state)
{
    (void)state;
    struct authz_store *store = authz_store_new(NULL);
    struct arena arena = {0};
    struct str action = arena_copy(&arena, STR("allow")), set = arena_copy(&arena, STR("s"));
    struct psync_rule rule = {.action = action, .source.set_ids = {&set, 1}};
    tell_in_sync(store);
    tell_policy(store, arena_copy(&arena, STR("p")).ptr, &rule, 1);
    tell_set(store, set.ptr, PSYNC_SET_IP, "10.0.0.1");
    tell_endpoint(store, arena_copy(&arena, STR("p")).ptr, "");
    arena_free(&arena);
    check_now("afterwards", store, "0 allowed_by_rule t p 0");
    authz_store_free(store);
}

/* Sets that come and go under new names do not make snapshots grow. */
static void test_slots_are_reused(void **state)
{
    (void)state;
    struct authz_store *store = authz_store_new(NULL);
    char name[16];
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "set-%d", i);
        tell_set_policy(store, "p", name);
        tell_set(store, name, PSYNC_SET_IP, "10.0.0.1");
        tell_no_set(store, name);
    }
    struct authz_snapshot *snapshot = authz_store_commit(store);
    assert_in_range(snapshot->set_count, 1, 2);
    authz_snapshot_unref(snapshot);
    authz_store_free(store);
}

/* A slot that an old snapshot's policy still names is not given to another set. */
static void test_slot_of_old_snapshot(void **state)
{
    (void)state;
    struct authz_store *store = authz_store_new(NULL);
    tell_in_sync(store);
    tell_endpoint(store, "p", "");
    tell_set_policy(store, "p", "missing");
    struct authz_snapshot *old = authz_store_commit(store);
    tell_no_policy(store, "p");
    tell_set(store, "new", PSYNC_SET_IP, "10.0.0.1");
    check_verdict("old", old, &anybody, "13 missing_ip_set t p 0");
    tell_set_policy(store, "p", "new");
    check_now("new", store, "0 allowed_by_rule t p 0");
    authz_snapshot_unref(old);
    check_now("new, the old one gone", store, "0 allowed_by_rule t p 0");
    authz_store_free(store);
}

enum { NAMES = 6 };

/* What the store must have added up to: of each set whether it is there and holds 10.0.0.1; of each
 * policy the set that it asks. The endpoint has policy 0 alone. */
struct model {
    bool present[NAMES], member[NAMES];
    int policy_set[NAMES]; /* -1: no such policy */
};

static const char *const set_names[NAMES] = {"s0", "s1", "s2", "s3", "s4", "s5"};
static const char *const policy_names[NAMES] = {"p0", "p1", "p2", "p3", "p4", "p5"};

static void random_change(struct authz_store *store, struct model *model, struct random *random)
{
    size_t i = random_below(random, NAMES), set = random_below(random, NAMES);
    bool member = random_below(random, 2) == 0;
    switch (random_below(random, 6)) {
    case 0:
        tell_set(store, set_names[i], PSYNC_SET_IP, member ? "10.0.0.1 ::1" : "10.0.0.9");
        model->present[i] = true;
        model->member[i] = member;
        break;
    case 1:
        tell_no_set(store, set_names[i]);
        model->present[i] = false;
        break;
    case 2:
        tell_delta(store, set_names[i], member ? "10.0.0.1" : "10.0.0.3", member ? "" : "10.0.0.1");
        model->member[i] = member;
        break;
    case 3:
        tell_no_policy(store, policy_names[i]);
        model->policy_set[i] = -1;
        break;
    case 4:
        tell_role(store, member ? PSYNC_ACCOUNT_UPDATE : PSYNC_NAMESPACE_UPDATE, STR("x"));
        break;
    default:
        tell_set_policy(store, policy_names[i], set_names[set]);
        model->policy_set[i] = (int)set;
    }
}

static const char *expected_verdict(const struct model *model)
{
    int set = model->policy_set[0];
    if (set < 0)
        return "13 missing_policy t p0 -1";
    if (!model->present[set])
        return "13 missing_ip_set t p0 0";
    return model->member[set] ? "0 allowed_by_rule t p0 0" : "7 denied_by_tier_default t - -1";
}

/* Thousands of random messages; snapshots live for a while and must judge as when they were made. */
static void test_random_messages(void **state)
{
    (void)state;
    enum { ALIVE = 8, STEPS = 20000 };
    struct random random = random_start();
    struct authz_store *store = authz_store_new(NULL);
    struct model model = {.policy_set = {-1, -1, -1, -1, -1, -1}};
    struct authz_snapshot *snapshots[ALIVE] = {NULL};
    const char *expected[ALIVE] = {NULL};
    tell_in_sync(store);
    tell_endpoint(store, "p0", "");
    for (size_t step = 0; step < STEPS; step++) {
        random_change(store, &model, &random);
        size_t i = random_below(&random, ALIVE);
        if (snapshots[i] != NULL)
            check_verdict("old", snapshots[i], &anybody, expected[i]);
        authz_snapshot_unref(snapshots[i]);
        snapshots[i] = authz_store_commit(store);
        expected[i] = expected_verdict(&model);
        check_verdict("new", snapshots[i], &anybody, expected[i]);
        assert_in_range(snapshots[i]->set_count, 0, 3 * NAMES);
    }
    for (size_t i = 0; i < ALIVE; i++)
        authz_snapshot_unref(snapshots[i]);
    authz_store_free(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_before_in_sync),
        cmocka_unit_test(test_policies),
        cmocka_unit_test(test_policy_ids),
        cmocka_unit_test(test_sets),
        cmocka_unit_test(test_profiles),
        cmocka_unit_test(test_endpoint),
        cmocka_unit_test(test_labels),
        cmocka_unit_test(test_snapshot_stays),
        cmocka_unit_test(test_messages_are_copied),
        cmocka_unit_test(test_slots_are_reused),
        cmocka_unit_test(test_slot_of_old_snapshot),
        cmocka_unit_test(test_random_messages),
    };
    log_set_level(LOG_ERROR); /* what cannot be understood is meant to be so here */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
