/* datastore/kubernetes_objects.h: what the sink is told of which objects. */
#include "objects_world.h"

#include <malloc.h>

#include "random.h"

#define CRD STR_INIT("crd.projectcalico.org/v1")

/* Steps: "[" a list begins, "]" it ends, "-JSON" an object goes, "?JSON" what was asked for as n/a, "!" is given up, all else an
 * object that is there. */
static const struct sequence {
    const char *name;
    struct str api, kind;
    const char *steps[8];
    const char *trace;
    size_t wanted; /* in the end */
} sequences[] = {
#define POD_OF(namespace, name, version, more)                                                     \
    "{\"metadata\":{\"namespace\":\"" namespace "\",\"name\":\"" name                              \
                                                "\",\"resourceVersion\":\"" version "\"" more      \
                                                "},\"spec\":{}}"
#define POD(name, version) POD_OF("n", name, version, "")
#define PODS               STR_INIT("v1"), STR_INIT("Pod")
    {"an object", PODS, {POD("a", "1")}, "+Pod n/a\n", 0},
    {"the same version again", PODS, {POD("a", "1"), POD("a", "1")}, "+Pod n/a\n", 0},
    {"another version", PODS, {POD("a", "1"), POD("a", "2")}, "+Pod n/a\n+Pod n/a\n", 0},
    {"an older version counts too: it is what the server says now",
     PODS,
     {POD("a", "2"), POD("a", "1"), POD("a", "1")},
     "+Pod n/a\n+Pod n/a\n",
     0},
    {"without a version it may be another",
     PODS,
     {POD("a", ""), POD("a", "")},
     "+Pod n/a\n+Pod n/a\n",
     0},
    {"objects are told apart by name and namespace",
     PODS,
     {POD("a", "1"), POD("b", "1"), POD_OF("m", "a", "1", "")},
     "+Pod n/a\n+Pod n/b\n+Pod m/a\n",
     0},
    {"one goes", PODS, {POD("a", "1"), "-" POD("a", "2")}, "+Pod n/a\n-Pod n/a\n", 0},
    {"it goes once",
     PODS,
     {POD("a", "1"), "-" POD("a", "2"), "-" POD("a", "2")},
     "+Pod n/a\n-Pod n/a\n",
     0},
    {"one that was never there", PODS, {"-" POD("a", "1")}, "", 0},
    {"it comes again in the same version",
     PODS,
     {POD("a", "1"), "-" POD("a", "1"), POD("a", "1")},
     "+Pod n/a\n-Pod n/a\n+Pod n/a\n",
     0},
    {"apiVersion and kind may stand there",
     PODS,
     {"{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\",\"namespace\":\"n\"},"
      "\"spec\":{}}"},
     "+Pod n/a\n",
     0},
    {"no namespace is the default one",
     PODS,
     {"{\"metadata\":{\"name\":\"a\"},\"spec\":{}}", "-{\"metadata\":{\"name\":\"a\"}}"},
     "+Pod default/a\n-Pod default/a\n",
     0},

    {"a first list", PODS, {"[", POD("a", "1"), POD("b", "1"), "]"}, "+Pod n/a\n+Pod n/b\n", 0},
    {"an empty list", PODS, {"[", "]"}, "", 0},
    {"what a list does not have is gone",
     PODS,
     {POD("a", "1"), POD("b", "1"), "[", POD("b", "1"), "]"},
     "+Pod n/a\n+Pod n/b\n-Pod n/a\n",
     0},
    {"all is gone, once", PODS, {POD("a", "1"), "[", "]", "[", "]"}, "+Pod n/a\n-Pod n/a\n", 0},
    {"a list has changed ones",
     PODS,
     {POD("a", "1"), "[", POD("a", "2"), "]"},
     "+Pod n/a\n+Pod n/a\n",
     0},
    {"nothing is gone before the end", PODS, {POD("a", "1"), "["}, "+Pod n/a\n", 0},
    {"a list that begins anew",
     PODS,
     {POD("a", "1"), POD("b", "1"), "[", POD("a", "1"), "[", POD("b", "1"), "]"},
     "+Pod n/a\n+Pod n/b\n-Pod n/a\n",
     0},
    {"one goes while a list comes",
     PODS,
     {POD("a", "1"), "[", POD("a", "1"), "-" POD("a", "2"), "]"},
     "+Pod n/a\n-Pod n/a\n",
     0},

#define WRONG(name, version) POD_OF("n", name, version, ",\"labels\":{\"a\":1}")
    {"a wrong pod refuses", PODS, {WRONG("a", "1")}, "!Pod n/a\n", 0},
    {"a wrong version leaves the sound one",
     PODS,
     {POD("a", "1"), WRONG("a", "2"), "[", WRONG("a", "2"), "]"},
     "+Pod n/a\n",
     0},
    {"a sound one after a wrong one",
     PODS,
     {WRONG("a", "1"), POD("a", "2")},
     "!Pod n/a\n+Pod n/a\n",
     0},
    {"a sound one after a wrong one after a sound one",
     PODS,
     {POD("a", "1"), WRONG("a", "2"), POD("a", "1")},
     "+Pod n/a\n+Pod n/a\n",
     0},
    {"a wrong namespace is none, and does not go",
     STR_INIT("v1"),
     STR_INIT("Namespace"),
     {"{\"metadata\":{\"name\":\"a\",\"labels\":{\"b\":1}}}", "[", "]"},
     "",
     0},
    {"a wrong policy refuses, always",
     STR_INIT("networking.k8s.io/v1"),
     STR_INIT("NetworkPolicy"),
     {"{\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"1\"},\"spec\":{\"podSelector\":{}}}",
      "{\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"2\"},\"spec\":5}"},
     "+KubernetesNetworkPolicy default/a\n!KubernetesNetworkPolicy default/a\n",
     0},

    {"without a name it is nothing",
     PODS,
     {"{\"metadata\":{\"namespace\":\"n\"},\"spec\":{}}", "{\"metadata\":{\"name\":5}}", "{}", "[",
      "]"},
     "",
     0},
    {"what cannot be read any more stays in force",
     PODS,
     {POD("a", "1"), "[", "{\"kind\":\"X\",\"metadata\":{\"name\":\"a\",\"namespace\":\"n\"}}",
      "]"},
     "+Pod n/a\n",
     0},
    {"an element that is a list is none",
     PODS,
     {"{\"kind\":\"PodList\",\"metadata\":{\"name\":\"l\"},\"items\":[" POD("a", "1") "," POD(
          "b", "1") "]}",
      "[", "]"},
     "",
     0},

#define POLICY(name, version, spec, more)                                                          \
    "{\"metadata\":{\"namespace\":\"n\",\"name\":\"" name "\",\"resourceVersion\":\"" version      \
    "\"" more "},\"spec\":{" spec "}}"
#define STORED(name)                                                                               \
    ",\"annotations\":{\"projectcalico.org/metadata\":\"{\\\"name\\\":\\\"" name "\\\"}\"}"
#define POLICIES CRD, STR_INIT("NetworkPolicy")
    {"a policy without its prefix",
     POLICIES,
     {POLICY("default.a", "1", "", ""), "-" POLICY("default.a", "2", "", "")},
     "+NetworkPolicy n/a\n-NetworkPolicy n/a\n",
     0},
    {"a policy that was put aside with the name of another is none of the other's business",
     POLICIES,
     {POLICY("default.a", "1", "", STORED("a")), POLICY("default.b", "1", "", STORED("a")),
      "-" POLICY("default.a", "2", "", STORED("a"))},
     "+NetworkPolicy n/a\n+NetworkPolicy n/b\n-NetworkPolicy n/a\n",
     0},
    {"one of two with the same meaning goes",
     POLICIES,
     {POLICY("a", "1", "", ""), POLICY("default.a", "1", "", ""),
      "-" POLICY("default.a", "2", "", "")},
     "+NetworkPolicy n/a\n+NetworkPolicy n/a\n",
     1},
    {"the other of the two goes",
     POLICIES,
     {POLICY("a", "1", "", ""), POLICY("default.a", "1", "", ""), "-" POLICY("a", "2", "", "")},
     "+NetworkPolicy n/a\n+NetworkPolicy n/a\n",
     1},
    {"the one that is left is told again by the list",
     POLICIES,
     {POLICY("a", "1", "", ""), POLICY("default.a", "1", "", ""), "-" POLICY("a", "2", "", ""), "[",
      POLICY("default.a", "1", "", ""), "]"},
     "+NetworkPolicy n/a\n+NetworkPolicy n/a\n+NetworkPolicy n/a\n",
     0},
    {"both of two go",
     POLICIES,
     {POLICY("a", "1", "", ""), POLICY("default.a", "1", "", ""), "-" POLICY("a", "2", "", ""), "[",
      "]"},
     "+NetworkPolicy n/a\n+NetworkPolicy n/a\n-NetworkPolicy n/a\n",
     0},
    {"a third of another tier is none of them",
     POLICIES,
     {POLICY("default.a", "1", "\"tier\":\"t\"", ""), POLICY("a", "1", "", ""),
      "-" POLICY("a", "2", "", "")},
     "+NetworkPolicy n/default.a\n+NetworkPolicy n/a\n-NetworkPolicy n/a\n",
     0},
#define TWINS POLICY("a", "1", "", ""), POLICY("default.a", "1", "", "")
    {"the one that is left is wanted, and comes",
     POLICIES,
     {TWINS, "-" POLICY("default.a", "2", "", ""), "?" POLICY("a", "1", "", ""),
      "?" POLICY("a", "1", "", "")},
     "+NetworkPolicy n/a\n+NetworkPolicy n/a\n+NetworkPolicy n/a\n",
     0},
    {"it has come before: what was asked for may be older",
     POLICIES,
     {TWINS, "-" POLICY("default.a", "2", "", ""), POLICY("a", "9", "", ""),
      "?" POLICY("a", "1", "", "")},
     "+NetworkPolicy n/a\n+NetworkPolicy n/a\n+NetworkPolicy n/a\n",
     0},
    {"it has gone before",
     POLICIES,
     {TWINS, "-" POLICY("default.a", "2", "", ""), "-" POLICY("a", "9", "", ""),
      "?" POLICY("a", "1", "", "")},
     "+NetworkPolicy n/a\n+NetworkPolicy n/a\n-NetworkPolicy n/a\n",
     0},
    {"another comes",
     POLICIES,
     {TWINS, "-" POLICY("default.a", "2", "", ""), "?" POLICY("b", "1", "", ""), "?{}"},
     "+NetworkPolicy n/a\n+NetworkPolicy n/a\n",
     1},
    {"it does not come, but later",
     POLICIES,
     {TWINS, "-" POLICY("default.a", "2", "", ""), "!", "!", POLICY("a", "1", "", "")},
     "+NetworkPolicy n/a\n+NetworkPolicy n/a\n+NetworkPolicy n/a\n",
     0},
    {"nobody has asked", POLICIES, {"?" POLICY("a", "1", "", ""), "!"}, "", 0},
    {"another tier gives it its whole name",
     POLICIES,
     {POLICY("default.a", "1", "", ""), POLICY("default.a", "2", "\"tier\":\"t\"", ""),
      "-" POLICY("default.a", "3", "", "")},
     "+NetworkPolicy n/a\n-NetworkPolicy n/a\n+NetworkPolicy n/default.a\n-NetworkPolicy "
     "n/default.a\n",
     0},
    {"and back",
     POLICIES,
     {POLICY("default.a", "1", "\"tier\":\"t\"", ""), POLICY("default.a", "2", "", ""), "[", "]"},
     "+NetworkPolicy n/default.a\n-NetworkPolicy n/default.a\n+NetworkPolicy n/a\n-NetworkPolicy "
     "n/a\n",
     0},
    {"a new name leaves the old one to another that has it",
     POLICIES,
     {POLICY("a", "1", "", ""), POLICY("default.a", "1", "", ""),
      POLICY("default.a", "2", "\"tier\":\"t\"", "")},
     "+NetworkPolicy n/a\n+NetworkPolicy n/a\n+NetworkPolicy n/default.a\n",
     1},
    {"names of other namespaces mean others",
     POLICIES,
     {POLICY("default.a", "1", "", ""),
      "{\"metadata\":{\"namespace\":\"m\",\"name\":\"default.a\"}}",
      "-{\"metadata\":{\"namespace\":\"m\",\"name\":\"default.a\"}}"},
     "+NetworkPolicy n/a\n!NetworkPolicy m/a\n-NetworkPolicy m/a\n",
     0},
    {"another that means the same, but was not told",
     STR_INIT("v1"),
     STR_INIT("ServiceAccount"),
     {"{\"metadata\":{\"name\":\"a\"}}",
      "{\"metadata\":{\"name\":\"a\",\"namespace\":\"default\",\"labels\":1}}",
      "-{\"metadata\":{\"name\":\"a\"}}", "[", "]"},
     "+ServiceAccount default/a\n-ServiceAccount default/a\n",
     0},
    {"three and four, of a server that leaves out the namespace, go one by one",
     POLICIES,
     {"{\"metadata\":{\"name\":\"a\"},\"spec\":{}}",
      "{\"metadata\":{\"name\":\"default.a\"},\"spec\":{}}",
      "{\"metadata\":{\"namespace\":\"default\",\"name\":\"default.a\"},\"spec\":{}}",
      "-{\"metadata\":{\"name\":\"default.a\"}}", "-{\"metadata\":{\"name\":\"a\"}}",
      "-{\"metadata\":{\"namespace\":\"default\",\"name\":\"default.a\"}}"},
     "+NetworkPolicy default/a\n+NetworkPolicy default/a\n+NetworkPolicy default/a\n"
     "-NetworkPolicy default/a\n",
     0},
    {"of the whole cluster",
     CRD,
     STR_INIT("GlobalNetworkPolicy"),
     {"{\"metadata\":{\"name\":\"default.a\"},\"spec\":{}}",
      "{\"metadata\":{\"name\":\"a\"},\"spec\":{}}", "-{\"metadata\":{\"name\":\"a\"}}"},
     "+GlobalNetworkPolicy a\n+GlobalNetworkPolicy a\n",
     1},
};

static void take_wanted(struct world *world, struct str json)
{
    CLEANUP_ARENA struct arena arena = {0};
    struct doc_file file = doc_load(&arena, json, true);
    kubernetes_objects_take_wanted(&world->objects, STR("n/a"), file.entries[0].root);
}

static void step(struct world *world, const char *text)
{
    if (strcmp(text, "[") == 0)
        kubernetes_objects_begin(&world->objects);
    else if (strcmp(text, "]") == 0)
        kubernetes_objects_end(&world->objects);
    else if (text[0] == '?')
        take_wanted(world, str_from_c(text + 1));
    else if (text[0] == '!')
        kubernetes_objects_give_up(&world->objects, STR("n/a"));
    else
        world_take(world, str_from_c(text[0] == '-' ? text + 1 : text), text[0] == '-');
}

static void test_sequences(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(sequences); i++) {
        const struct sequence *s = &sequences[i];
        struct world world;
        world_start(&world, s->api, s->kind);
        for (size_t j = 0; j < COUNT(s->steps) && s->steps[j] != NULL; j++)
            step(&world, s->steps[j]);
        check_text(s->name, buf_str(&world.trace), str_from_c(s->trace));
        check_number(s->name, (long long)world.objects.wanted, (long long)s->wanted);
        world_end(&world);
    }
}

static void test_problems(void **state)
{
    (void)state;
    static const struct {
        const char *name, *object, *problem;
    } cases[] = {
        {"an error", WRONG("a", "1"),
         "Bad resource|Pod n/a|Pod n/a: metadata.labels.a: expected a string, found the number "
         "`1`"},
        {"a warning",
         POD_OF("n", "a", "1",
                ",\"annotations\":{\"cni.projectcalico.org/allowedSourcePrefixes\":\"[]\"}"),
         "Questionable resource|Pod n/a|Pod n/a: "
         "metadata.annotations[\"cni.projectcalico.org/allowedSourcePrefixes\"]: ignored, whatever "
         "workloadSourceSpoofing says: no other addresses than the pod's own stand for it"},
        {"without a namespace", "{\"metadata\":{\"name\":\"a\",\"labels\":1},\"spec\":{}}",
         "Bad resource|Pod a|Pod default/a: metadata.labels: expected a map, found the number `1`"},
        {"without a name", "{\"metadata\":{\"namespace\":\"n\",\"resourceVersion\":\"1\"}}",
         "Bad resource|Pod n/|"},
        {"a name of control characters",
         "{\"metadata\":{\"name\":\"a\\n\\u001bb\",\"resourceVersion\":\"1\"},\"spec\":{}}",
         "Bad resource|Pod a\n\x1b"
         "b|"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct world world;
        world_start(&world, STR("v1"), STR("Pod"));
        step(&world, cases[i].object);
        buf_append_byte(&world.problem, '\0');
        if (strncmp(world.problem.data, cases[i].problem, strlen(cases[i].problem)) != 0)
            fail_msg("%s: %s", cases[i].name, world.problem.data);
        world_end(&world);
    }
}

/* A list that has the same version again does not say it again. */
static void test_a_problem_is_told_once_a_version(void **state)
{
    (void)state;
    struct world world;
    world_start(&world, STR("v1"), STR("Pod"));
    step(&world, WRONG("a", "1"));
    assert_int_equal(world.problems, 1);
    step(&world, "[");
    step(&world, WRONG("a", "1"));
    step(&world, "]");
    assert_int_equal(world.problems, 1);
    step(&world, WRONG("a", "2"));
    assert_int_equal(world.problems, 2);
    world_end(&world);
}

/* ---- memory ---- */

/* Of one that has many, most are only counted. */
static void test_many_problems(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf json = {0};
    struct world world;
    world_start(&world, STR("v1"), STR("Pod"));
    buf_append_str(&json, STR("{\"metadata\":{\"namespace\":\"n\",\"name\":\"a\",\"labels\":{"));
    for (int i = 0; i < 300; i++)
        buf_printf(&json, "%s\"l%d\":1", i > 0 ? "," : "", i);
    buf_append_str(&json, STR("}},\"spec\":{}}"));
    world_take(&world, buf_str(&json), false);
    assert_int_equal(world.problems, 21);
    check_text("the last", buf_str(&world.problem),
               STR("Bad resource|Pod n/a|and 280 problems more"));
    world_end(&world);
}

static void test_memory_of_an_object(void **state)
{
    (void)state;
    enum { PODS_COUNT = 20000, NAMES = 36, MOST = 170 };
    struct world world;
    world_start(&world, STR("v1"), STR("Pod"));
    size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
    for (unsigned i = 0; i < PODS_COUNT; i++) {
        char pod[256];
        snprintf(pod, sizeof(pod), POD_OF("namespace-%05u", "deployment-7d4-%05u", "%u", ""),
                 i % 100, i, i);
        world.trace.len = 0;
        world_take(&world, str_from_c(pod), false);
    }
    size_t after = mallinfo2().uordblks + mallinfo2().hblkhd;
    assert_int_equal(world.objects.known.count, PODS_COUNT);
    if (after - before > PODS_COUNT * MOST)
        fail_msg("%zu bytes a pod", (after - before) / PODS_COUNT);
    world_end(&world);
}

/* ---- from scratch ---- */

enum { NAME_COUNT = 4 };
static const char *const names[NAME_COUNT] = {"a", "default.a", "b", "default.b"};

/* What the cluster holds: the text of each object, or nothing. */
struct cluster {
    char objects[NAME_COUNT][256];
    unsigned version;
};

/* One of the objects in a new version: of one tier or another, under its own name or a stored one. */
static void change(struct cluster *cluster, size_t which, struct random *r)
{
    static const char *const specs[] = {"", "\"tier\":\"t\"", "\"order\":\"wrong\""};
    static const char *const stored[] = {"", "", STORED("a"), STORED("b"), STORED("default.a")};
    snprintf(cluster->objects[which], sizeof(cluster->objects[which]),
             POLICY("%s", "%u", "%s", "%s"), names[which], ++cluster->version,
             stored[random_below(r, COUNT(stored))], specs[random_below(r, COUNT(specs))]);
}

static void tell_list(struct world *world, const struct cluster *cluster)
{
    kubernetes_objects_begin(&world->objects);
    for (size_t i = 0; i < NAME_COUNT; i++) {
        if (cluster->objects[i][0] != '\0')
            world_take(world, str_from_c(cluster->objects[i]), false);
    }
    kubernetes_objects_end(&world->objects);
}

/* The resources that the sink has, as a list of those that were told and have not gone, sorted. */
static void collect(const struct world *world, struct buf *out)
{
    struct str has[32], rest = buf_str(&world->trace), line;
    size_t count = 0;
    while (rest.len > 0) {
        str_cut(rest, '\n', &line, &rest);
        struct str key = str_from(line, 1);
        size_t i = 0;
        while (i < count && str_cmp(has[i], key) < 0)
            i++;
        bool is_there = i < count && str_eq(has[i], key);
        if (line.ptr[0] == '-') {
            CHECK(quote(key).text, is_there);
            memmove(has + i, has + i + 1, (--count - i) * sizeof(has[0]));
        } else if (!is_there) {
            assert_true(count < COUNT(has));
            memmove(has + i + 1, has + i, (count++ - i) * sizeof(has[0]));
            has[i] = key;
        }
    }
    for (size_t i = 0; i < count; i++)
        buf_printf(out, "%.*s\n", STR_ARG(has[i]));
}

static void check_from_scratch(const struct world *world, const struct cluster *cluster)
{
    struct world fresh;
    CLEANUP_BUF struct buf got = {0};
    CLEANUP_BUF struct buf expected = {0};
    world_start(&fresh, STR("crd.projectcalico.org/v1"), STR("NetworkPolicy"));
    tell_list(&fresh, cluster);
    collect(world, &got);
    collect(&fresh, &expected);
    check_text("resources", buf_str(&got), buf_str(&expected));
    world_end(&fresh);
}

/* After any changes the sink has the resources that it would have had from the beginning, and is told of no end twice. */
static void test_changes(void **state)
{
    (void)state;
    struct random r = random_start();
    for (int i = 0; i < 300; i++) {
        struct world world;
        struct cluster cluster = {0};
        world_start(&world, STR("crd.projectcalico.org/v1"), STR("NetworkPolicy"));
        for (int j = 0; j < 30; j++) {
            size_t which = random_below(&r, NAME_COUNT), what = random_below(&r, 8);
            char *object = cluster.objects[which];
            bool is_there = object[0] != '\0';
            if (what < 4 || !is_there)
                change(&cluster, which, &r);
            if (what < 2 && is_there)
                continue; /* the watch has missed it; the list will have it */
            if (what < 6) {
                world_take(&world, str_from_c(object), false);
            } else if (what < 7 && is_there) {
                world_take(&world, str_from_c(object), true);
                object[0] = '\0';
            } else {
                tell_list(&world, &cluster);
            }
        }
        tell_list(&world, &cluster);
        check_from_scratch(&world, &cluster);
        memset(&cluster, 0, sizeof(cluster));
        tell_list(&world, &cluster);
        check_from_scratch(&world, &cluster);
        assert_int_equal(
            world.objects.known.count + world.objects.renamed.count + world.objects.wanted, 0);
        world_end(&world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sequences),
        cmocka_unit_test(test_problems),
        cmocka_unit_test(test_a_problem_is_told_once_a_version),
        cmocka_unit_test(test_many_problems),
        cmocka_unit_test(test_memory_of_an_object),
        cmocka_unit_test(test_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
