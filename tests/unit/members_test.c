/* members.h: counting, what is told and what need not be, against a plain list of counts. */
#include "calc/members.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/map.h"

#include "message_show.h"
#include "random.h"

/* "10.0.0.0/8", "10.0.0.1,tcp:80" */
static struct member make_member(const char *text)
{
    struct member member = {0};
    struct str place, port, protocol;
    struct ip_net net;
    uint64_t number;
    member.has_port = str_cut(str_from_c(text), ',', &place, &port);
    assert_true(ip_parse_net_or_addr(place, &net));
    member.addr = net.addr;
    member.prefix = net.length;
    if (!member.has_port)
        return member;
    member.prefix = 0;
    str_cut(port, ':', &protocol, &port);
    assert_true(str_parse_uint(port, 65535, &number));
    member.protocol = (uint8_t)ip_protocol_number(protocol);
    member.port = (uint16_t)number;
    return member;
}

static void add(struct members *members, const char *text)
{
    const struct member member = make_member(text);
    members_add(members, &member);
}

static void drop(struct members *members, const char *text)
{
    const struct member member = make_member(text);
    members_remove(members, &member);
}

static void check_all(const char *name, const struct members *members, const char *expected)
{
    CLEANUP_ARENA struct arena arena = {0};
    CLEANUP_BUF struct buf out = {0};
    struct psync_strings all = members_all(members, &arena);
    show_names(&out, "", &all);
    check_text(name, buf_str(&out), str_from_c(expected));
    check_number(name, (long long)members->count, (long long)all.count);
}

static void check_told_are(const char *name, const struct members *members, const char *expected)
{
    CLEANUP_ARENA struct arena arena = {0};
    CLEANUP_BUF struct buf out = {0};
    struct psync_strings told = members_told(members, &arena);
    show_names(&out, "", &told);
    check_text(name, buf_str(&out), str_from_c(expected));
}

static void check_changes(const char *name, struct members *members, const char *expected)
{
    CLEANUP_ARENA struct arena arena = {0};
    CLEANUP_BUF struct buf out = {0};
    struct psync_strings added, removed;
    members_take_changes(members, &arena, &added, &removed);
    show_names(&out, "+", &added);
    show_names(&out, "-", &removed);
    check_text(name, buf_str(&out), str_from_c(expected));
}

static void test_counting(void **state)
{
    (void)state;
    struct members members = {0};
    check_all("empty", &members, "");
    add(&members, "10.0.0.1/32");
    add(&members, "10.0.0.1/32");
    add(&members, "10.0.0.0/31");
    check_all("two sources", &members, " {10.0.0.0/31 10.0.0.1/32}");
    drop(&members, "10.0.0.1/32");
    check_all("one source", &members, " {10.0.0.0/31 10.0.0.1/32}");
    drop(&members, "10.0.0.1/32");
    check_all("no source", &members, " {10.0.0.0/31}");
    drop(&members, "10.0.0.0/31");
    check_all("nothing", &members, "");
    assert_int_equal(members.v4.count, 0);
    members_free(&members);
}

/* None of these is another, however alike their numbers are. */
static const char *const different[] = {
    "0.0.0.0/0",
    "0.0.0.0/6",
    "0.0.0.0,tcp:0",
    "0.0.0.0/17",
    "0.0.0.0,udp:0",
    "0.0.0.0/32",
    "0.0.0.1/32",
    "1.0.0.0/32",
    "255.255.255.255/32",
    "128.0.0.0/1",
    "4.0.0.0/6",
    "4.0.0.0,tcp:0",
    "10.0.0.1,tcp:80",
    "10.0.0.1,tcp:81",
    "10.0.0.1,udp:80",
    "10.0.0.1,sctp:80",
    "10.0.0.2,tcp:80",
    "10.0.0.1/32",
    "10.0.0.1,tcp:65535",
    "::/0",
    "::/6",
    "::,tcp:0",
    "::/128",
    "::1/128",
    "1::/128",
    "8000::/1",
    "fd00::1,tcp:80",
    "fd00::1,udp:80",
    "fd00::1,sctp:80",
    "fd00::2,tcp:80",
    "fd00:0:0:1::/128",
    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128",
};

static void test_different(void **state)
{
    (void)state;
    struct members members = {0};
    CLEANUP_ARENA struct arena arena = {0};
    CLEANUP_BUF struct buf all = {0};
    struct str texts[COUNT(different)];
    struct psync_strings expected = {texts, COUNT(different)};
    for (size_t i = 0; i < COUNT(different); i++) {
        texts[i] = str_from_c(different[i]);
        add(&members, different[i]);
        check_number(different[i], (long long)members.count, (long long)i + 1);
    }
    show_names(&all, "", &expected);
    buf_append_byte(&all, '\0');
    check_all("all", &members, all.data);
    for (size_t i = 0; i < COUNT(different); i++) {
        drop(&members, different[i]);
        check_number(different[i], (long long)members.count, (long long)(COUNT(different) - i - 1));
    }
    check_all("none", &members, "");
    members_free(&members);
}

static void test_changes(void **state)
{
    (void)state;
    struct members members = {0};
    add(&members, "10.0.0.1/32");
    add(&members, "fd00::1/128");
    check_changes("nothing was told", &members, "");
    members_set_told(&members);
    check_changes("all were told", &members, "");
    add(&members, "10.0.0.1/32");
    drop(&members, "10.0.0.1/32");
    check_changes("another source came and went", &members, "");
    add(&members, "10.0.0.2/32");
    drop(&members, "fd00::1/128");
    check_all("before the change is taken", &members, " {10.0.0.1/32 10.0.0.2/32}");
    check_told_are("before the change is taken", &members, " {10.0.0.1/32 fd00::1/128}");
    check_changes("one came, one went", &members, " +{10.0.0.2/32} -{fd00::1/128}");
    check_changes("taken", &members, "");
    drop(&members, "10.0.0.2/32");
    add(&members, "10.0.0.2/32");
    check_changes("went and came back", &members, "");
    add(&members, "10.0.0.3/32");
    drop(&members, "10.0.0.3/32");
    check_changes("came and went", &members, "");
    check_all("after it", &members, " {10.0.0.1/32 10.0.0.2/32}");
    assert_int_equal(members.v4.count, 2);
    assert_int_equal(members.v6.count, 0);
    members_free(&members);
}

/* A set that nobody can read is forgotten by its receiver, which is told all again later. */
static void test_untold(void **state)
{
    (void)state;
    struct members members = {0};
    members_set_untold(&members);
    add(&members, "10.0.0.1/32");
    add(&members, "10.0.0.2/32");
    members_set_told(&members);
    drop(&members, "10.0.0.1/32");
    add(&members, "10.0.0.3/32");
    members_set_untold(&members);
    check_changes("untold", &members, "");
    check_told_are("untold", &members, "");
    assert_int_equal(members.v4.count, 2);
    drop(&members, "10.0.0.2/32");
    add(&members, "10.0.0.4/32");
    check_changes("nothing is listed", &members, "");
    assert_int_equal(members.v4.count, 2);
    check_all("what there is", &members, " {10.0.0.3/32 10.0.0.4/32}");
    members_set_told(&members);
    drop(&members, "10.0.0.3/32");
    add(&members, "10.0.0.2/32");
    check_changes("told again", &members, " +{10.0.0.2/32} -{10.0.0.3/32}");
    members_free(&members);
}

/* ---- size ---- */

static void test_growth(void **state)
{
    (void)state;
    enum { MANY = 5000 };
    struct members members = {0};
    struct member v4 = make_member("10.0.0.0/32"), v6 = make_member("fd00::/128");
    for (uint32_t i = 0; i < MANY; i++) {
        memcpy(v4.addr.bytes + 2, &(uint16_t){(uint16_t)i}, 2);
        memcpy(v6.addr.bytes + 12, &i, 4);
        members_add(&members, &v4);
        members_add(&members, &v6);
    }
    assert_int_equal(members.count, 2 * MANY);
    assert_in_range(members.v4.capacity, MANY * 4 / 3, MANY * 8 / 3);
    assert_in_range(members.v6.capacity, MANY * 4 / 3, MANY * 8 / 3);
    for (uint32_t i = 0; i < MANY; i++) {
        memcpy(v4.addr.bytes + 2, &(uint16_t){(uint16_t)i}, 2);
        members_remove(&members, &v4);
    }
    assert_int_equal(members.count, MANY);
    assert_int_equal(members.v4.count, 0);
    assert_in_range(members.v4.capacity, 1, 16);
    members_free(&members);
}

/* ---- against a plain list ---- */

enum { UNIVERSE = 300, STEPS = 30000 };

/* What there must be of each member, and what the receiver has. */
struct model {
    char texts[UNIVERSE][64];
    struct member members[UNIVERSE];
    unsigned counts[UNIVERSE];
    bool has[UNIVERSE];
    struct map by_text; /* -> its place + 1, in `texts` */
};

static void fill(struct model *model)
{
    for (size_t i = 0; i < UNIVERSE; i++) {
        char *text = model->texts[i];
        unsigned n = (unsigned)i / 4;
        if (i < COUNT(different))
            snprintf(text, sizeof(model->texts[i]), "%s", different[i]);
        else if (i % 4 == 0)
            snprintf(text, sizeof(model->texts[i]), "192.168.%u.0/%u", n, 24 + n % 9);
        else if (i % 4 == 1)
            snprintf(text, sizeof(model->texts[i]), "2001:db8:%x::/%u", n + 1, 48 + n % 81);
        else
            snprintf(text, sizeof(model->texts[i]), "%s%u,%s:%u",
                     i % 4 == 2 ? "172.16.0." : "2001:db8::", n % 7 + 1, n % 2 == 0 ? "tcp" : "udp",
                     n);
        model->members[i] = make_member(text);
        assert_null(map_set(&model->by_text, str_from_c(text), text));
    }
}

static size_t find(const struct model *model, struct str text)
{
    const char *found = map_get(&model->by_text, text);
    if (found == NULL)
        fail_msg("%s is no member", quote(text).text);
    return (size_t)(found - model->texts[0]) / sizeof(model->texts[0]);
}

/* The receiver takes in what it is told; it must be news. */
static void receive(struct model *model, const struct psync_strings *list, bool has)
{
    for (size_t i = 0; i < list->count; i++) {
        size_t place = find(model, list->items[i]);
        CHECK(model->texts[place], model->has[place] != has);
        model->has[place] = has;
    }
}

/* What was told can be asked for again, whatever happened since. */
static void check_told(const struct members *members, const struct model *model)
{
    CLEANUP_ARENA struct arena arena = {0};
    struct psync_strings told = members_told(members, &arena);
    size_t count = 0;
    for (size_t i = 0; i < told.count; i++)
        CHECK("told", model->has[find(model, told.items[i])]);
    for (size_t i = 0; i < UNIVERSE; i++)
        count += model->has[i];
    assert_int_equal(told.count, count);
}

static void check_received(const struct members *members, const struct model *model)
{
    check_told(members, model);
    for (size_t i = 0; i < UNIVERSE; i++)
        CHECK(model->texts[i], model->has[i] == (model->counts[i] > 0));
}

static void take(struct members *members, struct model *model)
{
    CLEANUP_ARENA struct arena arena = {0};
    struct psync_strings added, removed;
    members_take_changes(members, &arena, &added, &removed);
    receive(model, &added, true);
    receive(model, &removed, false);
    check_received(members, model);
}

static void tell_whole(struct members *members, struct model *model)
{
    CLEANUP_ARENA struct arena arena = {0};
    members_set_untold(members);
    memset(model->has, 0, sizeof(model->has));
    struct psync_strings all = members_all(members, &arena);
    receive(model, &all, true);
    members_set_told(members);
    check_received(members, model);
}

static void step(struct members *members, struct model *model, struct random *random, bool filling)
{
    size_t i = random_below(random, UNIVERSE);
    if (random_below(random, 10) < (filling ? 7u : 3u)) {
        members_add(members, &model->members[i]);
        model->counts[i]++;
    } else if (model->counts[i] > 0) {
        members_remove(members, &model->members[i]);
        model->counts[i]--;
    }
}

static void test_against_list(void **state)
{
    (void)state;
    struct random random = random_start();
    struct model *model = calloc(1, sizeof(*model));
    struct members members = {0};
    assert_non_null(model);
    fill(model);
    for (size_t i = 0; i < STEPS; i++) {
        step(&members, model, &random, i / 3000 % 2 == 0);
        size_t what = random_below(&random, 300);
        if (what < 10 && members.is_told)
            take(&members, model);
        else if (what == 10)
            tell_whole(&members, model);
        else if (what < 20)
            check_told(&members, model);
    }
    tell_whole(&members, model);
    members_free(&members);
    map_free(&model->by_text);
    free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counting), cmocka_unit_test(test_different),
        cmocka_unit_test(test_changes),  cmocka_unit_test(test_untold),
        cmocka_unit_test(test_growth),   cmocka_unit_test(test_against_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
