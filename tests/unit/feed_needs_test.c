/* feed.h: what an endpoint needs, wherever it is named. */
#include "feed_world.h"

/* Whatever names a set needs it: each of these is in one place of a rule. */
static void test_where_sets_are_named(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i"};
    struct feed_world world;
    struct sidecar web;
    CLEANUP_ARENA struct arena arena = {0};
    struct psync_rule in = {.source = {.set_ids = words(&arena, "a"),
                                       .not_set_ids = words(&arena, "b"),
                                       .named_port_set_ids = words(&arena, "c"),
                                       .not_named_port_set_ids = words(&arena, "d"),
                                       .ip_port_set_ids = words(&arena, "e")},
                            .destination = {.set_ids = words(&arena, "f")}};
    struct psync_rule out = {.source = {.set_ids = words(&arena, "g")}};
    struct psync_rule of_profile = {.source = {.set_ids = words(&arena, "h a")}};
    open_feed(&world);
    for (size_t i = 0; i < COUNT(names); i++)
        tell_members(&world, names[i], "");
    tell(&world, (struct psync_message){.kind = PSYNC_POLICY_UPDATE,
                                        .policy = {.id = feed_policy_id(STR("p")),
                                                   .inbound = {&in, 1},
                                                   .outbound = {&out, 1}}});
    tell(&world,
         (struct psync_message){.kind = PSYNC_PROFILE_UPDATE,
                                .profile = {.name = STR("all"), .outbound = {&of_profile, 1}}});
    tell_endpoint(&world, "k/web", "p", "all");
    join(&world, &web, "k/web");
    check_reads("all", &web,
                "set a\nset b\nset c\nset d\nset e\nset f\nset g\nset h\n"
                "policy P p \nprofile all\nendpoint k8s/k/web/eth0");
    feed_leave(web.reader);
    close_feed(&world);
}

/* Policies for what comes in and for what goes out; one that is for both is told once. */
static void test_where_policies_are_named(void **state)
{
    (void)state;
    struct feed_world world;
    struct sidecar web;
    struct psync_policy_id ins[] = {feed_policy_id(STR("p")), feed_policy_id(STR("both"))};
    struct psync_policy_id outs[] = {feed_policy_id(STR("both")), feed_policy_id(STR("q"))};
    struct psync_tier tier = {.ingress = {ins, 2}, .egress = {outs, 2}};
    open_feed(&world);
    tell_policy(&world, "p", "allow", "");
    tell_policy(&world, "q", "deny", "");
    tell_policy(&world, "both", "log", "");
    tell(&world,
         (struct psync_message){
             .kind = PSYNC_ENDPOINT_UPDATE,
             .endpoint = {.id = feed_endpoint_id("k/web"), .tiers = &tier, .tier_count = 1}});
    join(&world, &web, "k/web");
    check_reads("all", &web,
                "policy P p allow\npolicy P both log\npolicy P q deny\nendpoint k8s/k/web/eth0");
    feed_leave(web.reader);
    close_feed(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_where_sets_are_named),
        cmocka_unit_test(test_where_policies_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
