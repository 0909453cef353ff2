/* datastore/kubernetes.h, kubernetes_reread.h: two objects mean the same resource, and one of them goes. */
#include "kubernetes_world.h"

#define POLICIES "/apis/crd.projectcalico.org/v1/networkpolicies"
#define ASK_A                                                                                      \
    "/apis/crd.projectcalico.org/v1/namespaces/n/networkpolicies?fieldSelector=metadata.name%3Da"
#define ASK_B                                                                                      \
    "/apis/crd.projectcalico.org/v1/namespaces/n/networkpolicies?fieldSelector=metadata.name%3Db"
#define LIST_OF(items) "{\"metadata\":{\"resourceVersion\":\"9\"},\"items\":[" items "]}"
#define BOTH(name, version, other)                                                                 \
    EVENT("ADDED", POLICY(name, version)) EVENT("ADDED", POLICY("default." name, other))
#define GOES(name) EVENT("DELETED", POLICY(name, "8"))
/* It says what it is, since all watches are told of it. */
#define A_CHANGES                                                                                  \
    EVENT("MODIFIED",                                                                              \
          "{\"apiVersion\":\"crd.projectcalico.org/v1\",\"kind\":\"NetworkPolicy\","               \
          "\"metadata\":{\"namespace\":\"n\",\"name\":\"a\",\"resourceVersion\":\"9\"},"           \
          "\"spec\":{}}")

/* `a` and `default.a`, and so with `b`. */
#define START                                                                                      \
    {ASK_CRD, {IS_THERE}},                                                                         \
    {                                                                                              \
        POLICIES,                                                                                  \
        {                                                                                          \
            .ending = API_OPEN, .body = STR_INIT(BOTH("a", "1", "2") BOTH("b", "3", "4") END)      \
        }                                                                                          \
    }

struct twins {
    struct world world;
    size_t told, asked; /* where the test begins */
};

static void start(struct twins *twins, const struct route *routes)
{
    twins->world = (struct world){.routes = routes};
    world_start(&twins->world, NULL);
    clock_pass(twins->world.loop, 2000);
    assert_true(str_ends_with(buf_str(&twins->world.trace), STR("= . ")));
    twins->told = twins->world.trace.len;
    twins->asked = twins->world.asked.len;
}

/* What was asked for and told since then. */
static void end(struct twins *twins, const char *name, const char *asked, const char *told)
{
    check_text(name, str_from(buf_str(&twins->world.asked), twins->asked), str_from_c(asked));
    check_text(name, str_from(buf_str(&twins->world.trace), twins->told), str_from_c(told));
    world_end(&twins->world);
}

static void test_answers(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct route routes[4];
        const char *goes, *asked, *told;
    } cases[] = {
        {"the other is read again",
         {START, {ASK_A, {.body = STR_INIT(LIST_OF(POLICY("a", "1")))}}},
         GOES("default.a"),
         ASK_A "\n",
         "+NetworkPolicy n/a . "},
        {"it has gone too: that will be told",
         {START, {ASK_A, {.body = STR_INIT(LIST_OF(""))}}},
         GOES("default.a"),
         ASK_A "\n",
         ""},
        {"the answer is another object",
         {START, {ASK_A, {.body = STR_INIT(LIST_OF(POLICY("default.a", "1")))}}},
         GOES("default.a"),
         ASK_A "\n",
         ""},
        {"an object that counts alone", {START}, GOES("c"), "", ""},
        {"both go at once", {START}, GOES("default.a") GOES("a"), "", "-NetworkPolicy n/a . "},
        {"the other is told before it was asked for",
         {START},
         GOES("default.a") A_CHANGES,
         "",
         "+NetworkPolicy n/a . "},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct twins twins;
        start(&twins, cases[i].routes);
        api_server_send(&twins.world.server, str_from_c(cases[i].goes));
        clock_pass(twins.world.loop, 60 * 1000);
        end(&twins, cases[i].name, cases[i].asked, cases[i].told);
    }
}

/* One after the other, and not before a while at random: all nodes have heard of it. */
static void test_several(void **state)
{
    (void)state;
    static const struct route routes[] = {START,
                                          {ASK_A, {.body = STR_INIT(LIST_OF(POLICY("a", "1")))}},
                                          {ASK_B, {.body = STR_INIT(LIST_OF(POLICY("b", "3")))}},
                                          {0}};
    struct twins twins;
    start(&twins, routes);
    api_server_send(&twins.world.server, STR(GOES("default.a") GOES("default.b")));
    clock_pass(twins.world.loop, 5100);
    check_number("questions", (long long)count_asked(&twins.world, "fieldSelector=metadata"), 2);
    struct str told = str_from(buf_str(&twins.world.trace), twins.told);
    assert_true(str_eq(told, STR("+NetworkPolicy n/a . +NetworkPolicy n/b . ")) ||
                str_eq(told, STR("+NetworkPolicy n/b . +NetworkPolicy n/a . ")));
    world_end(&twins.world);
}

/* As long as the server refuses, it is asked again, less and less often; the old state stays in force. */
static void test_failures(void **state)
{
    (void)state;
    static const struct route refusing[] = {
        START, {ASK_A, {.status = 429, .headers = "Retry-After: 20\r\n"}}, {0}};
    static const struct route good[] = {
        START, {ASK_A, {.body = STR_INIT(LIST_OF(POLICY("a", "1")))}}, {0}};
    static const struct route broken[] = {START, {ASK_A, {.body = STR_INIT("{}")}}, {0}};
    struct twins twins;
    start(&twins, refusing);
    api_server_send(&twins.world.server, STR(GOES("default.a")));
    clock_pass(twins.world.loop, 5100);
    check_number("once", (long long)count_asked(&twins.world, ASK_A), 1);
    clock_pass(twins.world.loop, 14000);
    check_number("as it wishes", (long long)count_asked(&twins.world, ASK_A), 1);
    clock_pass(twins.world.loop, 8000);
    check_number("again", (long long)count_asked(&twins.world, ASK_A), 2);
    twins.world.routes = broken;
    clock_pass(twins.world.loop, 60 * 1000);
    check_number("nothing", (long long)twins.world.trace.len, (long long)twins.told);
    assert_in_range(count_asked(&twins.world, ASK_A), 4, 20);
    twins.world.routes = good;
    clock_pass(twins.world.loop, 46 * 1000);
    check_text("told", str_from(buf_str(&twins.world.trace), twins.told),
               STR("+NetworkPolicy n/a . "));
    check_number("lists", (long long)count_asked(&twins.world, POLICIES "?watch=1&"), 1);
    world_end(&twins.world);
}

/* What the watch says while the answer is under way is newer than that may be. */
static void test_overtaken(void **state)
{
    (void)state;
    static const struct route routes[] = {
        START, {ASK_A, {.ending = API_OPEN, .body = STR_INIT("{\"items\":[")}}, {0}};
    struct twins twins;
    start(&twins, routes);
    api_server_send(&twins.world.server, STR(GOES("default.a")));
    clock_pass(twins.world.loop, 5100);
    check_number("asked", (long long)count_asked(&twins.world, ASK_A), 1);
    /* It goes to both; of a list that has begun it is no item, but an end that is not to be read. */
    api_server_send(&twins.world.server, STR(A_CHANGES));
    clock_pass(twins.world.loop, 60 * 1000);
    end(&twins, "overtaken", ASK_A "\n", "+NetworkPolicy n/a . ");
}

/* A sidecar reads in its own namespace. */
static void test_namespace(void **state)
{
    (void)state;
    static const struct route routes[] = {
        {ASK_CRD, {IS_THERE}},
        {ASK_A, {.body = STR_INIT(LIST_OF(POLICY("a", "1")))}},
        {"/apis/crd.projectcalico.org/v1/namespaces/n/networkpolicies",
         {.ending = API_OPEN, .body = STR_INIT(BOTH("a", "1", "2") END)}},
        {0}};
    struct world world = {.routes = routes, .namespace = "n"};
    world_start(&world, NULL);
    clock_pass(world.loop, 2000);
    api_server_send(&world.server, STR(GOES("default.a")));
    clock_pass(world.loop, 5100);
    check_number("asked", (long long)count_asked(&world, ASK_A), 1);
    world_end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),   cmocka_unit_test(test_several),
        cmocka_unit_test(test_failures),  cmocka_unit_test(test_overtaken),
        cmocka_unit_test(test_namespace),
    };
    unsetenv("CALICO_API_GROUP");
    clock_patience = 5;
    log_set_level(LOG_ERROR + 1);
    return cmocka_run_group_tests(tests, folder_enter, folder_leave);
}
