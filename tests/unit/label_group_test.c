/* label_index.h: who shares a group, and what labels a group has. */
#include "calc/label_index.h"

#include "label_world.h"

static void test_groups(void **state)
{
    (void)state;
    static const struct {
        const char *name, *labels, *parents, *other_labels, *other_parents;
        bool same;
    } cases[] = {
        {"nothing", "", "", "", "", true},
        {"the same", "a=1 b=2", "p q", "a=1 b=2", "p q", true},
        {"another value", "a=1", "", "a=2", "", false},
        {"no value", "a=", "", "", "", false},
        {"one label more", "a=1", "", "a=1 b=2", "", false},
        {"name and value exchanged", "a=b", "", "b=a", "", false},
        {"another parent", "a=1", "p", "a=1", "q", false},
        {"one parent more", "a=1", "p", "a=1", "p q", false},
        {"parents in another order", "", "p q", "", "q p", false},
        {"a parent twice", "", "p q p", "", "p q", true},
        {"a parent twice in a row", "a=1", "p p q", "a=1", "p q q", true},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct world world;
        struct subject a = {.name = 'a'}, b = {.name = 'b'};
        open_world(&world);
        join(&world, &a, cases[i].labels, cases[i].parents);
        join(&world, &b, cases[i].other_labels, cases[i].other_parents);
        check_number(cases[i].name, a.member.group == b.member.group, cases[i].same);
        check_number(cases[i].name, (long long)label_index_stats(world.index).groups,
                     cases[i].same ? 1 : 2);
        leave(&world, &a);
        CHECK(cases[i].name, a.member.group == NULL);
        check_number(cases[i].name, (long long)label_index_stats(world.index).groups, 1);
        leave(&world, &b);
        check_stats(cases[i].name, &world, 0, 0, 0, 0);
        close_world(&world);
    }
}

/* Labels are found among any number of others, of its own and of a parent; others are not. */
static void test_values(void **state)
{
    (void)state;
    for (int count = 0; count < 40; count++) {
        CLEANUP_BUF struct buf labels = {0};
        struct world world;
        struct subject a = {.name = 'a'}, b = {.name = 'b'};
        for (int i = 0; i < count; i++)
            buf_printf(&labels, "%sl%02d5=v%d", i > 0 ? " " : "", i, i);
        buf_append_byte(&labels, '\0');
        open_world(&world);
        world.parents[0] = (struct parent){"p", "", labels.data};
        join(&world, &a, labels.data, "");
        join(&world, &b, "", "p");
        for (int i = 0; i <= 400; i++) {
            CLEANUP_ARENA struct arena arena = {0};
            struct str label = arena_printf(&arena, "l%03d", i), value = {NULL, 0};
            bool is_there = i % 10 == 5 && i / 10 < count;
            const struct label_group *groups[] = {a.member.group, b.member.group};
            for (size_t j = 0; j < 2; j++) {
                check_number(label.ptr, label_group_get(groups[j], label, &value), is_there);
                if (is_there)
                    check_text(label.ptr, value, arena_printf(&arena, "v%d", i / 10));
            }
        }
        leave(&world, &a);
        leave(&world, &b);
        close_world(&world);
    }
}

/* Members leave in any order; those that are left are found at their places. */
static void test_members_of_a_group(void **state)
{
    (void)state;
    struct world world;
    struct subject members[] = {{.name = 'a'}, {.name = 'b'}, {.name = 'c'}, {.name = 'd'}};
    struct rule all = {.name = "all"};
    open_world(&world);
    for (size_t i = 0; i < COUNT(members); i++)
        join(&world, &members[i], "x=1", "p");
    leave(&world, &members[1]);
    leave(&world, &members[3]);
    add(&world, &all, "x == '1'");
    check_trace("two are left", &world, "+all(ac)");
    leave(&world, &members[0]);
    drop(&world, &all);
    check_trace("one is left", &world, "-all(c)");
    leave(&world, &members[2]);
    check_stats("all left", &world, 0, 0, 0, 0);
    close_world(&world);
}

/* Groups leave the lists of their labels and parents in any order, too. */
static void test_groups_of_a_label(void **state)
{
    (void)state;
    struct world world;
    struct subject members[] = {{.name = 'a'}, {.name = 'b'}, {.name = 'c'}, {.name = 'd'}};
    static const char *const labels[] = {"x=1 y=1", "x=1 y=2", "w=1 x=1", "x=1"};
    static const char *const parents[] = {"p", "q p", "p q", "p"};
    struct rule one = {.name = "one"}, any = {.name = "any"};
    open_world(&world);
    for (size_t i = 0; i < COUNT(members); i++)
        join(&world, &members[i], labels[i], parents[i]);
    leave(&world, &members[0]);
    leave(&world, &members[2]);
    add(&world, &one, "x == '1' && y == '2'");
    check_trace("by value", &world, "+one(b)");
    set_parent(&world, 0, "p", "", "z=1");
    add(&world, &any, "z == '1' && !has(y)");
    check_trace("by a parent's label", &world, "+any(d)");
    leave(&world, &members[1]);
    drop(&world, &any);
    check_trace("still there", &world, "-any(d)");
    drop(&world, &one);
    check_trace("gone", &world, "");
    leave(&world, &members[3]);
    check_stats("all left", &world, 0, 0, 0, 0);
    close_world(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_members_of_a_group),
        cmocka_unit_test(test_groups_of_a_label),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
