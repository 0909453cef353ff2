/* ipset.h: members as values, the three types, deltas, and nets against a plain list. */
#include "authz/ipset.h"

#include "base/mem.h"
#include "random.h"

enum { MEMBERS = 4 };

static struct psync_strings strings(struct str items[], const char *const *texts, size_t limit)
{
    size_t count = 0;
    while (count < limit && texts[count] != NULL) {
        items[count] = str_from_c(texts[count]);
        count++;
    }
    return (struct psync_strings){items, count};
}

static struct authz_ipset *make_set(int type, const char *const *members, size_t limit,
                                    struct str *bad_member)
{
    struct str items[16];
    struct psync_ipset_update update = {STR("s"), type, strings(items, members, limit)};
    return authz_ipset_new(&update, bad_member);
}

static struct ip_addr addr(const char *text)
{
    struct ip_addr a;
    CHECK(text, ip_parse_addr(str_from_c(text), &a));
    return a;
}

static void test_addresses(void **state)
{
    (void)state;
    static const struct {
        int type;
        const char *members[MEMBERS];
        const char *addr;
        bool contains;
    } cases[] = {
        {PSYNC_SET_IP, {NULL}, "10.0.0.1", false},
        {PSYNC_SET_IP, {"10.0.0.1", "10.0.0.3"}, "10.0.0.1", true},
        {PSYNC_SET_IP, {"10.0.0.1", "10.0.0.3"}, "10.0.0.2", false},
        {PSYNC_SET_IP, {"::ffff:10.0.0.1"}, "10.0.0.1", true},
        {PSYNC_SET_IP, {"10.0.0.1"}, "::ffff:a00:1", true},
        {PSYNC_SET_IP, {"2001:DB8::1"}, "2001:db8:0::1", true},
        {PSYNC_SET_IP, {"a00:1::"}, "10.0.0.1", false},
        {PSYNC_SET_IP, {"0.0.0.0"}, "::", false},
        {PSYNC_SET_NET, {NULL}, "::1", false},
        {PSYNC_SET_NET, {"10.0.0.0/8"}, "10.1.2.3", true},
        {PSYNC_SET_NET, {"10.9.9.9/8"}, "10.1.2.3", true},
        {PSYNC_SET_NET, {"10.0.0.0/8"}, "11.0.0.0", false},
        {PSYNC_SET_NET, {"10.0.0.1"}, "10.0.0.1", true},
        {PSYNC_SET_NET, {"10.0.0.1"}, "10.0.0.0", false},
        {PSYNC_SET_NET, {"::1"}, "::1", true},
        {PSYNC_SET_NET, {"::ffff:10.0.0.0/104"}, "10.200.0.1", true},
        {PSYNC_SET_NET, {"::ffff:10.0.0.1"}, "10.0.0.1", true},
        {PSYNC_SET_NET, {"0.0.0.0/0"}, "203.0.113.1", true},
        {PSYNC_SET_NET, {"0.0.0.0/0"}, "2001:db8::1", false},
        {PSYNC_SET_NET, {"::/0"}, "2001:db8::1", true},
        {PSYNC_SET_NET, {"::/0"}, "203.0.113.1", false},
        {PSYNC_SET_NET, {"::ffff:0:0/95"}, "203.0.113.1", false},
        {PSYNC_SET_NET, {"2001:db8::/63", "2001:db8::/64"}, "2001:db8:0:1::", true},
        {PSYNC_SET_NET, {"2001:db8::/65"}, "2001:db8::8000:0:0:0", false},
        {PSYNC_SET_NET, {"2001:db8::/127"}, "2001:db8::1", true},
        {PSYNC_SET_NET, {"2001:db8::/128"}, "2001:db8::1", false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct str bad;
        struct ip_addr a = addr(cases[i].addr);
        struct authz_ipset *set = make_set(cases[i].type, cases[i].members, MEMBERS, &bad);
        check_text(cases[i].addr, bad, STR(""));
        CHECK(cases[i].addr, authz_ipset_has_addresses(set) && !authz_ipset_has_ports(set));
        check_number(cases[i].addr, authz_ipset_contains(set, &a), cases[i].contains);
        authz_ipset_unref(set);
    }
}

static void test_ports(void **state)
{
    (void)state;
    static const char *const members[] = {"10.0.0.1,tcp:80", "::ffff:10.0.0.2,UDP:0",
                                          "2001:db8::1,Sctp:65535", "10.0.0.1,udplite:443"};
    static const struct {
        const char *addr;
        uint8_t protocol;
        uint16_t port;
        bool contains;
    } cases[] = {
        {"10.0.0.1", 6, 80, true},          {"::ffff:10.0.0.1", 6, 80, true},
        {"10.0.0.1", 6, 81, false},         {"10.0.0.1", 17, 80, false},
        {"10.0.0.2", 6, 80, false},         {"10.0.0.2", 17, 0, true},
        {"2001:db8::1", 132, 65535, true},  {"2001:db8::1", 132, 65534, false},
        {"2001:db8::2", 132, 65535, false}, {"10.0.0.1", 136, 443, true},
        {"10.0.0.1", 6, 20480, false},
    };
    struct str bad;
    struct authz_ipset *set = make_set(PSYNC_SET_IP_AND_PORT, members, COUNT(members), &bad);
    check_text("all members", bad, STR(""));
    assert_true(authz_ipset_has_ports(set) && !authz_ipset_has_addresses(set));
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct ip_addr a = addr(cases[i].addr);
        check_number(cases[i].addr,
                     authz_ipset_contains_port(set, &a, cases[i].protocol, cases[i].port),
                     cases[i].contains);
    }
    authz_ipset_unref(set);
}

static void test_bad_members(void **state)
{
    (void)state;
    static const struct {
        int type;
        struct str member;
    } cases[] = {
        {PSYNC_SET_IP, STR_INIT("10.0.0.0/8")},
        {PSYNC_SET_IP, STR_INIT("10.0.0.1/32")},
        {PSYNC_SET_IP, STR_INIT("10.0.0.01")},
        {PSYNC_SET_IP, STR_INIT("fe80::1%eth0")},
        {PSYNC_SET_IP, STR_INIT("10.0.0.1\0")},
        {PSYNC_SET_IP, STR_INIT("10.0.0.1,tcp:80")},
        {PSYNC_SET_NET, STR_INIT("10.0.0.0/33")},
        {PSYNC_SET_NET, STR_INIT("10.0.0.0/08")},
        {PSYNC_SET_NET, STR_INIT("10.0.0.0/")},
        {PSYNC_SET_NET, STR_INIT("10.0.0")},
        {PSYNC_SET_NET, STR_INIT("::/129")},
        {PSYNC_SET_NET, STR_INIT(" 10.0.0.0/8")},
        {PSYNC_SET_IP_AND_PORT, STR_INIT("10.0.0.1")},
        {PSYNC_SET_IP_AND_PORT, STR_INIT("10.0.0.1,tcp")},
        {PSYNC_SET_IP_AND_PORT, STR_INIT("10.0.0.1,6:80")},
        {PSYNC_SET_IP_AND_PORT, STR_INIT("10.0.0.1,:80")},
        {PSYNC_SET_IP_AND_PORT, STR_INIT("10.0.0.1,quic:80")},
        {PSYNC_SET_IP_AND_PORT, STR_INIT("10.0.0.1,tcp:65536")},
        {PSYNC_SET_IP_AND_PORT, STR_INIT("10.0.0.1,tcp:080")},
        {PSYNC_SET_IP_AND_PORT, STR_INIT("10.0.0.1,tcp:")},
        {PSYNC_SET_IP_AND_PORT, STR_INIT("10.0.0.1,tcp:http")},
        {PSYNC_SET_IP_AND_PORT, STR_INIT("10.0.0.1,tcp:80,")},
        {PSYNC_SET_IP_AND_PORT, STR_INIT("10.0.0.0/8,tcp:80")},
        {PSYNC_SET_IP_AND_PORT, STR_INIT(",tcp:80")},
        {3, STR_INIT("10.0.0.1")},
        {-1, STR_INIT("10.0.0.1")},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct str items[] = {cases[i].member, STR("also bad")}, bad;
        struct quoted name = quote(cases[i].member);
        struct psync_ipset_update update = {STR("s"), cases[i].type, {items, 2}};
        struct authz_ipset *set = authz_ipset_new(&update, &bad);
        check_text(name.text, bad, cases[i].member);
        CHECK(name.text, set->unusable);
        CHECK(name.text, !authz_ipset_has_addresses(set) && !authz_ipset_has_ports(set));
        authz_ipset_unref(set);
    }
}

/* An empty member cannot be read, though *bad_member cannot say so. */
static void test_empty_member(void **state)
{
    (void)state;
    static const char *const members[] = {"10.0.0.1", ""};
    struct str bad;
    struct authz_ipset *set = make_set(PSYNC_SET_NET, members, 2, &bad);
    assert_true(set->unusable);
    authz_ipset_unref(set);
}

static void test_no_set(void **state)
{
    (void)state;
    struct str bad;
    struct authz_ipset *unknown = make_set(7, NULL, 0, &bad);
    assert_false(authz_ipset_has_addresses(NULL) || authz_ipset_has_ports(NULL));
    assert_false(authz_ipset_has_addresses(unknown) || authz_ipset_has_ports(unknown));
    authz_ipset_ref(NULL);
    authz_ipset_unref(NULL);
    authz_ipset_unref(unknown);
}

/* Releases `old`. */
static struct authz_ipset *apply(struct authz_ipset *old, const char *const *added,
                                 const char *const *removed, struct str *bad)
{
    struct str in[MEMBERS], out[MEMBERS];
    struct psync_ipset_delta delta = {STR("s"), strings(in, added, MEMBERS),
                                      strings(out, removed, MEMBERS)};
    struct authz_ipset *set = authz_ipset_apply(old, &delta, bad);
    authz_ipset_unref(old);
    return set;
}

static void test_deltas(void **state)
{
    (void)state;
    static const struct {
        const char *name, *before[MEMBERS], *added[MEMBERS], *removed[MEMBERS];
        const char *addr;
        bool contains;
    } cases[] = {
        {"nothing", {"10.0.0.1"}, {NULL}, {NULL}, "10.0.0.1", true},
        {"added", {NULL}, {"10.0.0.1"}, {NULL}, "10.0.0.1", true},
        {"removed", {"10.0.0.1"}, {NULL}, {"10.0.0.1"}, "10.0.0.1", false},
        {"additions first", {NULL}, {"10.0.0.1"}, {"10.0.0.1"}, "10.0.0.1", false},
        {"added twice, removed once",
         {"10.0.0.1"},
         {"10.0.0.1", "10.0.0.1/32"},
         {"10.0.0.1"},
         "10.0.0.1",
         false},
        {"removed in another spelling",
         {"10.0.0.1/32"},
         {NULL},
         {"::ffff:10.0.0.1"},
         "10.0.0.1",
         false},
        {"removed what is not there", {"10.0.0.1"}, {NULL}, {"10.0.0.2"}, "10.0.0.1", true},
        {"a net is not its address", {"10.0.0.0/8"}, {NULL}, {"10.0.0.1"}, "10.0.0.1", true},
        {"the net around goes",
         {"10.0.0.0/8", "10.0.0.1"},
         {NULL},
         {"10.0.0.0/8"},
         "10.0.0.1",
         true},
        {"a new length", {"10.0.0.1"}, {"10.0.0.0/9"}, {NULL}, "10.1.0.0", true},
        {"the other family", {"10.0.0.1"}, {"2001:db8::/32"}, {"10.0.0.1"}, "2001:db8::7", true},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct str bad;
        struct ip_addr a = addr(cases[i].addr);
        struct authz_ipset *set = make_set(PSYNC_SET_NET, cases[i].before, MEMBERS, &bad);
        set = apply(set, cases[i].added, cases[i].removed, &bad);
        check_text(cases[i].name, bad, STR(""));
        CHECK(cases[i].name, authz_ipset_has_addresses(set));
        check_number(cases[i].name, authz_ipset_contains(set, &a), cases[i].contains);
        authz_ipset_unref(set);
    }
}

static void test_old_version_stays(void **state)
{
    (void)state;
    struct str bad;
    struct ip_addr first = addr("10.0.0.1"), second = addr("10.0.0.2");
    struct authz_ipset *old = make_set(PSYNC_SET_IP, (const char *const[]){"10.0.0.1"}, 1, &bad);
    authz_ipset_ref(old);
    struct authz_ipset *new = apply(old, (const char *const[]){"10.0.0.2", NULL},
                                    (const char *const[]){"10.0.0.1", NULL}, &bad);
    assert_true(authz_ipset_contains(old, &first) && !authz_ipset_contains(old, &second));
    authz_ipset_unref(old);
    assert_true(!authz_ipset_contains(new, &first) && authz_ipset_contains(new, &second));
    authz_ipset_unref(new);
}

static void test_delta_without_set(void **state)
{
    (void)state;
    static const char *const added[] = {"10.0.0.1", NULL}, *const none[] = {NULL};
    struct str bad;
    struct authz_ipset *set = apply(NULL, added, none, &bad);
    assert_false(authz_ipset_has_addresses(set) || authz_ipset_has_ports(set));
    set = apply(set, added, none, &bad);
    assert_false(authz_ipset_has_addresses(set) || authz_ipset_has_ports(set));
    authz_ipset_unref(set);
}

/* Once a member could not be read, no delta makes the set usable again, not even one that removes
 * it. */
static void test_bad_delta(void **state)
{
    (void)state;
    static const char *const good[] = {"10.0.0.1", NULL}, *const worse[] = {"x", NULL},
                             *const none[] = {NULL};
    static const struct {
        const char *name;
        const char *const *added, *const *removed;
    } cases[] = {{"bad addition", worse, none}, {"bad removal", good, worse}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct str bad;
        struct authz_ipset *set = make_set(PSYNC_SET_IP, good, 1, &bad);
        set = apply(set, cases[i].added, cases[i].removed, &bad);
        check_text(cases[i].name, bad, STR("x"));
        CHECK(cases[i].name, !authz_ipset_has_addresses(set));
        set = apply(set, none, worse, &bad);
        CHECK(cases[i].name, !authz_ipset_has_addresses(set));
        set = apply(set, good, none, &bad);
        CHECK(cases[i].name, !authz_ipset_has_addresses(set));
        authz_ipset_unref(set);
    }
}

/* Few distinct bytes, so that nets and addresses meet. */
static struct ip_addr random_addr(struct random *random)
{
    static const uint8_t bytes[] = {0, 1, 0x80, 0xff};
    struct ip_addr a = {.family = random_below(random, 2) == 0 ? 4 : 6};
    for (unsigned i = 0; i < ip_bits(a.family) / 8; i++)
        a.bytes[i] = bytes[random_below(random, i < 2 ? 2 : COUNT(bytes))];
    return a;
}

/* A NET set beside the list of its nets. */
struct listed {
    struct authz_ipset *set;
    struct ip_net nets[400];
    size_t count;
};

static void listed_add(struct listed *l, struct ip_net net)
{
    for (size_t i = 0; i < l->count; i++) {
        if (memcmp(&l->nets[i], &net, sizeof(net)) == 0)
            return;
    }
    l->nets[l->count++] = net;
}

static void listed_remove(struct listed *l, struct ip_net net)
{
    for (size_t i = 0; i < l->count; i++) {
        if (memcmp(&l->nets[i], &net, sizeof(net)) == 0) {
            l->nets[i] = l->nets[--l->count];
            return;
        }
    }
}

static void listed_change(struct listed *l, struct random *random)
{
    enum { MOST = 20 };
    CLEANUP_ARENA struct arena arena = {0};
    struct ip_net in[MOST], out[MOST];
    struct str added[MOST], removed[MOST], bad;
    size_t count = random_below(random, MOST + 1), removals = random_below(random, MOST + 1);
    for (size_t i = 0; i < count; i++) {
        struct ip_addr a = random_addr(random);
        in[i] = ip_mask(a, (unsigned)random_below(random, ip_bits(a.family) + 1));
        added[i] = arena_copy(&arena, str_from_c(ip_format_net(&in[i]).text));
        listed_add(l, in[i]);
    }
    for (size_t i = 0; i < removals; i++) {
        out[i] = l->count > 0 ? l->nets[random_below(random, l->count)]
                              : ip_mask(random_addr(random), 8);
        removed[i] = arena_copy(&arena, str_from_c(ip_format_net(&out[i]).text));
        listed_remove(l, out[i]);
    }
    struct psync_ipset_delta delta = {STR("s"), {added, count}, {removed, removals}};
    struct authz_ipset *next = authz_ipset_apply(l->set, &delta, &bad);
    authz_ipset_unref(l->set);
    l->set = next;
}

static bool listed_contains(const struct listed *l, const struct ip_addr *a)
{
    for (size_t i = 0; i < l->count; i++) {
        if (ip_net_contains(&l->nets[i], a))
            return true;
    }
    return false;
}

static void test_nets_against_list(void **state)
{
    (void)state;
    struct random random = random_start();
    size_t hits = 0, misses = 0;
    for (int round = 0; round < 100; round++) {
        struct str bad;
        struct listed l = {.set = make_set(PSYNC_SET_NET, NULL, 0, &bad)};
        for (int step = 0; step < 15; step++) {
            listed_change(&l, &random);
            for (int look = 0; look < 50; look++) {
                struct ip_addr a = random_addr(&random);
                bool expected = listed_contains(&l, &a);
                check_number(ip_format_addr(&a).text, authz_ipset_contains(l.set, &a), expected);
                hits += expected;
                misses += !expected;
            }
        }
        authz_ipset_unref(l.set);
    }
    assert_true(hits > 1000 && misses > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_ports),
        cmocka_unit_test(test_bad_members),
        cmocka_unit_test(test_empty_member),
        cmocka_unit_test(test_no_set),
        cmocka_unit_test(test_deltas),
        cmocka_unit_test(test_old_version_stays),
        cmocka_unit_test(test_delta_without_set),
        cmocka_unit_test(test_bad_delta),
        cmocka_unit_test(test_nets_against_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
