/* label_index.h: what is told of matches, where selectors are filed, what a parent's change does. */
#include "calc/label_index.h"

#include "calc/label_private.h"

#include "label_world.h"

/* ---- what is told ---- */

static void note_group(void *ctx, struct label_group *group)
{
    struct buf *out = ctx;
    buf_append_byte(out, '(');
    append_members(out, group);
    buf_append_byte(out, ')');
}

static void check_each_match(const char *name, const struct rule *rule, const char *expected)
{
    CLEANUP_BUF struct buf out = {0};
    label_selector_each_match(&rule->selector, note_group, &out);
    check_text(name, buf_str(&out), str_from_c(expected));
}

static void test_events(void **state)
{
    (void)state;
    struct world world;
    struct subject a = {.name = 'a'}, b = {.name = 'b'}, c = {.name = 'c'};
    struct rule web = {.name = "web"}, all = {.name = "all"};
    open_world(&world);
    join(&world, &a, "app=web", "");
    join(&world, &b, "app=web", "");
    join(&world, &c, "app=db", "");
    add(&world, &web, "app == 'web'");
    check_trace("add", &world, "+web(ab)");
    check_each_match("each", &web, "(ab)");
    leave(&world, &b);
    check_trace("leave", &world, "");
    CHECK("others stay", group_matches(&a, &web));
    join(&world, &b, "app=web v=2", "");
    check_trace("join", &world, "");
    CHECK("its owner looks itself", group_matches(&b, &web));
    CHECK("nobody else", !group_matches(&c, &web));
    drop(&world, &web);
    CHECK("not any more", !group_matches(&a, &web) && !group_matches(&b, &web));
    world.trace.len = 0;
    add(&world, &all, "all()");
    check_stats("all", &world, 3, 1, 1, 0);
    world.trace.len = 0;
    leave(&world, &a);
    leave(&world, &b);
    check_each_match("each of all", &all, "(c)");
    drop(&world, &all);
    check_trace("removed", &world, "-all(c)");
    leave(&world, &c);
    check_stats("nothing", &world, 0, 0, 0, 0);
    close_world(&world);
}

/* ---- filing ---- */

/* Each selector beside a member that it matches, and whether it can be filed. */
static const struct {
    const char *text, *labels, *parents;
    bool filed;
} filings[] = {
    {"all()", "", "", false},
    {"global()", "", "", false},
    {"", "", "", false},
    {"!has(a)", "b=1", "", false},
    {"a != '1'", "", "", false},
    {"a != '1'", "a=2", "", false},
    {"a not in {'1'}", "", "", false},
    {"a not in {}", "a=1", "", false},
    {"!(a == '1')", "", "", false},
    {"!(a != '1')", "a=1", "", false},
    {"a == '1' || all()", "", "", false},
    {"a == '1' || !has(b)", "a=2", "", false},
    {"has(a) || a != '1'", "", "", false},
    {"a == '1'", "a=1 b=1", "", true},
    {"a == ''", "a=", "", true},
    {"a == '1'", "b=1", "p", true},
    {"a in {'1', '2', '3'}", "a=3", "", true},
    {"a in {'1', '2', '3'}", "", "p", true},
    {"has(a)", "a=", "", true},
    {"has(a)", "", "p", true},
    {"a contains '1'", "a=x1y", "", true},
    {"a starts with ''", "a=", "", true},
    {"a ends with '1'", "", "p", true},
    {"a == '1' && !has(b)", "a=1", "", true},
    {"!has(b) && a == '1'", "a=1", "", true},
    {"a != '2' && b == '1'", "b=1", "", true},
    {"all() && a == '1'", "a=1", "", true},
    {"a == '1' || b == '2'", "b=2", "", true},
    {"a == '1' || b == '2'", "", "p", true},
    {"a == '1' || a == '1'", "a=1", "", true},
    {"a == '1' || has(a)", "a=2", "", true},
    {"(a == '2' || b == '1') && (c == '1' || d == '1')", "b=1 d=1", "", true},
    {"(a == '2' || b == '1') && (c == '1' || !has(d))", "b=1", "", true},
    {"(has(x) && has(y)) || (a == '1' && b in {'1', '2'})", "a=1 b=2", "", true},
    {"(all() || has(x)) && a == '1'", "a=1", "", true},
};

static void check_filed(const char *name, const struct world *world, bool filed)
{
    check_number(name, (long long)label_index_stats(world->index).unrestricted, filed ? 0 : 1);
}

/* Whoever comes first, they find each other, and part again. */
static void test_filing(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(filings); i++) {
        const char *name = filings[i].text;
        struct world world;
        struct subject a = {.name = 'a'}, other = {.name = 'o'};
        struct rule rule = {.name = "s"};
        open_world(&world);
        world.parents[0] = (struct parent){"p", "", "a=1"};
        join(&world, &a, filings[i].labels, filings[i].parents);
        add(&world, &rule, name);
        check_trace(name, &world, "+s(a)");
        check_filed(name, &world, filings[i].filed);
        drop(&world, &rule);
        check_trace(name, &world, "-s(a)");
        leave(&world, &a);

        add(&world, &rule, name);
        check_filed(name, &world, filings[i].filed);
        join(&world, &other, "z=1", "");
        join(&world, &a, filings[i].labels, filings[i].parents);
        CHECK(name, group_matches(&a, &rule));
        CHECK(name, !filings[i].filed || !group_matches(&other, &rule));
        check_number(name, a.member.group->matches.count, 1);
        leave(&world, &a);
        leave(&world, &other);
        drop(&world, &rule);
        check_stats(name, &world, 0, 0, 0, 0);
        close_world(&world);
    }
}

/* What matches nothing is filed nowhere, and not tested always either. */
static void test_matches_nothing(void **state)
{
    (void)state;
    static const char *const texts[] = {"a in {}", "a in {} && all()", "b == '1' && a in {}",
                                        "a in {} || b in {}"};
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct world world;
        struct subject a = {.name = 'a'};
        struct rule rule = {.name = "s"};
        open_world(&world);
        join(&world, &a, "a=1 b=1", "");
        add(&world, &rule, texts[i]);
        check_trace(texts[i], &world, "");
        check_stats(texts[i], &world, 1, 1, 0, 0);
        check_number(texts[i], rule.selector.entry_count, 0);
        close_world(&world);
        arena_free(&rule.arena);
    }
}

/* Of several labels that it needs, a selector is filed under the rarest. */
static void test_rarest(void **state)
{
    (void)state;
    static const struct {
        const char *text, *filed;
    } cases[] = {
        {"common == '1' && rare == '1'", "rare=1"},
        {"rare == '1' && common == '1'", "rare=1"},
        {"common == '1' && has(rare)", "rare"},
        {"common == '1' && inherited == '1'", "common=1"}, /* three groups, and four */
        {"inherited == '1' && common == '1'", "common=1"},
        {"common == '1' && none == '1'", "none=1"},
        {"common == '1' && (rare == '1' || none == '1')", "rare=1 none=1"},
        {"rare == '1' && common in {'1', '2'}", "rare=1"},
        {"common == '1' && common == '2'", "common=2"},
        {"!has(x) && common == '1'", "common=1"},
    };
    struct world world;
    struct subject members[] = {{.name = 'a'}, {.name = 'b'}, {.name = 'c'}, {.name = 'd'}};
    static const char *const labels[] = {"common=1 rare=1", "common=1", "common=1 x=1", "y=1"};
    open_world(&world);
    world.parents[0] = (struct parent){"p", "", "inherited=1"};
    for (size_t i = 0; i < COUNT(members); i++)
        join(&world, &members[i], labels[i], "p");
    for (size_t i = 0; i < COUNT(cases); i++) {
        CLEANUP_BUF struct buf filed = {0};
        struct rule rule = {.name = "s"};
        add(&world, &rule, cases[i].text);
        for (uint32_t j = 0; j < rule.selector.entry_count; j++) {
            const struct label_entry *entry = &rule.selector.entries[j];
            buf_printf(&filed, "%s%.*s", j > 0 ? " " : "", STR_ARG(entry->key->name));
            if (entry->pair != NULL)
                buf_printf(&filed, "=%.*s", STR_ARG(entry->pair->value));
        }
        check_text(cases[i].text, buf_str(&filed), str_from_c(cases[i].filed));
        drop(&world, &rule);
    }
    close_world(&world);
}

/* Where two are as rare, the one with fewer selectors. */
static void test_less_crowded(void **state)
{
    (void)state;
    struct world world;
    struct subject a = {.name = 'a'};
    struct rule first = {.name = "first"}, second = {.name = "second"};
    open_world(&world);
    join(&world, &a, "x=1 y=1", "");
    add(&world, &first, "x == '1' && y == '1'");
    add(&world, &second, "x == '1' && y == '1'");
    check_text("first", first.selector.entries[0].key->name, STR("x"));
    check_text("second", second.selector.entries[0].key->name, STR("y"));
    close_world(&world);
    arena_free(&first.arena);
    arena_free(&second.arena);
}

/* What is rare is worked out from what there is now; and again when a parent changes all of whose groups are where a selector is
 * filed. */
static void test_rare_by_now(void **state)
{
    (void)state;
    struct world world;
    struct subject members[] = {{.name = 'a'}, {.name = 'b'}};
    struct rule before = {.name = "before"}, after = {.name = "after"};
    open_world(&world);
    set_parent(&world, 0, "p", "", "x=1 y=1");
    for (size_t i = 0; i < COUNT(members); i++)
        join(&world, &members[i], i == 0 ? "a=1" : "a=1 b=1", "p");
    add(&world, &before, "has(x) && has(a)");
    check_text("before", before.selector.entries[0].key->name, STR("a"));
    set_parent(&world, 0, "p", "", "y=1");
    add(&world, &after, "has(x) && has(a)");
    check_text("filed anew", before.selector.entries[0].key->name, STR("x"));
    check_text("after", after.selector.entries[0].key->name, STR("x"));
    drop(&world, &before);
    leave(&world, &members[1]);
    add(&world, &before, "b in {'1', '2'} && has(a)");
    check_text("they left", before.selector.entries[0].key->name, STR("b"));
    close_world(&world);
    arena_free(&before.arena);
    arena_free(&after.arena);
}

/* ---- parents ---- */

static void test_parent(void **state)
{
    (void)state;
    struct world world;
    struct subject a = {.name = 'a'}, b = {.name = 'b'}, c = {.name = 'c'};
    struct rule x = {.name = "x"}, y = {.name = "y"}, both = {.name = "both"};
    open_world(&world);
    set_parent(&world, 0, "kns.k", "p.", "p.x=1");
    join(&world, &a, "a=1", "kns.k");
    join(&world, &b, "a=2", "kns.k");
    join(&world, &c, "a=1", "");
    add(&world, &x, "p.x == '1'");
    check_trace("inherited", &world, "+x(a) +x(b)");
    add(&world, &y, "has(p.y)");
    add(&world, &both, "a == '1' && p.x in {'1', '2'}");
    check_trace("in part", &world, "+both(a)");
    set_parent(&world, 0, "kns.k", "p.", "p.x=1");
    check_trace("as before", &world, "");
    set_parent(&world, 0, "kns.k", "p.", "p.x=2 p.y=");
    check_trace("changed", &world, "+y(a) +y(b) -x(a) -x(b)");
    set_parent(&world, 0, "kns.k", "p.", "");
    check_trace("removed", &world, "-both(a) -y(a) -y(b)");
    set_parent(&world, 1, "kns.other", "p.", "p.x=1");
    check_trace("a parent of nobody", &world, "");
    leave(&world, &a);
    leave(&world, &b);
    leave(&world, &c);
    check_stats("left", &world, 0, 3, 0, 0);
    join(&world, &a, "a=1", "kns.k");
    CHECK("asked anew", !group_matches(&a, &x));
    close_world(&world);
    arena_free(&x.arena);
    arena_free(&y.arena);
    arena_free(&both.arena);
}

/* A group's own label wins, then that of the earlier parent. */
static void test_overridden(void **state)
{
    (void)state;
    struct world world;
    struct subject own = {.name = 'o'}, first = {.name = 'f'}, second = {.name = 's'};
    struct rule one = {.name = "one"}, two = {.name = "two"}, none = {.name = "none"};
    struct str value;
    open_world(&world);
    set_parent(&world, 0, "p", "", "x=1");
    set_parent(&world, 1, "q", "", "x=2");
    join(&world, &own, "x=own", "p q");
    join(&world, &first, "", "p q");
    join(&world, &second, "", "q p");
    CHECK("own", label_group_get(own.member.group, STR("x"), &value) && str_eq(value, STR("own")));
    CHECK("none", !label_group_get(own.member.group, STR("y"), &value));
    add(&world, &one, "x == '1'");
    check_trace("one", &world, "+one(f)");
    add(&world, &two, "x == '2'");
    check_trace("two", &world, "+two(s)");
    add(&world, &none, "!has(x)");
    check_trace("none", &world, "");
    set_parent(&world, 0, "p", "", "");
    check_trace("the first has none any more", &world, "+two(f) -one(f)");
    set_parent(&world, 1, "q", "", "y=1");
    check_trace("nor the second", &world, "+none(f) +none(s) -two(f) -two(s)");
    set_parent(&world, 0, "p", "", "x=own");
    check_trace("again", &world, "-none(f) -none(s)");
    close_world(&world);
    arena_free(&one.arena);
    arena_free(&two.arena);
    arena_free(&none.arena);
}

/* Two parents of one prefix: what one passes on does not decide alone. */
static void test_rivals(void **state)
{
    (void)state;
    struct world world;
    struct subject both = {.name = 'b'}, one = {.name = 'o'};
    struct rule x = {.name = "x"}, y = {.name = "y"};
    open_world(&world);
    set_parent(&world, 0, "p", "p.", "p.x=1");
    set_parent(&world, 1, "q", "p.", "p.y=1");
    join(&world, &one, "", "q");
    add(&world, &x, "p.x == '1' && p.y == '1'");
    add(&world, &y, "p.y == '2'");
    check_trace("neither has all", &world, "");
    join(&world, &both, "", "p q");
    CHECK("together", group_matches(&both, &x));
    set_parent(&world, 1, "q", "p.", "p.y=2");
    check_trace("the second's change", &world, "+y(b) +y(o) -x(b)");
    set_parent(&world, 0, "p", "p.", "p.x=1 p.y=1");
    check_trace("hidden by the first", &world, "+x(b) -y(b)");
    leave(&world, &both);
    const struct label_parent *q = map_get(&world.index->parents, STR("q"));
    assert_int_equal(q->groups_rivals, 0);
    set_parent(&world, 1, "q", "p.", "p.x=1 p.y=1");
    check_trace("alone again", &world, "+x(o) -y(o)");
    close_world(&world);
    arena_free(&x.arena);
    arena_free(&y.arena);
}

/* All of it is freed with members and selectors still there. */
static void test_free_with_all(void **state)
{
    (void)state;
    struct world world;
    struct subject members[] = {{.name = 'a'}, {.name = 'b'}, {.name = 'c'}};
    struct rule rules[] = {{.name = "1"}, {.name = "2"}, {.name = "3"}, {.name = "4"}};
    static const char *const texts[] = {"has(p.x)", "!has(a) && b != 'x'", "a in {'1', '2'}",
                                        "a in {}"};
    open_world(&world);
    set_parent(&world, 0, "p", "p.", "p.x=1 p.y=2");
    for (size_t i = 0; i < COUNT(members); i++)
        join(&world, &members[i], i % 2 == 0 ? "a=1" : "b=2", "p none");
    for (size_t i = 0; i < COUNT(rules); i++)
        add(&world, &rules[i], texts[i]);
    close_world(&world);
    for (size_t i = 0; i < COUNT(rules); i++) {
        assert_null(rules[i].selector.entries);
        arena_free(&rules[i].arena);
    }
    label_index_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events),          cmocka_unit_test(test_filing),
        cmocka_unit_test(test_matches_nothing), cmocka_unit_test(test_rarest),
        cmocka_unit_test(test_less_crowded),    cmocka_unit_test(test_rare_by_now),
        cmocka_unit_test(test_parent),          cmocka_unit_test(test_overridden),
        cmocka_unit_test(test_rivals),          cmocka_unit_test(test_free_with_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
